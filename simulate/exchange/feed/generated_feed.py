"""Made-up markets as they are played at the exchange: as old ones close, new ones appear, without end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ....strategies.errors import InputError
from ...generator.event import EVENTS_A_SEED, live_event
from ...generator.recipe import MAX_CHANGES, MIN_CHANGES, Recipe
from ...generator.writer import check_sports, mixture
from ..feed_messages import FeedMessage
from ..timeline import Rebasing, Timeline
from .merged import Merged
from .recording_lines import decode_recorded


class GeneratedFeed:
    """Markets of `simulate.generator`, each message made when its time comes: equal seeds give equal markets.

    Args:
        markets: how many are open at once, 1 or more. An event has one to three; it begins where there is room for all
            of its markets.
        seed: of the markets.
        sports: names from `Recipe.sport`; None for all four in turn.
        changes: stream messages per market, about (50 to 200 000).
        minutes_before: recorded minutes from a market's first message to the scheduled off (1 to 1 440); None: 10 to
            30, drawn.

    Raises:
        InputError: an argument is out of range or not known.
    """

    def __init__(
        self,
        timeline: Timeline,
        markets: int,
        *,
        seed: int = 0,
        sports: Sequence[str] | None = None,
        changes: int = 1_200,
        minutes_before: float | None = None,
    ) -> None:
        if markets < 1:
            raise InputError(f"generate is {markets}; expected 1 or more markets at once")
        if not MIN_CHANGES <= changes <= MAX_CHANGES:
            raise InputError(f"changes is {changes}; expected {MIN_CHANGES} to {MAX_CHANGES} per market")
        try:
            self._sports = check_sports(sports)
            Recipe(minutes_before=minutes_before)
        except ValueError as error:
            raise InputError(str(error)) from None
        self._timeline = timeline
        self._most = markets
        self._seed = seed
        self._changes = changes
        self._minutes_before = minutes_before
        self._number = 0
        self._next: list[Iterator[bytes]] = []
        self._playing = 0
        self._merged = Merged()

    def __iter__(self) -> Iterator[FeedMessage]:
        self._fill(self._timeline.start_ms, at_least_some=True)
        yield from self._merged

    def _fill(self, at: int, at_least_some: bool = False) -> None:
        """Begin the next events as long as there is room for their markets, or if nothing else is played."""
        while self._playing < self._most:
            if not self._next:
                self._next = self._make()
            room = self._most - self._playing
            if len(self._next) > room and self._playing and not at_least_some:
                return
            markets, self._next = self._next[:room], []
            begin = _Beginning(self._timeline, at)
            for lines in markets:
                self._playing += 1
                self._merged.add(at, self._played(lines, begin))

    def _make(self) -> list[Iterator[bytes]]:
        series, number = divmod(self._number, EVENTS_A_SEED)
        self._number += 1
        recipe = mixture(self._seed, number, self._sports, self._changes, self._minutes_before)
        return live_event(self._seed + series, number, recipe)

    def _played(self, lines: Iterator[bytes], begin: _Beginning) -> Iterator[FeedMessage]:
        at = begin.at
        for line in lines:
            (message,) = decode_recorded(1, line)
            rebasing = begin.rebasing(message.pt)
            at = max(at, rebasing.ms(message.pt))
            for each in message.changes:
                each.conflated = False
            yield FeedMessage(at, tuple(each.played(rebasing) for each in message.changes))
        self._playing -= 1
        self._fill(at)


class _Beginning:
    """Markets of one event begin together: the first message of all is due `at`."""

    def __init__(self, timeline: Timeline, at: int) -> None:
        self.at = at
        self._timeline = timeline
        self._rebasing: Rebasing | None = None

    def rebasing(self, published_ms: int) -> Rebasing:
        if self._rebasing is None:
            self._rebasing = Rebasing(self._timeline, published_ms, self.at)
        return self._rebasing
