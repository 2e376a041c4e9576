"""One market of the exchange as the peer simulates it, for compatibility. Source: docs/fidelity.md.

Requests are polled at each change of the book, and they go by what the strategies' own orders say at that moment:
flumine has no boundary there.
"""

from __future__ import annotations

from collections.abc import Callable

from ..actors.exchange import Desk, PeerOrders
from ..strategies.book import MarketBook
from ..strategies.errors import OrderError
from ..strategies.messages import (
    CANCEL,
    PLACE,
    REPLACE,
    SUCCESS,
    UPDATE,
    PlaceInstruction,
    Report,
    Request,
    UpdateInstruction,
)
from .bets import Bet
from .models import Models
from .peer_matching import PeerMatching
from .placement import WAIT, Arrival
from .reports import BET_ACTION_ERROR, ERROR_IN_ORDER, failure, placed
from .simulated_market import PASSIVE, BetIds, SimulatedMarket

_UNANSWERED = ("PENDING", "REPLACING")


class _Package:
    """A request on its way.

    Attributes:
        orders: ids of the orders that it still concerns; the replacement of an order joins them.
        latency: seconds until it is looked at.
        place_latency: for a replace: seconds until the replacements can be placed, apart from the bet delay.
    """

    __slots__ = ("latency", "orders", "place_latency", "request")

    def __init__(self, request: Request, latency: float, place_latency: float) -> None:
        self.request = request
        self.orders = [instruction.order_id for instruction in request.instructions]
        self.latency = latency
        self.place_latency = place_latency


