"""What happens to markets on demand: they are suspended, start later, lose a runner, open again, are settled twice.

Each is a definition of the market that is woven into what is played; what was recorded goes on under it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import msgspec

from ...strategies.changes import RunnerChange
from .exchange import Exchange, ExchangeMarket, Listener
from .faults import Fault, Faults
from .feed.redefinition import RAN, Redefinition
from .feed_messages import FeedChange
from .public_market import RunnerKey, Touched

#: The kinds of fault that are done here.
PREFIX = "event."
#: The least time between two settlements of a market, milliseconds.
_SETTLED_AGAIN_MS = 1_000


class _Course:
    """What is different in one market from what is recorded.

    Attributes:
        recorded: the last definition, as recorded.
        versions: by how much the version is higher.
        suspensions: how many are under way.
        start_ms: by how much the start is later.
        removed: runners that were removed, and when, exchange time.
        over: results were made up; what is recorded of the definition counts no longer.
    """

    __slots__ = ("over", "recorded", "removed", "start_ms", "suspensions", "versions")

    def __init__(self, recorded: FeedChange) -> None:
        self.recorded = recorded
        self.versions = self.suspensions = 0
        self.start_ms = 0.0
        self.removed: dict[RunnerKey, int] = {}
        self.over = False


class MarketEvents(Listener):
    """Does the faults of markets. It listens to the exchange, and alters what is played.

    Args:
        faults: those of the kinds `event.*` are asked for where a market changes, and as soon as they are set up.
    """

    def __init__(self, exchange: Exchange, faults: Faults) -> None:
        self._exchange = exchange
        self._faults = faults
        self._courses: dict[str, _Course] = {}
        self._changed: dict[str, ExchangeMarket] = {}
        self._kinds: tuple[tuple[str, Callable[[ExchangeMarket], bool], Callable[[ExchangeMarket, Fault], object]], ...]
        self._kinds = (
            ("event.suspend", self._can_suspend, self._suspend),
            ("event.move_start", self._can_move, self._move_start),
            ("event.remove_runner", self._can_remove, self._remove_runner),
            ("event.reopen", self._can_reopen, self._reopen_later),
        )
        exchange.alter = self.alter
        exchange.listeners.append(self)
        faults.watchers.append(self._watch)

    # -- what is recorded ----------------------------------------------------------------------------------------

    def alter(self, played: FeedChange) -> FeedChange | None:
        """What becomes of a recorded change."""
        course = self._courses.get(played.change.id or "")
        if played.definition is None or played.change.market_definition is None:
            return played if course is None or not course.removed else self._without_removed(played, course)
        if course is None:
            if played.change.id is not None:
                self._courses[played.change.id] = _Course(played)
            return played
        if course.over:
            change = msgspec.structs.replace(played.change, market_definition=None)
            return FeedChange(change, None, played.conflated) if change.rc or change.img else None
        course.recorded = played
        if not course.versions:
            return played
        definition = self._definition(course)
        change = msgspec.structs.replace(played.change, market_definition=definition.decoded)
        return self._without_removed(FeedChange(change, definition.sent, played.conflated), course)

    def _without_removed(self, played: FeedChange, course: _Course) -> FeedChange:
        kept = [rc for rc in played.change.rc if (rc.id, rc.hc or 0.0) not in course.removed]
        if len(kept) == len(played.change.rc):
            return played
        return FeedChange(msgspec.structs.replace(played.change, rc=kept), played.definition, played.conflated)

    def _definition(self, course: _Course) -> Redefinition:
        """The last recorded definition with what is different."""
        recorded = course.recorded
        assert recorded.change.market_definition is not None
        assert recorded.definition is not None
        definition = Redefinition(recorded.change.market_definition, recorded.definition)
        definition.set("version", definition.decoded.version + course.versions)
        if course.start_ms:
            for name in ("marketTime", "suspendTime"):
                if (time := definition.time(name)) is not None:
                    definition.set_time(name, time + course.start_ms)
        if course.removed:
            self._remove(definition, course)
        if definition.decoded.status == "CLOSED":
            course.suspensions = 0
        elif course.suspensions:
            definition.set("status", "SUSPENDED")
        return definition

    def _remove(self, definition: Redefinition, course: _Course) -> None:
        vacant = 0
        for runner in definition.decoded.runners:
            removed_ms = course.removed.get((runner.id, runner.hc))
            if removed_ms is not None and runner.status not in ("REMOVED", "REMOVED_VACANT"):
                vacant += runner.status == "WINNER"
                definition.set_runner(runner, "REMOVED", removed_ms)
        for runner in [each for each in definition.decoded.runners if each.status == "LOSER"][:vacant]:
            definition.set_runner(runner, "WINNER")
        definition.count_runners()

    def _publish(
        self, market: ExchangeMarket, course: _Course, edit: Callable[[Redefinition], object] | None = None
    ) -> None:
        course.versions += 1
        definition = self._definition(course)
        if edit is not None:
            edit(definition)
        emptied = [RunnerChange(id=key[0], hc=key[1], atb=[], atl=[]) for key in course.removed]
        self._exchange.play(definition.change(market.market_id, emptied))

    # -- when it happens -----------------------------------------------------------------------------------------

    def _watch(self, fault: Fault) -> None:
        if fault.kind.startswith(PREFIX):
            self._exchange.call_later(fault.after * 1000, lambda: self._take(self._exchange.markets.values()))

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        if self._faults.armed:
            self._changed[market.market_id] = market

    def message_ended(self, at: int) -> None:
        if self._changed:
            changed = list(self._changed.values())
            self._changed.clear()
            self._take(changed)

    def _take(self, markets: Iterable[ExchangeMarket]) -> None:
        for market in list(markets):
            course = self._courses.get(market.market_id)
            if course is None or market.gone:
                continue
            for kind, can, act in self._kinds:
                if can(market):
                    fault = self._faults.take(kind, self._exchange.clock.now_ms, market_id=market.market_id)
                    if fault is not None:
                        # Not now: what is being played has to be told first.
                        self._exchange.call_later(0, functools.partial(act, market, fault))

    def market_gone(self, market: ExchangeMarket) -> None:
        self._courses.pop(market.market_id, None)
        self._changed.pop(market.market_id, None)

    # -- suspensions, starts, runners ----------------------------------------------------------------------------

    def _can_suspend(self, market: ExchangeMarket) -> bool:
        return market.closed_at is None and market.definition.status == "OPEN"

    def _suspend(self, market: ExchangeMarket, fault: Fault) -> None:
        course = self._courses.get(market.market_id)
        if course is None or market.closed_at is not None:
            return
        course.suspensions += 1
        self._publish(market, course)
        self._exchange.call_later(fault.seconds * 1000, functools.partial(self._resume, market))

    def _resume(self, market: ExchangeMarket) -> None:
        course = self._courses.get(market.market_id)
        if course is not None and course.suspensions:
            course.suspensions -= 1
            self._publish(market, course)

    def _can_move(self, market: ExchangeMarket) -> bool:
        definition = market.definition
        return market.closed_at is None and not definition.in_play and definition.market_time is not None

    def _move_start(self, market: ExchangeMarket, fault: Fault) -> None:
        course = self._courses.get(market.market_id)
        if course is not None and market.closed_at is None:
            course.start_ms += fault.seconds * 1000
            self._publish(market, course)

    def _can_remove(self, market: ExchangeMarket) -> bool:
        return market.closed_at is None and sum(each.status == "ACTIVE" for each in market.definition.runners) > 1

    def _remove_runner(self, market: ExchangeMarket, fault: Fault) -> None:
        course = self._courses.get(market.market_id)
        active = [each for each in market.definition.runners if each.status == "ACTIVE"]
        named = [each for each in active if fault.value in (None, str(each.id))]
        if course is None or market.closed_at is not None:
            return
        if not named:
            known = ", ".join(str(each.id) for each in active)
            told = f"{fault.kind}: there is no active runner {fault.value}; there are {known}"
            self._exchange.ledger.write("ERROR", self._exchange.clock.now_ms, market_id=market.market_id, error=told)
            return
        runner = named[-1]
        course.removed[runner.id, runner.hc] = self._exchange.clock.now_ms
        self._publish(market, course)

    # -- results -------------------------------------------------------------------------------------------------

    def _can_reopen(self, market: ExchangeMarket) -> bool:
        return market.closed_at is not None and not self._courses[market.market_id].over

    def _reopen_later(self, market: ExchangeMarket, fault: Fault) -> None:
        self._exchange.call_later(fault.seconds * 1000, functools.partial(self._reopen, market, fault))

    def _reopen(self, market: ExchangeMarket, fault: Fault) -> None:
        course = self._courses.get(market.market_id)
        if course is None or market.closed_at is None or course.over:
            return
        course.over = True

        def edit(definition: Redefinition) -> None:
            definition.set("status", "OPEN")
            definition.set_time("settledTime", None)
            for runner in definition.decoded.runners:
                if runner.status in RAN:
                    definition.set_runner(runner, "ACTIVE")
            definition.count_runners()

        self._publish(market, course, edit)
        self._exchange.call_later(fault.seconds * 1000, functools.partial(self._close_otherwise, market))

    def _close_otherwise(self, market: ExchangeMarket) -> None:
        course = self._courses.get(market.market_id)
        if course is None:
            return

        def edit(definition: Redefinition) -> None:
            definition.choose_other_winners()
            definition.set_time("settledTime", self._exchange.clock.now_ms)

        course.over = True
        self._publish(market, course, edit)

    def market_settled(self, market: ExchangeMarket) -> None:
        """A market is settled; a second time, with other winners, if the exchange is set up so."""
        settings, course = self._exchange.settings, self._courses.get(market.market_id)
        if not settings.settle_twice or course is None or course.over:
            return
        wait = max(settings.timers.settle * 1000, _SETTLED_AGAIN_MS)
        self._exchange.call_later(wait, functools.partial(self._settle_again, market, market.closing))

    def _settle_again(self, market: ExchangeMarket, closing: int) -> None:
        course = self._courses.get(market.market_id)
        if course is not None and not course.over and closing == market.closing:
            self._close_otherwise(market)
