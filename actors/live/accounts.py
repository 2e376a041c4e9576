"""Accounts of a live system, as its coordinator uses them: calls to exchanges, and the sessions that they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..betfair.calls import Calls
from ..betfair.session import Session, Sessions
from ..clients import BaseClient, Clients
from ..letters import Letter

#: Venue and username.
Owner = tuple[str, str]


def owner_of(client: BaseClient) -> Owner:
    return client.venue, client.username


class Accounts:
    """The accounts that are reached by calls: live ones, and those on paper that see live markets.

    Args:
        clients: the coordinator's, with the counts.
        put: puts a letter into the coordinator's inbox.
        clock_ms: now, milliseconds since the epoch; from any thread.
        workers: calls about orders under way at once.
    """

    def __init__(
        self, clients: Clients, put: Callable[[Letter], object], clock_ms: Callable[[], int], workers: int
    ) -> None:
        self.clients = clients
        self.calls = Calls(put, clock_ms, workers)
        self.sessions = Sessions(clients, self.calls)

    def connecting(self, venue: str, username: str) -> BaseClient | None:
        """The account that a stream connects with. See `connecting`."""
        return connecting(list(self.clients), venue, username)

    def session(self, owner: Owner) -> Session:
        """The session of an account.

        Raises:
            ClientError: it has none.
        """
        return self.sessions.of(*owner)

    @property
    def next_ms(self) -> float:
        """When `wake` is to be called."""
        return min(self.calls.next_ms, self.sessions.next_ms)

    def wake(self, at_ms: int) -> None:
        """Do what is due."""
        self.calls.wake(at_ms)
        self.sessions.wake(at_ms)

    def close(self, then: Callable[[], object]) -> None:
        """Log out everywhere, then call `then`."""
        self.sessions.close(then)


def connecting(clients: Sequence[BaseClient], venue: str, username: str) -> BaseClient | None:
    """The account that a stream connects with: the one it names, or else the first that is not simulated.

    Accounts that trade on paper have streams as well: they are taken where no other is there.
    """
    if username:
        return next((each for each in clients if (each.venue, each.username) == (venue, username)), None)
    able = [each for each in clients if each.betting_client is not None or hasattr(each, "login")]
    return next((each for each in able if not each.simulated), able[0] if able else None)
