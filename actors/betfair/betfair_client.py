"""A client of Betfair: an account that trades there, or on paper at its prices."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from typing import Any

from ...strategies.errors import ClientError
from ...values import did_you_mean, whole
from ..clients import BaseClient, VenueType
from .places import Places, places_of, set_places

#: Slowest pace of an order stream ("Exchange Stream API", conflateMs), milliseconds.
_MOST_CONFLATION = 120_000
#: Attributes of betfairlightweight's client that travel; its session does too, if it is one of its own.
_TRAVELS = ("username", "password", "app_key", "certs", "locale", "cert_files", "lightweight")


@dataclasses.dataclass(frozen=True)
class _Betting:
    """A client of betfairlightweight on its way to another process."""

    settings: dict[str, Any]
    places: Places
    token: str | None

    def __repr__(self) -> str:
        return f"<client of betfairlightweight, {self.settings['username']!r}>"

    @classmethod
    def of(cls, client: Any, places: Places) -> _Betting:
        import requests

        settings = {name: getattr(client, name) for name in _TRAVELS}
        settings["session"] = client.session if isinstance(client.session, requests.Session) else None
        return cls(settings, places, client.session_token)

    def made(self) -> Any:
        import betfairlightweight

        client = betfairlightweight.APIClient(**self.settings)
        set_places(client, self.places)
        if self.token is not None:
            client.set_session_token(self.token)
        return client


class BetfairClient(BaseClient):
    """An account at Betfair.

    Args:
        betting_client: a `betfairlightweight.APIClient` with its username, password and application key. Its addresses
            are used as they are, those of its streams too: one that a rehearsal exchange gives trades there.
        interactive_login: log in by username and password alone; False: with a certificate as well.
        order_stream: read the account's orders from its stream; False: its lists are read, every ten seconds.
        order_stream_conflate_ms: at most so often are changes of orders told, milliseconds; None: at once.
        order_streaming_timeout: taken as the peer has it, seconds, and without effect: changes of orders are told as
            they come, and strategies at least every `process_orders_interval`.
        settings: as for `BaseClient`.

    Raises:
        ClientError: a setting is unknown (the message names the nearest), or has a value that cannot be used.
    """

    VENUE = VenueType.BETFAIR
    _betting: Any

    def __init__(self, betting_client: Any = None, **settings: Any) -> None:
        known = [name for name in inspect.signature(BaseClient).parameters if name != "betting_client"]
        for name in settings:
            if name not in known:
                raise ClientError(f"{type(self).__name__} has no setting {name!r}{did_you_mean(name, known)}")
        if betting_client is not None and not hasattr(betting_client, "api_uri"):
            raise ClientError(
                f"betting_client is {type(betting_client).__name__}; expected a betfairlightweight.APIClient"
            )
        conflation = settings.get("order_stream_conflate_ms")
        if conflation is not None:
            conflation = whole(conflation, "order_stream_conflate_ms", ClientError)
            if not 0 <= conflation <= _MOST_CONFLATION:
                raise ClientError(f"order_stream_conflate_ms={conflation}: expected 0 to {_MOST_CONFLATION}, or None")
        super().__init__(betting_client, **settings)

    @property
    def betting_client(self) -> Any:
        """The client of betfairlightweight; None where credentials are not at hand, as in hosts of markets."""
        if isinstance(self._betting, _Betting):
            self._betting = self._betting.made()
        return self._betting

    @betting_client.setter
    def betting_client(self, client: Any) -> None:
        self._betting = client

    @property
    def app_key(self) -> str:
        """The application key.

        Raises:
            ClientError: there is no betting client here.
        """
        return str(self._require().app_key)

    @property
    def password(self) -> str:
        """The account's password.

        Raises:
            ClientError: there is no betting client here.
        """
        return str(self._require().password)

    @property
    def session_seconds(self) -> float:
        """Life of a session that is not kept alive, in seconds."""
        return float(self._require().session_timeout)

    @property
    def place_limit(self) -> int:
        """Most instructions in a call that places ("placeOrders")."""
        return 50 if self._require().locale == "italy" else 200

    @property
    def places(self) -> Places:
        """Where its exchange is.

        Raises:
            ClientError: there is no betting client here, or it has addresses that cannot be used (see `places_of`).
        """
        return places_of(self._require(), by_certificate=not self.interactive_login)

    def without_credentials(self) -> BetfairClient:
        """A copy for those who need its settings alone."""
        made = copy.copy(self)
        made._betting = None
        return made

    def _require(self) -> Any:
        client = self.betting_client
        if client is None:
            raise ClientError(
                f"client {self.username!r} has no betting client; "
                "make it with BetfairClient(betfairlightweight.APIClient(username, password, app_key))"
            )
        return client

    def __copy__(self) -> BetfairClient:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __getstate__(self) -> dict[str, Any]:
        betting = self._betting
        if betting is not None and not isinstance(betting, _Betting):
            betting = _Betting.of(betting, places_of(betting))
        return {**self.__dict__, "_betting": betting}
