"""Strategies whose next order depends on what was refused and on exposures, written once for headrace and flumine.

`make(api)` builds them on an engine's own classes. `api` names them: Strategy, Trade, LimitOrder, LimitOnCloseOrder,
MarketOnCloseOrder, OrderStatus; `best(levels)`, the first level's price or None; `seen`, a list that takes what they
observe: rows of strategy, market, time, word and values; `markets`, a dict that takes the markets by id; `targets`,
whether bet targets are refused for their size, and so can be asked for; `seed`. Each throws dice seeded by its name,
the market's id and `seed`, so that both engines draw the same numbers as long as they answer the same.
"""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

LINE = SimpleNamespace(market_unit="runs", min_unit_value=0.5, max_unit_value=200.5, interval=1.0)
TICKS = (1.01, 1.5, 1.99, 2.02, 2.5, 3.05, 4.1, 6.2, 10.5, 21.0, 32.0, 55.0, 110.0, 500.0, 1000.0)
PERSISTENCES = ("LAPSE", "PERSIST", "MARKET_ON_CLOSE")
MOST_ORDERS = 30  # of a strategy in a market
MOST_MOVES = 250
WATCHED_S = 900  # seconds before the start from which they bet
#: What the strategy's keywords are, by class.
LIMITS: dict[str, dict[str, Any]] = {
    "Dicer": {"max_order_exposure": 30, "max_selection_exposure": 60, "max_market_exposure": 120},
    "Impatient": {"max_order_exposure": 100, "max_selection_exposure": 400},
    "Hedger": {"max_order_exposure": 60, "max_selection_exposure": 45, "max_market_exposure": 70},
    "Closer": {"max_order_exposure": 90, "max_selection_exposure": 150, "max_market_exposure": 250},
    "Limited": {"max_trade_count": 6, "max_live_trade_count": 2, "multi_order_trades": True},
    "Liner": {"max_order_exposure": 25, "max_selection_exposure": 40, "max_market_exposure": 60},
    "Careless": {"max_order_exposure": None, "max_selection_exposure": None, "max_market_exposure": 300},
}
#: How often each move is drawn, by class.
MOVES: dict[str, dict[str, int]] = {
    "Dicer": {"limit": 8, "close": 2, "cancel": 3, "update": 2, "replace": 3},
    "Impatient": {"limit": 5, "cancel": 6, "update": 6, "replace": 8, "several": 2},
    "Hedger": {"limit": 5, "hedge": 6, "cancel": 3, "replace": 3},
    "Closer": {"close": 6, "limit": 3, "cancel": 2, "update": 3, "replace": 2},
    "Limited": {"limit": 5, "again": 4, "cancel": 4, "replace": 2, "several": 1},
    "Liner": {"line": 6, "limit": 1, "hedge": 3, "cancel": 3, "replace": 4, "update": 1},
    "Careless": {"limit": 5, "target": 2, "twice": 2, "foreign": 1, "cancel": 3, "update": 2, "replace": 3, "kill": 2},
}


class Notes:
    """What a strategy keeps of one market."""

    def __init__(self, seed: str) -> None:
        self.dice = random.Random(seed)
        self.orders: list[Any] = []
        self.stake = 5.0
        self.moves = 0
        self.next_ms = 0
        self.shown: dict[Any, Any] = {}


