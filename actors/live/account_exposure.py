"""What an account can lose in a market, bets that were placed elsewhere included: by its overall position."""

from __future__ import annotations

from collections.abc import Iterator

from ...strategies.changes import MarketDefinition
from ..betfair.known_bets import KnownBets
from .exposure import Risked, Wanted, loss_of


def account_loss(bets: KnownBets, market_id: str, definition: MarketDefinition | None) -> float:
    """What all bets of an account lose at worst in a market, 0 or more, to the penny, wherever they were placed.

    What is matched is known from the positions, what may still be matched from the bets.

    Args:
        definition: of the market; None: nothing is known of it, and any number of runners may win.
    """
    return loss_of(_bets(bets, market_id), definition)


def markets_at_stake(bets: KnownBets) -> set[str]:
    """Markets in which an account has anything, as far as is known."""
    return {*bets.positions, *bets.markets, *(bet.market_id for bet in bets.foreign.values())}


def _bets(bets: KnownBets, market_id: str) -> Iterator[Risked]:
    for (selection_id, handicap), position in bets.positions.get(market_id, {}).items():
        for side, ladder in (("BACK", position.backs), ("LAY", position.lays)):
            for price, size in ladder:
                yield Wanted(selection_id, handicap, side, price, 0.0, False, matched=size, average=price)
    for bet in bets.in_market(market_id):
        if not bet.remaining or (bet.at_sp and bet.matched):
            continue
        if not bet.matched:
            yield bet  # as it is: there may be thousands
        else:
            yield Wanted(bet.selection_id, bet.handicap, bet.side, bet.price, bet.remaining, bet.at_sp, bet.new_price)
    for other in bets.foreign.values():
        fact = other.fact
        if other.market_id == market_id and fact is not None and fact.executable:
            # An order that waits for the starting price has no persistence, and nothing remains of it.
            at_sp = fact.persistence_type is None and not fact.remaining
            size = fact.size if at_sp else fact.remaining
            yield Wanted(other.selection_id, other.handicap, other.side, other.price, size, at_sp)
