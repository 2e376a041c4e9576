"""The book of a market: what the exchange has published of it, folded from its changes.

One living object per market, with the attribute names of betfairlightweight's `MarketBook` and `RunnerBook`. It
changes in place; `book.copy()` keeps the past. Folded as betfairlightweight folds it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from .changes import KeyLineDefinition, MarketChange, MarketDefinition, RunnerChange
from .clock import from_ms
from .runner_book import RunnerBook, RunnerBookEX

#: What a runner is in the change that closes its market.
_RESULTS = ("WINNER", "LOSER", "PLACED")


def _key(selection_id: int, handicap: float) -> int | tuple[int, float]:
    return (selection_id, handicap) if handicap else selection_id


class MarketBook:
    """What is known of a market now.

    Attributes:
        publish_time_epoch: milliseconds since the epoch of the last change folded in.
        traded: watched runners whose traded volume changed since a watcher last cleared the list.
        streaming_update: the last change folded in.
        ranked: best prices are, or were, published by their place, instead of ladders.
    """

    streaming_snap = False

    def __init__(
        self, market_id: str, *, cumulative_runner_tv: bool = False, calculate_market_tv: bool = False
    ) -> None:
        self.market_id = market_id
        self.publish_time_epoch = 0
        self.market_definition: MarketDefinition | None = None
        self.streaming_update: MarketChange | None = None
        self.streaming_unique_id = 0
        self.status: str | None = None
        self.inplay = False
        self.version = 0
        self.bet_delay = 0
        self.complete = False
        self.bsp_reconciled = False
        self.cross_matching = False
        self.runners_voidable = False
        self.number_of_winners = 0
        self.number_of_active_runners = 0
        self.runners: list[RunnerBook] = []
        self.traded: list[RunnerBook] = []
        self.ranked = False
        self._total_matched = 0.0
        self._by_key: dict[int | tuple[int, float], RunnerBook] = {}
        self._watch_all = False
        self._newly_traded: dict[tuple[int, float], dict[float, float]] = {}
        self._newly_traded_at: MarketChange | None = None
        self._cumulative_runner_tv = cumulative_runner_tv
        self._calculate_market_tv = calculate_market_tv

    # -- folding -------------------------------------------------------------------------------------------------

    def apply(self, publish_time: int, change: MarketChange) -> None:
        """Fold one change in. `publish_time`: milliseconds since the epoch."""
        self.publish_time_epoch = publish_time
        self.streaming_update = change
        if change.img:
            self._restart()
        if change.market_definition is not None:
            self._define(change.market_definition)
        if change.tv is not None:
            self._total_matched = change.tv
        by_key = self._by_key
        for rc in change.rc:
            runner = by_key.get((rc.id, rc.hc) if rc.hc else rc.id)
            if runner is None:
                runner = self._add_runner(rc.id, rc.hc or 0.0)
            ex = runner.ex
            # The ladders: `Ladder.apply` is written out for those that nobody looks at. The call would cost as much as
            # the work, and this is most of what an ordinary change costs.
            changes = rc.atb
            if changes is not None:
                ladder = ex.back
                if ladder.view is not None:
                    ex.refresh("available_to_back", ladder, changes)
                elif not changes:
                    ladder.levels.clear()
                else:
                    levels = ladder.levels
                    for price, size in changes:
                        if size:
                            levels[price] = size
                        elif price in levels:
                            del levels[price]
            changes = rc.atl
            if changes is not None:
                ladder = ex.lay
                if ladder.view is not None:
                    ex.refresh("available_to_lay", ladder, changes)
                elif not changes:
                    ladder.levels.clear()
                else:
                    levels = ladder.levels
                    for price, size in changes:
                        if size:
                            levels[price] = size
                        elif price in levels:
                            del levels[price]
            changes = rc.trd
            if changes is not None:
                if runner.traded_before is not None:
                    runner.note_traded(changes)
                    self.traded.append(runner)
                ladder = ex.traded
                if ladder.view is not None:
                    ex.refresh("traded_volume", ladder, changes)
                elif not changes:
                    ladder.levels.clear()
                else:
                    levels = ladder.levels
                    for price, size in changes:
                        if size:
                            levels[price] = size
                        elif price in levels:
                            del levels[price]
                if self._cumulative_runner_tv:
                    runner.total_matched = round(sum(ex.traded.levels.values()), 2)
            if rc.ltp is not None:
                runner.last_price_traded = rc.ltp
            if rc.tv is not None and not self._cumulative_runner_tv:
                runner.total_matched = rc.tv
            if rc.spn is not None or rc.spf is not None or rc.spl is not None or rc.spb is not None:
                runner.sp.apply(rc)
            if rc.bdatb is not None or rc.batb is not None or rc.bdatl is not None or rc.batl is not None:
                self.ranked = True
                self._apply_best(ex, rc)

    @staticmethod
    def _apply_best(ex: RunnerBookEX, rc: RunnerChange) -> None:
        for kind in ("batb", "batl", "bdatb", "bdatl"):
            changes = getattr(rc, kind)
            if changes is not None:
                ex.apply_best(kind, changes)
        ex.__dict__.pop("available_to_back", None)
        ex.__dict__.pop("available_to_lay", None)

    def _restart(self) -> None:
        """An image follows: drop all prices; runners that it does not name are gone."""
        for runner in self.runners:
            if runner.traded_before is not None:
                runner.note_traded([])
                self.traded.append(runner)
            runner.reset()
        self._total_matched = 0.0
        self._former = self._by_key
        self._by_key = {}
        self.runners = []
        if self.market_definition is not None:
            self._define(self.market_definition)

    _former: dict[int | tuple[int, float], RunnerBook] = {}  # noqa: RUF012 - replaced, never changed

    def _add_runner(self, selection_id: int, handicap: float) -> RunnerBook:
        key = _key(selection_id, handicap)
        runner = self._former.get(key)
        if runner is None:
            runner = RunnerBook(selection_id, handicap)
            if self._watch_all:
                runner.traded_before = {}
        self._by_key[key] = runner
        self.runners = [*self.runners, runner]
        return runner

    def _define(self, definition: MarketDefinition) -> None:
        self.market_definition = definition
        self.status = definition.status
        self.inplay = definition.in_play
        self.version = definition.version
        self.bet_delay = definition.bet_delay
        self.complete = definition.complete
        self.bsp_reconciled = definition.bsp_reconciled
        self.cross_matching = definition.cross_matching
        self.runners_voidable = definition.runners_voidable
        self.number_of_winners = definition.number_of_winners
        self.number_of_active_runners = definition.number_of_active_runners
        for runner in definition.runners:
            known = self._by_key.get(_key(runner.id, runner.hc))
            if known is None:
                known = self._add_runner(runner.id, runner.hc)
            known.define(runner)

    # -- reading -------------------------------------------------------------------------------------------------

    def runner(self, selection_id: int, handicap: float = 0) -> RunnerBook | None:
        """The runner, or None where the market has no such runner."""
        return self._by_key.get((selection_id, handicap) if handicap else selection_id)

    @property
    def publish_time(self) -> datetime.datetime:
        return from_ms(self.publish_time_epoch)

    @property
    def total_matched(self) -> float:
        """Pounds traded, both sides; the sum of the ladders where the listener was told to calculate it."""
        if self._calculate_market_tv:
            return round(sum(sum(runner.ex.traded.levels.values()) for runner in self.runners), 2)
        return self._total_matched

    @property
    def number_of_runners(self) -> int:
        return len(self.runners)

    @property
    def price_ladder_definition(self) -> str | None:
        """CLASSIC, FINEST or LINE_RANGE; None where the definition does not say."""
        definition = self.market_definition
        return definition.price_ladder_definition.type if definition and definition.price_ladder_definition else None

    @property
    def key_line_description(self) -> KeyLineDefinition | None:
        return self.market_definition.key_line_definition if self.market_definition else None

    @property
    def bet_delay_models(self) -> list[str]:
        return self.market_definition.bet_delay_models if self.market_definition else []

    def copy(self) -> MarketBook:
        """A book that later changes leave alone."""
        copied = MarketBook(self.market_id)
        copied.__dict__.update(self.__dict__)
        copied.runners = [runner.copy() for runner in self.runners]
        copied._by_key = {_key(runner.selection_id, runner.handicap): runner for runner in copied.runners}
        copied.traded = []
        return copied

    # -- watching ------------------------------------------------------------------------------------------------

    def watch(self, runner: RunnerBook) -> None:
        """Keep, from now on, what each update changes in this runner's traded volume."""
        if runner.traded_before is None:
            runner.traded_before = {}

    def unwatch(self) -> None:
        """Keep nothing of what is traded, until somebody watches again."""
        for runner in self.runners:
            runner.traded_before = None
        self.traded.clear()

    def newly_traded(self) -> Mapping[tuple[int, float], dict[float, float]]:
        """Volume newly traded on watched runners that are ACTIVE, or were before this change brought their results: by
        runner, then by price, ascending.

        Worked out once per update, by whoever asks first; whoever asks must leave it as it is.
        """
        if self._newly_traded_at is not self.streaming_update:
            self._newly_traded_at = self.streaming_update
            found = self._newly_traded = {}
            counts = ("ACTIVE", *_RESULTS) if self.status == "CLOSED" else ("ACTIVE",)
            for runner in self.traded:
                delta = runner.take_new()
                if delta and runner.status in counts:
                    found[runner.selection_id, runner.handicap] = delta
            self.traded.clear()
        return self._newly_traded

    def watch_all(self) -> None:
        """Watch every runner, those to come included."""
        self._watch_all = True
        for runner in self.runners:
            self.watch(runner)

    def __repr__(self) -> str:
        return f"<MarketBook {self.market_id} {self.status} {len(self.runners)} runners at {self.publish_time_epoch}>"
