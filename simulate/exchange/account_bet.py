"""A bet as its account sees it: what the order stream and the lists of bets show."""

from __future__ import annotations

import dataclasses
from typing import Any

from msgspec.structs import replace

from ...strategies.messages import ClearedOrder, Fill, OrderFact, PlaceInstruction
from ..accounts.conversion import in_currency
from ..outcomes import Outcome
from ..settlement import Settlement

#: Why a bet lapsed, as the order stream says it, by the exchange's code for its placing.
LAPSE_REASONS = {
    "BET_TAKEN_OR_LAPSED": "MKT_VERSION",
    "BET_LAPSED_PRICE_IMPROVEMENT_TOO_LARGE": "PRICE_IMP_TOO_LARGE",
}
MARKET_ON_CLOSE = "MARKET_ON_CLOSE"


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
        ended: nothing more can be matched; False for bets that wait for the starting price.
        unit: its account's money for one of the market's, which is what the engine counts in; 1.0 if they are one.
        converted: it was a limit order that went to the starting price.
        market_version: version of its market when it was placed.
        persistence: LAPSE, PERSIST or MARKET_ON_CLOSE; "" for bets at the starting price.
        price, size: as asked, 0.0 for what a kind of order does not have. `liability`: of bets at the starting price.
        matched, average, remaining, cancelled, lapsed, voided: how far it got. Only what was matched can be voided:
            what was not, has lapsed.
        voided_average: price of what was voided; 0.0 if nothing was.
        reduced: prices of what is matched were reduced, because a runner was removed.
        fills: `(time, price, size)`, in order.
        lapse_reason: a code of the order stream; None for ordinary lapses.
        replaced: an edit of the price cancelled it.
        result: of the last settlement; None while accounts do not know it. `next_result`: what the next one will say.
        sequence: number of the last change, counted by the exchange over all bets.
        first_sequence: of its placing.
    """

    __slots__ = (
        "_never_matched",
        "_unasked",
        "asked",
        "average",
        "bet_id",
        "cancelled",
        "cancelled_ms",
        "converted",
        "ended",
        "executable",
        "fills",
        "first_sequence",
        "lapse_reason",
        "lapsed",
        "lapsed_ms",
        "liability",
        "market_id",
        "market_version",
        "matched",
        "matched_ms",
        "next_result",
        "order_id",
        "order_ref",
        "persistence",
        "placed_ms",
        "price",
        "reduced",
        "remaining",
        "replaced",
        "result",
        "sequence",
        "settled_ms",
        "size",
        "strategy_ref",
        "unit",
        "username",
        "voided",
        "voided_average",
        "voided_ms",
    )

    def __init__(
        self,
        username: str,
        market_id: str,
        bet_id: str,
        asked: PlaceInstruction,
        strategy_ref: str,
        placed_ms: int,
        unit: float = 1.0,
    ) -> None:
        self.username = username
        self.market_id = market_id
        self.order_id = asked.order_id
        self.bet_id = bet_id
        self.asked = asked
        self.order_ref = asked.customer_order_ref
        self.strategy_ref = strategy_ref
        self.executable = asked.order_type == "LIMIT"
        self.unit = unit
        self.ended = self.converted = self.reduced = False
        self.market_version: int | None = None
        self.persistence = asked.persistence_type or ""
        self.price = asked.price or 0.0
        self.size = asked.size or 0.0
        self.liability = asked.liability or 0.0
        self.matched = self.average = self.cancelled = self.lapsed = self.voided = self.voided_average = 0.0
        self._never_matched = self._unasked = 0.0
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
        self.next_result: ClearedOrder | None = None
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

    @property
    def order_type(self) -> str:
        """LIMIT, LIMIT_ON_CLOSE or MARKET_ON_CLOSE, as it is now."""
        return MARKET_ON_CLOSE if self.converted else self.asked.order_type

    @property
    def came_to_nothing(self) -> bool:
        """It has ended, and nothing of it is matched."""
        return self.ended and not self.matched

    def take(self, fact: OrderFact, sp_known: bool = False, asked: bool = True) -> None:
        """Take how the engine says that it stands.

        Args:
            sp_known: the market's starting prices are reconciled.
            asked: it is so because somebody asked for it; what is cancelled unasked has lapsed.
        """
        if self.unit != 1.0:
            fact = in_currency(fact, self.unit, self.is_limit)
        at = fact.at
        never_matched = self._unmatched_part(fact)
        if not asked:
            self._unasked = round(max(fact.cancelled - self.cancelled, self._unasked), 2)
        cancelled = round(fact.cancelled - self._unasked, 2)
        lapsed = self._lapsed(fact, round(never_matched + self._unasked, 2))
        voided = round(fact.voided - never_matched, 2)
        if fact.matched > self.matched:
            self.matched_ms = at
        if cancelled > self.cancelled:
            self.cancelled_ms = at
        if lapsed > self.lapsed:
            self.lapsed_ms = at
        if voided > self.voided:
            self.voided_ms = at
            self.voided_average = self.average
        if sp_known and self.executable and not fact.executable and self.persistence == MARKET_ON_CLOSE:
            self.converted = True
            self.liability = round(self.remaining * (1 if self.back else self.price - 1), 2)
        fills = fact.fills or ()
        self.reduced = self.reduced or any(
            new[1] != old[1] and new[2] == old[2] for old, new in zip(self.fills, fills, strict=False)
        )
        self.ended = not fact.executable
        self.executable = fact.executable and self.is_limit
        self.price = fact.price or 0.0
        if self.is_limit:
            self.size = fact.size
        else:
            self.liability = round(fact.size, 2)  # the removal of a runner reduces it
        self.persistence = fact.persistence_type or ""
        self.matched, self.average, self.remaining = fact.matched, fact.average, fact.remaining
        self.cancelled, self.lapsed, self.voided = cancelled, lapsed, voided
        self._never_matched = never_matched
        self.fills = fills

    def _unmatched_part(self, fact: OrderFact) -> float:
        """What of it the engine calls void without its having been matched."""
        more = fact.voided - self.voided - self._never_matched
        return max(round(self._never_matched + more - max(self.matched - fact.matched, 0.0), 2), self._never_matched)

    def _lapsed(self, fact: OrderFact, more: float) -> float:
        """What of it has lapsed; `more`: what the engine has another word for."""
        lapsed = round(fact.lapsed + more, 2)
        if self.is_limit or fact.executable or self.replaced:
            return lapsed
        if not (fact.matched or fact.cancelled or fact.voided or lapsed):
            return round(fact.size, 2)  # its limit was not met by the starting price
        return lapsed

    def take_result(self, result: ClearedOrder) -> None:
        """Take what the next settlement will say. In another currency it is worked out anew, from the account's sizes:
        what is rounded to the market's penny is not to the account's."""
        if self.unit != 1.0 and result.settled:
            outcome = Outcome(*(getattr(result, each.name) for each in dataclasses.fields(Outcome)))
            result = replace(result, profit=Settlement().profit(self, outcome))
        self.next_result = result

    # -- as settlement sees it (`settlement.Matched`) ------------------------------------------------------------

    @property
    def size_matched(self) -> float:
        return self.matched

    @property
    def average_price_matched(self) -> float:
        return self.average

    @property
    def exact_matched(self) -> tuple[float, float]:
        """Of another currency than the market's only what its account is told is exact."""
        return self.matched, self.matched * self.average

    def noted(self) -> dict[str, Any]:
        """What the ledger notes of it."""
        return {
            "username": self.username,
            "market_id": self.market_id,
            "bet_id": self.bet_id,
            "order_ref": self.order_ref,
            "selection_id": self.selection_id,
            "side": self.asked.side,
            "price": self.price,
            "size": self.size,
            "executable": self.executable,
            "matched": self.matched,
            "average": self.average,
            "remaining": self.remaining,
            "cancelled": self.cancelled,
            "lapsed": self.lapsed,
            "voided": self.voided,
        }

    def __repr__(self) -> str:
        return f"<AccountBet {self.bet_id} {self.asked.side} {self.size:g} at {self.price:g}, {self.matched:g} matched>"
