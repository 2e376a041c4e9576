"""Non-runners: what the removal of a runner does to bets. Source: docs/fidelity.md; Betfair's rules on
non-runners and reduction factors.
"""

from __future__ import annotations

from ..strategies.book import MarketBook
from ..strategies.prices import MIN_PRICE
from ..strategies.runner_book import RunnerBook
from ..strategies.terms import Terms
from .bets import MARKET_ON_CLOSE, Bet

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
        """Forget a market that was freed."""
        self._seen = {key for key in self._seen if key[0] != market_id}

    def apply(self, bet: Bet, removed: RunnerBook, book: MarketBook) -> None:
        """Apply the removal of a runner to a bet of the market; `book` is the market's."""
        if bet.selection_id == removed.selection_id and bet.handicap == removed.handicap:
            void(bet)
            return
        factor = removed.adjustment_factor or 0.0
        definition = book.market_definition
        place = definition is not None and definition.market_type in _PLACE
        if Terms.of(definition).is_line(bet):
            return  # a line is not a price: nothing of it is reduced
        if bet.asked.order_type == MARKET_ON_CLOSE and not bet.back and not bet.bsp_reconciled:
            _reduce_liability(bet, factor, book)
        elif bet.fills and factor and (place or factor >= WIN_THRESHOLD):
            bet.reprice([(at, max(_reduced(price, factor, place), MIN_PRICE), size) for at, price, size in bet.fills])
        if bet.is_limit and not bet.back and not bet.ended and bet.size_remaining > 0:
            threshold = PLACE_CANCEL_THRESHOLD if place else WIN_THRESHOLD
            if factor >= threshold and bet.market_version is not None:
                bet.cancel(bet.size_remaining)


def void(bet: Bet) -> None:
    """Void a bet: what was matched of it and what remains."""
    matched = bet.size_matched
    if bet.fills:
        bet.reprice([])
    if bet.is_limit:
        voided = matched + bet.size_remaining
        if voided:
            bet.size_voided = round(bet.size_voided + voided, 2)
            bet.changed = True
        bet.settle_sizes()
    else:
        # What lapsed at a close is not voided as well; what was matched at the starting price is its stake.
        bet.size_voided = matched or round(bet.size - bet.size_lapsed, 2)
        bet.changed = True
        bet.reconciled()


def _reduced(price: float, factor: float, place: bool) -> float:
    kept = (100 - factor) / 100
    return round(1 + (price - 1) * kept if place else price * kept, _DECIMALS)


def _reduce_liability(bet: Bet, factor: float, book: MarketBook) -> None:
    definition = book.market_definition
    market_type = definition.market_type if definition else None
    if market_type == "WIN":
        runner = book.runner(bet.selection_id, bet.handicap)
        own = (runner.adjustment_factor if runner else None) or 0.0
        # Factors of a market add up to 100. Where a recording has others, a bet cannot risk less than nothing.
        if own < 100:
            bet.reduce_liability(max(1 - factor / (100 - own), 0.0))
    elif market_type in _PLACE:
        bet.reduce_liability((100 - factor) * 0.01)
    bet.size = bet.liability


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

    def apply(self, bet: Bet, removed: RunnerBook, book: MarketBook) -> None:
        factor = removed.adjustment_factor
        assert factor is not None
        if bet.selection_id == removed.selection_id and bet.handicap == removed.handicap:
            bet.reprice([])
            bet.size_voided = bet.size if bet.is_limit else bet.liability
            bet.changed = True
            bet.settle_sizes()
        elif bet.asked.order_type == MARKET_ON_CLOSE and not bet.back:
            definition = book.market_definition
            market_type = definition.market_type if definition else None
            if market_type == "WIN":
                runner = book.runner(bet.selection_id, bet.handicap)
                own = runner.adjustment_factor if runner else None
                if own is not None and own != 100:
                    bet.reduce_liability(1 - factor / (100 - own))
            elif market_type in _PLACE:
                bet.reduce_liability((100 - factor) * 0.01)
            if bet.size_matched and bet.average_price_matched != 1:
                matched = round(bet.liability / (bet.average_price_matched - 1), 2)
                bet.changed = bet.changed or matched != bet.size_matched
                bet.size_matched = matched
        elif factor >= WIN_THRESHOLD:
            bet.reprice(
                [(at, max(round(price * (1 - factor / 100), 2), MIN_PRICE), size) for at, price, size in bet.fills]
            )
