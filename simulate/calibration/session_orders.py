"""What became of the orders of a recorded session, as the exchange told it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ...strategies.messages import PLACE, SUCCESS, OrderFact, PlaceInstruction, ReplaceInstruction
from ..session_script import Asked, SessionScript


@dataclasses.dataclass
class Outcome:
    """What became of a limit order, at the exchange or in a simulation.

    Attributes:
        matched: size, by the time at which the session last tells of the order.
        average: price; 0.0 where nothing was matched.
        first_ms: when something was first matched, milliseconds since the epoch; None: nothing was.
    """

    matched: float = 0.0
    average: float = 0.0
    first_ms: int | None = None


@dataclasses.dataclass
class SessionOrder:
    """A limit order that reached the exchange.

    Attributes:
        placed_ms: when it met the market, milliseconds since the epoch: its bet delay had passed.
        size: asked for.
        back: a back; else a lay.
        ended_ms: when the exchange had nothing more to do with it; None: the session does not tell.
        told: what the exchange did.
    """

    order_id: str
    placed_ms: int
    price: float
    size: float
    back: bool
    selection_id: int
    handicap: float
    ended_ms: int | None
    told: Outcome


def orders_of(script: SessionScript) -> Iterator[SessionOrder]:
    """The limit orders of one market's session that reached the exchange, in the order of their requests.

    Orders that replace others are among them. Those of paper accounts, at the starting price, with a bet target or on
    a line are not.
    """
    known: dict[str, PlaceInstruction] = {}
    for asked in script.live:
        for instruction in asked.request.instructions if asked.reached else ():
            if isinstance(instruction, PlaceInstruction):
                order_id, made = instruction.order_id, instruction
                price, size = instruction.price, instruction.size
            elif isinstance(instruction, ReplaceInstruction) and instruction.order_id in known:
                order_id, made = instruction.new_order_id or "", known[instruction.order_id]
                price, size = instruction.new_price, None
            else:
                continue
            known[order_id] = made
            plain = made.order_type == "LIMIT" and made.bet_target_type is None and made.price_ladder != "LINE_RANGE"
            found = _order(script, asked, order_id, made, price, size) if plain and price is not None else None
            if found is not None:
                yield found


def _order(
    script: SessionScript, asked: Asked, order_id: str, made: PlaceInstruction, price: float, size: float | None
) -> SessionOrder | None:
    """The order of an instruction; None where the exchange did not take it."""
    outcome, taken, ended = Outcome(), False, None
    for _, _, answer in script.told_of(order_id):
        if isinstance(answer, OrderFact):
            taken, size = True, size if size is not None else answer.size
            if answer.matched > outcome.matched:
                if outcome.first_ms is None:
                    outcome.first_ms = answer.at
                outcome.matched, outcome.average = answer.matched, answer.average or price
            if not answer.executable and ended is None:
                ended = answer.at
            continue
        for report in answer.reports:
            if report.order_id == order_id and report.operation == PLACE and report.status == SUCCESS:
                taken = True
                if report.size and report.size > outcome.matched:
                    outcome.first_ms = outcome.first_ms if outcome.first_ms is not None else asked.done_ms
                    outcome.matched, outcome.average = report.size, outcome.average or price
    if not taken or not size:
        return None
    back, handicap = made.side == "BACK", made.handicap
    return SessionOrder(order_id, asked.done_ms, price, size, back, made.selection_id, handicap, ended, outcome)
