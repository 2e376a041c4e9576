"""One market's matching at the rehearsal exchange: the engine of simulation, with the bets of several accounts.

A bet meets what is recorded, less what accounts took of it, and other accounts' resting bets, by price and then by
time: recorded offers that were there before a bet joined the queue are taken before it.
"""

from __future__ import annotations

from ...actors.exchange import Desk
from ...config import Config
from ...strategies.book import MarketBook
from ...strategies.ladder import PriceSize
from ...strategies.messages import Report, Request
from ...strategies.runner_book import RunnerBook
from ..bets import Bet
from ..matching import RunnerKey
from ..models import Models
from ..placement import WAIT, Arrival
from ..queue_matching import QueueMatching
from ..removals import void
from ..reports import placed
from ..simulated_market import BetIds, SimulatedMarket
from .public_market import PublicMarket, PublicRunner, Touched

#: Latency is that of the real network; bets of all accounts share what is traded.
CONFIG = Config(
    place_latency=0.0,
    cancel_latency=0.0,
    update_latency=0.0,
    replace_latency=0.0,
    simulated_strategy_isolation=False,
)


def resting_side(back: bool) -> str:
    """The published ladder in which a resting bet stands."""
    return "atl" if back else "atb"


class VenueMatching(QueueMatching):
    """Resting bets of accounts. What they took of the recording is in the ledgers of what is published."""

    market: VenueMarket

    def offers(self, bet: Bet, runner: RunnerBook) -> list[PriceSize]:
        """Levels that an arriving bet can take, best first: those published, accounts' offers among them."""
        ladder = self.market.public_runner(*bet.key).ladder(resting_side(not bet.back))
        return [PriceSize(price, ladder[price]) for price in sorted(ladder, reverse=bet.back)]

    def took(self, bet: Bet, price: float, size: float) -> None:
        """Nothing yet: the market sees first whose offers a bet has met."""

    def take(self, key: RunnerKey, back: bool, price: float, size: float) -> None:
        """A back (else a lay) of an account takes `size` of what is recorded."""
        ledger = self.market.public_runner(*key).ledger
        self._ledgers.setdefault(key, {})[None] = ledger
        ledger.take(back, price, size)

    def _crossed(self, bet: Bet, at: float, size: float) -> None:
        self.market.crossed(bet, at, size)

    def take_off(self, key: RunnerKey, back: bool, price: float, size: float) -> None:
        """`size` of what is ahead of bets at a price was taken by an account."""
        for domain in self._domains.get(key, {}).values():
            line = domain.side(back).lines.get(price)
            if line is not None:
                line.take_off(size)