def make(api: SimpleNamespace) -> dict[str, type]:
    """The strategy classes by name."""
    executable = api.OrderStatus.EXECUTABLE

    def limit(dice: random.Random, runner: Any, side: str, stake: float) -> Any:
        """A limit order near the market, sometimes far from it, sometimes at a price that is not on the ladder."""
        ex = runner.ex
        levels = ex.available_to_back if (side == "BACK") == (dice.random() < 0.6) else ex.available_to_lay
        price = api.best(levels)
        if price is None or dice.random() < 0.25:
            price = dice.choice(TICKS)
        elif dice.random() < 0.03:
            price += 0.003
        return api.LimitOrder(
            price, stake, persistence_type=dice.choice(PERSISTENCES if dice.random() < 0.5 else ("LAPSE",))
        )

    class Steering(api.Strategy):  # type: ignore[name-defined, misc]
        """Throws dice at moments of its own; what the dice say is bounded by exposures and refusals."""

        def check_market_book(self, market: Any, book: Any) -> bool:
            return bool(book.status != "CLOSED" and market.seconds_to_start < WATCHED_S)

        def process_new_market(self, market: Any, book: Any) -> None:
            self._note(market, "new")

        def process_closed_market(self, market: Any, book: Any) -> None:
            self._note(market, "closed")
            notes = self._notes(market)
            if notes.orders and notes.dice.random() < 0.5:
                last = notes.orders[-1]
                trade = api.Trade(market.market_id, last.selection_id, last.handicap, self)
                order = trade.create_order(side="BACK", order_type=api.LimitOrder(2.0, 5.0))
                self._place(market, notes, order, force=notes.dice.random() < 0.5)
            self._show(market)
            for order in market.blotter.strategy_orders(self):
                self._note(market, "profit", order.selection_id, order.side, order.size_matched, order.profit + 0.0)

        def process_orders(self, market: Any, orders: Any) -> None:
            self._show(market)
            notes = self._notes(market)
            if orders and notes.moves < MOST_MOVES and notes.dice.random() < 0.004:
                notes.moves += 1
                self._change(market, notes, notes.dice.choice(("cancel", "update", "replace")))
                self._show(market)

        def process_market_book(self, market: Any, book: Any) -> None:
            notes = self._notes(market)
            now = int(book.publish_time.timestamp() * 1000)
            if now < notes.next_ms or notes.moves >= MOST_MOVES:
                return
            runners = [runner for runner in book.runners if runner.status == "ACTIVE"]
            if runners:
                notes.moves += 1
                self._move(market, notes, runners)
                # A second request often follows at once, while the first is under way.
                notes.next_ms = now if notes.dice.random() < 0.45 else now + int(20_000 * notes.dice.random() ** 3)

        # -- moves -----------------------------------------------------------------------------------------------

        def _move(self, market: Any, notes: Notes, runners: list[Any]) -> None:
            dice = notes.dice
            moves = MOVES[type(self).__name__]
            move = dice.choices(list(moves), list(moves.values()))[0]
            # A few runners only: their orders then meet each other.
            runner = runners[dice.randrange(min(len(runners), 3))]
            full = len(notes.orders) >= MOST_ORDERS
            if move in ("cancel", "update", "replace"):
                if notes.orders:
                    self._change(market, notes, move)
            elif not full:
                getattr(self, f"_{move}")(market, notes, runner)
            self._observe(market, runner.selection_id, runner.handicap)

        def _place(self, market: Any, notes: Notes, order: Any, **how: Any) -> Any:
            answer = self._asked(market, "place", lambda: market.place_order(order, **how))
            notes.orders.append(order)
            # What is refused makes the next stake smaller, what is not makes it larger.
            if answer is True:
                notes.stake = min(round(notes.stake * 1.5, 2), 80.0)
            else:
                notes.stake = max(round(notes.stake * 0.4, 2), 0.5)
            return answer

        def _order(self, market: Any, notes: Notes, runner: Any, side: str, order_type: Any, trade: Any = None) -> Any:
            dice = notes.dice
            if trade is None:
                trade = api.Trade(market.market_id, runner.selection_id, runner.handicap, self)
                trade.pending_orders = dice.random() < 0.05
                if dice.random() < 0.2:
                    trade.place_reset_seconds = trade.reset_seconds = dice.choice((0.2, 5.0))
            context: dict[str, int] | None = dice.choice((None, None, {}, {"first": 1}))
            order = trade.create_order(side=side, order_type=order_type, context=context)
            self._note(market, "context", order.context is context)
            return order

        def _limit(self, market: Any, notes: Notes, runner: Any) -> None:
            dice = notes.dice
            side = dice.choice(("BACK", "LAY"))
            lookup = (market.market_id, runner.selection_id, runner.handicap)
            stake = notes.stake
            if dice.random() < 0.4:
                # What is at risk already says how much more.
                risk = market.blotter.selection_exposure(self, lookup)
                stake = round(max(1.0, stake - risk / 4), 2)
            how: dict[str, Any] = {}
            if dice.random() < 0.1:
                how["force"] = True
            elif dice.random() < 0.1:
                how["market_version"] = market.market_book.version + dice.choice((0, 0, 1))
            self._place(
                market, notes, self._order(market, notes, runner, side, limit(dice, runner, side, stake)), **how
            )

        def _line(self, market: Any, notes: Notes, runner: Any) -> None:
            dice = notes.dice
            market.context["line_range_result"] = 40.5
            price = dice.choice((1.5, 2.5, 3.5, 10.5, 40.5, 41.5, 100.5, 2.25))
            order_type = api.LimitOrder(price, notes.stake, price_ladder_definition="LINE_RANGE", line_range_info=LINE)
            self._place(market, notes, self._order(market, notes, runner, dice.choice(("BACK", "LAY")), order_type))

        def _close(self, market: Any, notes: Notes, runner: Any) -> None:
            dice = notes.dice
            side = dice.choice(("BACK", "LAY"))
            liability = round(notes.stake * (5 if side == "LAY" else 1), 2)
            if dice.random() < 0.5:
                order_type = api.MarketOnCloseOrder(liability)
            else:
                order_type = api.LimitOnCloseOrder(liability=liability, price=dice.choice(TICKS))
            self._place(market, notes, self._order(market, notes, runner, side, order_type))

        def _hedge(self, market: Any, notes: Notes, runner: Any) -> None:
            """Level what is matched on the runner, exactly as its exposures say."""
            lookup = (market.market_id, runner.selection_id, runner.handicap)
            exposures = market.blotter.get_exposures(self, lookup)
            difference = exposures["matched_profit_if_win"] - exposures["matched_profit_if_lose"]
            side = "LAY" if difference > 0 else "BACK"
            price = api.best(runner.ex.available_to_lay if side == "LAY" else runner.ex.available_to_back)
            if price is None or not difference:
                return
            size = round(abs(difference) / price, 2)
            if size > 0:
                self._place(market, notes, self._order(market, notes, runner, side, api.LimitOrder(price, size)))

        def _kill(self, market: Any, notes: Notes, runner: Any) -> None:
            dice = notes.dice
            side = dice.choice(("BACK", "LAY"))
            order_type = limit(dice, runner, side, notes.stake)
            order_type.time_in_force = "FILL_OR_KILL"
            order_type.min_fill_size = dice.choice((None, 1.0, round(notes.stake / 2, 2), round(notes.stake * 2, 2)))
            self._place(market, notes, self._order(market, notes, runner, side, order_type))

        def _several(self, market: Any, notes: Notes, runner: Any) -> None:
            """A few requests in one transaction: places, and a cancel of what it has just asked for."""
            dice = notes.dice
            with market.transaction() as transaction:
                for _ in range(dice.randint(2, 4)):
                    side = dice.choice(("BACK", "LAY"))
                    order = self._order(market, notes, runner, side, limit(dice, runner, side, notes.stake))
                    self._asked(market, "place", lambda order=order: transaction.place_order(order))
                    notes.orders.append(order)
                for _ in range(dice.randint(0, 3)):
                    order = notes.orders[-1 - dice.randrange(min(len(notes.orders), 5))]
                    if order.client is not None:
                        self._ask_change(market, transaction, dice, order, dice.choice(("cancel", "update", "replace")))

        def _again(self, market: Any, notes: Notes, runner: Any) -> None:
            """Another order of a trade there is, live or complete."""
            dice = notes.dice
            if not notes.orders:
                return
            trade = dice.choice(notes.orders).trade
            there = [
                r
                for r in market.market_book.runners
                if r.selection_id == trade.selection_id and r.handicap == trade.handicap
            ]
            if there:
                side = dice.choice(("BACK", "LAY"))
                order_type = limit(dice, there[0], side, notes.stake)
                self._place(market, notes, self._order(market, notes, there[0], side, order_type, trade))

        def _target(self, market: Any, notes: Notes, runner: Any) -> None:
            """A bet target below the least stake and payout: one that is let through ends flumine's run."""
            if not api.targets:
                return
            order_type = api.LimitOrder(
                notes.dice.choice((1.5, 2.0, 3.0, 12.0)),
                bet_target_type=notes.dice.choice(("PAYOUT", "BACKERS_PROFIT")),
                bet_target_size=0.5,
            )
            self._place(market, notes, self._order(market, notes, runner, "BACK", order_type))

        def _twice(self, market: Any, notes: Notes, runner: Any) -> None:
            """Place an order that was placed, or refused, before."""
            if notes.orders:
                order = notes.dice.choice(notes.orders)
                # A bet target that goes past the controls ends flumine's run.
                force = notes.dice.random() < 0.3 and getattr(order.order_type, "bet_target_size", None) is None
                self._asked(market, "place", lambda: market.place_order(order, force=force))

        def _foreign(self, market: Any, notes: Notes, runner: Any) -> None:
            """Change an order that was never placed."""
            order = self._order(market, notes, runner, "BACK", api.LimitOrder(2.0, 2.0))
            self._asked(market, "cancel", lambda: market.transaction().cancel_order(order))

        def _change(self, market: Any, notes: Notes, move: str) -> None:
            dice = notes.dice
            late = dice.random() < 0.7
            order = notes.orders[-1 - dice.randrange(min(len(notes.orders), 4))] if late else dice.choice(notes.orders)
            found = order.trade.orders
            if len(found) > 1 and dice.random() < 0.5:
                order = found[-1]  # what took its place
            if order.client is not None:
                self._ask_change(market, market, dice, order, move)

        def _ask_change(self, market: Any, requests: Any, dice: random.Random, order: Any, move: str) -> None:
            """Ask a market, or a transaction, for a change of an order."""
            force = dice.random() < 0.15
            if move == "cancel":
                part = dice.choice((None, None, 0.5, 1.0, round(order.size_remaining / 2, 2), 500.0))
                self._asked(market, move, lambda: requests.cancel_order(order, part, force=force), order)
            elif move == "update":
                persistence = dice.choice(PERSISTENCES)
                self._asked(market, move, lambda: requests.update_order(order, persistence, force=force), order)
            elif order.order_type.ORDER_TYPE.name != "LIMIT" or order.size_remaining:
                # A replacement of nothing ends flumine's run.
                line = getattr(order.order_type, "price_ladder_definition", None) == "LINE_RANGE"
                price = dice.choice((1.5, 10.5, 40.5, 41.5) if line else TICKS)
                if dice.random() < 0.3:
                    order.context["moved"] = order.context.get("moved", 0) + 1
                self._asked(market, move, lambda: requests.replace_order(order, price, force=force), order)

        def _asked(self, market: Any, request: str, ask: Callable[[], Any], order: Any = None) -> Any:
            """Ask, and note the answer, or the error that takes its place."""
            status = order.status.name if order is not None and order.status else None
            answer: Any = None
            try:
                answer = ask()
            except Exception as error:
                answer = type(error).__name__
            self._note(market, request, status, answer)
            return answer

        # -- what is observed ------------------------------------------------------------------------------------

        def _notes(self, market: Any) -> Notes:
            kept: dict[str, Notes] = market.context.setdefault("steering", {})
            found = kept.get(self.name)
            if found is None:
                found = kept[self.name] = Notes(f"{self.name}:{market.market_id}:{api.seed}")
                api.markets[market.market_id] = market
            return found

        def _note(self, market: Any, word: str, *values: Any) -> None:
            book = market.market_book
            moment = int(book.publish_time.timestamp() * 1000)
            api.seen.append([self.name, market.market_id, moment, word, *values])

        def _observe(self, market: Any, selection_id: int, handicap: float) -> None:
            blotter, context = market.blotter, self.get_runner_context(market.market_id, selection_id, handicap)
            self._note(
                market,
                "exposure",
                selection_id,
                handicap,
                blotter.selection_exposure(self, (market.market_id, selection_id, handicap)),
                # flumine adds its runners up in the order of a set: the last bit is chance.
                round(blotter.market_exposure(self, market.market_book), 6),
                context.trade_count,
                context.live_trade_count,
                context.invested,
                context.executable_orders,
            )

        def _show(self, market: Any) -> None:
            """Note each order and each runner's exposures that differ from what was last noted."""
            notes = self._notes(market)
            lookups = {}
            for number, order in enumerate(notes.orders):
                lookups[order.lookup] = None
                state = _state(order)
                if notes.shown.get(number) != state:
                    notes.shown[number] = state
                    self._note(market, "order", number, *state)
            for lookup in lookups:
                exposures = list(market.blotter.get_exposures(self, lookup).items())
                exposures.sort()
                values = [value for _, value in exposures]
                if notes.shown.get(lookup) != values:
                    notes.shown[lookup] = values
                    self._note(market, "exposures", lookup[1], lookup[2], *values)

    def _state(order: Any) -> list[Any]:
        violated = order.violation_msg
        return [
            order.status.name if order.status else None,
            len(order.status_log),
            order.complete,
            order.size_matched,
            order.average_price_matched,
            order.size_remaining,
            order.size_cancelled,
            order.size_lapsed,
            order.size_voided,
            order.bet_id,
            getattr(order.order_type, "persistence_type", None),
            violated.split(" Error:")[0] if violated and " Error:" in violated else violated is not None,
            order.trade.status.name,
            [len(each.status_log) for each in order.trade.orders],
            [dict(each.context) for each in order.trade.orders],
            order.elapsed_seconds_created > 30,
            order.elapsed_seconds is None,
            executable is order.status,
        ]

    return {name: type(name, (Steering,), {"__doc__": Steering.__doc__}) for name in LIMITS}
