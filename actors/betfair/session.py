"""Sessions of accounts: login, keep alive, logout. There is one owner of each, and one login at a time.

Source: "Login & Session Management". What goes wrong falls in three: the exchange cannot be reached, or has a fault of
its own (tried again, ever more slowly); it bans logins for a while (tried again when that is over); it does not know
the account (not tried again: wrong passwords lock an account).
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec

from ...strategies.errors import ClientError
from ...values import UNREADABLE, legible
from ..clients import BaseClient
from .betfair_client import BetfairClient
from .calls import Calls
from .connections import Target
from .posts import REPLIED, Got, Post, head_of

logger = logging.getLogger("headrace")

#: Most seconds between two keepAlives: half a session is less for some accounts.
_KEEP_ALIVE_S = 1_200.0
#: Seconds after which a keepAlive without an answer is tried again.
_AGAIN_S = 10.0
#: Seconds between two logins that failed: the first, doubled each time, and the most.
_BACK_OFF_S, _MOST_BACK_OFF_S = 1.0, 60.0
#: Seconds of a ban ("a 20 minute ban").
_BAN_S = 1_200.0
_BANS = ("TEMPORARY_BAN_TOO_MANY_REQUESTS", "TEMPORARY_BAN_TOO_MANY_REQUEST")
#: Codes of failed logins that say nothing about the account.
_FAULTS = ("INTERNAL_ERROR", "UNEXPECTED_ERROR", "SERVICE_BUSY")
#: Refusals in a row after which an account that had logged in before is given up.
_MOST_REFUSALS = 3
#: What is sent with each call about a session.
_SENT = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", "User-Agent": "headrace"}

#: Takes a token; None where there is none, and `Session.error` says why.
Then = Callable[[str | None], object]


class _Answer(msgspec.Struct, rename="camel"):
    """Of login, keepAlive and logout; of login by certificate."""

    token: str | None = None
    status: str | None = None
    error: str | None = None
    session_token: str | None = None
    login_status: str | None = None

    @property
    def code(self) -> str:
        """Why it was refused; empty if it was not."""
        if self.login_status is not None:
            return "" if self.login_status == "SUCCESS" else self.login_status
        return "" if self.status == "SUCCESS" else self.error or self.status or "UNEXPECTED_ERROR"


_decoder = msgspec.json.Decoder(_Answer)


class Session:
    """The session of an account.

    Attributes:
        client: the account.
        token: None: there is no session.
        error: why there is none, in a sentence; empty while there is one, or none was asked for.
        given_up: the exchange does not know the account: no more logins.
        faulty: the last login came to nothing by what the exchange calls a fault of its own.
        logins: that succeeded.
    """

    def __init__(self, client: BaseClient, calls: Calls) -> None:
        self.client = client
        self.token: str | None = None
        self.error = ""
        self.given_up = self.faulty = False
        self.logins = 0
        self._calls = calls
        self._waiting: list[tuple[bool, Then]] = []
        self._logging_in = self._keeping_alive = self._out = False
        self._failures = self._refusals = 0
        self._retry_ms = -math.inf
        self._keep_alive_ms = math.inf

    def __repr__(self) -> str:
        return f"<Session of {self.client.username!r}{' open' if self.token else ''}>"

    # -- asking for it -------------------------------------------------------------------------------------------

    @property
    def wait_s(self) -> float:
        """Seconds until a login may be tried again, after one that came to nothing."""
        return max(0.0, (self._retry_ms - self._calls.clock_ms()) / 1000)

    def want(self, then: Then, refused: str | None = None, patient: bool = False) -> None:
        """Call `then` with a token, at once if there is one; else log in first.

        Args:
            refused: the token that the exchange would not take: it is not given again.
            patient: wait until a login succeeds, or the account is given up; False: the next one decides.
        """
        if refused is not None and refused == self.token:
            self.token = None
        if self.token is not None:
            then(self.token)
        elif self.given_up or (not patient and not self._logging_in and self._calls.clock_ms() < self._retry_ms):
            then(None)
        else:
            self._out = False
            self._waiting.append((patient, then))
            self._log_in()

    @property
    def next_ms(self) -> float:
        """When `wake` is to be called."""
        if self._logging_in or self._keeping_alive or self.given_up or self._out:
            return math.inf
        return self._keep_alive_ms if self.token is not None else self._retry_ms if self._retry_ms > 0 else math.inf

    def wake(self, at_ms: int) -> None:
        """Keep the session alive, or try to log in again, if it is time."""
        if at_ms < self.next_ms:
            return
        if self.token is None:
            self._log_in()
        else:
            self._keep_alive()

    def close(self, then: Callable[[], object] = lambda: None) -> None:
        """Log out, if there is a session; then call `then`."""
        token, self.token, self._out = self.token, None, True
        if token is None:
            then()
        else:
            self._send_logout(token, then)

    # -- login ---------------------------------------------------------------------------------------------------

    def _log_in(self) -> None:
        if self._logging_in or self._calls.clock_ms() < self._retry_ms:
            return
        self._logging_in = True
        try:
            self._send_login()
        except ClientError as error:
            self._refused("", str(error))

    def _send_login(self) -> None:
        client = self.client
        assert isinstance(client, BetfairClient)
        places = client.places
        interactive = client.interactive_login
        address = f"{places.identity}login" if interactive else f"{places.identity_cert}certlogin"
        body = urlencode({"username": client.username, "password": client.password}).encode()
        headers = {**_SENT, "X-Application": client.app_key}
        target = Target.of(address, places.certificate, None if interactive else places.client_certificate)
        self._calls.post(Post(target, head_of(target, _path(address), headers), body), self._login_answered)

    def _login_answered(self, got: Got) -> None:
        answer, why = _read(got)
        if answer is None:
            self._failed(why)
        elif answer.code:
            self._refused(answer.code, f"the exchange refuses the login: {answer.code}")
        else:
            self._logged_in(answer.session_token or answer.token)

    def _logged_in(self, token: str | None) -> None:
        if not token:
            self._failed("the exchange has answered the login without a token")
            return
        self._failures = self._refusals = 0
        self._retry_ms = -math.inf
        self.logins += 1
        self._logging_in = False
        logger.info("%s has logged in", self.client.username)
        self._take(token)
        self._tell()

    def _take(self, token: str) -> None:
        self.token, self.error = token, ""
        session_s = self.client.session_seconds if isinstance(self.client, BetfairClient) else math.inf
        self._keep_alive_ms = self._calls.clock_ms() + min(session_s / 2, _KEEP_ALIVE_S) * 1000
        betting = self.client.betting_client
        if hasattr(betting, "set_session_token"):
            betting.set_session_token(token)  # for workers of the user, which call the exchange themselves

    def _refused(self, code: str, why: str) -> None:
        """The exchange, or the machine, will not have the account."""
        if code in _BANS:
            self._failed(f"{why}; no login for {_BAN_S / 60:g} minutes", _BAN_S)
        elif code in _FAULTS:
            self._failed(why, faulty=True)
        else:
            self._refusals += 1
            self.given_up = not self.logins or self._refusals >= _MOST_REFUSALS
            if self.given_up:
                why += "; check username, password, application key and certificate, then start again"
            self._failed(why, _MOST_BACK_OFF_S)

    def _failed(self, why: str, seconds: float | None = None, faulty: bool = False) -> None:
        """A login has come to nothing. `seconds`: before the next; None: the longer, the more have failed."""
        self._logging_in, self.faulty = False, faulty
        self._failures += 1
        if seconds is None:
            seconds = min(_BACK_OFF_S * 2 ** (self._failures - 1), _MOST_BACK_OFF_S) * random.uniform(0.8, 1.2)
        self._retry_ms = self._calls.clock_ms() + seconds * 1000
        self.error = why
        logger.warning("%s cannot log in: %s", self.client.username, why)
        self._tell()

    def _tell(self) -> None:
        """Tell those who wait; where there is no token only those who would not wait for it longer."""
        waiting, self._waiting = self._waiting, []
        for patient, then in waiting:
            if self.token is None and patient and not self.given_up:
                self._waiting.append((patient, then))
            else:
                then(self.token)

    # -- keep alive and logout -----------------------------------------------------------------------------------

    def _keep_alive(self) -> None:
        self._keeping_alive = True
        assert self.token is not None
        self._send_keep_alive(self.token)

    def _send_keep_alive(self, asked: str) -> None:
        def answered(got: Got) -> None:
            answer, why = _read(got)
            if answer is None:
                self._unheard(asked, why)
            elif answer.code:
                self._over(asked, answer.code)
            else:
                self._kept(asked, answer.token or asked)

        self._post("keepAlive", asked, answered)

    def _kept(self, asked: str, token: str) -> None:
        """The session goes on, perhaps with another token."""
        self._keeping_alive = False
        if self.token == asked:
            self._take(token)

    def _unheard(self, asked: str, why: str) -> None:
        """Nobody knows whether the session goes on."""
        self._keeping_alive = False
        if self.token == asked:
            self._keep_alive_ms = self._calls.clock_ms() + _AGAIN_S * 1000
            logger.warning("%s is not kept alive: %s; trying again", self.client.username, why)

    def _over(self, asked: str, why: str) -> None:
        """The session is over."""
        self._keeping_alive = False
        if self.token == asked:
            logger.warning("%s is not kept alive: %s; logging in", self.client.username, why)
            self.token = None
            self._log_in()

    def _send_logout(self, token: str, then: Callable[[], object]) -> None:
        self._post("logout", token, lambda got: then())

    def _post(self, operation: str, token: str, done: Callable[[Got], object]) -> None:
        client = self.client
        assert isinstance(client, BetfairClient)
        places = client.places
        address = f"{places.identity}{operation}"
        headers = {**_SENT, "X-Application": client.app_key, "X-Authentication": token}
        target = Target.of(address, places.certificate)
        self._calls.post(Post(target, head_of(target, _path(address), headers), b""), done)


class OwnSession(Session):
    """The session of a client of the user's own: its `login`, `keep_alive` and `logout` are called, where it has them.

    Each may take its time. `login` returns a token, or nothing; what it raises is a login that has failed.
    """

    def _send_login(self) -> None:
        self._call("login", lambda token: self._logged_in(str(token or "own")), self._login_failed)

    def _login_failed(self, error: Exception) -> None:
        self._failed(f"its login has failed: {legible(error)}")

    def _send_keep_alive(self, asked: str) -> None:
        self._call(
            "keep_alive", lambda found: self._kept(asked, asked), lambda error: self._over(asked, legible(error))
        )

    def _send_logout(self, token: str, then: Callable[[], object]) -> None:
        self._call("logout", lambda found: then(), lambda error: then())

    def _call(self, name: str, done: Callable[[Any], object], failed: Callable[[Exception], object]) -> None:
        self._calls.run(getattr(self.client, name, _nothing), done, failed)


def _path(address: str) -> str:
    return "/" + address.split("/", 3)[3]


def _nothing() -> None:
    return None


def _read(got: Got) -> tuple[_Answer | None, str]:
    """An answer of the identity service; None and why, if it is not one."""
    if got.state != REPLIED:
        return None, got.why
    if got.status != 200:
        return None, f"HTTP status {got.status}"
    try:
        answer = _decoder.decode(got.body)
    except UNREADABLE:
        return None, "the answer is not JSON"
    if answer.status is None and answer.login_status is None:
        return None, "the answer has no status"
    return answer, ""
