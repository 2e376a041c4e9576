"""What a host has heard of accounts: their money, and whether their order streams are there."""

from __future__ import annotations

from collections.abc import Iterable

from ...strategies.messages import AccountFact
from ..letters import StreamState
from .crew_room import CrewRoom


class AccountNews:
    """Kept for rooms that are made later, and told to those that are there."""

    def __init__(self) -> None:
        self._funds: dict[tuple[str, str], AccountFact] = {}
        self._streams: dict[str, bool] = {}

    def tell(self, room: CrewRoom) -> None:
        """Tell a room everything."""
        for funds in self._funds.values():
            room.take_funds(funds)
        room.actor.order_stream_connected = self._connected

    def funds(self, fact: AccountFact, rooms: Iterable[CrewRoom]) -> None:
        """What an account has. Of two facts the later one counts."""
        known = self._funds.get((fact.venue, fact.username))
        if known is None or known.at <= fact.at:
            self._funds[fact.venue, fact.username] = fact
        for room in rooms:
            room.take_funds(fact)

    def stream(self, state: StreamState, rooms: Iterable[CrewRoom]) -> None:
        """How an order stream stands."""
        self._streams[state.stream] = state.state == "SUBSCRIBED"
        for room in rooms:
            room.actor.order_stream_connected = self._connected

    @property
    def _connected(self) -> bool:
        """Whether every order stream is there, as far as that was told."""
        return all(self._streams.values())
