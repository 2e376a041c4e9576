"""Non-runners: what the removal of a runner does to bets. Source: docs/fidelity.md; Betfair's rules on
non-runners and reduction factors.
"""

from __future__ import annotations

from ..strategies.book import MarketBook
from ..strategies.market import Market
from ..strategies.order_types import LimitOrder, MarketOnCloseOrder
from ..strategies.prices import MIN_PRICE
from ..strategies.runner_book import RunnerBook
from .bets import SimulatedBet

#: Factors below this many percent change nothing on win markets.
WIN_THRESHOLD = 2.5
#: Unmatched lays of place markets are cancelled from this factor on, in percent.
PLACE_CANCEL_THRESHOLD = 4.0

#: Statuses of a runner that does not run: withdrawn, or a greyhound's trap that stays empty.
GONE = ("REMOVED", "REMOVED_VACANT")
_PLACE = ("PLACE", "OTHER_PLACE")
#: Decimals of a reduced price: finer than any factor, coarser than what floats add to it.
_DECIMALS = 10


class Removals:
    """Betfair's rules.

    Bets on the removed runner are void, whatever its factor. On the others matched prices are reduced: on win and other
    markets by the factor where it is 2.5 % or more; on place markets the part above 1, by any factor. Unmatched lays
    are cancelled where the factor is 2.5 % (win) or 4 % (place) or more. Liabilities of lays at the starting price are
    reduced by the factor as well. Each removal counts once in each market.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, int, float]] = set()

    def find(self, book: MarketBook) -> list[RunnerBook]:
        """Runners removed since the last call for this market."""
        found = []
        for runner in book.runners:
            if runner.status in GONE:
                key = (book.market_id, runner.selection_id, runner.handicap)
                if key not in self._seen:
                    self._seen.add(key)
                    found.append(runner)
        return found

    def forget(self, market_id: str) -> None:
        """The market is gone."""
        self._seen = {key for key in self._seen if key[0] != market_id}

    def apply(self, bet: SimulatedBet, removed: RunnerBook, market: Market) -> None:
        """What the removal of a runner does to a bet of the market."""
        order = bet.order
        if order.selection_id == removed.selection_id and order.handicap == removed.handicap:
            self._void(bet)
            return
        factor = removed.adjustment_factor or 0.0
        definition = market.market_book.market_definition
        place = definition is not None and definition.market_type in _PLACE
        order_type = order.order_type
        if market.blotter.terms.is_line(order_type):
            return  # a line is no price: nothing of it is reduced
        if isinstance(order_type, MarketOnCloseOrder) and order.side == "LAY" and not bet.bsp_reconciled:
            _reduce_liability(bet, order_type, removed, market)
        elif bet.fills and factor and (place or factor >= WIN_THRESHOLD):
            for fill in bet.fills:
                fill[1] = max(_reduced(fill[1], factor, place), MIN_PRICE)
            bet.recount()
        if (
            isinstance(order_type, LimitOrder)
            and order.side == "LAY"
            and not order.complete
            and order.size_remaining > 0
        ):
            threshold = PLACE_CANCEL_THRESHOLD if place else WIN_THRESHOLD
            if factor >= threshold and bet.market_version is not None:
                bet.cancel(order.size_remaining)

    def _void(self, bet: SimulatedBet) -> None:
        order = bet.order
        matched = order.size_matched
        bet.fills.clear()
        bet.recount()
        if order.is_limit:
            order.size_voided = round(order.size_voided + matched + order.size_remaining, 2)
            bet.settle_sizes()
        else:
            order.size_voided = bet.size
            bet.reconciled()


def _reduced(price: float, factor: float, place: bool) -> float:
    kept = (100 - factor) / 100
    return round(1 + (price - 1) * kept if place else price * kept, _DECIMALS)


def _reduce_liability(bet: SimulatedBet, order_type: MarketOnCloseOrder, removed: RunnerBook, market: Market) -> None:
    factor = removed.adjustment_factor or 0.0
    if market.market_type == "WIN":
        runner = market.market_book.runner(bet.order.selection_id, bet.order.handicap)
        own = (runner.adjustment_factor if runner else None) or 0.0
        # Factors of a market add up to 100. Where a recording has others, a bet cannot risk less than nothing.
        if own < 100:
            order_type.liability *= max(1 - factor / (100 - own), 0.0)
    elif market.market_type in _PLACE:
        order_type.liability *= (100 - factor) * 0.01
    bet.size = order_type.liability


class FlumineRemovals(Removals):
    """The peer's rules: a removal without factor does nothing, the same one counts once over all markets, and the win
    rule holds for every type of market.

    The peer has no answer for a lay at the starting price whose own runner has no factor: its error ends the pass. Here
    the liability stays, as it does there, and all other bets go on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._removed: set[tuple[int, float, float | None]] = set()

    def find(self, book: MarketBook) -> list[RunnerBook]:
        found = []
        for runner in book.runners:
            if runner.status == "REMOVED":
                key = (runner.selection_id, runner.handicap, runner.adjustment_factor)
                if key not in self._removed:
                    self._removed.add(key)
                    if runner.adjustment_factor:
                        found.append(runner)
        return found

    def forget(self, market_id: str) -> None:
        """The peer never forgets."""

    def apply(self, bet: SimulatedBet, removed: RunnerBook, market: Market) -> None:
        order, factor = bet.order, removed.adjustment_factor
        assert factor is not None
        order_type = order.order_type
        if order.selection_id == removed.selection_id and order.handicap == removed.handicap:
            bet.fills.clear()
            bet.recount()
            order.size_voided = bet.size if isinstance(order_type, LimitOrder) else order_type.liability
            bet.settle_sizes()
        elif isinstance(order_type, MarketOnCloseOrder) and order.side == "LAY":
            runner = market.market_book.runner(order.selection_id, order.handicap)
            if market.market_type == "WIN":
                own = runner.adjustment_factor if runner else None
                if own is not None and own != 100:
                    order_type.liability *= 1 - factor / (100 - own)
            elif market.market_type in _PLACE:
                order_type.liability *= (100 - factor) * 0.01
            if order.size_matched and order.average_price_matched != 1:
                order.size_matched = round(order_type.liability / (order.average_price_matched - 1), 2)
        elif factor >= WIN_THRESHOLD:
            for fill in bet.fills:
                fill[1] = max(round(fill[1] * (1 - factor / 100), 2), MIN_PRICE)
            bet.recount()
