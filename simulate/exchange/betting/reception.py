"""Where betting calls come in: how many instructions, how often, and whether a call was heard before.

Times are of the protocol: they are those of the machine, whatever the speed of what is played.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import ApiError
from ..exchange import Exchange
from ..http.arguments import required
from ..settings import AccountSettings
from .validation import LONGEST_REF, LONGEST_STRATEGY_REF, LONGEST_VERSION, valid_ref

#: Instructions to place in one call at the Italian exchange.
ITALIAN_PLACE_INSTRUCTIONS = 50


@dataclasses.dataclass(frozen=True)
class Call:
    """A call about bets that has been let in.

    Attributes:
        operation: such as placeOrders.
        market_id: None: all markets; cancelOrders only.
        instructions: as sent.
        version: of the market, that the client insists on. `valid_version`: it is one.
        at_once: async: it is to be answered before it is done.
    """

    operation: str
    account: AccountSettings
    market_id: str | None
    instructions: list[dict[str, Any]]
    customer_ref: str | None = None
    strategy_ref: str = ""
    version: int | None = None
    valid_version: bool = True
    at_once: bool = False

    @property
    def username(self) -> str:
        return self.account.username

    @property
    def valid_strategy_ref(self) -> bool:
        return valid_ref(self.strategy_ref, LONGEST_STRATEGY_REF)


class Reception:
    """Lets calls in.

    Args:
        now: seconds of real time.
    """

    def __init__(self, exchange: Exchange, now: Callable[[], float]) -> None:
        self._exchange = exchange
        self._now = now
        self._refs: dict[tuple[str, str], float] = {}
        self._recent: dict[str, deque[tuple[float, int]]] = {}
        self._totals: dict[str, int] = {}

    def call(self, operation: str, account: AccountSettings, params: dict[str, Any], everywhere: bool = False) -> Call:
        """A call, as it came.

        Args:
            params: nulls removed, each of its type.
            everywhere: it may name no market, and no instructions.

        Raises:
            ApiError: INVALID_INPUT_DATA: too many instructions, or none, or a `customerRef` that is none; nothing is
                executed. TOO_MANY_REQUESTS: too many instructions in a second.
            ParameterError: no market, or no instructions.
        """
        instructions = params.get("instructions", []) if everywhere else required(params, "instructions")
        market_id = params.get("marketId") if everywhere else required(params, "marketId")
        if not everywhere and not instructions:
            raise ApiError("INVALID_INPUT_DATA", "instructions: expected at least one")
        if instructions and market_id is None:
            raise ApiError("INVALID_INPUT_DATA", "marketId: expected the market of the bets")
        most = self._most(operation, account)
        if len(instructions) > most:
            raise ApiError("INVALID_INPUT_DATA", f"instructions: {len(instructions)}, expected {most} at most")
        ref = params.get("customerRef") or None
        if ref is not None and not valid_ref(ref, LONGEST_REF):
            raise ApiError("INVALID_INPUT_DATA", f"customerRef: expected {LONGEST_REF} characters at most")
        self._limit(account.username, max(len(instructions), 1))
        version = params.get("marketVersion", {}).get("version")
        return Call(
            operation,
            account,
            market_id,
            instructions,
            ref,
            params.get("customerStrategyRef", ""),
            version,
            version is None or (version >= 0 and len(str(version)) <= LONGEST_VERSION),
            params.get("async", False),
        )

    def _most(self, operation: str, account: AccountSettings) -> int:
        limits = self._exchange.settings.limits
        if operation != "placeOrders":
            return limits.change_instructions
        return min(limits.place_instructions, ITALIAN_PLACE_INSTRUCTIONS if account.jurisdiction == "it" else 10**9)

    def _limit(self, username: str, count: int) -> None:
        now, limit = self._now(), self._exchange.settings.limits.instructions_per_second
        recent = self._recent.setdefault(username, deque())
        total = self._totals.get(username, 0)
        while recent and recent[0][0] <= now - 1:
            total -= recent.popleft()[1]
        self._totals[username] = total
        if total + count > limit:
            raise ApiError("TOO_MANY_REQUESTS", f"more than {limit} instructions in a second")
        recent.append((now, count))
        self._totals[username] += count

    def repeated(self, call: Call) -> bool:
        """Whether a call with this `customerRef` was heard less than a minute ago; it is heard now."""
        now, remembered = self._now(), self._exchange.settings.timers.customer_ref
        while self._refs:  # in order of time
            oldest = next(iter(self._refs))
            if self._refs[oldest] > now - remembered:
                break
            del self._refs[oldest]
        if call.customer_ref is None:
            return False
        if (call.username, call.customer_ref) in self._refs:
            return True
        self._refs[call.username, call.customer_ref] = now
        return False
