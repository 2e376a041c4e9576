"""The blotter of a market: its orders, found by any of their ids, and what they can win or lose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from .book import MarketBook
from .flumine_exposure import FlumineSelectionOrders
from .order import COMPLETE_STATUS, Order, OrderStatus
from .rules import Rules
from .terms import Terms
from .trade import Trade, TradeStatus
from .worst_case import Position, SelectionBets, market_worst

if TYPE_CHECKING:
    from .strategy import Strategy

#: (market id, selection id, handicap)
Lookup = tuple[str, int, float]


class StrategyOrders:
    """A strategy's orders in a market.

    Attributes:
        orders: all, in order of their requests.
        current: live ones, and those completed since `process_orders` was last called.
        ended: how many of them are complete.
        trades: those that the orders belong to, by id, in order of their first orders.
    """

    __slots__ = ("_listed", "current", "ended", "orders", "selections", "trades")

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.current: dict[Order, None] = {}
        self.ended = 0
        self._listed: list[Order] | None = None
        self.selections: dict[Lookup, SelectionBets | FlumineSelectionOrders] = {}
        self.trades: dict[str, Trade] = {}

    def add(self, order: Order) -> None:
        self.orders.append(order)
        self.current[order] = None
        self._listed = None

    def listed(self) -> list[Order]:
        """`current` as a list that later requests do not change."""
        if self._listed is None:
            self._listed = list(self.current)
        return self._listed

    def take_ended(self) -> list[Order]:
        """The complete ones of `current`: they are about to be shown for the last time."""
        if not self.ended:
            return []
        self.ended = 0
        return [order for order in self.current if order.complete]

    def drop(self, orders: list[Order]) -> None:
        """These have been shown, and are not shown again."""
        for order in orders:
            self.current.pop(order, None)
        self._listed = None


class Blotter:
    """All orders of a market.

    Attributes:
        active: an order was placed here once.
        finished: orders that may have come to their end and have not been checked yet.
        terms: how its bets are settled.
        traders: how many strategies have placed an order here.
    """

    def __init__(self, market_id: str, rules: Rules) -> None:
        self.market_id = market_id
        self.active = False
        self.finished: list[Order] = []
        self.terms = Terms()
        self.traders = 0
        self._rules = rules
        self._orders: dict[str, Order] = {}
        self._live: dict[Order, None] = {}
        self._by_strategy: dict[Strategy, StrategyOrders] = {}
        self._by_client: dict[Any, list[Order]] = {}
        self._by_client_strategy: dict[tuple[Any, Strategy], list[Order]] = {}
        self._by_bet_id: dict[str, Order] = {}
        self._trades: dict[str, Trade] = {}
        self._watchers: list[Callable[[Order, OrderStatus | None], object]] = []
        #: Asks the exchange for the size ahead of an order, where it can tell.
        self.ask_queue: Callable[[str], float | None] | None = None

    # -- keeping -------------------------------------------------------------------------------------------------

    def add(self, order: Order) -> bool:
        """Enter an order; True where it is the first of its trade."""
        trade, client = order.trade, order.client
        strategy = trade.strategy
        order.number = len(self._orders)
        self._orders[order.id] = order
        self._live[order] = None
        self.active = True
        mine = self._by_strategy.get(strategy)
        if mine is None:
            mine = self._by_strategy[strategy] = StrategyOrders()
            self.traders = len(self._by_strategy)
        mine.add(order)
        selection = mine.selections.get(order.lookup)
        if selection is None:
            selection = mine.selections[order.lookup] = self._new_selection()
        selection.add(order)
        self._by_client.setdefault(client, []).append(order)
        self._by_client_strategy.setdefault((client, strategy), []).append(order)
        if order.bet_id is not None:
            self._by_bet_id[order.bet_id] = order
        order.listen(self)
        if order.is_done:
            self.finished.append(order)
        if trade.id in self._trades:
            return False
        self._trades[trade.id] = mine.trades[trade.id] = trade
        return True

    def _new_selection(self) -> SelectionBets | FlumineSelectionOrders:
        return SelectionBets() if self._rules.worst_case else FlumineSelectionOrders()

    def watch(self, watcher: Callable[[Order, OrderStatus | None], object]) -> None:
        """Call `watcher(order, status before)` at each change of an order's status."""
        self._watchers.append(watcher)

    def status_changed(self, order: Order, before: OrderStatus | None) -> None:
        if order.complete:
            if before is OrderStatus.UNCONFIRMED:
                self._revive(order)  # strategies are told what has become of it after all
            self.finished.append(order)
            mine = self._by_strategy[order.trade.strategy]
            mine.ended += 1
            if order.state.over:
                mine.selections[order.lookup].completed(order)
        elif before in COMPLETE_STATUS:
            self.sizes_changed(order)
            if self._rules.guarded_status:
                self._revive(order)
        for watcher in self._watchers:
            watcher(order, before)

    def _revive(self, order: Order) -> None:
        """The exchange has shown that an order which was thought to be over is not."""
        self._live[order] = None
        mine = self._by_strategy[order.trade.strategy]
        if order not in mine.current:
            mine.current[order] = None
            mine._listed = None

    def fact_taken(self, order: Order, was_complete: bool) -> None:
        """The order has taken a fact about its sizes."""
        if was_complete:
            self.sizes_changed(order)
        if order.is_done and not order.complete:
            self.finished.append(order)

    def queue_ahead(self, order: Order) -> float | None:
        """Size estimated to be ahead of an order; None if it is not known."""
        return None if self.ask_queue is None else self.ask_queue(order.id)

    def sizes_changed(self, order: Order) -> None:
        """Sizes of a complete order changed: a void, a reduction."""
        self._by_strategy[order.trade.strategy].selections[order.lookup].stale()

    def bet_id_assigned(self, order: Order) -> None:
        if order.bet_id is not None:
            self._by_bet_id[order.bet_id] = order

    def complete_order(self, order: Order) -> None:
        """Take the order from the live ones."""
        self._live.pop(order, None)

    @property
    def strategies(self) -> Collection[Strategy]:
        """Strategies that have placed an order here, in the order of their first orders."""
        return self._by_strategy.keys()

    def orders_of(self, strategy: Strategy) -> StrategyOrders | None:
        return self._by_strategy.get(strategy)

    # -- finding -------------------------------------------------------------------------------------------------

    @property
    def live_orders(self) -> Collection[Order]:
        return self._live.keys()

    @property
    def has_live_orders(self) -> bool:
        return bool(self._live)

    @property
    def trades(self) -> Collection[Trade]:
        return self._trades.values()

    def strategy_orders(
        self, strategy: Strategy, order_status: list[OrderStatus] | None = None, matched_only: bool | None = None
    ) -> list[Order]:
        """The strategy's orders, in order of request."""
        mine = self._by_strategy.get(strategy)
        if mine is None:
            return []
        if order_status or matched_only:
            return _filtered(mine.orders, order_status, matched_only)
        return mine.orders

    def strategy_selection_orders(
        self,
        strategy: Strategy,
        selection_id: int,
        handicap: float = 0,
        order_status: list[OrderStatus] | None = None,
        matched_only: bool | None = None,
    ) -> list[Order]:
        """The strategy's orders on a runner, in order of request."""
        mine = self._by_strategy.get(strategy)
        selection = mine.selections.get((self.market_id, selection_id, handicap)) if mine else None
        return _filtered(selection.orders if selection else [], order_status, matched_only)

    def client_orders(
        self, client: Any, order_status: list[OrderStatus] | None = None, matched_only: bool | None = None
    ) -> list[Order]:
        """The client's orders, in order of request."""
        return _filtered(self._by_client.get(client, []), order_status, matched_only)

    def client_strategy_orders(
        self,
        client: Any,
        strategy: Strategy,
        order_status: list[OrderStatus] | None = None,
        matched_only: bool | None = None,
    ) -> list[Order]:
        """The orders of a client and a strategy, in order of request."""
        return _filtered(self._by_client_strategy.get((client, strategy), []), order_status, matched_only)

    def strategy_trades(self, strategy: Strategy, trade_status: list[TradeStatus] | None = None) -> list[Trade]:
        """The strategy's trades, in order of their first order."""
        mine = self._by_strategy.get(strategy)
        trades = mine.trades.values() if mine else ()
        wanted = None if trade_status is None else _members(TradeStatus, trade_status)
        return [trade for trade in trades if wanted is None or trade.status in wanted]

    def get_trade(self, trade_id: str) -> Trade | None:
        return self._trades.get(trade_id)

    def get_order_bet_id(self, bet_id: str) -> Order | None:
        return self._by_bet_id.get(bet_id)

    def get_order(self, order_id: str) -> Order | None:
        """The order of that id; None where it is not here."""
        return self._orders.get(order_id)

    def last(self, count: int) -> Iterator[Order]:
        """The orders that entered last, in the order of their entry."""
        return reversed(list(itertools.islice(reversed(self._orders.values()), count)))

    def has_order(self, customer_order_id: str) -> bool:
        return customer_order_id in self._orders

    def has_trade(self, trade_id: str) -> bool:
        return trade_id in self._trades

    __contains__ = has_order

    def __getitem__(self, order_id: str) -> Order:
        return self._orders[order_id]

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def __len__(self) -> int:
        return len(self._orders)

    # -- exposures -----------------------------------------------------------------------------------------------

    def position(
        self, strategy: Strategy, lookup: Lookup, exclusion: Order | None = None, new_order: Order | None = None
    ) -> Position:
        """The strategy's orders on a runner, as what they can win or lose by every result of the market.

        Args:
            exclusion: an order to leave out.
            new_order: an order to count as well.
        """
        mine = self._by_strategy.get(strategy)
        selection = mine.selections.get(lookup) if mine else None
        if not isinstance(selection, SelectionBets):
            selection = SelectionBets()
        return selection.position(self.terms, exclusion, new_order)

    def get_exposures(
        self, strategy: Strategy, lookup: Lookup, exclusion: Order | None = None, new_order: Order | None = None
    ) -> dict[str, float]:
        """What the strategy can win or lose on a runner, by six names that end in `_win` and `_lose`.

        Args:
            exclusion: an order to leave out.
            new_order: an order to count as well.
        """
        if self._rules.worst_case:
            return self.position(strategy, lookup, exclusion, new_order).as_dict()
        mine = self._by_strategy.get(strategy)
        selection = mine.selections.get(lookup) if mine else None
        if not isinstance(selection, FlumineSelectionOrders):
            selection = FlumineSelectionOrders()
        return selection.exposures(exclusion, new_order)

    def selection_exposure(self, strategy: Strategy, lookup: Lookup) -> float:
        """The most that the strategy can lose on a runner: 0 or more."""
        if self._rules.worst_case:
            return max(0.0, -self.position(strategy, lookup).worst)
        exposures = self.get_exposures(strategy, lookup)
        worst = min(exposures["worst_possible_profit_on_win"], exposures["worst_possible_profit_on_lose"])
        return max(0.0, -worst)

    def market_exposure(
        self,
        strategy: Strategy,
        market_book: MarketBook,
        exclusion: Order | None = None,
        new_order: Order | None = None,
    ) -> float:
        """The strategy's worst result of the market; below zero is a loss."""
        mine = self._by_strategy.get(strategy)
        lookups = dict.fromkeys(mine.selections if mine else ())
        if new_order is not None:
            lookups[new_order.lookup] = None
        if self._rules.worst_case:
            positions = {
                lookup: self.position(
                    strategy, lookup, exclusion, new_order if new_order and new_order.lookup == lookup else None
                )
                for lookup in lookups
            }
            return market_worst(positions, market_book, self.terms)
        loses, differences = 0.0, []
        for lookup in lookups:
            new = new_order if new_order is not None and new_order.lookup == lookup else None
            exposures = self.get_exposures(strategy, lookup, exclusion, new)
            lose = exposures["worst_possible_profit_on_lose"]
            loses += lose
            differences.append(exposures["worst_possible_profit_on_win"] - lose)
        differences.extend([0.0] * (market_book.number_of_active_runners - len(lookups)))
        differences.sort()
        return loses + sum(differences[: market_book.number_of_winners])


def _filtered(
    orders: list[Order], order_status: Collection[OrderStatus] | None, matched_only: bool | None
) -> list[Order]:
    if order_status:
        wanted = _members(OrderStatus, order_status)
        orders = [order for order in orders if order.status in wanted]
    if matched_only:
        orders = [order for order in orders if order.size_matched > 0]
    return orders


def _members(kind: Any, statuses: Any) -> list[Any]:
    """Statuses that somebody asks for, one or several: members, or their names or values.

    Raises:
        ValueError: there is no such status; names the nearest.
    """
    asked = [statuses] if isinstance(statuses, (str, kind)) else statuses
    return [each if isinstance(each, kind) else _member(kind, each) for each in asked]


def _member(kind: Any, name: Any) -> Any:
    names = [each.name for each in kind]
    return kind[name] if name in names else kind(name)
