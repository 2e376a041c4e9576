"""What a recorded session says about orders: when each request reached the exchange, and when answers were taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import msgspec

from ..actors.exchange import Answer
from ..actors.session_lines import ANSWERED, ASKED, BEGIN, PAPER, SessionLine
from ..strategies.errors import RecordingError
from ..strategies.messages import ANSWERED as REACHED
from ..strategies.messages import (
    EXPIRED,
    PLACE,
    REFUSED,
    REPLACE,
    STREAM,
    CancelInstruction,
    Instruction,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)
from ..values import UNREADABLE
from .reading.recordings import Recording

_decoder = msgspec.json.Decoder(SessionLine)
#: Sizes that differ by less are equal.
_CENT = 0.005


@dataclasses.dataclass
class Asked:
    """A request of the session.

    Attributes:
        line: its place among the lines of the recording.
        arrived_ms: when the exchange had it, by the exchange's clock where its order stream has told of it.
        done_ms: when the bet delay of its placings had passed.
        answered: the first line that tells of it; None: there is none.
        reached: an answer tells that it reached the exchange.
    """

    request: Request
    line: int
    answered: int | None = None
    arrived_ms: int = 0
    done_ms: int = 0
    reached: bool = False
    replayed: bool = False

    def take(self, line: int, reached: bool = True) -> None:
        """A line tells of it."""
        self.answered = line if self.answered is None else min(line, self.answered)
        self.reached = self.reached or reached


class SessionScript:
    """The requests and answers of one market.

    Args:
        recording: of a session.

    Attributes:
        strategies: those that the host called.
        live: the requests, by strategy and kind, but for those of paper accounts.
        on_paper: how many were of paper accounts.

    Raises:
        RecordingError: it is not of a session, or cannot be read.
    """

    def __init__(self, recording: Recording) -> None:
        self.strategies: tuple[str, ...] = ()
        #: By strategy and kind.
        self._asked: dict[tuple[str, str], list[Asked]] = {}
        self.live: list[Asked] = []
        self._told: dict[str, list[tuple[int, int, Reply | OrderFact]]] = {}
        #: Orders of the replay, by their ids, as the session named them.
        self._names: dict[str, str] = {}
        bets = Bets()
        paper: set[str] = set()
        for line, found in session_lines(recording):
            if found.op == BEGIN:
                self.strategies = self.strategies or found.strategies
            elif found.op == ASKED and found.request is not None:
                request = found.request
                self._asked.setdefault((request.strategy, request.kind), []).append(Asked(request, line))
            elif found.op == PAPER and found.request is not None:
                paper.add(_own_id(found.request.request_id))
            elif found.op == ANSWERED and isinstance(found.answer, Reply | OrderFact):
                for order_id, answer in bets.take(found.answer):
                    self._told.setdefault(order_id, []).append((line, found.at, answer))
        self.on_paper = len(paper)
        for key, several in self._asked.items():
            # What is matched on paper has the latencies of the settings.
            live = self._asked[key] = [each for each in several if each.request.request_id not in paper]
            self.live.extend(live)
            for asked in live:
                self._measure(asked)

    def latencies(self) -> Iterator[tuple[str, float]]:
        """The kind of each request that reached the exchange, and how long it took to it, in seconds, 0 or more.

        The bet delay is left out.
        """
        for asked in self.live:
            if asked.reached:
                yield asked.request.kind, max(0, asked.arrived_ms - asked.request.asked_at) / 1000

    def told_of(self, order_id: str) -> list[tuple[int, int, Reply | OrderFact]]:
        """What the session was told of an order, in order: line, time of the turn, and the message."""
        return self._told.get(order_id, [])

    def _measure(self, asked: Asked) -> None:
        """Work out when a request reached the exchange: by what the order stream said, else half-way to the answer."""
        request = asked.request
        delay_ms = round(request.bet_delay * 1000) if request.kind in (PLACE, REPLACE) else 0
        placed: list[int] = []
        replied: list[int] = []
        for instruction in request.instructions:
            before: OrderFact | None = None
            for line, at, answer in self._told.get(_names_of(instruction)[-1], ()):
                if line < asked.line:
                    before = answer if isinstance(answer, OrderFact) else before
                    continue
                if isinstance(answer, OrderFact):
                    if _shows(answer, before, instruction):
                        asked.take(line)
                        placed.append(answer.at)
                        break
                elif _is_reply(answer, request):
                    asked.take(line, answer.outcome == REACHED)
                    replied.append(at)
        if placed:
            asked.done_ms = min(placed)
        elif replied:
            asked.done_ms = request.asked_at + delay_ms + max(0, min(replied) - request.asked_at - delay_ms) // 2
        else:
            asked.done_ms = request.asked_at + delay_ms
        asked.arrived_ms = asked.done_ms - delay_ms

    # -- for the exchange ----------------------------------------------------------------------------------------

    def replayed(self, request: Request) -> Asked | None:
        """The request of the session that a request of the replay repeats; None where the session had none like it."""
        for asked in self._asked.get((request.strategy, request.kind), ()):
            if not asked.replayed and self._alike(request.instructions, asked.request.instructions):
                asked.replayed = True
                for here, there in zip(request.instructions, asked.request.instructions, strict=True):
                    self._names.update(zip(_names_of(here), _names_of(there), strict=False))
                return asked
        return None

    def refusals(self, request: Request, asked: Asked) -> list[tuple[int, Reply]]:
        """The answers to instructions that were refused or too late, so that they never reached the exchange.

        Args:
            request: of the replay, in whose words they are told.

        Returns:
            Each with its line.
        """
        found = []
        for here, there in zip(request.instructions, asked.request.instructions, strict=True):
            for line, _, told in self._told.get(there.order_id, ()):
                if line >= asked.line and isinstance(told, Reply) and _is_reply(told, asked.request):
                    if told.outcome in (REFUSED, EXPIRED):
                        mine = [each for each in told.reports if each.order_id == there.order_id]
                        reports = tuple([msgspec.structs.replace(each, order_id=here.order_id) for each in mine])
                        named = {"request_id": request.request_id, "reports": reports}
                        found.append((line, msgspec.structs.replace(told, **named)))
                    break
        return found

    def _alike(self, here: Sequence[Instruction], there: Sequence[Instruction]) -> bool:
        return len(here) == len(there) and all(map(self._same, here, there))

    def _same(self, here: Instruction, there: Instruction) -> bool:
        if not isinstance(here, PlaceInstruction) and self._names.get(here.order_id) != there.order_id:
            return False
        return _without_names(here) == _without_names(there)

    def when(self, message: Answer, after: int) -> int | None:
        """The line at which the session took an answer that says as much as this one.

        Args:
            after: lines before this one have been replayed.

        Returns:
            None: the session had none.
        """
        if isinstance(message, Reply):
            (report, *_) = message.reports or (None,)
            if report is None:
                return None
            return self._first(report.order_id, after, report.operation == PLACE)
        if isinstance(message, OrderFact) and message.order_id is not None:
            gone = message.cancelled + message.lapsed + message.voided
            for line, _, told in self._told.get(self._names.get(message.order_id, ""), ()):
                if line < after:
                    continue
                if isinstance(told, OrderFact):
                    told_gone = told.cancelled + told.lapsed + told.voided
                    if told.matched >= message.matched - _CENT and told_gone >= gone - _CENT:
                        return line
                elif not gone and any(
                    each.size >= message.matched - _CENT
                    for each in told.reports
                    if each.operation == PLACE and each.order_id == self._names.get(message.order_id)
                ):
                    return line
        return None

    def dated(self, reply: Reply) -> Reply:
        """A reply with the dates of the session's: the exchange tells them to the second."""
        reports = tuple([self._dated(report) for report in reply.reports])
        return reply if reports == reply.reports else msgspec.structs.replace(reply, reports=reports)

    def _dated(self, report: Report) -> Report:
        name = self._names.get(report.order_id, "")
        for _, _, told in self._told.get(name, ()) if report.placed_at is not None else ():
            for each in told.reports if isinstance(told, Reply) else ():
                if each.order_id == name and each.operation == report.operation and each.placed_at is not None:
                    return msgspec.structs.replace(report, placed_at=each.placed_at)
        return report

    def _first(self, order_id: str, after: int, placing: bool) -> int | None:
        """The line of a reply about an order; of its placing that of a fact as well, which makes it known too."""
        for line, _, told in self._told.get(self._names.get(order_id, ""), ()):
            if line >= after and (placing or isinstance(told, Reply)):
                return line
        return None


