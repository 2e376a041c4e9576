"""Resources: a model, a connection, a file; loaded once in each process, shared by all copies of a strategy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from .errors import RunError

Loaded = TypeVar("Loaded")


class Resource(Generic[Loaded]):
    """A class attribute that loads itself when it is first read.

    It is never copied, pickled, snapshotted or hashed: each process that reads it loads its own, once.

    Args:
        loader: makes it; called with nothing.
        name: its class and attribute, for messages.
    """

    def __init__(self, loader: Callable[[], Loaded], name: str = "") -> None:
        self._loader = loader
        self._name = name
        self._lock = threading.Lock()
        self._loaded: list[Loaded] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    @overload
    def __get__(self, strategy: None, owner: type) -> Resource[Loaded]: ...

    @overload
    def __get__(self, strategy: object, owner: type) -> Loaded: ...

    def __get__(self, strategy: object | None, owner: type) -> Resource[Loaded] | Loaded:
        if strategy is None:
            return self
        if not self._loaded:
            with self._lock:
                if not self._loaded:
                    self._loaded.append(self._load())
        return self._loaded[0]

    def _load(self) -> Loaded:
        try:
            return self._loader()
        except Exception as error:
            raise RunError(f"resource {self._name} cannot be loaded: {type(error).__name__}: {error}") from error

    def __set__(self, strategy: object, value: object) -> None:
        raise AttributeError(f"resource {self._name} is loaded by its loader; it cannot be set")

    def __reduce__(self) -> tuple[Any, ...]:
        # A class that is sent to another process is put together without `__set_name__`.
        return Resource, (self._loader, self._name)


def resource(loader: Callable[[], Loaded]) -> Resource[Loaded]:
    """A resource of a strategy: `model = hr.resource(lambda: load_model("model.bin"))`, read as `self.model`.

    Args:
        loader: called once in each process, when the attribute is first read.
    """
    return Resource(loader)
