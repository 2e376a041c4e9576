"""Custom events at a host: they reach the market actors that are here, and those that are made later."""

from __future__ import annotations

import pickle
from collections.abc import Iterable

from ...strategies.events import CustomEvent
from ..custom_events import MOST_AWAITING
from ..letters import UserEvent
from .crew_room import CrewRoom
from .session_recording import Unrecorded


class HostEvents:
    """See the module."""

    def __init__(self) -> None:
        self._kept: dict[CustomEvent, UserEvent] = {}

    def take(self, letter: UserEvent, rooms: Iterable[CrewRoom], recording: Unrecorded, at: int) -> Iterable[CrewRoom]:
        """Bring an event to market actors; each is yielded before it is its turn."""
        event = pickle.loads(letter.data) if letter.data else letter.here
        recording.event(event, at, letter.awaits, letter.market_ids)
        if letter.awaits or (event.publish_time or 0) > at:
            self._kept[event] = letter
            if len(self._kept) > MOST_AWAITING:
                del self._kept[next(iter(self._kept))]
        for room in rooms:
            yield room
            room.event(event, at, letter)

    def enter(self, room: CrewRoom, at: int) -> None:
        """A market actor is new: it is told of what may still concern its markets."""
        for event, letter in self._kept.items():
            if letter.awaits or (event.publish_time or 0) > at:
                room.event(event, at, letter)
