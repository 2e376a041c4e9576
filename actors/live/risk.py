"""Limits of the whole system, and the gate that is closed before it is ready and when it stops.

Both are controls of accounts: what they refuse is a violation, like any other. What reduces risk passes: cancels,
updates, and what makes the worst case of its market no worse.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...strategies.changes import MarketDefinition
from ...strategies.messages import (
    PLACE,
    REPLACE,
    Instruction,
    PlaceInstruction,
    ReplaceInstruction,
    Request,
)
from ..controls import Account, BaseControl
from .day import Day
from .exposure import Risked, Wanted, loss_of
from .setup import RiskLimits

#: Venue and username.
Owner = tuple[str, str]
#: An account and a market.
Key = tuple[Owner, str]


class Exposure:
    """What open bets lose at worst, by account and market. Markets are counted again only once they have changed.

    Args:
        bets_in: the bets of an account in a market.
        definition_of: a market's definition, as far as it is known.
    """

    def __init__(
        self,
        bets_in: Callable[[Owner, str], Iterable[Risked]],
        definition_of: Callable[[str], MarketDefinition | None],
    ) -> None:
        self._bets_in, self._definition_of = bets_in, definition_of
        self._losses: dict[Key, float] = {}
        self._changed: set[Key] = set()

    def changed(self, owner: Owner, market_id: str) -> None:
        """Something has happened to bets of an account in a market."""
        self._changed.add((owner, market_id))

    def loss(self, owner: Owner, market_id: str) -> float:
        """What an account's bets in a market lose at worst, 0 or more."""
        key = (owner, market_id)
        if key in self._changed:
            self._changed.discard(key)
            found = self._count(key)
            if found:
                self._losses[key] = found
            else:
                self._losses.pop(key, None)
        return self._losses.get(key, 0.0)

    def loss_with(
        self, owner: Owner, market_id: str, wanted: Iterable[Risked], without: Sequence[Risked] = ()
    ) -> float:
        """The same, with bets that are about to be asked for."""
        bets = [bet for bet in self._bets_in(owner, market_id) if not any(bet is each for each in without)]
        return loss_of([*bets, *wanted], self._definition_of(market_id))

    def total(self, owners: Iterable[Owner] | None = None) -> float:
        """What all open bets lose at worst, of some accounts or of all."""
        for owner, market_id in list(self._changed):
            self.loss(owner, market_id)
        wanted = None if owners is None else set(owners)
        return round(sum(loss for (owner, _), loss in self._losses.items() if wanted is None or owner in wanted), 2)

    def in_market(self, market_id: str) -> float:
        """What all accounts' bets in a market lose at worst."""
        owners = [owner for owner, market in {*self._losses, *self._changed} if market == market_id]
        return round(sum(self.loss(owner, market_id) for owner in owners), 2)

    def _count(self, key: Key) -> float:
        owner, market_id = key
        return loss_of(self._bets_in(owner, market_id), self._definition_of(market_id))


@dataclasses.dataclass
class _Judged:
    """What was let pass of a request whose instructions are being judged."""

    request_id: str = ""
    wanted: list[Wanted] = dataclasses.field(default_factory=list)
    without: list[Risked] = dataclasses.field(default_factory=list)


