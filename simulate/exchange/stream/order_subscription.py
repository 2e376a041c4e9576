"""An order subscription: what a client is told of its account's bets.

An image holds executable bets only, and what is matched; a bet that ends is told once, and again whenever something of
it changes later: a void, a reduced price, the starting price. Changes are told in the order in which they happened, so
a message can hold several states of one bet. Source: Betfair Exchange Stream API, "Order Stream".
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

import msgspec

from ..account_bet import AccountBet
from ..exchange import ExchangeMarket
from ..faults import Fault
from ..positions import Level, Position, RunnerKey
from . import order_messages, requests
from .clocks import Image
from .host import Client, Host
from .subscription import Subscription

_encode = msgspec.json.Encoder().encode
#: Fields of `orderFilter`. `accountIds` is the exchange's own affair.
FILTER = ("accountIds", "customerStrategyRefs", "includeOverallPosition", "partitionMatchedByStrategyRef")
#: Numbers of accounts count up from here.
FIRST_ACCOUNT_ID = 1_000_001


class _Change:
    """One change of a bet, as it is to be told."""

    __slots__ = ("bet_id", "due", "gives_way", "key", "levels", "market_id", "order", "sequence", "whole")

    def __init__(self, bet: AccountBet, levels: dict[Level, float], order: tuple[str, bytes] | None) -> None:
        self.market_id = bet.market_id
        self.bet_id = bet.bet_id
        self.key = (bet.selection_id, bet.handicap)
        self.sequence = bet.sequence
        self.levels = levels
        self.order = order
        self.whole = self.gives_way = False
        self.due = 0.0


class _Pending:
    """What has been collected of one market.

    Attributes:
        orders: by runner, states of bets in order: the bet's number, and the state.
        levels: by runner, sizes matched at the levels that have changed.
        closed: the market has closed, or is open again; None: neither.
        gone: nothing of the market is left.
        whole: all of it is to be told.
    """

    __slots__ = ("closed", "gone", "levels", "orders", "whole")

    def __init__(self) -> None:
        self.orders: dict[RunnerKey, list[tuple[str, bytes]]] = {}
        self.levels: dict[RunnerKey, dict[Level, float]] = {}
        self.closed: bool | None = None
        self.gone = self.whole = False


class OrderSubscription(Subscription):
    """What one client is told of the bets of its account; nothing at all if its key is a delayed one.

    Args: see `Subscription`; the request's `orderFilter` may have:
        includeOverallPosition: `mb` and `ml` are told; the default.
        partitionMatchedByStrategyRef: `smc` is told.
        customerStrategyRefs: bets, and `smc`, of other strategies are not told. The overall position is not filtered.
    """

    operation: ClassVar[str] = "orderSubscription"
    op: ClassVar[str] = "ocm"
    lookup: ClassVar[str] = "oc"
    fault_group: ClassVar[str] = "order"

    def __init__(self, server: Host, connection: Client, request: dict[str, Any]) -> None:
        super().__init__(server, connection, request)
        asked = requests.section(request, "orderFilter", FILTER)
        overall = requests.flag(asked, "includeOverallPosition")
        self._overall = True if overall is None else overall
        self._by_strategy = bool(requests.flag(asked, "partitionMatchedByStrategyRef"))
        self._strategies = requests.texts(asked, "customerStrategyRefs")
        self._exchange = server.exchange
        self._positions = server.positions
        self._account_id = FIRST_ACCOUNT_ID + list(self._exchange.accounts).index(self.account.username)
        self._pending: dict[str, _Pending] = {}
        self._closed: set[str] = set()
        self._held: deque[_Change] = deque()
        self._repeat: set[str] = set()
        self._again: list[bytes] = []
        self.check_clocks()

    # -- what was asked for --------------------------------------------------------------------------------------

    @property
    def criteria(self) -> tuple[object, ...]:
        return (self._overall, self._by_strategy, self._strategies)

    @property
    def latest(self) -> int:
        return self._held[0].sequence - 1 if self._held else self._exchange.bet_sequence

    def _wants(self, strategy_ref: str) -> bool:
        return self._strategies is None or strategy_ref in self._strategies

    def _shown(self, levels: dict[Level, float]) -> dict[Level, float]:
        """The levels that the filter lets through: `whose` is None for the overall position."""
        return {
            (whose, side, price): size
            for (whose, side, price), size in levels.items()
            if (self._overall if whose is None else self._by_strategy and self._wants(whose))
        }

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        fault = self.server.fault("order.delay_image", self.connection, self.operation)
        if fault is None:
            super().start()
        else:
            self._arm("image", fault.seconds * 1000, super().start)

    def flush(self) -> None:
        super().flush()
        if self._again and not self.connection.slow:
            again, self._again = self._again, []
            self._send(again)

    # -- being told ----------------------------------------------------------------------------------------------

    def bet_changed(self, bet: AccountBet, levels: dict[Level, float]) -> None:
        """A bet has changed, of any account, and with it what is matched at `levels`."""
        if bet.username != self.account.username or self.account.delayed or not self.started or self.closed:
            return
        wanted = self._wants(bet.strategy_ref)
        levels = self._shown(levels)
        if not wanted and not levels:
            return
        if wanted and self._fault("order.lost", bet) is not None:
            return
        blank = self._fault("order.blank_refs", bet) is not None
        strip = self._fault("order.strip", bet)
        change = _Change(bet, levels, (bet.bet_id, self._order(bet, blank, strip)) if wanted else None)
        change.whole = self._fault("order.image", bet) is not None
        if self._fault("order.duplicate", bet):
            self._repeat.add(bet.market_id)
        if self._held and self._held[0].gives_way:
            self._overtake(self._held.popleft(), change)
            return
        fault = self._fault("order.overtaken", bet)
        change.gives_way = fault is not None and not self._held
        if fault is None:
            fault = self._fault("order.delay", bet)
        if fault is None and self._exchange.handling:
            fault = self._fault("order.after_reply", bet)
        if fault is None and not self._held:
            self._collect(change)
            return
        change.due = self.server.now() + (0.0 if fault is None else fault.seconds)
        self._held.append(change)
        if len(self._held) == 1:
            self._arm("held", (change.due - self.server.now()) * 1000, self._release)

    def _overtake(self, held: _Change, change: _Change) -> None:
        """Tell of a bet before another of which there was something to tell sooner; of one bet all comes in order."""
        first, second = (held, change) if held.bet_id == change.bet_id else (change, held)
        self._collect_matches(held)
        self._collect_matches(change)
        self._collect_order(first)
        self._collect_order(second)

    def _fault(self, kind: str, bet: AccountBet) -> Fault | None:
        faults = self.server.faults
        if not faults.armed:
            return None
        return faults.take(
            kind,
            self._exchange.clock.now_ms,
            username=bet.username,
            operation=self.operation,
            market_id=bet.market_id,
            bet_id=bet.bet_id,
        )

    def _order(self, bet: AccountBet, blank: bool = False, strip: Fault | None = None) -> bytes:
        told = order_messages.order(bet, self.account.jurisdiction, blank)
        if strip is not None:
            order_messages.strip(told, strip.value == "null")
        return _encode(told)

    def _release(self) -> None:
        """Go on with changes that were held: none overtakes another."""
        while self._held and self._held[0].due <= self.server.now() + 0.001:
            self._collect(self._held.popleft())
        if self._held:
            self._arm("held", (self._held[0].due - self.server.now()) * 1000, self._release)
        self.message_ended()

    def _collect(self, change: _Change) -> None:
        self._collect_matches(change)
        self._collect_order(change)

    def _collect_matches(self, change: _Change) -> None:
        if change.levels:
            pending = self._pending.setdefault(change.market_id, _Pending())
            pending.levels.setdefault(change.key, {}).update(change.levels)

    def _collect_order(self, change: _Change) -> None:
        pending = self._pending.setdefault(change.market_id, _Pending())
        if change.order is not None:
            states = pending.orders.setdefault(change.key, [])
            if self.collecting:  # what was not told meanwhile is history
                states[:] = [each for each in states if each[0] != change.order[0]]
            states.append(change.order)
        pending.whole = pending.whole or change.whole

    def market_defined(self, market: ExchangeMarket) -> None:
        """A market's definition has changed."""
        if not self.started or not self._knows(market.market_id):
            return
        closed = market.book.status == "CLOSED"
        if closed != (market.market_id in self._closed):
            (self._closed.add if closed else self._closed.discard)(market.market_id)
            self._pending.setdefault(market.market_id, _Pending()).closed = closed

    def market_gone(self, market: ExchangeMarket) -> None:
        """A market has vanished, and with it all its bets."""
        if not self.started or not self._knows(market.market_id):
            return
        pending = self._pending[market.market_id] = _Pending()
        pending.gone = True
        self.message_ended()

    # -- what the client knows -----------------------------------------------------------------------------------

    def _knows(self, market_id: str, key: RunnerKey | None = None) -> bool:
        assert self.image is not None
        return _name(market_id, key) in self.image.known

    def _tell_of(self, market_id: str, key: RunnerKey | None = None) -> bool:
        """The client learns of a market, or a runner; True if it did not know it."""
        assert self.image is not None
        name = _name(market_id, key)
        if name in self.image.known:
            return False
        self.image.known[name] = self.latest
        return True

    # -- what is told --------------------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        return bool(self._pending)

    def take(self, most: int | None = None) -> list[bytes]:
        market_ids = list(self._pending)[:most]
        changes = []
        for market_id in market_ids:
            change = self._change(market_id, self._pending.pop(market_id))
            changes.append(change)
            if market_id in self._repeat:
                self._repeat.discard(market_id)
                self._again.append(change)
        return changes

    def _change(self, market_id: str, pending: _Pending) -> bytes:
        if pending.gone:
            self._forget(market_id)
            return _encode(order_messages.market(market_id, self._account_id, full_image=True))
        if pending.whole:
            return self._whole_market(market_id, pending, always=True)
        new = self._tell_of(market_id)
        runners = []
        for key in dict.fromkeys((*pending.orders, *pending.levels)):
            orders = [msgspec.Raw(order) for _, order in pending.orders.get(key, ())]
            levels = pending.levels.get(key, {})
            if self._tell_of(market_id, key):
                position = self._positions.market(self.account.username, market_id).get(key)
                runners.append(order_messages.runner(key, orders, self._matched(position), full_image=True))
            else:
                runners.append(order_messages.runner(key, orders, order_messages.matches_at(levels)))
        return _encode(order_messages.market(market_id, self._account_id, runners, new, pending.closed))

    def _matched(self, position: Position | None) -> dict[str, Any]:
        if position is None:
            return {}
        return order_messages.whole_matches(position, self._overall, self._by_strategy, self._wants)

    def _forget(self, market_id: str) -> None:
        assert self.image is not None
        for name in [each for each in self.image.known if each == market_id or each.startswith(f"{market_id} ")]:
            del self.image.known[name]
        self._closed.discard(market_id)

    def whole(self) -> list[bytes]:
        self._pending.clear()
        self._held.clear()
        self._closed.clear()
        if self.account.delayed:
            return []
        found = []
        for market in list(self._exchange.markets.values()):
            if market.settled_at is None and (change := self._whole_market(market.market_id, _Pending())):
                found.append(change)
        return found

    def _whole_market(self, market_id: str, pending: _Pending, always: bool = False) -> bytes:
        """A full image of a market, with the states that were collected; b"" if there is nothing of it to tell.

        `always`: that nothing is left is told, of the market and of runners that the client knows.
        """
        market = self._exchange.markets.get(market_id)
        orders: dict[RunnerKey, list[tuple[str, bytes]]] = {key: list(each) for key, each in pending.orders.items()}
        told = {bet_id for each in orders.values() for bet_id, _ in each}
        for bet in [] if market is None else market.bets.values():
            if bet.username == self.account.username and bet.executable and self._wants(bet.strategy_ref):
                states = orders.setdefault((bet.selection_id, bet.handicap), [])
                if bet.bet_id not in told:
                    states.append((bet.bet_id, self._order(bet)))
        positions = self._positions.market(self.account.username, market_id)
        runners = []
        for key in dict.fromkeys((*orders, *positions)):
            matches, states = self._matched(positions.get(key)), orders.get(key, [])
            if states or matches or (always and self._knows(market_id, key)):
                self._tell_of(market_id, key)
                listed = [msgspec.Raw(order) for _, order in states]
                runners.append(order_messages.runner(key, listed, matches, full_image=True))
        if not runners and not always:
            return b""
        self._tell_of(market_id)
        closed = market is not None and market.closed_at is not None
        if closed:
            self._closed.add(market_id)
        return _encode(order_messages.market(market_id, self._account_id, runners, True, True if closed else None))

    def since(self, image: Image, sequence: int) -> list[bytes]:
        assert self.image is not None
        self.image.known.update((name, at) for name, at in image.known.items() if at <= sequence)
        found: list[bytes] = []
        if self.account.delayed:
            return found
        known = dict.fromkeys(name.partition(" ")[0] for name in self.image.known)
        for market_id in [each for each in known if each not in self._exchange.markets]:
            pending = _Pending()
            pending.gone = True
            found.append(self._change(market_id, pending))
        for market in self._exchange.markets.values():
            pending = _Pending()
            changed = [
                bet
                for bet in market.bets.values()
                if bet.username == self.account.username and bet.sequence > sequence and self._wants(bet.strategy_ref)
            ]
            for bet in sorted(changed, key=lambda each: each.sequence):
                state = (bet.bet_id, self._order(bet))
                pending.orders.setdefault((bet.selection_id, bet.handicap), []).append(state)
            for key, position in self._positions.market(self.account.username, market.market_id).items():
                if levels := self._shown(position.since(sequence)):
                    pending.levels[key] = levels
            if self._knows(market.market_id) and market.closing:  # it has closed, and may be open again
                pending.closed = market.closed_at is not None
                if pending.closed:
                    self._closed.add(market.market_id)
            if pending.orders or pending.levels or pending.closed is not None:
                found.append(self._change(market.market_id, pending))
        return found


def _name(market_id: str, key: RunnerKey | None) -> str:
    return market_id if key is None else f"{market_id} {key[0]} {key[1]:g}"
