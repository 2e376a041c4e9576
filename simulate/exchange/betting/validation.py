"""What bets the exchange takes: form, ladders, smallest stakes, persistence. Plain rules, in the order in which they
are told.

Sources: "Betting Enums" (InstructionReportErrorCode), "placeOrders" (currency parameters, price increments), the
support article on INVALID_PROFIT_RATIO; docs/exchange.md has them as a table.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

from ....strategies.currency import CURRENCIES
from ....strategies.messages import PlaceInstruction
from ....strategies.prices import is_classic_price, is_finest_price
from ....strategies.terms import LINE_RANGE, Terms, ladder_of, lines_of
from ..errors import ParameterError
from ..exchange import ExchangeMarket
from ..http.arguments import chosen, required
from ..settings import AccountSettings
from .exposure import stake_of

LIMIT, LIMIT_ON_CLOSE, MARKET_ON_CLOSE = "LIMIT", "LIMIT_ON_CLOSE", "MARKET_ON_CLOSE"
FILL_OR_KILL = "FILL_OR_KILL"
LAPSE, PERSIST = "LAPSE", "PERSIST"
PASSIVE = "PASSIVE"

ORDER_TYPES = frozenset({LIMIT, LIMIT_ON_CLOSE, MARKET_ON_CLOSE})
SIDES = frozenset({"BACK", "LAY"})
PERSISTENCE_TYPES = frozenset({LAPSE, PERSIST, MARKET_ON_CLOSE})
TARGETS = frozenset({"BACKERS_PROFIT", "PAYOUT"})

#: Longest references.
LONGEST_ORDER_REF = LONGEST_REF = 32
LONGEST_STRATEGY_REF = 15
#: Digits of a market version.
LONGEST_VERSION = 12
#: Jurisdictions whose accounts have no smallest payout to stand for the smallest stake, nor smaller replacements.
STRICT_STAKES = frozenset({"it", "es", "dk"})
#: Sizes are below this: of larger ones floats do not tell all pennies apart, or their profits are not finite.
MOST_MONEY = 1e13
#: What a profit may come to by rounding it to the penny, as a part of what it ought to be.
LEAST_ROUNDED, MOST_ROUNDED = 0.8, 1.25

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


def no_starting_price(market: ExchangeMarket) -> bool:
    """Whether bets at the starting price are no longer taken, or never were."""
    return not market.definition.bsp_market or market.book.bsp_reconciled or market.book.inplay


def judge(placing: Placing, market: ExchangeMarket, account: AccountSettings, replacing: bool = False) -> str | None:
    """The code for which a bet is not placed; None if it can be.

    Args:
        replacing: it takes the place of another, of which less than the smallest stake may be left.
    """
    asked = placing.asked
    if placing.problem is not None:
        return placing.problem
    runner = market.book.runner(asked.selection_id, asked.handicap)
    if runner is None or runner.status in ("HIDDEN", "REMOVED_VACANT"):
        return "INVALID_RUNNER"
    if runner.status == "REMOVED":
        return "RUNNER_REMOVED"
    if asked.order_type != LIMIT:
        return _starting_price(asked, market, account)
    assert asked.price is not None
    if not on_ladder(asked.price, market):
        return "INVALID_ODDS"
    stake = stake_of(asked)
    small = not replacing or account.jurisdiction in STRICT_STAKES
    line = bool(Terms.of(market.definition).line)
    if not is_money(stake) or (small and too_small(stake, asked.price, account, line)):
        return "INVALID_BET_SIZE"
    persistence = asked.persistence_type or LAPSE
    if not keeps(persistence, market):
        return "INVALID_PERSISTENCE_TYPE"
    least = asked.min_fill_size
    if least is not None and (not is_money(least) or least > stake or too_small(least, asked.price, account, line)):
        return "INVALID_MIN_FILL_SIZE"
    if not line and not fair(stake, asked.price):
        return "INVALID_PROFIT_RATIO"
    return None


def _starting_price(asked: PlaceInstruction, market: ExchangeMarket, account: AccountSettings) -> str | None:
    if no_starting_price(market):
        return "MARKET_NOT_OPEN_FOR_BSP_BETTING"
    if asked.price is not None and not on_ladder(asked.price, market):
        return "INVALID_ODDS"
    liability, minimums = asked.liability or 0.0, CURRENCIES[account.currency]
    least = minimums.min_bet_size if asked.side == "BACK" else minimums.min_bsp_liability
    return None if is_money(liability) and liability >= least else "INVALID_BET_SIZE"


def on_ladder(price: float, market: ExchangeMarket) -> bool:
    """Whether a price stands on the market's ladder, or a line is one of its lines."""
    ladder = ladder_of(market.definition)
    if ladder == LINE_RANGE:
        lines = lines_of(market.definition)
        return math.isfinite(price) if lines is None else price in lines
    return is_finest_price(price) if ladder == "FINEST" else is_classic_price(price)


def is_money(size: float) -> bool:
    """Whether a size is above 0, and of whole pennies."""
    return 0 < size < MOST_MONEY and size == round(size, 2)


def too_small(stake: float, price: float, account: AccountSettings, line: bool = False) -> bool:
    """Whether a stake is below the currency's smallest, and its payout does not make up for it."""
    minimums = CURRENCIES[account.currency]
    payout = 0.0 if account.jurisdiction in STRICT_STAKES else round(stake * (2 if line else price), 6)
    return stake < minimums.min_bet_size and payout < minimums.min_bet_payout


def keeps(persistence: str, market: ExchangeMarket) -> bool:
    """Whether a market has this persistence."""
    definition = market.definition
    if persistence == PERSIST:
        in_play = definition.persistence_enabled and definition.turn_in_play_enabled
        return in_play and PASSIVE not in definition.bet_delay_models
    return persistence == LAPSE or not no_starting_price(market)


def fair(stake: float, price: float) -> bool:
    """Whether rounding the profit to the penny takes less than a fifth from it, and adds less than a quarter."""
    profit = round(stake * (price - 1) * 100, 6)
    rounded = math.floor(profit + 0.5)
    return LEAST_ROUNDED * profit < rounded < MOST_ROUNDED * profit


def crossing(placings: Sequence[Placing]) -> set[int]:
    """Places of backs and lays of one runner whose prices overlap: they would match each other."""
    found: set[int] = set()
    if len({each.asked.side for each in placings}) < 2:
        return found
    for at, one in enumerate(placings):
        for other_at, other in enumerate(placings[:at]):
            back, lay = (one.asked, other.asked) if one.asked.side == "BACK" else (other.asked, one.asked)
            if (
                (back.side, lay.side) == ("BACK", "LAY")
                and (back.selection_id, back.handicap) == (lay.selection_id, lay.handicap)
                and back.order_type == lay.order_type
                and back.price is not None
                and lay.price is not None
                and back.price <= lay.price
            ):
                found |= {at, other_at}
    return found
