"""What makes a role, as bytes for another process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...strategies.errors import RunError
from ..role import Role


class Pickles:
    """Makes bytes of functions and of their arguments. Those of functions are kept: many roles are made with one."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Any, bytes]] = {}

    def both(self, name: str, make_role: Callable[..., Role]) -> tuple[bytes, bytes]:
        """A function and its arguments.

        Raises:
            RunError: they cannot be made into bytes.
        """
        function, arguments = _parts(make_role)
        return self._function(name, function), _pickled(name, arguments)

    def function(self, make_role: Callable[..., Role] | None) -> bytes:
        """A function without its arguments; of None nothing.

        Raises:
            RunError: it cannot be made into bytes.
        """
        return b"" if make_role is None else self._function("a role", _parts(make_role)[0])

    def _function(self, name: str, function: Callable[..., object]) -> bytes:
        key = id(function)
        if key not in self._kept:
            self._kept[key] = (function, _pickled(name, function))
        return self._kept[key][1]


def _parts(make_role: Callable[..., Role]) -> tuple[Callable[..., object], tuple[Any, ...]]:
    """The function of a `functools.partial`, and its arguments."""
    if isinstance(make_role, functools.partial) and not make_role.keywords:
        return make_role.func, make_role.args
    return make_role, ()


def _pickled(name: str, value: object) -> bytes:
    import ray

    dumps: Callable[[object], bytes] = ray.cloudpickle.dumps
    try:
        return dumps(value)
    except Exception as error:  # whatever the user's own objects raise
        raise RunError(f"{name} cannot be sent to a process of its own: {type(error).__name__}: {error}") from error
