"""What a market's closing definition says about a bet: which part of its stake has won, and which has lost.

Sources, each quoted where docs/fidelity.md, "Settlement", says so: Betfair's Exchange Rules and Regulations, Part B,
"Dead heats"; "What is a dead heat?" (support.betfair.com, a_id 403); market information of place and each-way markets;
Betfair API-NG, "Betting Enums", `Side` (lines) and `RunnerStatus`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..strategies.changes import MarketDefinition
from ..strategies.terms import EACH_WAY, PLACE_MARKETS, has_handicaps
from .removals import GONE

#: Notes on a result: what it assumes, or why the bet is void though its runner has another status.
#: More runners have a place than there are places, and which of them tied is not told: each gets the same share.
PLACES_SHARED = "PLACES_SHARED"
#: Each way: the number of places does not fit those that are placed; a place is paid in full.
PLACES_UNKNOWN = "PLACES_UNKNOWN"
#: No more runners than places: bets on a place are void.
TOO_FEW_RUNNERS = "TOO_FEW_RUNNERS"
#: A market that is to have a winner has none: void.
NO_WINNER = "NO_WINNER"
#: A quarter line whose two halves are not told: settled whole, as the status of its runner says.
QUARTER_LINE = "QUARTER_LINE"

_WHOLE, _LOST, _VOID = (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)
#: Which parts of a stake have won and lost; what is in neither is returned.
Parts = tuple[float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a bet is settled by.

    Attributes:
        runner_status: of the bet's runner in the closing definition; None where that does not name it.
        market_type, each_way_divisor: of the market.
        dead_heat_winners: how many share the win; None if that was not counted, because nothing of the bet was matched.
        on_line: the bet is one on a line.
        line_result: the result of the line; None if it is not known, or does not matter.
        won, lost: parts of the stake that have won and lost, 0 to 1; what is in neither is returned. Each way: of the
            half to win. None: as `runner_status` and `dead_heat_winners` say.
        place_won, place_lost: each way: of the half for a place.
        note: what the result assumes, one of the words above; None: nothing.
    """

    runner_status: str | None = None
    market_type: str | None = None
    each_way_divisor: float | None = None
    dead_heat_winners: int | None = None
    on_line: bool = False
    line_result: float | None = None
    won: float | None = None
    lost: float | None = None
    place_won: float | None = None
    place_lost: float | None = None
    note: str | None = None

    def parts(self) -> Parts:
        """Parts of the stake, or of the half to win, that have won and lost."""
        if self.won is not None and self.lost is not None:
            return self.won, self.lost
        if self.runner_status == "WINNER":
            return _share(1, self.dead_heat_winners or 1)
        return _LOST if self.runner_status in ("LOSER", "PLACED") else _VOID

    def place_parts(self) -> Parts:
        """Each way: parts of the half for a place that have won and lost."""
        if self.place_won is not None and self.place_lost is not None:
            return self.place_won, self.place_lost
        if self.runner_status in ("WINNER", "PLACED"):
            return _WHOLE
        return _LOST if self.runner_status == "LOSER" else _VOID


def tied_winners(definition: MarketDefinition) -> int:
    """How many runners share the win; 1 where more than one is meant to win, each on its own."""
    winners = _count(definition, "WINNER")
    alone = definition.number_of_winners == 1 or definition.market_type == EACH_WAY
    return winners if winners > 1 and alone and not has_handicaps(definition) else 1


def at_odds(definition: MarketDefinition, selection_id: int, handicap: float, status: str | None) -> Outcome:
    """The outcome of a bet at odds on a runner with a status.

    Args:
        status: None, and any that is no result: neither won nor lost.
    """
    known = Outcome(status, definition.market_type, definition.each_way_divisor, tied_winners(definition))
    place: Parts | None = None
    note: str | None = None
    if has_handicaps(definition):
        parts, note = _handicap(definition, selection_id, handicap, status)
    elif status in GONE:
        parts = _VOID
        place = _VOID
    elif _without_winner(definition) and status == "LOSER":
        parts, place, note = _VOID, _VOID, NO_WINNER
    elif definition.market_type == EACH_WAY:
        parts = _share(1, known.dead_heat_winners or 1) if status == "WINNER" else _unplaced(status)
        place, note = _each_way_place(definition, status)
    elif definition.market_type in PLACE_MARKETS and _too_few(definition):
        parts, note = _VOID, TOO_FEW_RUNNERS
    elif status == "WINNER":
        places, winners = definition.number_of_winners, _count(definition, "WINNER")
        shared = 0 < places < winners
        parts = _share(places, winners) if shared else _WHOLE
        note = PLACES_SHARED if shared and places > 1 else None
    else:
        parts = _unplaced(status)
    place_won, place_lost = place if place is not None else (None, None)
    return dataclasses.replace(
        known, won=parts[0], lost=parts[1], place_won=place_won, place_lost=place_lost, note=note
    )


