"""What is shown: a result and a sweep as pages, figures, notebooks and the terminal read them.

Whatever shows results is written against these. `Result` and `SweepResult` have them, and stand above: they call what
shows them, and nothing that shows results knows of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from ..failure_groups import FailureGroup
    from ..violations import Reason


class ShownResult(Protocol):
    """What one run did, as `Result` tells it."""

    @property
    def violations(self) -> pa.Table: ...

    @property
    def failures(self) -> pa.Table: ...

    @property
    def markets(self) -> pa.Table: ...

    @property
    def digest(self) -> str: ...

    @property
    def manifest(self) -> dict[str, Any]: ...

    @property
    def orders(self) -> pa.Table: ...

    @property
    def fills(self) -> pa.Table: ...

    def summary(self) -> pa.Table: ...

    def unit_of(self, market_id: str) -> str | None: ...


class ShownSweep(Protocol):
    """What the sets of a sweep or a search did, as `SweepResult` tells it; rows only as many as memory has room for."""

    manifest: dict[str, Any]
    parameters: list[dict[str, Any]]

    @property
    def digest(self) -> str: ...

    @property
    def table(self) -> pa.Table: ...

    @property
    def markets_met(self) -> pa.Table: ...

    @property
    def refused(self) -> list[Reason]: ...

    @property
    def failure_groups(self) -> list[FailureGroup]: ...

    def rows(
        self, name: str, *, sets: Iterable[int] | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table: ...

    def pieces(self, name: str) -> Iterator[pa.Table]: ...

    @property
    def split(self) -> float | None: ...

    @property
    def search(self) -> dict[str, Any] | None: ...

    @property
    def shown_by(self) -> str: ...

    @property
    def parameter_columns(self) -> Sequence[str]: ...

    def best_sets(self, by: str | None = None, count: int | None = None) -> list[dict[str, Any]]: ...

    def why_none_traded(self) -> str: ...