def session_lines(recording: Recording) -> Iterator[tuple[int, SessionLine]]:
    """The lines of a session's recording, numbered from 1.

    Raises:
        RecordingError: the first is not a session's, or one cannot be read.
    """
    for number, piece in recording.pieces():
        for line, text in enumerate(piece.split(b"\n"), number):
            if not text.strip():
                continue
            try:
                found = _decoder.decode(text)
            except UNREADABLE as error:
                raise RecordingError(f"is not a line of a recorded session: {error}", recording.name, line) from None
            if line == 1 and found.op != BEGIN:
                raise RecordingError(
                    "is not of a recorded session, as hr.Live(record=...) makes them; without session=True it is "
                    "replayed as a recording",
                    recording.name,
                    line,
                )
            yield line, found


class Bets:
    """Which orders answers are about, as far as that was known when they came.

    A bet that replaces another keeps its reference. Until the reply says which order it is, what is told of it waits.
    """

    def __init__(self) -> None:
        self._orders: dict[str, str] = {}
        self._known: dict[str, str] = {}
        self._waiting: dict[str, list[OrderFact]] = {}

    def take(self, answer: Reply | OrderFact) -> Iterator[tuple[str, Reply | OrderFact]]:
        """The orders that become known to be told of, each with what tells it."""
        if isinstance(answer, Reply):
            for named in dict.fromkeys(report.order_id for report in answer.reports):
                yield named, answer
            for report in answer.reports:
                if report.bet_id is not None and report.operation == PLACE:
                    self._name(report.bet_id, report.order_id)
                    for fact in self._waiting.pop(report.bet_id, ()):
                        yield report.order_id, fact
            return
        order_id, bet_id = answer.order_id, answer.bet_id
        if bet_id is not None and bet_id in self._orders:
            yield self._orders[bet_id], answer
        elif bet_id is not None and order_id is not None and self._known.get(order_id, bet_id) == bet_id:
            self._name(bet_id, order_id)
            yield order_id, answer
        elif bet_id is not None:
            self._waiting.setdefault(bet_id, []).append(answer)
        elif order_id is not None:
            yield order_id, answer

    def _name(self, bet_id: str, order_id: str) -> None:
        self._orders[bet_id] = order_id
        self._known.setdefault(order_id, bet_id)


