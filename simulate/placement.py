"""What happens to a bet when it reaches the simulated exchange. Source: docs/fidelity.md."""

from __future__ import annotations

import math

from ..strategies.book import MarketBook
from ..strategies.ladder import PriceSize
from ..strategies.prices import MAX_PRICE, MIN_PRICE
from ..strategies.runner_book import RunnerBook
from ..strategies.terms import Terms
from .bets import MARKET_ON_CLOSE, Bet
from .matching import Matching
from .removals import GONE

FILL_OR_KILL = "FILL_OR_KILL"
#: The bet has to wait for the bet delay. This is not a code of the exchange.
WAIT = "WAIT"


class Arrival:
    """The moment at which bets of a request arrive at the exchange.

    Args:
        book: the market's book in force.
        market_version: the version that the request insists on, or None.
        delay_done: latency and bet delay have passed; until then only bets that match nothing go in.
        terms: how the market's bets are settled.
        time_ms: when that is, milliseconds since the epoch: what a bet matches there is matched then.
        matching: what can be taken, and what is ahead.
        stop_on_unknown: raise where the runner is unknown, the size is a bet target or nothing, as the peer does.
    """

    __slots__ = ("book", "delay_done", "market_version", "matching", "stop_on_unknown", "terms", "time_ms")

    def __init__(
        self,
        book: MarketBook,
        matching: Matching,
        market_version: int | None,
        delay_done: bool,
        terms: Terms,
        time_ms: int,
        stop_on_unknown: bool = False,
    ) -> None:
        self.book = book
        self.matching = matching
        self.market_version = market_version
        self.delay_done = delay_done
        self.stop_on_unknown = stop_on_unknown
        self.terms = terms
        self.time_ms = time_ms

    def place(self, bet: Bet) -> str | None:
        """Place a bet: None if that succeeds, WAIT if it has to wait, otherwise the exchange's code of the failure.

        Raises:
            NotImplementedError, AttributeError: the peer's run would end here (`stop_on_unknown`).
        """
        if self.stop_on_unknown and bet.is_limit and not bet.size:
            raise NotImplementedError(f"order {bet.order_id} takes the place of nothing: the peer's run ends with it")
        code = self._place(bet)
        if code is None and bet.account.full_match and bet.size_remaining:
            assert bet.price is not None
            # The peer gives these fills no time.
            bet.fill(0 if self.stop_on_unknown else self.time_ms, bet.price, bet.size_remaining)
        return code

    def _place(self, bet: Bet) -> str | None:
        book = self.book
        if book.status != "OPEN":
            return _voided(bet, "ERROR_IN_ORDER")
        bet.market_version = book.version
        if self.market_version is not None and self.market_version != book.version:
            return _lapsed(bet, "BET_TAKEN_OR_LAPSED")
        runner = book.runner(bet.selection_id, bet.handicap)
        if runner is None:
            if self.stop_on_unknown:
                raise AttributeError(f"market {book.market_id} has no runner {bet.selection_id} {bet.handicap}")
            return _voided(bet, "INVALID_RUNNER")
        if runner.status == "REMOVED" or (runner.status in GONE and not self.stop_on_unknown):
            return _voided(bet, "RUNNER_REMOVED")
        definition = book.market_definition
        assert definition is not None
        no_sp = not definition.bsp_market or book.bsp_reconciled or book.inplay
        if not bet.is_limit:
            return _voided(bet, "MARKET_NOT_OPEN_FOR_BSP_BETTING") if no_sp else None
        if bet.persistence_type == MARKET_ON_CLOSE and no_sp:
            return _voided(bet, "BET_ACTION_ERROR")
        if bet.asked.size is None and self.stop_on_unknown:
            raise NotImplementedError(
                "bet target orders are not simulated under compatibility with flumine; give a size"
            )
        return self._limit(bet, runner)

    def _limit(self, bet: Bet, runner: RunnerBook) -> str | None:
        price, back = bet.price, bet.back
        assert price is not None
        kill = bet.asked.time_in_force == FILL_OR_KILL
        min_fill = bet.asked.min_fill_size or bet.size
        if kill and min_fill > bet.size:
            bet.cancel(bet.size_remaining)
            return "INVALID_MIN_FILL_SIZE"
        levels = self.matching.offers(bet, runner)
        if levels:
            best = levels[0].price
        elif not self.stop_on_unknown and self.terms.is_line(bet):
            best = -math.inf if back else math.inf
        else:
            best = MIN_PRICE if back else MAX_PRICE
        aggressive, improves = (price <= best, best > price) if back else (price >= best, best < price)
        if aggressive and not self.delay_done:
            return WAIT
        if improves and not bet.account.best_price_execution:
            return _lapsed(bet, "BET_LAPSED_PRICE_IMPROVEMENT_TOO_LARGE")
        time_ms, known = self.time_ms, len(bet.fills)
        if kill:
            if price == best:
                if levels and levels[0].size >= min_fill:
                    _sweep(bet, levels, price, time_ms)
            elif aggressive:
                _sweep_average(bet, levels, price, time_ms, min_fill, self.stop_on_unknown)
            bet.cancel(bet.size_remaining)
        else:
            if aggressive:
                _sweep(bet, levels, price, time_ms)
            if bet.size_remaining:
                self.matching.place_behind(bet, runner, aggressive)
        for _, at, size in bet.fills[known:]:
            self.matching.took(bet, at, size)
        return None


def _voided(bet: Bet, code: str) -> str:
    bet.void()
    return code


def _lapsed(bet: Bet, code: str) -> str:
    bet.lapse()
    return code


def _sweep(bet: Bet, levels: list[PriceSize], price: float, time_ms: int) -> None:
    """Take levels at the price or better, best first, each at its own price."""
    back = bet.back
    for at, available in levels:
        outstanding = bet.size_remaining
        if outstanding == 0 or (at < price if back else at > price):
            return
        bet.fill(time_ms, at, round(min(available, outstanding), 2))


def _sweep_average(bet: Bet, levels: list[PriceSize], price: float, time_ms: int, min_fill: float, pence: bool) -> None:
    """Take levels while the average stays at the price or better; nothing at all where `min_fill` is not reached.

    `pence`: the average is rounded before it is compared, as the peer does: up to half a hundredth worse will do.
    """
    back = bet.back
    value = total = 0.0
    outstanding = bet.size_remaining
    taken: list[tuple[float, float]] = []
    for at, available in levels:
        if outstanding == 0:
            break
        size = round(min(available, outstanding), 2)
        average = round((value + at * size) / (total + size), 2 if pence else 10) if total + size else 0.0
        if average < price if back else average > price:
            break
        value, total = value + at * size, total + size
        outstanding = round(outstanding - size, 2)
        taken.append((at, size))
    if round(total, 2) < min_fill:
        return
    for at, size in taken:
        bet.fill(time_ms, at, size)
