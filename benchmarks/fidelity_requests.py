"""What strategies ask for in one run, so that the very same requests can be made in others.

A strategy acts on what was matched: under other models it soon asks for other orders, and two runs cannot be compared
order by order. Requests that are kept and made again, at the same changes of the market, can.
"""

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import headrace as hr

from .work import LIMITS


@dataclass
class Asked:
    """A request: what it was, when it was made (milliseconds since the epoch), and the number of its bet.

    A bet is an order and those that took its place: `place` of them is concerned. `order` is of a new one: selection,
    handicap, side, and the order's type. `terms` are the arguments of the others.
    """

    what: str
    at: int
    number: int
    place: int = 0
    order: tuple[int, float, str, Any] | None = None
    terms: tuple[Any, ...] = ()


@dataclass
class Kept:
    """All requests of a run, by strategy and market, and the trades of its bets by number."""

    asked: dict[tuple[str, str], list[Asked]] = field(default_factory=lambda: defaultdict(list))
    trades: list[Any] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Bet:
    """What became of a bet: the sums over its orders.

    Attributes:
        asked: when it was asked for, milliseconds since the epoch.
        refused: the code of the exchange's refusal.
        arrived: the exchange has answered.
    """

    number: int
    strategy: str
    market_id: str
    selection_id: int
    handicap: float
    side: str
    kind: str
    price: float | None
    asked: int
    matched: float
    average: float
    profit: float
    lapsed: float = 0.0
    voided: float = 0.0
    refused: str | None = None
    arrived: bool = True


class _Noting:
    """A market whose requests are kept where they were accepted."""

    def __init__(self, market: Any, strategy: str, kept: Kept) -> None:
        self._market, self._strategy, self._kept = market, strategy, kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._market, name)

    def place_order(self, order: Any, *terms: Any, **named: Any) -> bool:
        kind = copy.deepcopy(order.order_type)
        accepted = bool(self._market.place_order(order, *terms, **named))
        if accepted:
            number = self._kept.numbers[order.trade.id] = len(self._kept.trades)
            self._kept.trades.append(order.trade)
            self._keep("place", number, order=(order.selection_id, order.handicap, order.side, kind))
        return accepted

    def cancel_order(self, order: Any, size_reduction: float | None = None) -> bool:
        return self._change("cancel", order, size_reduction)

    def update_order(self, order: Any, new_persistence_type: str) -> bool:
        return self._change("update", order, new_persistence_type)

    def replace_order(self, order: Any, new_price: float) -> bool:
        return self._change("replace", order, new_price)

    def _change(self, what: str, order: Any, term: Any) -> bool:
        accepted = bool(getattr(self._market, f"{what}_order")(order, term))
        if accepted:
            self._keep(what, self._kept.numbers[order.trade.id], order.trade.orders.index(order), terms=(term,))
        return accepted

    def _keep(self, what: str, number: int, place: int = 0, **more: Any) -> None:
        market = self._market
        asked = Asked(what, market.market_book.publish_time_epoch, number, place, **more)
        self._kept.asked[self._strategy, market.market_id].append(asked)


def noting(strategy: type, kept: Kept) -> type:
    """The strategy, all of whose requests are kept."""

    class Noted(strategy):  # type: ignore[misc,valid-type]
        def process_market_book(self, market: Any, market_book: Any) -> None:
            super().process_market_book(_Noting(market, self.name, kept), market_book)

        def process_orders(self, market: Any, orders: list[Any]) -> None:
            super().process_orders(_Noting(market, self.name, kept), orders)

    return Noted


def asking(asked: Mapping[tuple[str, str], Sequence[Asked]], trades: dict[int, Any]) -> type:
    """A strategy that makes these requests again, those of its own name; `trades` gets the trade of each bet.

    A change of an order that is complete by now, or is being changed, is left out; of a reduction that is more than
    what remains, so much is asked for as remains.
    """

    class Asks(hr.Strategy):
        def process_new_market(self, market: Any, market_book: Any) -> None:
            self.due = {
                **getattr(self, "due", {}),
                market.market_id: list(asked.get((self.name, market.market_id), ())),
            }

        def check_market_book(self, market: Any, market_book: Any) -> bool:
            due = self.due[market.market_id]
            return bool(due) and bool(due[0].at <= market_book.publish_time_epoch)

        def process_market_book(self, market: Any, market_book: Any) -> None:
            due = self.due[market.market_id]
            while due and due[0].at <= market_book.publish_time_epoch:
                self.ask(market, due.pop(0))

        def ask(self, market: Any, request: Asked) -> None:
            if request.order is not None:
                selection_id, handicap, side, kind = request.order
                trade = trades[request.number] = hr.Trade(market.market_id, selection_id, handicap, self)
                market.place_order(trade.create_order(side=side, order_type=copy.deepcopy(kind)), force=True)
                return
            orders = trades[request.number].orders
            if request.place >= len(orders) or orders[request.place].status is not hr.OrderStatus.EXECUTABLE:
                return
            order, (term,) = orders[request.place], request.terms
            if request.what == "cancel":
                market.cancel_order(order, None if term is None else min(term, order.size_remaining), force=True)
            elif request.what == "update":
                market.update_order(order, term, force=True)
            else:
                market.replace_order(order, term, force=True)

    return Asks


def simulate(files: Sequence[str], strategies: Mapping[str, type], band: bool = False, **settings: Any) -> hr.Result:
    """A run of these strategies, by name.

    Raises:
        RuntimeError: something failed in it.
    """
    config = hr.Config(raise_errors=True, log_level="ERROR", **settings)
    simulation = hr.Simulation(list(files), config=config, engine="local", progress=False, band=band)
    simulation.add_client(hr.SimulatedClient())
    for name, strategy in strategies.items():
        simulation.add_strategy(strategy(name=name, **LIMITS))
    result = simulation.run()
    if result.failures.num_rows:
        row = result.failures.to_pylist()[0]
        raise RuntimeError(f"{row['market_id']} failed under {settings}: {row['message']}\n{row['traceback']}")
    return result


def ask_again(files: Sequence[str], kept: Kept, names: Iterable[str], **settings: Any) -> list[Bet]:
    """What becomes of the same requests under other settings; the bets in the order of their numbers."""
    trades: dict[int, Any] = {}
    asks = asking(kept.asked, trades)
    simulate(files, dict.fromkeys(names, asks), **settings)
    return bets(kept, [trades[number] for number in range(len(kept.trades))])


def bets(kept: Kept, trades: Sequence[Any]) -> list[Bet]:
    """The bets of a run, by their trades."""
    placings = {
        each.number: (name, each) for (name, _), several in kept.asked.items() for each in several if each.order
    }
    return [_bet(number, *placings[number], trade) for number, trade in enumerate(trades)]


def _bet(number: int, strategy: str, asked: Asked, trade: Any) -> Bet:
    orders = trade.orders
    matched = sum(order.size_matched for order in orders)
    paid = sum(order.size_matched * order.average_price_matched for order in orders)
    answer = orders[0].responses.place_response
    assert asked.order is not None
    selection_id, handicap, side, kind = asked.order
    return Bet(
        number,
        strategy,
        trade.market_id,
        selection_id,
        handicap,
        side,
        kind.ORDER_TYPE.name,
        getattr(kind, "price", None),
        asked.at,
        round(matched, 2),
        paid / matched if matched else 0.0,
        round(sum(order.profit or 0.0 for order in orders), 2),
        round(sum(order.size_lapsed for order in orders), 2),
        round(sum(order.size_voided for order in orders), 2),
        answer.error_code if answer else None,
        answer is not None,
    )
