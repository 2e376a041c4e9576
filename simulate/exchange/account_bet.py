"""A bet as its account sees it: what the order stream and the lists of bets show."""

from __future__ import annotations

from ...strategies.messages import ClearedOrder, Fill, OrderFact, PlaceInstruction

#: Why a bet lapsed, as the order stream says it.
MARKET_VERSION = "MKT_VERSION"


class AccountBet:
    """One bet, as it is now.

    Times are milliseconds since the epoch, exchange time; None for what has not happened. Sizes are in the account's
    currency.

    Attributes:
        username: whose it is.
        order_id: what the exchange calls the instruction that placed it; the engine knows the bet by that.
        bet_id: its number.
        asked: the instruction.
        order_ref, strategy_ref: the customer's references; "" if there is none.
        executable: it can be matched; never True for bets at the starting price.
        persistence: LAPSE, PERSIST or MARKET_ON_CLOSE; "" for bets at the starting price.
        price, size: as asked, 0.0 for what a kind of order does not have. `liability`: of bets at the starting price.
        matched, average, remaining, cancelled, lapsed, voided: how far it got.
        fills: `(time, price, size)`, in order.
        lapse_reason: a code of the order stream; None for ordinary lapses.
        replaced: an edit of the price cancelled it.
        result: of the last settlement; None before.
        sequence: number of the last change, counted by the exchange over all bets.
        first_sequence: of its placing.
    """

    __slots__ = (
        "asked",
        "average",
        "bet_id",
        "cancelled",
        "cancelled_ms",
        "executable",
        "fills",
        "first_sequence",
        "lapse_reason",
        "lapsed",
        "lapsed_ms",
        "liability",
        "market_id",
        "matched",
        "matched_ms",
        "order_id",
        "order_ref",
        "persistence",
        "placed_ms",
        "price",
        "remaining",
        "replaced",
        "result",
        "sequence",
        "settled_ms",
        "size",
        "strategy_ref",
        "username",
        "voided",
        "voided_ms",
    )

    def __init__(
        self, username: str, market_id: str, bet_id: str, asked: PlaceInstruction, strategy_ref: str, placed_ms: int
    ) -> None:
        self.username = username
        self.market_id = market_id
        self.order_id = asked.order_id
        self.bet_id = bet_id
        self.asked = asked
        self.order_ref = asked.customer_order_ref
        self.strategy_ref = strategy_ref
        self.executable = asked.order_type == "LIMIT"
        self.persistence = asked.persistence_type or ""
        self.price = asked.price or 0.0
        self.size = asked.size or 0.0
        self.liability = asked.liability or 0.0
        self.matched = self.average = self.cancelled = self.lapsed = self.voided = 0.0
        self.remaining = self.size
        self.fills: tuple[Fill, ...] = ()
        self.placed_ms = placed_ms
        self.matched_ms: int | None = None
        self.cancelled_ms: int | None = None
        self.lapsed_ms: int | None = None
        self.voided_ms: int | None = None
        self.settled_ms: int | None = None
        self.lapse_reason: str | None = None
        self.replaced = False
        self.result: ClearedOrder | None = None
        self.sequence = self.first_sequence = 0

    @property
    def selection_id(self) -> int:
        return self.asked.selection_id

    @property
    def handicap(self) -> float:
        return self.asked.handicap

    @property
    def back(self) -> bool:
        return self.asked.side == "BACK"

    @property
    def is_limit(self) -> bool:
        """It was placed as a limit order; else for the starting price."""
        return self.asked.order_type == "LIMIT"

    def take(self, fact: OrderFact) -> None:
        """Take how the engine says that it stands."""
        at = fact.at
        if fact.matched > self.matched:
            self.matched_ms = at
        if fact.cancelled > self.cancelled:
            self.cancelled_ms = at
        if fact.lapsed > self.lapsed:
            self.lapsed_ms = at
        if fact.voided > self.voided:
            self.voided_ms = at
        self.executable = fact.executable and self.is_limit
        self.price = fact.price or 0.0
        if self.is_limit:
            self.size = fact.size
        self.persistence = fact.persistence_type or ""
        self.matched, self.average, self.remaining = fact.matched, fact.average, fact.remaining
        self.cancelled, self.lapsed, self.voided = fact.cancelled, fact.lapsed, fact.voided
        self.fills = fact.fills or ()

    def __repr__(self) -> str:
        return f"<AccountBet {self.bet_id} {self.asked.side} {self.size:g} at {self.price:g}, {self.matched:g} matched>"
