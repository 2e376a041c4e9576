"""Which of two facts about a bet counts: the one that accounts for more, then the later one; and which say the same."""

from __future__ import annotations

from .messages import OrderFact

#: Averages nearer than this are one: sources round them to pence.
SAME_AVERAGE = 0.01


def accounted_of(fact: OrderFact) -> float:
    """Size that a fact accounts for: whatever does not remain, in the account's currency."""
    size = fact.matched + fact.cancelled + fact.lapsed + fact.voided
    return round(size, 2) if size % 1 else size  # whole pounds are quicker


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


def same(one: OrderFact, other: OrderFact) -> bool:
    """Whether two facts of a bet say the same, whoever tells them and when."""
    return (
        (one.executable, one.matched, one.remaining, one.cancelled, one.lapsed, one.voided, one.size, one.why)
        == (
            *(other.executable, other.matched, other.remaining, other.cancelled),
            *(other.lapsed, other.voided, other.size, other.why),
        )
        and one.price == other.price
        and one.persistence_type == other.persistence_type
        and abs(one.average - other.average) < SAME_AVERAGE
    )


def earliest_match(known: int | None, fact: OrderFact) -> int | None:
    """When something of a bet was first matched, with one more fact: milliseconds since the epoch; None: not yet."""
    if not fact.matched:
        return known
    return fact.at if known is None else min(known, fact.at)