class VenueMarket(SimulatedMarket):
    """The engine's side of one market, for accounts.

    Args:
        public: what is published; bets show in it, and take from it.

    Attributes:
        touched: what bets have changed of what is published, since somebody last took it.
    """

    def __init__(self, book: MarketBook, desk: Desk, models: Models, ids: BetIds, public: PublicMarket) -> None:
        super().__init__(book.market_id, book, desk, models, ids)
        self._public = public
        self._offered: dict[Bet, tuple[float, float]] = {}  # at what price, how much
        self.touched = Touched()

    def _new_matching(self) -> VenueMatching:
        self._venue_matching = VenueMatching(self._book, self._desk, self._models, self._bets, self._tell)
        self._venue_matching.market = self
        return self._venue_matching

    def public_runner(self, selection_id: int, handicap: float) -> PublicRunner:
        """A runner as it is published."""
        return self._public.runner(selection_id, handicap)

    def take_touched(self) -> Touched:
        """What bets have changed of what is published; forgotten here."""
        touched, self.touched = self.touched, Touched()
        return touched

    # -- placing -------------------------------------------------------------------------------------------------

    def _admitted(self, request: Request, bets: list[Bet]) -> list[Bet]:
        return bets  # judged before they came here: see `betting.placing`

    def _lapsing(self, version: int | None) -> int | None:
        return version

    def _place(self, request: Request, bet: Bet, arrival: Arrival) -> bool:
        code, bet_id = self._outcome(bet, arrival)
        if code == WAIT:
            return False
        if code is None or bet.size_lapsed:
            # One that lapses for its version, or for a better price, has been a bet: it has a number.
            bet.bet_id, bet.placed = bet_id, True
        if code is not None:
            bet.ended = True
        self._meet(bet)
        if bet.queue_ahead and bet.price is not None:
            # What accounts have taken of the queue is no longer ahead.
            taken = self._public.runner(*bet.key).taken[resting_side(bet.back)].get(bet.price, 0.0)
            bet.queue_ahead = max(round(bet.queue_ahead - taken, 2), 0.0)
        if bet.placed or bet.changed:
            self._tell(bet, code)
        if code is None and not bet.ended:
            self._matching.add(bet)
            self._show(bet)
        report = placed(bet, code, arrival.time_ms)
        self._reply(request, report if code is None else _numbered(report, bet.bet_id))
        return True

    def _meet(self, bet: Bet) -> None:
        """What the bet has just matched comes from recorded offers and resting bets: take it from them."""
        for time_ms, price, size in list(bet.fills):
            self._take(bet, time_ms, price, size)

    def _take(self, bet: Bet, time_ms: float, price: float, size: float) -> None:
        key, side = bet.key, resting_side(not bet.back)
        public, left = self._public.runner(*key), size
        resting = [each for each in self._offered if each.key == key and each.back != bet.back and each.price == price]
        resting.sort(key=lambda each: each.number)
        recorded = public.available(side, price)
        for each in resting:
            before = round(min(self._venue_matching.others_ahead(each), recorded, left), 2)
            if before > 0:
                recorded, left = recorded - before, round(left - before, 2)
                self._venue_matching.take(key, bet.back, price, before)
                self._venue_matching.take_off(key, each.back, price, before)
            part = round(min(each.size_remaining, left), 2)
            if part > 0:
                each.fill(time_ms, price, part)
                left = round(left - part, 2)
                self._tell(each)
        if left > 0:
            self._venue_matching.take(key, bet.back, price, left)
        self.touched.runners.setdefault(public, {}).setdefault(side, set()).add(price)
        self._trade(public, price, size)

    def _trade(self, public: PublicRunner, price: float, size: float) -> None:
        public.trade(price, size)
        fields = self.touched.runners.setdefault(public, {})
        fields.setdefault("trd", set()).add(price)
        fields.setdefault("ltp", set())
        fields.setdefault("tv", set())
        self.touched.volume = True

    def crossed(self, bet: Bet, price: float, size: float) -> None:
        """A resting bet is matched by a recorded offer at its price, or at a better one."""
        assert bet.price is not None
        public, side = self._public.runner(*bet.key), resting_side(not bet.back)
        self._venue_matching.take(bet.key, bet.back, price, size)
        self.touched.runners.setdefault(public, {}).setdefault(side, set()).add(price)
        self._trade(public, bet.price, size)

    # -- what nobody asked for -----------------------------------------------------------------------------------

    def match(self, order_id: str, size: float | None = None) -> None:
        """Match a resting bet, or `size` of it, at its price, as if somebody had taken it."""
        bet = self._bets[order_id]
        if not bet.live or not bet.is_limit or bet.price is None:
            return
        part = bet.size_remaining if size is None else min(size, bet.size_remaining)
        bet.fill(self._clock.now_ms, bet.price, round(part, 2))
        self._trade(self._public.runner(*bet.key), bet.price, part)
        self._tell(bet)

    def void(self, order_id: str) -> None:
        """Void a bet: what was matched of it and what remains."""
        bet = self._bets[order_id]
        void(bet)
        bet.ended = True
        self._tell(bet)

    def lapse(self, order_id: str) -> None:
        """Let what remains of a bet lapse."""
        bet = self._bets[order_id]
        bet.lapse()
        bet.ended = True
        self._tell(bet)

    def withdraw(self, order_id: str) -> None:
        """End a bet at the starting price, for an edit of its price: nothing of it counts as cancelled."""
        bet = self._bets[order_id]
        bet.ended = True
        self._tell(bet)

    # -- showing -------------------------------------------------------------------------------------------------

    def _tell(self, bet: Bet, why: str | None = None) -> None:
        super()._tell(bet, why)
        if bet in self._offered:
            self._show(bet)

    def _show(self, bet: Bet) -> None:
        """Bring what is published of a resting bet up to date."""
        if not bet.is_limit or bet.price is None:
            return
        at, shown = self._offered.get(bet, (bet.price, 0.0))
        now = 0.0 if bet.ended else bet.size_remaining
        if now:
            self._offered[bet] = (bet.price, now)
        else:
            self._offered.pop(bet, None)
        if at != bet.price:
            self._offer(bet, at, -shown)  # a removal has moved it
            shown = 0.0
        if now != shown:
            self._offer(bet, bet.price, now - shown)

    def _offer(self, bet: Bet, price: float, change: float) -> None:
        runner, side = self._public.runner(*bet.key), resting_side(bet.back)
        runner.offer(side, price, change)
        self.touched.runners.setdefault(runner, {}).setdefault(side, set()).add(price)


def _numbered(report: Report, bet_id: str | None) -> Report:
    return Report(
        report.order_id, report.operation, report.status, report.error_code, bet_id, placed_at=report.placed_at
    )