class Risk:
    """Judges what would place bets.

    Args:
        day: what was settled today.
        exposure: what is open.
        bet_of: a bet, by its account and its order.
        purses: whose money is counted together, by account: each currency by itself.
        clock_ms: now, milliseconds since the epoch.
        reached: told of a limit that refuses, in a sentence.
    """

    def __init__(
        self,
        limits: RiskLimits,
        day: Day,
        exposure: Exposure,
        bet_of: Callable[[Owner, str, str | None], Any],
        purses: dict[Owner, str],
        clock_ms: Callable[[], int],
        reached: Callable[[str], object] = lambda text: None,
    ) -> None:
        self.limits, self.day, self.exposure = limits, day, exposure
        self._bet_of, self._purses, self._clock_ms, self._reached = bet_of, purses, clock_ms, reached
        self._placed_ms: collections.deque[int] = collections.deque()
        self._judged = _Judged()

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        limits = self.limits
        return not limits.max_exposure is limits.max_daily_loss is limits.max_orders_per_second is None

    def why_not(self, instruction: Instruction, request: Request) -> str | None:
        """Why an instruction must not be sent; None: it may, and counts from now on."""
        if not self.limited or not isinstance(instruction, (PlaceInstruction, ReplaceInstruction)):
            return None
        if self._judged.request_id != request.request_id:
            self._judged = _Judged(request.request_id)
        why = self._money(instruction, request) or self._pace(instruction, request)
        if why is not None:
            self._reached(why)
        else:
            self._placed_ms.append(self._clock_ms())
        return why

    def recall(self, request: Request, at_ms: int) -> None:
        """A former coordinator has let a request pass."""
        if self.limited and request.kind in (PLACE, REPLACE) and at_ms > self._clock_ms() - 1000:
            self._placed_ms.extend([at_ms] * len(request.instructions))

    def is_harmless(self, instruction: Instruction, request: Request) -> bool:
        """Whether an instruction makes the worst case of its market no worse. With limits, these are asked as well."""
        if not isinstance(instruction, PlaceInstruction | ReplaceInstruction):
            return True
        if self._judged.request_id != request.request_id:
            self._judged = _Judged(request.request_id)
        before, after, wanted = self._losses(instruction, request)
        if wanted is None or after > before:
            return False
        if not self.limited:
            self._judged.wanted.append(wanted[0])
            self._judged.without += wanted[1]
        return True

    def _pace(self, instruction: Instruction, request: Request) -> str | None:
        limit, now, placed = self.limits.max_orders_per_second, self._clock_ms(), self._placed_ms
        if placed and placed[-1] > now:  # the clock was set back
            placed = self._placed_ms = collections.deque(min(at, now) for at in placed)
        while placed and placed[0] <= now - 1000:
            placed.popleft()
        if limit is None or len(placed) < limit:
            return None
        before, after, _ = self._losses(instruction, request)
        if after <= before:
            return None
        return f"{len(placed)} orders in the last second, max_orders_per_second is {limit}"

    def _money(self, instruction: Instruction, request: Request) -> str | None:
        limits = self.limits
        if limits.max_exposure is None and limits.max_daily_loss is None:
            return None
        before, after, wanted = self._losses(instruction, request)
        why = None if after <= before else self._over(request, after - self._loss_here(request))
        if why is None and wanted is not None:
            self._judged.wanted.append(wanted[0])
            self._judged.without += wanted[1]
        return why

    def _loss_here(self, request: Request) -> float:
        return self.exposure.loss((request.venue, request.username), request.market_id)

    def _over(self, request: Request, more: float) -> str | None:
        limits, owner = self.limits, (request.venue, request.username)
        currency = self._purses.get(owner, "")
        mates = [each for each, its in self._purses.items() if its == currency]
        open_ = round(self.exposure.total(mates) + more, 2)
        if limits.max_exposure is not None and open_ > limits.max_exposure:
            return f"open bets could lose {open_:.2f} {currency}, max_exposure is {limits.max_exposure:.2f}"
        if limits.max_daily_loss is not None:
            lost = round(open_ - self.day.profit(self._clock_ms(), currency), 2)
            if lost > limits.max_daily_loss:
                return (
                    f"with what open bets could lose, {lost:.2f} {currency} would be lost today, "
                    f"max_daily_loss is {limits.max_daily_loss:.2f}"
                )
        return None

    def _losses(
        self, instruction: Instruction, request: Request
    ) -> tuple[float, float, tuple[Wanted, list[Risked]] | None]:
        """What the market's bets lose at worst without and with an instruction, and what is then wanted instead."""
        owner, market_id, judged = (request.venue, request.username), request.market_id, self._judged
        without: list[Risked] = []
        if isinstance(instruction, PlaceInstruction):
            wanted = Wanted.of(instruction)
        else:
            assert isinstance(instruction, ReplaceInstruction)
            bet = self._bet_of(owner, instruction.order_id, instruction.bet_id)
            if bet is None or bet.price is None:
                return 0.0, 0.0, None
            without = [bet]
            wanted = Wanted(
                bet.selection_id,
                bet.handicap,
                bet.side,
                bet.price,
                bet.remaining,
                bet.at_sp,
                instruction.new_price,
                bet.matched,
                bet.average,
            )
        before = (
            self.exposure.loss_with(owner, market_id, judged.wanted, judged.without)
            if judged.wanted
            else self._loss_here(request)
        )
        after = self.exposure.loss_with(owner, market_id, [*judged.wanted, wanted], [*judged.without, *without])
        return before, after, (wanted, without)

    def standing(self) -> dict[str, Any]:
        """The limits and where they stand, by currency where there are several."""
        now, limits = self._clock_ms(), self.limits
        found: dict[str, Any] = {
            "max_exposure": limits.max_exposure,
            "max_daily_loss": limits.max_daily_loss,
            "max_orders_per_second": limits.max_orders_per_second,
            "risk_timezone": limits.risk_timezone,
            "orders_last_second": sum(at > now - 1000 for at in self._placed_ms),
            "by_currency": {},
        }
        for currency in dict.fromkeys(self._purses.values()):
            owners = [owner for owner, its in self._purses.items() if its == currency]
            exposure, settled = self.exposure.total(owners), self.day.profit(now, currency)
            found["by_currency"][currency] = {
                "exposure": exposure,
                "settled_today": settled,
                "loss_today": round(max(0.0, exposure - settled), 2),
            }
        return found


class RiskControl(BaseControl):
    """The limits of the whole system."""

    NAME = "RISK_LIMITS"
    scope = "account"
    risk: Risk

    def judge(self, instruction: Instruction, request: Request, account: Account) -> None:
        why = self.risk.why_not(instruction, request)
        if why is not None:
            self._on_error(instruction, why)


class Gate:
    """Whether bets may be placed at all.

    Attributes:
        stopping: why the system stops; empty: it does not.
        unwritten: why the journal cannot be written; empty: it can.
        unready: accounts for which it is not known yet how their bets stand, each with what is waited for.
    """

    def __init__(self) -> None:
        self.stopping = ""
        self.unwritten = ""
        self.unready: dict[Owner, str] = {}

    def why_not(self, request: Request) -> str | None:
        """Why a request must not be sent; None: it may."""
        if request.kind not in (PLACE, REPLACE):
            return None
        if self.stopping:
            return f"placing has stopped: {self.stopping}"
        if self.unwritten:
            return f"nothing is placed that cannot be written down first: {self.unwritten}"
        return self.unready.get((request.venue, request.username)) if self.unready else None


class GateControl(BaseControl):
    """Nothing is placed before it is known how the account's bets stand, nor once the system stops."""

    NAME = "PLACING"
    scope = "account"
    gate: Gate

    def judge(self, instruction: Instruction, request: Request, account: Account) -> None:
        why = self.gate.why_not(request)
        if why is not None:
            self._on_error(instruction, why)
