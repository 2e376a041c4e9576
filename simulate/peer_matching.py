"""Matching as the peer does it, for compatibility. Source: docs/fidelity.md.

Which bets rest depends on the statuses of the strategies' own orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..actors.exchange import Desk, PeerOrders
from ..strategies.book import MarketBook
from ..strategies.runner_book import RunnerBook
from .bets import Bet
from .matching import RunnerKey
from .models import Models
from .passive import PassiveMatching, Rank

RESTING = frozenset({"EXECUTABLE", "CANCELLING", "UPDATING", "REPLACING"})


class PeerMatching(PassiveMatching):
    """Traded volume of every runner from the start on; stale volume is shown again; the peer's order of bets.

    Args:
        reconciled: called with a bet that was matched at its starting price: the peer completes its order at once.
    """

    peer = True

    def __init__(
        self,
        book: MarketBook,
        desk: Desk,
        models: Models,
        bets: Mapping[str, Bet],
        tell: Callable[[Bet], object],
        reconciled: Callable[[Bet], object],
    ) -> None:
        super().__init__(book, desk, models, bets, tell)
        self._tell_reconciled = reconciled
        self._orders: PeerOrders | None = None
        self._last_deltas: dict[RunnerKey, dict[float, float]] = {}
        self._deltas = self._last_deltas
        self._seen: set[RunnerKey] = set()
        self._behind: dict[RunnerKey, RunnerBook] = {}
        self._unseen: set[RunnerKey] = set()

    # -- the index -----------------------------------------------------------------------------------------------

    def watch(self, orders: PeerOrders) -> None:
        """Follow the statuses of the market's orders."""
        self._orders = orders
        orders.watch(self._order_changed)

    @property
    def orders(self) -> PeerOrders:
        """The market's orders; there are none before its first request."""
        assert self._orders is not None
        return self._orders

    def _look_first(self) -> None:
        """The peer finds removals at each update, whether there are orders or not."""

    def placed(self, bet: Bet) -> None:
        """Let the bet rest, if its order says so: this update looks at it."""
        self._fresh.append(bet)

    def _order_changed(self, order_id: str, before: str | None, now: str | None) -> None:
        bet = self._bets.get(order_id)
        if bet is None:
            return
        rests = now in RESTING
        if rests == (before in RESTING):
            return
        if not rests:
            self.remove(bet)
            return
        if not self._looked_at(bet):
            return
        self._queue_of(bet).add(bet, self.rank(bet))
        if bet.market_version != self._book.version or bet.bsp_reconciled is not self._reconciled:
            self._fresh.append(bet)
        if bet.key not in self._seen:
            self._unseen.add(bet.key)

    def _looked_at(self, bet: Bet) -> bool:
        """Whether matching sees a resting bet.

        If strategies share volume, the peer goes through the live orders of the market, without those that a refusal
        has made executable again. If they are isolated, it goes through all.
        """
        return self._isolated or self.orders.live(bet.order_id)

    def rank(self, bet: Bet) -> Rank:
        """By the order's place in the blotter."""
        group, price, _ = super().rank(bet)
        return (group, price, self.orders.number(bet.order_id))

    def _rests(self, bet: Bet) -> bool:
        return self.orders.status(bet.order_id) in RESTING

    # -- traded volume -------------------------------------------------------------------------------------------

    def _take_deltas(self, defined: bool) -> None:
        """A runner that left ACTIVE keeps its last delta, and what it trades meanwhile counts once it is back."""
        book, deltas, behind = self._book, self._last_deltas, self._behind
        if deltas:
            for key in [key for key in deltas if _is_active(book.runner(*key))]:
                del deltas[key]
        if defined:
            for runner in book.runners:
                key = (runner.selection_id, runner.handicap)
                if runner.status == "ACTIVE" and key not in self._seen:
                    self._seen.add(key)
                    self._unseen.discard(key)
                    if runner.traded_before:
                        runner.traded_before.clear()
        for runner in book.traded:
            behind[runner.selection_id, runner.handicap] = runner
        book.traded.clear()
        if behind:
            for key, runner in list(behind.items()):
                if runner.status == "ACTIVE":
                    del behind[key]
                    delta = runner.take_traded()
                    if delta:
                        deltas[key] = delta

    # -- visits --------------------------------------------------------------------------------------------------

    def _visit_bets(self, everything: bool) -> None:
        if self._unseen:
            self._visit_until_unseen()
        else:
            super()._visit_bets(everything)

    def _visit_until_unseen(self) -> None:
        """The peer's fault: an order on a runner that was never active ends the pass over all orders."""
        book = self._book
        for bet, delta in self._in_peer_order():
            if bet.key not in self._seen:
                raise KeyError(f"market {book.market_id}: order on runner {bet.key}, which was never active")
            self._visit(book.runner(*bet.key), bet, delta, shared=True)

    def _in_peer_order(self) -> Iterator[tuple[Bet, dict[float, float]]]:
        groups: dict[str | None, list[Bet]] = {}
        for bet in self._bets.values():
            if self._rests(bet) and self.orders.entered(bet.order_id) and self._looked_at(bet):
                groups.setdefault(bet.strategy if self._isolated else None, []).append(bet)
        for bets in groups.values():
            working = {key: dict(delta) for key, delta in self._deltas.items()}
            for bet in sorted(bets, key=self.rank):
                yield bet, working.get(bet.key, {})

    def _reconcile(self, runner: RunnerBook | None, bet: Bet) -> None:
        before = bet.bsp_reconciled
        super()._reconcile(runner, bet)
        if bet.bsp_reconciled is not before:
            self._tell_reconciled(bet)

    def _meets(self, bet: Bet, removed: RunnerBook) -> bool:
        """Any bet whose order is in the blotter, whatever its status."""
        return self.orders.entered(bet.order_id)


def _is_active(runner: RunnerBook | None) -> bool:
    return runner is not None and runner.status == "ACTIVE"
