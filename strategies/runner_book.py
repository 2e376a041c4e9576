"""One runner of a market's book: its ladders, its starting prices, what was traded.

With the attribute names of betfairlightweight's `RunnerBook`; changed in place by the `MarketBook` that has it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from .changes import RunnerChange, RunnerDefinition
from .ladder import Ladder, PriceSize, RankedLadder


class _SortedLevels:
    """A ladder attribute that is sorted when first read, then stays a plain attribute until the ladder changes.

    Args:
        ladder: the attribute with the full ladder.
        kinds: the best-price ladders that stand in where that is empty, first choice first.
    """

    def __init__(self, ladder: str, *kinds: str) -> None:
        self._ladder = ladder
        self._kinds = kinds

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, prices: Any, owner: type | None = None) -> Any:
        if prices is None:
            return self
        attributes = prices.__dict__
        view = attributes[self._ladder].read()
        if not view and prices.best:
            view = prices.best_view(self._kinds) or view
        attributes[self._name] = view
        return view


class RunnerBookEX:
    """Exchange prices of a runner.

    Attributes:
        available_to_back: levels that can be backed, best (highest) first.
        available_to_lay: levels that can be laid, best (lowest) first.
        traded_volume: volume traded by price, ascending; both sides of each bet count.
    """

    available_to_back: list[PriceSize] = _SortedLevels("back", "bdatb", "batb")  # type: ignore[assignment]
    available_to_lay: list[PriceSize] = _SortedLevels("lay", "bdatl", "batl")  # type: ignore[assignment]
    traded_volume: list[PriceSize] = _SortedLevels("traded")  # type: ignore[assignment]

    def __init__(self) -> None:
        self.back = Ladder(descending=True)
        self.lay = Ladder()
        self.traded = Ladder()
        self.best: dict[str, RankedLadder] = {}

    def best_view(self, kinds: tuple[str, ...]) -> list[PriceSize] | None:
        """The first of the best-price ladders that has anything; None where none has."""
        for kind in kinds:
            ranked = self.best.get(kind)
            if ranked is not None and ranked.levels:
                return ranked.read()
        return None

    def refresh(self, name: str, ladder: Ladder, changes: list[tuple[float, float]]) -> None:
        """Fold changes into a ladder that somebody looks at, and show its new view."""
        assert ladder.view is not None
        view = ladder.patch(ladder.view, changes)
        if view is None or (not view and self.best):
            self.__dict__.pop(name, None)
        else:
            self.__dict__[name] = view

    def apply_best(self, kind: str, changes: list[tuple[int, float, float]]) -> None:
        self.best.setdefault(kind, RankedLadder()).apply(changes)

    def copy(self) -> RunnerBookEX:
        copied = RunnerBookEX()
        copied.back, copied.lay, copied.traded = self.back.copy(), self.lay.copy(), self.traded.copy()
        copied.best = {kind: ladder.copy() for kind, ladder in self.best.items()}
        return copied


class RunnerBookSP:
    """Starting prices of a runner.

    Attributes:
        near_price, far_price: projected starting prices, with and without the exchange's unmatched bets.
        actual_sp: the starting price, once reconciled; as published ("NaN" and "Infinity" included).
        back_stake_taken, lay_liability_taken: starting-price bets by limit price.
    """

    __slots__ = ("_backed", "_laid", "actual_sp", "far_price", "near_price")

    def __init__(self) -> None:
        self.near_price: float | str | None = None
        self.far_price: float | str | None = None
        self.actual_sp: float | str | None = None
        self._backed: Ladder | None = None
        self._laid: Ladder | None = None

    @property
    def back_stake_taken(self) -> list[PriceSize]:
        return self._backed.read() if self._backed else []

    @property
    def lay_liability_taken(self) -> list[PriceSize]:
        return self._laid.read() if self._laid else []

    def apply(self, change: RunnerChange) -> None:
        if change.spn is not None:
            self.near_price = change.spn
        if change.spf is not None:
            self.far_price = change.spf
        if change.spl is not None:
            if self._backed is None:
                self._backed = Ladder()
            self._backed.apply(change.spl)
        if change.spb is not None:
            if self._laid is None:
                self._laid = Ladder(descending=True)
            self._laid.apply(change.spb)

    def copy(self) -> RunnerBookSP:
        copied = RunnerBookSP()
        copied.near_price, copied.far_price, copied.actual_sp = self.near_price, self.far_price, self.actual_sp
        copied._backed = self._backed.copy() if self._backed else None
        copied._laid = self._laid.copy() if self._laid else None
        return copied


class RunnerBook:
    """One runner of a book.

    Attributes:
        traded_before: sizes of the traded ladder before this update, by changed price (None: the price is new).
            None as a whole unless somebody watches the runner (`MarketBook.watch`).
        traded_most: the most that was traded at a price, of those that have changed while somebody watched.
    """

    __slots__ = (
        "adjustment_factor",
        "definition",
        "ex",
        "handicap",
        "last_price_traded",
        "name",
        "removal_date",
        "selection_id",
        "sort_priority",
        "sp",
        "status",
        "total_matched",
        "traded_before",
        "traded_most",
    )

    def __init__(self, selection_id: int, handicap: float) -> None:
        self.selection_id = selection_id
        self.handicap = handicap
        self.traded_before: dict[float, float | None] | None = None
        self.traded_most: dict[float, float] = {}
        self.definition: RunnerDefinition | None = None
        self.status: str | None = None
        self.name: str | None = None
        self.sort_priority = 0
        self.adjustment_factor: float | None = None
        self.removal_date: datetime.datetime | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all prices: an image follows."""
        self.ex = RunnerBookEX()
        self.sp = RunnerBookSP()
        self.last_price_traded: float | None = None
        self.total_matched: float = 0.0

    def define(self, definition: RunnerDefinition) -> None:
        self.definition = definition
        self.status = definition.status
        self.name = definition.name
        self.sort_priority = definition.sort_priority
        self.adjustment_factor = definition.adjustment_factor
        self.removal_date = definition.removal_date
        self.sp.actual_sp = definition.bsp

    @property
    def offered(self) -> bool:
        """Whether anything can be backed or laid."""
        ex = self.ex
        if ex.back.levels or ex.lay.levels:
            return True
        return bool(ex.best and (ex.available_to_back or ex.available_to_lay))

    def note_traded(self, changes: Iterable[tuple[float, float]]) -> None:
        """Remember what stood in the traded ladder, for a watcher, before `changes` are folded in."""
        before = self.traded_before
        assert before is not None
        levels = self.ex.traded.levels
        for price, _ in changes or [(price, 0.0) for price in levels]:
            if price not in before:
                before[price] = levels.get(price)

    def take_traded(self) -> dict[float, float]:
        """Volume traded by price since `traded_before` was last emptied, ascending by price; empties it."""
        before = self.traded_before
        assert before is not None
        levels = self.ex.traded.levels
        delta = {}
        for price in sorted(before):
            size = levels.get(price)
            if size is None:
                continue
            known = before[price]
            if known is None:
                delta[price] = size
            elif size > known:
                delta[price] = round(size - known, 2)
        before.clear()
        return delta

    def take_new(self) -> dict[float, float]:
        """As `take_traded`, but only what is above the most that was ever traded at a price: a ladder that is cleared
        and sent again, or lowered and raised, has traded nothing."""
        before, most = self.traded_before, self.traded_most
        assert before is not None
        levels = self.ex.traded.levels
        delta = {}
        for price in sorted(before):
            known = max(before[price] or 0.0, most.get(price, 0.0))
            size = levels.get(price, 0.0)
            if size > known:
                delta[price] = round(size - known, 2)
                known = size
            most[price] = known
        before.clear()
        return delta

    def copy(self) -> RunnerBook:
        copied = RunnerBook(self.selection_id, self.handicap)
        copied.ex, copied.sp = self.ex.copy(), self.sp.copy()
        for name in ("definition", "status", "name", "sort_priority", "adjustment_factor", "removal_date"):
            setattr(copied, name, getattr(self, name))
        copied.last_price_traded, copied.total_matched = self.last_price_traded, self.total_matched
        return copied

    def __repr__(self) -> str:
        return f"<RunnerBook {self.selection_id} {self.handicap:g} {self.status} ltp={self.last_price_traded}>"
