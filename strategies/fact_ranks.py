"""Which of two facts about a bet counts: the one that accounts for more, then the later one."""

from __future__ import annotations

from .messages import OrderFact


def accounted_of(fact: OrderFact) -> float:
    """Size that a fact accounts for: whatever does not remain, in the account's currency."""
    return round(fact.matched + fact.cancelled + fact.lapsed + fact.voided, 2)


def rank_of(fact: OrderFact) -> tuple[object, ...]:
    """What makes one fact of a bet win over another: size accounted for, then time, then what stands in `ties_of`."""
    return accounted_of(fact), fact.at, ties_of(fact)


def ties_of(fact: OrderFact) -> tuple[object, ...]:
    """What decides between facts of one moment that account for the same size.

    A finished bet wins over one that is not, then the greater void, the lower average (prices are reduced, never
    raised) and the lower liability. What follows has no meaning but to be the same in any order of arrival.
    """
    return (
        not fact.executable,
        fact.voided,
        -fact.average,
        -fact.size,
        fact.fills is not None,
        fact.fills or (),
        fact.matched,
        fact.cancelled,
        fact.lapsed,
        fact.remaining,
        fact.persistence_type or "",
        fact.price or 0.0,
        fact.why or "",
        fact.bet_id or "",
        fact.source,
    )


def earliest_match(known: int | None, fact: OrderFact) -> int | None:
    """When something of a bet was first matched, with one more fact: milliseconds since the epoch; None: not yet."""
    if not fact.matched:
        return known
    return fact.at if known is None else min(known, fact.at)
