"""Accounts of a live system, as its coordinator uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ...strategies.messages import Request
from ..clients import BaseClient
from ..letters import Outcome

#: Venue and username.
Owner = tuple[str, str]


class Account(Protocol):
    """An account at a real exchange: its session, and the way of its requests.

    Attributes:
        client: the coordinator's copy of the client, with the counts.
        app_key: the application's key.
        token: of the session; None: there is none.
    """

    client: BaseClient
    app_key: str

    @property
    def token(self) -> str | None: ...

    def login(self, refused: str | None, done: Callable[[Exception | None], object]) -> None:
        """Log in, in the background, unless another token than the refused one is there.

        Args:
            done: called in the coordinator's thread.
        """

    def send(self, request: Request) -> None:
        """Send a request to the exchange. What comes of it is answered to the coordinator."""

    def outcome(self, letter: Outcome) -> bool:
        """A call has ended; False if it was not one of this account's."""


def connecting(clients: Sequence[BaseClient], venue: str, username: str) -> BaseClient | None:
    """The account that a stream connects with: the one it names, or else the first that is not simulated.

    Accounts that trade on paper have streams as well: they are taken where no other is there.
    """
    if username:
        return next((each for each in clients if (each.venue, each.username) == (venue, username)), None)
    able = [each for each in clients if each.betting_client is not None]
    return next((each for each in able if not each.simulated), able[0] if able else None)
