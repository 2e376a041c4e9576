"""Orders as the order stream tells them.

Source: Betfair Exchange Stream API, "Order Stream", and its schema (ESASwaggerSchema): `Order`, `OrderRunnerChange`,
`OrderMarketChange`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ..account_bet import AccountBet
from ..positions import BACKS, LAYS, Level, Position, RunnerKey
from ..timeline import to_second

_SIDES = {"BACK": "B", "LAY": "L"}
_PERSISTENCE = {"LAPSE": "L", "PERSIST": "P", "MARKET_ON_CLOSE": "MOC"}
_ORDER_TYPES = {"LIMIT": "L", "LIMIT_ON_CLOSE": "LOC", "MARKET_ON_CLOSE": "MOC"}
#: By jurisdiction: the regulator, as the order stream calls it; others than .com are Malta's.
_REGULATORS = {"com": "REG_GGC"}
_OTHER_REGULATOR = "REG_LGA"
#: Fields of an order without which clients have met it.
_OPTIONAL = ("bsp", "md", "cd", "ld", "lsrc", "avp", "rac", "rc")


def order(bet: AccountBet, jurisdiction: str = "com", blank_refs: bool = False) -> dict[str, Any]:
    """A bet as it is now: one of `uo`.

    Fields that do not apply are left out, references never: they are "" where there is none. Placed, matched and
    cancelled are told to the second, lapsed to the millisecond; what remains and averages are not rounded.
    `blank_refs`: as if it had been placed by hand.
    """
    executable = bet.executable
    found: dict[str, Any] = {"id": bet.bet_id, "p": bet.price, "s": bet.size if bet.is_limit else 0.0}
    if bet.order_type != "LIMIT":
        found["bsp"] = bet.liability
    found["side"] = _SIDES[bet.asked.side]
    found["status"] = "E" if executable else "EC"
    found["pt"] = _PERSISTENCE.get(bet.persistence, "L")
    found["ot"] = _ORDER_TYPES[bet.order_type]
    found["pd"] = to_second(bet.placed_ms)
    if bet.matched_ms is not None:
        found["md"] = to_second(bet.matched_ms)
    if bet.cancelled_ms is not None:
        found["cd"] = to_second(bet.cancelled_ms)
    if bet.lapsed_ms is not None:
        found["ld"] = bet.lapsed_ms
    if bet.lapse_reason is not None:
        found["lsrc"] = bet.lapse_reason
    if bet.matched:
        found["avp"] = bet.average
    found["sm"] = bet.matched
    taken = bet.matched + bet.cancelled + bet.lapsed + bet.voided
    found["sr"] = bet.size - taken if executable else 0.0
    found["sl"], found["sc"], found["sv"] = bet.lapsed, 0.0 if bet.replaced else bet.cancelled, bet.voided
    found["rac"], found["rc"] = "", _REGULATORS.get(jurisdiction, _OTHER_REGULATOR)
    found["rfo"] = "" if blank_refs else bet.order_ref
    found["rfs"] = "" if blank_refs else bet.strategy_ref
    return found


def strip(told: dict[str, Any], null: bool = False) -> None:
    """Leave out of an order what the exchange leaves out at times; `null`: it is null instead."""
    for name in _OPTIONAL:
        if name in told:
            if null:
                told[name] = None
            else:
                del told[name]


def runner(key: RunnerKey, orders: Iterable[Any], matches: dict[str, Any], full_image: bool = False) -> dict[str, Any]:
    """A runner's change: one of `orc`. `matches`: `mb`, `ml` and `smc`, as far as there is something to tell."""
    found: dict[str, Any] = {}
    if full_image:
        found["fullImage"] = True
    found["id"], handicap = key
    if handicap:
        found["hc"] = handicap
    if listed := list(orders):
        found["uo"] = listed
    found.update(matches)
    return found


def market(
    market_id: str,
    account_id: int,
    runners: Collection[Any] = (),
    full_image: bool = False,
    closed: bool | None = None,
) -> dict[str, Any]:
    """A market's change: one of `oc`. A full image without runners says that nothing of the market is left.

    `closed`: None where that has not changed.
    """
    found: dict[str, Any] = {"accountId": account_id}
    if closed is not None:
        found["closed"] = closed
    if full_image:
        found["fullImage"] = True
    found["id"] = market_id
    if runners:
        found["orc"] = list(runners)
    return found


def whole_matches(
    position: Position, overall: bool, by_strategy: bool, wanted: Callable[[str], bool] = lambda ref: True
) -> dict[str, Any]:
    """All that is matched of a runner. `wanted`: of which strategies."""
    found: dict[str, Any] = {}
    if overall:
        found.update(_ladders(position, None))
    if by_strategy:
        parts = {ref: ladders for ref in position.strategies() if wanted(ref) and (ladders := _ladders(position, ref))}
        if parts:
            found["smc"] = parts
    return found


def _ladders(position: Position, whose: str | None) -> dict[str, Any]:
    return {side: ladder for side in (BACKS, LAYS) if (ladder := position.ladder(whose, side))}


def matches_at(sizes: Mapping[Level, float]) -> dict[str, Any]:
    """What is matched now at levels that have changed: 0 where nothing is any more."""
    found: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for (whose, side, price), size in sorted(sizes.items(), key=lambda each: each[0][2]):
        ladders = found if whose is None else parts.setdefault(whose, {})
        ladders.setdefault(side, []).append((price, size))
    if parts:
        found["smc"] = parts
    return found
