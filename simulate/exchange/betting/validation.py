"""The form of instructions to place bets, as clients send them. Which bets a market takes: `accounts.bet_rules`.

Sources: "Betting Enums" (InstructionReportErrorCode), "placeOrders"; docs/exchange.md has them as a table.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from ....strategies.messages import PlaceInstruction
from ...accounts.bet_rules import FILL_OR_KILL, LAPSE, LIMIT, LIMIT_ON_CLOSE, MARKET_ON_CLOSE, PERSIST, refusal
from ..errors import ParameterError
from ..exchange import ExchangeMarket
from ..http.arguments import chosen, required
from ..settings import AccountSettings

ORDER_TYPES = frozenset({LIMIT, LIMIT_ON_CLOSE, MARKET_ON_CLOSE})
SIDES = frozenset({"BACK", "LAY"})
PERSISTENCE_TYPES = frozenset({LAPSE, PERSIST, MARKET_ON_CLOSE})
TARGETS = frozenset({"BACKERS_PROFIT", "PAYOUT"})

#: Longest references.
LONGEST_ORDER_REF = LONGEST_REF = 32
LONGEST_STRATEGY_REF = 15
#: Digits of a market version.
LONGEST_VERSION = 12

_REF = re.compile(r"[0-9A-Za-z\-._+*:;~]*")


@dataclasses.dataclass(frozen=True, slots=True)
class Placing:
    """An instruction to place a bet.

    Attributes:
        asked: as the engine takes it.
        echo: as reports repeat it.
        problem: a code for what is wrong with its form, in whatever market.
        strategy_ref: the reference of the strategy that placed it.
    """

    asked: PlaceInstruction
    echo: dict[str, Any]
    problem: str | None = None
    strategy_ref: str = ""


def valid_ref(ref: str, longest: int) -> bool:
    """Whether a customer's reference is short enough, and of the letters that are allowed."""
    return len(ref) <= longest and _REF.fullmatch(ref) is not None


def read_placing(
    raw: dict[str, Any], order_id: str, time_in_force: str | None = None, strategy_ref: str = ""
) -> Placing:
    """An instruction as a client sent it.

    Args:
        order_id: what it is called at the exchange.
        time_in_force, strategy_ref: of the whole request.

    Raises:
        ParameterError: something that must be there is missing, or is none of its values.
    """
    order_type = chosen(raw, "orderType", ORDER_TYPES) or _missing("orderType")
    side = chosen(raw, "side", SIDES) or _missing("side")
    selection_id, handicap = required(raw, "selectionId"), raw.get("handicap", 0.0)
    ref = raw.get("customerOrderRef", "")
    echo = {"selectionId": selection_id, "handicap": handicap, "orderType": order_type, "side": side}
    if ref:
        echo["customerOrderRef"] = ref
    problem = None if valid_ref(ref, LONGEST_ORDER_REF) else "INVALID_CUSTOMER_ORDER_REF"
    if order_type == LIMIT:
        details = required(raw, "limitOrder")
        values, echo["limitOrder"], wrong = _limit(details, time_in_force)
    else:
        name = "limitOnCloseOrder" if order_type == LIMIT_ON_CLOSE else "marketOnCloseOrder"
        details = required(raw, name)
        values = {"liability": required(details, "liability")}
        if order_type == LIMIT_ON_CLOSE:
            values["price"] = required(details, "price")
        echo[name] = dict(values)
        wrong = "INVALID_ORDER_TYPE" if FILL_OR_KILL in (time_in_force, _time_in_force(raw)) else None
    asked = PlaceInstruction(order_id, ref, selection_id, handicap, side, order_type, **values)
    return Placing(asked, echo, problem or wrong, strategy_ref)


def _missing(name: str) -> str:
    raise ParameterError(f"{name} is missing")


def _time_in_force(raw: dict[str, Any]) -> str | None:
    """Of an order that is not a limit order, and should have none."""
    found: str | None = raw.get("limitOrder", {}).get("timeInForce")
    return found


def _limit(details: dict[str, Any], time_in_force: str | None) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """What the engine takes, what reports repeat, and what is wrong with it."""
    own = chosen(details, "timeInForce", frozenset({FILL_OR_KILL}))
    persistence = chosen(details, "persistenceType", PERSISTENCE_TYPES)
    price, size, target = required(details, "price"), details.get("size"), details.get("betTargetSize")
    target_type = chosen(details, "betTargetType", TARGETS)
    if size is None and target is None:
        raise ParameterError("limitOrder.size is missing")
    if target is not None and target_type is None:
        raise ParameterError("limitOrder.betTargetType is missing")
    min_fill = details.get("minFillSize")
    problem = None
    if own is not None and time_in_force is not None:
        problem = "TIME_IN_FORCE_CONFLICT"
    elif (own or time_in_force) and persistence not in (None, LAPSE):
        problem = "UNEXPECTED_PERSISTENCE_TYPE"
    elif min_fill is not None and own is None:
        problem = "UNEXPECTED_MIN_FILL_SIZE"
    elif size is not None and target is not None:
        problem = "INVALID_BET_SIZE"
    kills = own or time_in_force
    values = {
        "price": price,
        "size": size,
        "persistence_type": LAPSE if kills else persistence or LAPSE,
        "time_in_force": kills,
        "min_fill_size": min_fill,
        "bet_target_type": target_type,
        "bet_target_size": target,
    }
    echo = {
        "size": size,
        "price": price,
        "persistenceType": None if kills else persistence or LAPSE,
        "timeInForce": kills,
        "minFillSize": min_fill,
        "betTargetType": target_type,
        "betTargetSize": target,
    }
    return values, {name: value for name, value in echo.items() if value is not None}, problem


# -- what the market takes -------------------------------------------------------------------------------------------


def market_refusal(market: ExchangeMarket | None) -> str | None:
    """The code for which a market takes no instruction at all; None if it does."""
    if market is None:
        return "INVALID_MARKET_ID"
    if market.book.status == "SUSPENDED" and not market.gone:
        return "MARKET_SUSPENDED"
    if market.book.status != "OPEN" or market.gone:
        return "MARKET_NOT_OPEN_FOR_BETTING"
    return None


def judge(placing: Placing, market: ExchangeMarket, account: AccountSettings, replacing: bool = False) -> str | None:
    """The code for which a bet is not placed; None if it can be.

    Args:
        replacing: it takes the place of another, of which less than the smallest stake may be left.
    """
    return placing.problem or refusal(placing.asked, market.book, account.stakes, replacing)
