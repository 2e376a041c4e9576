"""Requests that accounts make of a rehearsal exchange, past all checks of the API: they go to the matching."""

from __future__ import annotations

from typing import Any

from builders import MARKET
from exchange_builders import ALICE
from headrace.simulate.exchange.account_bet import AccountBet
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.settings import AccountSettings
from headrace.strategies.messages import (
    CANCEL,
    PLACE,
    UPDATE,
    CancelInstruction,
    Instruction,
    PlaceInstruction,
    Report,
    Request,
    UpdateInstruction,
)


def submit(
    exchange: Exchange,
    kind: str,
    *instructions: Instruction,
    account: AccountSettings = ALICE,
    market_id: str = MARKET,
    **request: Any,
) -> list[Report]:
    """Hand in a request; its reports so far: all of them, if there is no bet delay."""
    reports: list[Report] = []
    asked = Request(
        exchange.numbers.next_request_id(),
        market_id,
        account.username,
        "betfair",
        account.username,
        kind,
        instructions,
        exchange.clock.now_ms,
        **request,
    )
    exchange.submit(asked, reports.extend)
    return reports


def place(
    exchange: Exchange,
    side: str = "BACK",
    price: float | None = 2.0,
    size: float | None = 5.0,
    selection_id: int = 1,
    *,
    handicap: float = 0.0,
    account: AccountSettings = ALICE,
    market_id: str = MARKET,
    order_type: str = "LIMIT",
    liability: float | None = None,
    persistence: str | None = "LAPSE",
    ref: str = "",
    strategy: str = "",
    market_version: int | None = None,
    **instruction: Any,
) -> AccountBet:
    """Place one bet, which has a number when this returns."""
    limit = order_type == "LIMIT"
    asked = PlaceInstruction(
        exchange.numbers.next_order_id(),
        ref,
        selection_id,
        handicap,
        side,
        order_type,
        None if order_type == "MARKET_ON_CLOSE" else price,
        size if limit else None,
        None if limit else liability,
        persistence if limit else None,
        **instruction,
    )
    submit(
        exchange,
        PLACE,
        asked,
        account=account,
        market_id=market_id,
        customer_strategy_ref=strategy or None,
        market_version=market_version,
    )
    return next(bet for bet in reversed(exchange.bets.values()) if bet.order_id == asked.order_id)


def cancel(exchange: Exchange, bet: AccountBet, reduction: float | None = None) -> list[Report]:
    return _change(exchange, bet, CANCEL, CancelInstruction(bet.order_id, bet.bet_id, reduction))


def update(exchange: Exchange, bet: AccountBet, persistence: str) -> list[Report]:
    return _change(exchange, bet, UPDATE, UpdateInstruction(bet.order_id, bet.bet_id, persistence))


def replace(exchange: Exchange, bet: AccountBet, price: float) -> AccountBet:
    """Give a bet another price: the bet that takes its place."""
    left = bet.remaining
    cancel(exchange, bet)
    return place(
        exchange,
        bet.asked.side,
        price,
        left,
        bet.selection_id,
        handicap=bet.handicap,
        account=exchange.accounts[bet.username],
        market_id=bet.market_id,
        persistence=bet.persistence,
        ref=bet.order_ref,
        strategy=bet.strategy_ref,
    )


def _change(exchange: Exchange, bet: AccountBet, kind: str, instruction: Instruction) -> list[Report]:
    return submit(exchange, kind, instruction, account=exchange.accounts[bet.username], market_id=bet.market_id)
