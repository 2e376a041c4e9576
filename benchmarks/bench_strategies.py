"""The strategies that are timed, written once against the callbacks that headrace and flumine share.

`make(api)` builds them on an engine's own classes. `api` names them: Strategy, Trade, LimitOrder,
OrderStatus, and how the engine's users read it: `best(levels)`, the first level's price or None;
`price(level)`; `read(runner)`, which reads price and size of the best three levels
a side, and the traded volume; `tally`, whose `reads` counts the
levels of traded volume seen, so that both sides can be seen to do the same work.
"""

from types import SimpleNamespace
from typing import Any

WINDOW = 3600  # seconds before the start in which queues are joined
GAP = 2.7  # seconds between two orders on a runner
LIFE = 2.0  # seconds before an order is cancelled


def make(api: SimpleNamespace, max_orders: int | None = None) -> dict[str, type]:
    """The strategy classes by name; `max_orders` bounds what JoinQueues places."""

    read = getattr(api, "read", None)

    class Base(api.Strategy):  # type: ignore[name-defined, misc]
        def check_market_book(self, market: Any, book: Any) -> bool:
            return True

    class NoOp(Base):
        """Sees every change and does nothing."""

        def process_market_book(self, market: Any, book: Any) -> None:
            return

    class Reader(Base):
        """Reads three levels a side and the traded volume of every active runner, at every change."""

        def process_market_book(self, market: Any, book: Any) -> None:
            for runner in book.runners:
                if runner.status == "ACTIVE":
                    read(runner)

        def finish(self, framework: Any) -> None:
            api.tally.reads = 1

    class JoinQueues(Base):
        """Lays every runner at its best back price before the start, again and again; cancels each."""

        placed = 0

        def check_market_book(self, market: Any, book: Any) -> bool:
            return book.status == "OPEN" and not book.inplay and market.seconds_to_start < WINDOW

        def process_market_book(self, market: Any, book: Any) -> None:
            for runner in book.runners:
                if runner.status == "ACTIVE":
                    self.join(market, runner)

        def join(self, market: Any, runner: Any) -> None:
            price = api.best(runner.ex.available_to_back)
            if price is None or (max_orders is not None and self.placed >= max_orders):
                return
            context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
            if context.trade_count and context.placed_elapsed_seconds < GAP:
                return
            trade = api.Trade(market.market_id, runner.selection_id, runner.handicap, self)
            market.place_order(trade.create_order(side="LAY", order_type=api.LimitOrder(price, 2.00)))
            self.placed += 1

        def process_orders(self, market: Any, orders: Any) -> None:
            for order in orders:
                if order.status == api.OrderStatus.EXECUTABLE and order.elapsed_seconds > LIFE:
                    market.cancel_order(order)

    class Hopeful(Base):
        """Backs every runner once at 1000: one order a runner, whatever the market."""

        def check_market_book(self, market: Any, book: Any) -> bool:
            return book.status == "OPEN" and not book.inplay

        def process_market_book(self, market: Any, book: Any) -> None:
            for runner in book.runners:
                context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
                if runner.status == "ACTIVE" and context.trade_count == 0:
                    trade = api.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                    market.place_order(trade.create_order(side="BACK", order_type=api.LimitOrder(1000, 2.00)))

    return {strategy.__name__: strategy for strategy in (NoOp, Reader, JoinQueues, Hopeful)}