def _share(places: float, winners: int) -> Parts:
    """The parts of a stake of each of some winners who share fewer places: expected winners over actual ones."""
    return places / winners, (winners - places) / winners


def _unplaced(status: str | None) -> Parts:
    return _LOST if status in ("LOSER", "PLACED") else _VOID


def _count(definition: MarketDefinition, status: str) -> int:
    return sum(1 for runner in definition.runners if runner.status == status)


def _without_winner(definition: MarketDefinition) -> bool:
    """Whether nobody has won a market that is to have a winner."""
    return definition.number_of_winners > 0 and not any(
        runner.status in ("WINNER", "PLACED") for runner in definition.runners
    )


def _too_few(definition: MarketDefinition) -> bool:
    """Whether as many runners had a place as ran, or could have."""
    ran = sum(1 for runner in definition.runners if runner.status not in GONE)
    return 0 < ran <= definition.number_of_winners


def _each_way_place(definition: MarketDefinition, status: str | None) -> tuple[Parts, str | None]:
    """The half for a place. Whoever wins is placed; what places are left goes to those who are placed behind.

    Where one place is left, all who are placed behind the winners have tied for it; where more are, the best of them
    may be placed outright, and which one is not told.
    """
    places, winners = definition.number_of_winners, _count(definition, "WINNER")
    if places > 1 and _too_few(definition):
        return _VOID, TOO_FEW_RUNNERS
    if status == "WINNER":
        return (_share(places, winners) if 0 < places < winners else _WHOLE), None
    if status != "PLACED":
        return _unplaced(status), None
    placed, left = _count(definition, "PLACED"), places - winners
    if left <= 0:
        return _WHOLE, PLACES_UNKNOWN if places else None
    if placed <= left:
        return _WHOLE, None
    return _share(left, placed), PLACES_SHARED if left > 1 else None


def _handicap(
    definition: MarketDefinition, selection_id: int, handicap: float, status: str | None
) -> tuple[Parts, str | None]:
    """A bet on a handicap, or on a number of goals: a quarter line is two halves, on the lines beside it.

    The statuses of half lines tell how it ended, for nothing is level there: a whole line between one that won and one
    that lost is level, and its stake is returned.
    """
    statuses = {runner.hc: runner.status for runner in definition.runners if runner.id == selection_id}
    quarters = round(handicap * 4)
    if quarters % 2 == 0:
        result = _line(statuses, handicap)
        return (_half(result, result) if result is not None else _VOID), None
    low, high = (_line(statuses, (quarters + step) / 4) for step in (-1, 1))
    if low is not None and high is not None:
        return _half(low, high), None
    if status in ("WINNER", "LOSER"):
        return (_WHOLE if status == "WINNER" else _LOST), QUARTER_LINE
    return _VOID, None


def _half(low: int, high: int) -> Parts:
    """Half a stake on each of two lines, by their results."""
    results = (low, high)
    return results.count(1) / 2, results.count(-1) / 2


def _line(statuses: Mapping[float, str], line: float) -> int | None:
    """The result of a whole or half line: 1 won, -1 lost, 0 level; None: it is not told."""
    whole = line == round(line)
    if whole:
        below, above = _decided(statuses, line - 0.5), _decided(statuses, line + 0.5)
        if below is not None and above is not None:
            return below if below == above else 0
    own = statuses.get(line)
    if own is None and not whole:
        below, above = _decided(statuses, line - 1), _decided(statuses, line + 1)
        return below if below == above else None
    if own in GONE:
        return 0
    return _decided(statuses, line)


def _decided(statuses: Mapping[float, str], line: float) -> int | None:
    return {"WINNER": 1, "LOSER": -1}.get(statuses.get(line, ""))
