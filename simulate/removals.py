"""Non-runners: what the removal of a runner does to bets.

Sources: Betfair's Exchange Rules and Regulations, Part C, horse racing: "Betfair Non-Runner Rule", "How the reductions
are applied for Exchange markets"; Part B: "Adjustments to SP bets for non-runners", "Keep bets". Their wording, and
where it was found, is in docs/fidelity.md, "Non-runners".
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping

from ..strategies.book import MarketBook
from ..strategies.prices import MIN_PRICE, PRICES
from ..strategies.runner_book import RunnerBook
from ..strategies.terms import EACH_WAY, PLACE_MARKETS, Terms
from .bets import MARKET_ON_CLOSE, Bet

#: Factors below this many percent change nothing on win markets.
WIN_THRESHOLD = 2.5
#: Unmatched lays of place markets are cancelled from this factor on, in percent.
PLACE_CANCEL_THRESHOLD = 4.0

#: Statuses of a runner that does not run: withdrawn, or a greyhound's trap that stays empty.
GONE = ("REMOVED", "REMOVED_VACANT")
#: Decimals of a reduced price: finer than any factor, coarser than what floats add to it.
_DECIMALS = 10

RunnerKey = tuple[int, float]


class _Known:
    """What the removals of a market depend on.

    Attributes:
        removed: runners whose removal has been found.
        factors: those of the runners that run, in percent, as the last definition had them.
        before: for each removed runner, the factors as they were before its removal.
        inplay_since: when the market turned in play for good so far, in milliseconds since the epoch; None: it has not.
    """

    __slots__ = ("before", "factors", "inplay_since", "removed")

    def __init__(self) -> None:
        self.removed: set[RunnerKey] = set()
        self.factors: Mapping[RunnerKey, float] = {}
        self.before: dict[RunnerKey, Mapping[RunnerKey, float]] = {}
        self.inplay_since: int | None = None


class Removals:
    """Betfair's rules.

    - Bets on the removed runner are void, whatever its factor: greyhounds have none.
    - Matched prices of the others are reduced one removal after the other: on win, each-way and other markets by the
      factor where it is 2.5 % or more; on place markets the part above 1, by any factor. Never below 1.01. What was
      matched in play is not reduced; if the market is turned out of play again before the race, it is.
    - Unmatched lays are cancelled where the factor is 2.5 % (place markets: 4 %) or more. Those that are to be kept in
      play, or to take the starting price, stay at odds that are reduced as matched ones are. In play nothing of a
      resting bet changes.
    - Lays at the starting price risk less, by the factor and by that which their own runner had before; their limits
      are reduced.
    - Each removal counts once in each market.
    """

    def __init__(self) -> None:
        self._markets: dict[str, _Known] = {}

    def find(self, book: MarketBook) -> list[RunnerBook]:
        """Runners removed since the last call for this market."""
        known = self._markets.get(book.market_id)
        if known is None:
            known = self._markets[book.market_id] = _Known()
        if not book.inplay:
            known.inplay_since = None
        elif known.inplay_since is None:
            known.inplay_since = book.publish_time_epoch
        found, factors = [], {}
        for runner in book.runners:
            key = (runner.selection_id, runner.handicap)
            if runner.status not in GONE:
                if runner.adjustment_factor:
                    factors[key] = runner.adjustment_factor
            elif key not in known.removed:
                known.removed.add(key)
                found.append(runner)
                known.before[key] = known.factors
                known.factors = _grown(known.factors, runner.adjustment_factor or 0.0)
        known.factors = factors
        return found

    def forget(self, market_id: str) -> None:
        """Forget a market that was freed."""
        self._markets.pop(market_id, None)

    def apply(self, bet: Bet, removed: RunnerBook, book: MarketBook) -> None:
        """Apply the removal of a runner to a bet of the market; `book` is the market's."""
        if bet.selection_id == removed.selection_id and bet.handicap == removed.handicap:
            void(bet)
            return
        factor = removed.adjustment_factor or 0.0
        definition = book.market_definition
        market_type = definition.market_type if definition is not None else None
        place = market_type in PLACE_MARKETS
        terms = Terms.of(definition)
        if terms.is_line(bet):
            return  # a line is not a price: nothing of it is reduced
        reduces = factor > 0 and (place or factor >= WIN_THRESHOLD)
        if not bet.is_limit and not bet.back and not bet.bsp_reconciled:
            if not bet.ended:
                self._reduce_sp_lay(bet, removed, book, place, market_type in ("WIN", EACH_WAY))
        elif bet.fills and reduces:
            self._reduce_fills(bet, factor, place, book)
        over = book.inplay or book.bsp_reconciled
        if bet.is_limit and not bet.back and bet.live and bet.size_remaining > 0 and not over:
            if bet.persistence_type in (None, "LAPSE"):
                if factor >= (PLACE_CANCEL_THRESHOLD if place else WIN_THRESHOLD):
                    bet.cancel(bet.size_remaining)
            elif reduces and bet.price is not None:
                bet.move(_on_ladder(_reduced(bet.price, factor, place), terms.ladder))

    def _reduce_fills(self, bet: Bet, factor: float, place: bool, book: MarketBook) -> None:
        """Reduce what was matched before the off, and at the starting price."""
        known = self._markets.get(book.market_id)
        off = known.inplay_since if known else None
        last = len(bet.fills) - 1 if bet.takes_sp and bet.bsp_reconciled else None
        bet.reprice(
            [
                (at, _reduced(price, factor, place), size)
                if off is None or at <= off or not bet.is_limit or number == last
                else (at, price, size)
                for number, (at, price, size) in enumerate(bet.fills)
            ]
        )

    def _reduce_sp_lay(self, bet: Bet, removed: RunnerBook, book: MarketBook, place: bool, win: bool) -> None:
        factor = removed.adjustment_factor or 0.0
        if place:
            bet.reduce_liability((100 - factor) * 0.01)
        elif win:
            own = self._own_factor(bet, removed, book)
            # Factors of a market add up to 100. Where a recording has others, a bet cannot risk less than nothing.
            if own < 100:
                bet.reduce_liability(max(1 - factor / (100 - own), 0.0))
        bet.size = bet.liability
        if factor and bet.price is not None and bet.asked.order_type != MARKET_ON_CLOSE and (place or win):
            bet.move(_reduced(bet.price, factor, place))

    def _own_factor(self, bet: Bet, removed: RunnerBook, book: MarketBook) -> float:
        """The factor that a bet's runner had before a removal; where that is not known, the one it has."""
        known = self._markets.get(book.market_id)
        before = known.before.get((removed.selection_id, removed.handicap), {}) if known else {}
        if bet.key in before:
            return before[bet.key]
        runner = book.runner(bet.selection_id, bet.handicap)
        return (runner.adjustment_factor if runner else None) or 0.0


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
    """Odds of the win market are reduced, of the place market what they win; never below 1.01."""
    kept = (100 - factor) / 100
    return max(round(1 + (price - 1) * kept if place else price * kept, _DECIMALS), MIN_PRICE)


def _on_ladder(price: float, ladder: str | None) -> float:
    """The price of the ladder that is no higher: a lay is not asked to risk more than the rule leaves it."""
    if ladder == "FINEST":
        return max(int(round(price * 100, 6)) / 100, MIN_PRICE)
    return PRICES[max(bisect.bisect_right(PRICES, price) - 1, 0)]


def _grown(factors: Mapping[RunnerKey, float], factor: float) -> Mapping[RunnerKey, float]:
    """Factors of the others after one of the same definition: they share what it had."""
    if not 0 < factor < 100:
        return factors
    return {key: min(own * 100 / (100 - factor), 100.0) for key, own in factors.items()}


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
            elif market_type in PLACE_MARKETS:
                bet.reduce_liability((100 - factor) * 0.01)
            if bet.size_matched and bet.average_price_matched != 1:
                matched = round(bet.liability / (bet.average_price_matched - 1), 2)
                bet.changed = bet.changed or matched != bet.size_matched
                bet.size_matched = matched
        elif factor >= WIN_THRESHOLD:
            bet.reprice(
                [(at, max(round(price * (1 - factor / 100), 2), MIN_PRICE), size) for at, price, size in bet.fills]
            )
