"""How hosts are started and ended, as the coordinator sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from ..role import Role


@dataclasses.dataclass(frozen=True)
class Found:
    """A role that runs.

    Attributes:
        address: of its mail.
        incarnation: how often a role of its name was started before.
    """

    address: str
    incarnation: int


class Hosts(Protocol):
    """What the coordinator asks of its engine: see `actors.shells.engine`."""

    def prepare(self, names: Sequence[str], make_role: Callable[..., Role] | None = None) -> None: ...

    def spare(self, count: int, make_role: Callable[..., Role] | None = None) -> None: ...

    @property
    def coming(self) -> int: ...

    def start(self, name: str, make_role: Callable[[], Role], incarnation: int = 0) -> str: ...

    def stop(self, name: str, why: str = "") -> None: ...

    def kill(self, name: str) -> None: ...

    def crash(self, name: str) -> None: ...

    def adopt(self, names: Iterable[str] | None = None) -> dict[str, Found]: ...

    def close(self, seconds: float = 10.0) -> tuple[str, ...]: ...
