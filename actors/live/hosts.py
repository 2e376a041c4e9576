"""How hosts are started and ended, as the coordinator sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..role import Role


class Hosts(Protocol):
    """What the coordinator asks of its engine: see `actors.shells.engine`."""

    def prepare(self, names: Sequence[str], make_role: Callable[..., Role] | None = None) -> None: ...

    @property
    def coming(self) -> int: ...

    def start(self, name: str, make_role: Callable[[], Role], incarnation: int = 0) -> str: ...

    def stop(self, name: str, why: str = "") -> None: ...

    def kill(self, name: str) -> None: ...

    def close(self, seconds: float = 10.0) -> tuple[str, ...]: ...
