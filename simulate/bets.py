"""A bet at the simulated exchange: what was asked, what became of it, and its place in the queue."""

from __future__ import annotations

import math

from ..actors.exchange import AccountTerms
from ..strategies.messages import SIMULATED, Fill, OrderFact, PlaceInstruction
from ..strategies.order_types import stake_of_target
from ..strategies.prices import wap

LIMIT, LIMIT_ON_CLOSE, MARKET_ON_CLOSE = "LIMIT", "LIMIT_ON_CLOSE", "MARKET_ON_CLOSE"

#: Decimals of an average price: finer than any price, coarser than what floats add to it.
_DECIMALS = 10


class Bet:
    """One bet. It refers to no other object of the run: what happens to it is sent out as facts.

    Sizes are in the account's currency, prices decimal odds or lines, times milliseconds since the epoch.

    Attributes:
        asked: the instruction that it was made from.
        market_id, order_id, bet_id: its names; the last is None until it is placed.
        strategy: whose it is; if strategies are isolated, bets of one strategy share traded volume.
        account: how the exchange treats its account.
        number: its place among the bets of the market, in order of arrival.
        selection_id, handicap, key: its runner; `key` is both.
        back: it is a back; else a lay.
        is_limit: it is a limit order; else one for the starting price.
        price: None for MARKET_ON_CLOSE; the removal of a runner reduces that of a lay which stays.
        price_ladder_definition: which ladder it says its price is on.
        persistence_type: the current one; None for starting-price orders.
        size: what was asked for: the stake, what a bet target comes to, or the liability of a starting-price order.
        liability: of a starting-price order, the current one; otherwise 0.0.
        size_matched, average_price_matched: 0.0 if nothing was matched.
        size_remaining: 0.0 for starting-price orders.
        fills: `(time, price, size)`, in order.
        queue_ahead: size estimated to be ahead at its price.
        market_version: version of the market that it last saw; None before it arrives.
        bsp_reconciled: it went through, or past, the reconciliation of starting prices.
        placed: the exchange has taken it.
        ended: nothing more can be matched.
        changed: there is something to send a fact about.
        exact: averages are those of the fills; otherwise they are rounded to pence after each fill, as the peer's are.
        profit: of its last settlement, before commission.
        rank: its place in the queue that it rests in; None if it does not rest.
    """

    __slots__ = (
        "_one_price",
        "_total",
        "_value",
        "account",
        "asked",
        "average_price_matched",
        "back",
        "bet_id",
        "bsp_reconciled",
        "changed",
        "ended",
        "exact",
        "fills",
        "handicap",
        "is_limit",
        "key",
        "liability",
        "market_id",
        "market_version",
        "number",
        "order_id",
        "persistence_type",
        "placed",
        "price",
        "price_ladder_definition",
        "profit",
        "queue_ahead",
        "rank",
        "selection_id",
        "size",
        "size_cancelled",
        "size_lapsed",
        "size_matched",
        "size_remaining",
        "size_voided",
        "strategy",
    )

    def __init__(
        self,
        asked: PlaceInstruction,
        market_id: str,
        strategy: str,
        account: AccountTerms,
        number: int = 0,
        exact: bool = True,
    ) -> None:
        self.asked = asked
        self.market_id = market_id
        self.order_id = asked.order_id
        self.bet_id: str | None = None
        self.strategy = strategy
        self.account = account
        self.number = number
        self.selection_id = asked.selection_id
        self.handicap = asked.handicap
        self.key = (asked.selection_id, asked.handicap)
        self.back = asked.side == "BACK"
        self.is_limit = asked.order_type == LIMIT
        self.price = asked.price
        self.price_ladder_definition = asked.price_ladder
        self.persistence_type = asked.persistence_type
        self.exact = exact
        self.liability = 0.0 if self.is_limit else asked.liability or 0.0
        self.size = self._stake() if self.is_limit else self.liability
        self.size_matched = self.average_price_matched = 0.0
        self.size_remaining = self.size if self.is_limit else 0.0
        self.size_cancelled = self.size_lapsed = self.size_voided = 0.0
        self.fills: list[Fill] = []
        self.queue_ahead = 0.0
        self.market_version: int | None = None
        self.bsp_reconciled = self.placed = self.ended = self.changed = False
        self.profit = 0.0
        self.rank: tuple[int, float, int] | None = None
        self._total = self._value = 0.0
        self._one_price: float | None = None

    def _stake(self) -> float:
        asked = self.asked
        if asked.size:
            return asked.size
        target = asked.bet_target_size or 0.0
        if self.exact and target and asked.price is not None:
            return stake_of_target(target, asked.bet_target_type, asked.price)
        return target

    def ask_again(self, asked: PlaceInstruction) -> None:
        """What is asked for is something else, as it is for the peer until the bet arrives."""
        if (asked.price, asked.size, asked.persistence_type) == (
            self.asked.price,
            self.asked.size,
            self.asked.persistence_type,
        ):
            return
        self.asked, self.price, self.persistence_type = asked, asked.price, asked.persistence_type
        if self.is_limit:
            self.size = self._stake()
            self.settle_sizes()

    def stand_as(self, fact: OrderFact) -> None:
        """Stand as a fact tells, at an end: it was a bet of another process."""
        self.bet_id = fact.bet_id
        self.placed = self.ended = self.bsp_reconciled = True
        self.persistence_type = fact.persistence_type
        self.size = fact.size
        if not self.is_limit:
            self.liability = fact.size
        self.size_cancelled, self.size_lapsed, self.size_voided = fact.cancelled, fact.lapsed, fact.voided
        self.reprice(list(fact.fills or ()))
        self.settle_sizes()
        self.changed = False

    # -- what happens to it --------------------------------------------------------------------------------------

    def fill(self, time_ms: float, price: float, size: float) -> None:
        """Match `size` of it at `price`."""
        self._one_price = price if not self.fills or price == self._one_price else None
        self.fills.append((time_ms, price, size))
        self._total += size
        self._value += price * size
        self.changed = True
        self._average()
        self.settle_sizes()

    def reprice(self, fills: list[Fill]) -> None:
        """Replace its fills, because a runner was removed. Only the size matched changes with them."""
        self.changed = self.changed or fills != self.fills
        self.fills = fills
        self._total = sum(size for _, _, size in fills)
        self._value = sum(price * size for _, price, size in fills)
        prices = {price for _, price, _ in fills}
        self._one_price = prices.pop() if len(prices) == 1 else None
        self._average()

    def _average(self) -> None:
        if not self.exact:
            self.size_matched, self.average_price_matched = wap(self.fills)
        elif self._total:
            self.size_matched = round(self._total, 2)
            # Sums of floats carry a little noise: strategies compare averages with prices of the ladder.
            one = self._one_price
            self.average_price_matched = round(self._value / self._total, _DECIMALS) if one is None else one
        else:
            self.size_matched = self.average_price_matched = 0.0

    def cancel(self, size: float) -> None:
        """Cancel `size` of what remains."""
        self.size_cancelled += size
        self._reduced(size)

    def lapse(self) -> None:
        """Let what remains lapse."""
        size = self.size_remaining
        self.size_lapsed += size
        self._reduced(size)

    def void(self) -> None:
        """Void what remains."""
        size = self.size_remaining
        self.size_voided += size
        self._reduced(size)

    def refuse(self) -> None:
        """The exchange does not take it: what was asked for is void, as far as that is a size."""
        if not 0 < self.size < math.inf:
            self.size = 0.0
        self.settle_sizes()
        self.void()
        self.ended = self.changed = True

    def _reduced(self, size: float) -> None:
        if size:
            self.changed = True
        self.settle_sizes()

    def settle_sizes(self) -> None:
        """Work out what remains from the other sizes; nothing remains of a starting-price order."""
        if self.is_limit:
            taken = self.size - self.size_matched - self.size_cancelled - self.size_lapsed - self.size_voided
            self.size_remaining = round(taken, 2) if taken % 1 else taken  # whole pounds are quicker

    def reduce_liability(self, by: float) -> None:
        """Multiply the liability by `by`, because a runner was removed."""
        self.liability *= by
        self.changed = self.changed or by != 1

    def move(self, price: float) -> None:
        """Ask for another price, because a runner was removed. Whoever lets it rest puts it behind what is there."""
        self.changed = self.changed or price != self.price
        self.price = price

    def reconciled(self) -> None:
        """The starting prices are known, and the bet has been matched at them or not."""
        self.changed = self.changed or not self.bsp_reconciled
        self.bsp_reconciled = True

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def takes_sp(self) -> bool:
        """Whether it goes to the starting price."""
        return not self.is_limit or self.persistence_type == MARKET_ON_CLOSE

    @property
    def done(self) -> bool:
        """Whether all of it has come to an end."""
        return self.size_remaining == 0 if self.is_limit else self.bsp_reconciled

    @property
    def live(self) -> bool:
        """Whether it is at the exchange and can still be matched."""
        return self.placed and not self.ended

    @property
    def exact_matched(self) -> tuple[float, float]:
        """Size, and size times price, of all fills, unrounded."""
        return self._total, self._value

    @property
    def side(self) -> str:
        """BACK or LAY."""
        return self.asked.side

    def fact(self, at: int, executable: bool, why: str | None = None) -> OrderFact:
        """The bet as it is now, as a fact.

        Args:
            at: when, milliseconds since the epoch.
            executable: whether it can still be matched.
            why: of a bet that ended without having been placed: one word.
        """
        return OrderFact(
            self.market_id,
            self.order_id,
            self.bet_id,
            SIMULATED,
            at,
            executable,
            self.price,
            self.size if self.is_limit else self.liability,
            self.persistence_type,
            self.size_matched,
            self.average_price_matched,
            self.size_remaining,
            self.size_cancelled,
            self.size_lapsed,
            self.size_voided,
            tuple(self.fills),
            why,
        )

    def successor(
        self,
        order_id: str,
        ref: str,
        price: float,
        size: float,
        liability: float | None = None,
        ladder: str | None = None,
    ) -> PlaceInstruction:
        """The order that takes its place: a plain limit order at another price, without time in force and least fill.

        Args:
            ref: the reference that the exchange keeps.
            size: of a limit order; `liability`: of one at the starting price. In the account's currency.
            ladder: one other than its own.
        """
        return PlaceInstruction(
            order_id,
            ref,
            self.selection_id,
            self.handicap,
            self.side,
            self.asked.order_type,
            price,
            size if self.is_limit else None,
            None if self.is_limit else liability,
            persistence_type=self.persistence_type,
            price_ladder=ladder or self.price_ladder_definition,
        )

    def __repr__(self) -> str:
        asked = self.asked
        at = "SP" if self.price is None else f"{self.price:g}"
        return (
            f"<Bet {self.bet_id} of order {self.order_id}: {asked.side} {self.size:g} at {at} on {self.selection_id}, "
            f"{self.size_matched:g} matched>"
        )
