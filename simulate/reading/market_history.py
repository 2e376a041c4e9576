"""What a recorded market looked like over time: traded and best prices of its runners, suspensions, play."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence

from ...strategies.book import MarketBook
from ...strategies.changes import ChangeMessage, MarketChange
from ...strategies.errors import RecordingError
from ...strategies.runner_book import RunnerBook
from .archives import parts_of
from .locations import Source
from .recordings import Recording

#: Selection id and handicap.
RunnerKey = tuple[int, float]
#: Time (milliseconds since the epoch) and a price from then on; None: no price.
PricePoint = tuple[int, float | None]


@dataclasses.dataclass
class PriceLine:
    """A price over time: a point for each change of it."""

    points: list[PricePoint] = dataclasses.field(default_factory=list)

    def add(self, time: int, price: float | None) -> None:
        points = self.points
        if points and points[-1][1] == price:
            return
        if points and points[-1][0] == time:
            points[-1] = (time, price)
        elif points or price is not None:
            points.append((time, price))


@dataclasses.dataclass
class RunnerHistory:
    """Prices of one runner: last traded, best to back, best to lay.

    Attributes:
        volume: what was traded on it in all, as the recording last told.
    """

    selection_id: int
    handicap: float
    name: str | None = None
    traded: PriceLine = dataclasses.field(default_factory=PriceLine)
    back: PriceLine = dataclasses.field(default_factory=PriceLine)
    lay: PriceLine = dataclasses.field(default_factory=PriceLine)
    volume: float = 0.0

    def note(self, time: int, runner: RunnerBook) -> None:
        back, lay = runner.ex.available_to_back, runner.ex.available_to_lay
        self.traded.add(time, runner.last_price_traded)
        self.back.add(time, back[0].price if back else None)
        self.lay.add(time, lay[0].price if lay else None)
        self.volume = runner.total_matched or self.volume

    @property
    def changes(self) -> int:
        """How often one of its prices changed."""
        return sum(len(line.points) for line in (self.traded, self.back, self.lay))


@dataclasses.dataclass
class Span:
    """A stretch of a market's life: `kind` is "suspended" or "in play". Milliseconds since the epoch."""

    kind: str
    begin: int
    end: int


@dataclasses.dataclass
class MarketHistory:
    """A market from its first change to its last.

    Attributes:
        begin, end: milliseconds since the epoch.
        start: the scheduled start, as last published, likewise.
        messages: changes of the market that were read.
        problem: why the recording could not be read to its end, or lines of it not at all; "" where it could.
    """

    market_id: str
    begin: int = 0
    end: int = 0
    start: int | None = None
    event_name: str | None = None
    name: str | None = None
    messages: int = 0
    runners: dict[RunnerKey, RunnerHistory] = dataclasses.field(default_factory=dict)
    spans: list[Span] = dataclasses.field(default_factory=list)
    problem: str = ""


def market_history(
    sources: Iterable[Source], market_id: str, runners: Collection[RunnerKey] = ()
) -> MarketHistory | None:
    """The history of a market, from the first of some recordings that holds it; None where none does.

    What is damaged is read as far as it can be; `problem` then says what was wrong.

    Args:
        runners: those to follow; none: all of the market.

    Raises:
        RecordingError: no recording holds the market, and one of them cannot be read.
    """
    broken: RecordingError | None = None
    for source in sources:
        for part in parts_of(source):
            reader = _Reader(market_id, runners)
            try:
                reader.read(Recording(dataclasses.replace(part, only=(market_id,))))
            except RecordingError as error:
                reader.history.problem = str(error)
                broken = broken or error
            if reader.history.messages:
                reader.close()
                return reader.history
    if broken is not None:
        raise broken
    return None


class _Reader:
    """Folds one market's changes, and notes what is drawn."""

    def __init__(self, market_id: str, runners: Collection[RunnerKey]) -> None:
        self.history = MarketHistory(market_id)
        self._wanted = frozenset((selection, handicap or 0.0) for selection, handicap in runners)
        self._book = MarketBook(market_id)
        self._open: dict[str, Span] = {}

    def read(self, recording: Recording) -> None:
        for _, messages in recording.messages():
            self._take(messages)

    def _take(self, messages: Sequence[ChangeMessage | RecordingError]) -> None:
        for message in messages:
            if isinstance(message, RecordingError):
                self.history.problem = self.history.problem or str(message)
                continue
            for change in message.mc:
                if change.id == self.history.market_id:
                    self._fold(message.pt, change)

    def _fold(self, time: int, change: MarketChange) -> None:
        history, book = self.history, self._book
        if not history.messages and change.market_definition is None:
            return  # a market cannot be built before its definition
        book.apply(time, change)
        history.begin = history.begin or time
        history.end = max(history.end, time)
        history.messages += 1
        if change.market_definition is not None:
            self._define(time)
        if change.img or change.market_definition is not None:
            self._note(time, book.runners)
        else:
            found = (book.runner(each.id, each.hc or 0.0) for each in change.rc)
            self._note(time, [runner for runner in found if runner is not None])

    def _note(self, time: int, runners: Iterable[RunnerBook]) -> None:
        for runner in runners:
            key = (runner.selection_id, runner.handicap)
            if self._wanted and key not in self._wanted:
                continue
            known = self.history.runners.get(key)
            if known is None:
                known = self.history.runners[key] = RunnerHistory(*key)
            known.name = runner.name or known.name
            known.note(time, runner)

    def _define(self, time: int) -> None:
        history, definition = self.history, self._book.market_definition
        assert definition is not None
        if definition.market_time is not None:
            history.start = round(definition.market_time.timestamp() * 1000)
        history.event_name = definition.event_name or history.event_name
        history.name = definition.name or history.name
        closed = definition.status == "CLOSED"
        self._span("suspended", time, definition.status == "SUSPENDED")
        self._span("in play", time, definition.in_play and not closed)

    def _span(self, kind: str, time: int, now: bool) -> None:
        span = self._open.get(kind)
        if now and span is None:
            span = self._open[kind] = Span(kind, time, time)
            self.history.spans.append(span)
        elif not now and span is not None:
            span.end = time
            del self._open[kind]

    def close(self) -> None:
        """The recording has ended: what is open ends with it."""
        for span in self._open.values():
            span.end = self.history.end


def sampled(points: Sequence[PricePoint], begin: int, end: int, most: int) -> list[PricePoint]:
    """At most about `most` points of a line in a stretch of time, beginning with what held at its begin.

    Of each of many equal shares of the time, the first, the last, the lowest and the highest price are kept, and the
    last moment without a price.
    """
    before = [point for point in points if point[0] <= begin][-1:]
    inside = [point for point in points if begin < point[0] <= end]
    held: list[PricePoint] = [(begin, before[0][1])] if before and before[0][1] is not None else []
    if len(inside) <= most:
        return held + inside
    shares = max(1, most // 5)
    groups: dict[int, list[PricePoint]] = {}
    for point in inside:
        groups.setdefault((point[0] - begin) * shares // (end - begin + 1), []).append(point)
    return held + [point for group in groups.values() for point in _ends_and_extremes(group)]


def _ends_and_extremes(group: Sequence[PricePoint]) -> list[PricePoint]:
    places = range(len(group))
    priced = [(price, at) for at, (_, price) in enumerate(group) if price is not None]
    kept = {0, len(group) - 1}
    if priced:
        kept |= {min(priced)[1], max(priced)[1]}
    kept |= set([at for at in places if group[at][1] is None][-1:])
    return [group[at] for at in sorted(kept)]