def _own_id(request_id: str) -> str:
    """A request's id as its sender has given it: elsewhere it is named by the sender as well."""
    return request_id.rpartition("/")[2]


def _shows(fact: OrderFact, before: OrderFact | None, instruction: Instruction) -> bool:
    """Whether a fact is the order stream's, and shows that an instruction has been followed.

    Args:
        before: what was last told of the order before it was asked.
    """
    if fact.source != STREAM:
        return False
    if isinstance(instruction, CancelInstruction):
        return fact.cancelled > (0.0 if before is None else before.cancelled)
    if isinstance(instruction, UpdateInstruction):
        return fact.persistence_type == instruction.new_persistence_type
    return True


def _is_reply(answer: Reply | OrderFact, request: Request) -> bool:
    return isinstance(answer, Reply) and _own_id(answer.request_id) == request.request_id


def _without_names(instruction: Instruction) -> Instruction:
    """An instruction without what is named anew in each run."""
    blank: dict[str, str | None] = {"order_id": ""}
    if isinstance(instruction, PlaceInstruction):
        blank["customer_order_ref"] = ""
    else:
        blank["bet_id"] = None
    if isinstance(instruction, ReplaceInstruction):
        blank["new_order_id"] = blank["new_customer_order_ref"] = None
    return msgspec.structs.replace(instruction, **blank)


def _names_of(instruction: Instruction) -> tuple[str, ...]:
    """The orders of an instruction: the one that it is about, and of a replace the one that takes its place."""
    if isinstance(instruction, ReplaceInstruction) and instruction.new_order_id is not None:
        return instruction.order_id, instruction.new_order_id
    return (instruction.order_id,)