class PeerMarket(SimulatedMarket):
    """The exchange's side of one market, by the peer's rules."""

    polls = True

    @property
    def watching(self) -> bool:  # type: ignore[override]
        return True

    def __init__(self, market_id: str, book: MarketBook, desk: Desk, models: Models, ids: BetIds) -> None:
        self._packages: list[_Package] = []
        self._held: MarketBook | None = None
        self._orders: PeerOrders | None = None
        super().__init__(market_id, book, desk, models, ids)

    def _new_matching(self) -> PeerMatching:
        self._peers = PeerMatching(self._book, self._desk, self._models, self._bets, self._tell, self._tell_reconciled)
        return self._peers

    @property
    def orders(self) -> PeerOrders:
        """The market's orders as their strategies hold them."""
        return self._follow_orders()

    def _follow_orders(self) -> PeerOrders:
        if self._orders is None:
            self._orders = self._desk.orders(self.market_id)
            self._peers.watch(self._orders)
        return self._orders

    # -- requests ------------------------------------------------------------------------------------------------

    def send(self, request: Request) -> None:
        self._follow_orders()
        seconds, who = self._latencies.seconds, request.strategy
        latency = seconds(who, request.kind)
        place_latency = seconds(who, PLACE) if request.kind == REPLACE else 0.0
        if request.kind == PLACE:
            account = self._desk.account(request.venue, request.username)
            for instruction in request.instructions:
                if isinstance(instruction, PlaceInstruction):
                    self._enter(instruction, request.strategy, account)
        for instruction in request.instructions:
            bet = self._bets.get(instruction.order_id)
            if isinstance(instruction, UpdateInstruction) and bet is not None:
                # It holds from the request on, even if that is refused.
                bet.persistence_type = instruction.new_persistence_type
        self._packages.append(_Package(request, latency, place_latency))
        self.busy = True

    def hold(self) -> None:
        if self._packages and self._held is None:
            self._held = self._book.copy()

    def changing(self) -> None:
        """Act on every package whose latency has passed, oldest first."""
        book = self._held or self._book
        now = self._clock.now_ms
        kept: list[_Package] = []
        pending, self._packages = self._packages, []
        try:
            while pending:
                package = pending.pop(0)
                age = (now - package.request.asked_at) / 1000
                if age > package.latency:
                    self._handle(package, book, age)
                    if not self._waits(package):
                        continue
                kept.append(package)
        finally:
            self._packages = kept + pending + self._packages
            self._held = None
            self.busy = bool(self._packages)

    def _waits(self, package: _Package) -> bool:
        """Whether any order of a package is still to be answered."""
        status = self.orders.status
        return any(status(order_id) in _UNANSWERED for order_id in package.orders)

    def _handle(self, package: _Package, book: MarketBook, age: float) -> None:
        kind = package.request.kind
        if kind == PLACE:
            self._poll_places(package, book, age)
        elif kind == REPLACE:
            self._poll_replaces(package, book, age)
        else:
            change = self._peer_cancel if kind == CANCEL else self._peer_update
            for order_id in list(package.orders):
                if self.orders.status(order_id) != "VIOLATION":
                    self._each(package, order_id, change, book)

    def _each(self, package: _Package, order_id: str, act: Callable[..., object], *arguments: object) -> None:
        """Act on one order of a package; if that fails, it is not tried again and never answered."""
        bet = self._bets.get(order_id)
        try:
            if bet is None:
                raise OrderError(f"market {self.market_id}: order {order_id} was never sent to the exchange")
            act(package, bet, *arguments)
        except Exception as error:
            package.orders.remove(order_id)
            if bet is not None and bet.changed:
                self._tell(bet)
            self._desk.failed(error, self.market_id, package.request.strategy)

    def _poll_places(self, package: _Package, book: MarketBook, age: float) -> None:
        if age < package.latency + package.request.bet_delay and PASSIVE not in book.bet_delay_models:
            return
        arrival = self._arrival_at(package, book, age)
        for order_id in list(package.orders):
            if self.orders.status(order_id) in _UNANSWERED:
                self._each(package, order_id, self._peer_place, arrival)

    def _arrival_at(self, package: _Package, book: MarketBook, age: float) -> Arrival:
        request = package.request
        delay_done = age > package.latency + request.bet_delay
        at = book.publish_time_epoch
        return Arrival(
            book, self._matching, request.market_version, delay_done, self._terms(), at, stop_on_unknown=True
        )

    def _peer_place(self, package: _Package, bet: Bet, arrival: Arrival) -> None:
        """Place one bet; it may have to wait."""
        asked = self.orders.instruction(bet.order_id)
        if asked is not None:
            bet.ask_again(asked)
        code, bet_id = self._judge(bet, arrival)
        if code == WAIT:
            return
        if code is None:
            bet.bet_id = bet_id
            bet.placed = True
        if bet.changed:
            self._tell(bet)
        self._reply(package.request, placed(bet, code, self._clock.now_ms))
        if code is None:
            self._peers.placed(bet)

    def _peer_cancel(self, package: _Package, bet: Bet, book: MarketBook) -> None:
        report = self._cut(bet, book, self.orders.asked(bet.order_id).get("size_reduction"))
        if bet.changed:
            self._tell(bet)
        self._reply(package.request, report)

    def _cut(self, bet: Bet, book: MarketBook, reduction: float | None) -> Report:
        """Cancel what is asked for, as far as it remains; without a size, all that remains."""
        if book.status != "OPEN":
            return failure(bet.order_id, CANCEL, ERROR_IN_ORDER)
        if not bet.is_limit:
            return failure(bet.order_id, CANCEL, BET_ACTION_ERROR)
        size = min(reduction or bet.size_remaining, bet.size_remaining)
        bet.cancel(size)
        return Report(bet.order_id, CANCEL, SUCCESS, None, bet.bet_id, size)

    def _peer_update(self, package: _Package, bet: Bet, book: MarketBook) -> None:
        code = self._persistence_refused(book)
        if code is None:
            if bet.is_limit and bet.size_remaining > 0:
                # A request refused in between has erased what was asked for, but that holds already.
                asked = self.orders.asked(bet.order_id)
                bet.persistence_type = asked.get("new_persistence_type", bet.persistence_type)
            else:
                code = BET_ACTION_ERROR
        report = Report(bet.order_id, UPDATE, SUCCESS, None, bet.bet_id)
        self._reply(package.request, failure(bet.order_id, UPDATE, code) if code else report)

    def _poll_replaces(self, package: _Package, book: MarketBook, age: float) -> None:
        """First the cancels; at a later change, once the bet delay has passed, the placing of the replacements."""
        arrival = None
        for order_id in list(package.orders):
            status = self.orders.status(order_id)
            if status == "REPLACING":
                self._each(package, order_id, self._peer_cancel_replaced, book)
            elif status == "PENDING":
                due = package.place_latency + package.request.bet_delay
                if age < due and PASSIVE not in book.bet_delay_models:
                    return
                arrival = arrival or self._arrival_at(package, book, age)
                self._each(package, order_id, self._peer_place_replacement, arrival)

    def _peer_cancel_replaced(self, package: _Package, bet: Bet, book: MarketBook) -> None:
        new_price = self.orders.asked(bet.order_id)["new_price"]
        report = self._cut(bet, book, None)
        if bet.changed:
            self._tell(bet)
        self._reply(package.request, report)
        if report.status != SUCCESS:
            return
        new_id = self.orders.replacement(bet.order_id)
        if new_id is not None:
            asked = bet.successor(new_id, new_id, new_price, report.size, ladder="CLASSIC")
            self._enter(asked, bet.strategy, bet.account)
            package.orders.append(new_id)

    def _peer_place_replacement(self, package: _Package, bet: Bet, arrival: Arrival) -> None:
        if self.orders.entered(bet.order_id):
            raise OrderError(f"order {bet.order_id} was placed again while it waited to be replaced")
        self._peer_place(package, bet, arrival)

    # -- telling -------------------------------------------------------------------------------------------------

    def _tell(self, bet: Bet, why: str | None = None) -> None:
        """Send a fact about a bet, even one on its way. Its order is completed when the market next looks at it."""
        bet.changed = False
        self._answer(bet.fact(self._clock.now_ms, not bet.done, why))

    def _tell_reconciled(self, bet: Bet) -> None:
        """Send it at once: so orders complete as well that a refusal had made executable again."""
        bet.changed = False
        self._answer(bet.fact(self._clock.now_ms, False, "SP"))

    # -- the book ------------------------------------------------------------------------------------------------

    def closed(self, line_result: float | None) -> None:
        """Settle the orders of the blotter; those that still wait stay as they are.

        Only the first error is reported: it would end the peer's run.
        """
        self._drop_requests()
        tell = True
        for order_id in list(self.orders.ids()):
            bet = self._bets.get(order_id)
            if bet is not None:
                tell = self._settle(bet, line_result, tell) and tell

    def expire(self, why: str) -> bool:
        """The peer leaves such orders pending."""
        return False

    def forget(self) -> None:
        self._drop_requests()
        super().forget()

    def _drop_requests(self) -> None:
        self._packages.clear()
        self.busy = False
