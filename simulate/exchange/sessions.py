"""Who is logged in: tokens, how long they live, and who may not log in.

Times are of the protocol: they are those of the machine, whatever the speed of what is played.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable

from .errors import ApiError
from .faults import Fault, Faults
from .settings import AccountSettings, ExchangeSettings

#: Refusals of a login that are told with another status than FAIL ("Login & Session Management").
STATUS_OF_REFUSAL = {
    "TEMPORARY_BAN_TOO_MANY_REQUESTS": "LOGIN_RESTRICTED",
    "BETTING_RESTRICTED_LOCATION": "LOGIN_RESTRICTED",
    "SELF_EXCLUDED": "LIMITED_ACCESS",
    "SUSPENDED": "LIMITED_ACCESS",
    "CHANGE_PASSWORD_REQUIRED": "LIMITED_ACCESS",
    "STRONG_AUTH_CODE_REQUIRED": "LIMITED_ACCESS",
}


class SessionRefused(Exception):
    """A login, keepAlive or logout is refused.

    Attributes:
        code: such as INVALID_USERNAME_OR_PASSWORD or NO_SESSION.
        status: FAIL, LIMITED_ACCESS or LOGIN_RESTRICTED.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
        self.status = STATUS_OF_REFUSAL.get(code, "FAIL")


class _Session:
    __slots__ = ("account", "ends")

    def __init__(self, account: AccountSettings, ends: float) -> None:
        self.account = account
        self.ends = ends


class Sessions:
    """The sessions of all accounts. A new login leaves an account's older tokens valid.

    Args:
        now: seconds of real time.
        at: exchange time in milliseconds, for what the ledger notes of faults.
    """

    def __init__(
        self,
        settings: ExchangeSettings,
        faults: Faults,
        now: Callable[[], float] = time.monotonic,
        at: Callable[[], int] = lambda: 0,
    ) -> None:
        self._settings = settings
        self._faults = faults
        self._now = now
        self._at = at
        self._accounts = {each.username: each for each in settings.accounts}
        self._keys = {each.app_key for each in settings.accounts}
        self._sessions: dict[str, _Session] = {}
        self._logins: dict[str, deque[float]] = {name: deque() for name in self._accounts}
        self._banned_until: dict[str, float] = {}
        self._wrong_passwords: dict[str, int] = {}
        faults.watchers.append(self._expire_at_once)

    # -- identity ------------------------------------------------------------------------------------------------

    def login(self, username: str, password: str) -> str:
        """Open a session; its token.

        Raises:
            SessionRefused: with the code that the exchange answers.
        """
        account = self._accounts.get(username)
        if account is None:
            raise SessionRefused("INVALID_USERNAME_OR_PASSWORD")
        self._count_login(username)
        if (fault := self._faults.take("session.login_fail", at=self._at(), username=username)) is not None:
            raise SessionRefused(fault.value or "INVALID_USERNAME_OR_PASSWORD")
        self._check_password(account, password)
        return self._open(account)

    def keep_alive(self, token: str | None) -> str:
        """Prolong a session; its token, which is another one where the settings or a fault want it.

        Raises:
            SessionRefused: NO_SESSION, or the code of a fault.
        """
        session = self._find(token)
        if session is None:
            raise SessionRefused("NO_SESSION")
        username = session.account.username
        if (fault := self._faults.take("session.keep_alive_fail", at=self._at(), username=username)) is not None:
            raise SessionRefused(fault.value or "INTERNAL_ERROR")
        assert token is not None
        changes = self._faults.take("session.token", at=self._at(), username=username) is not None
        if changes or self._settings.token_changes:
            del self._sessions[token]
            return self._open(session.account)
        session.ends = self._now() + self._settings.timers.session
        return token

    def logout(self, token: str | None) -> None:
        """End a session.

        Raises:
            SessionRefused: NO_SESSION.
        """
        if self._find(token) is None:
            raise SessionRefused("NO_SESSION")
        assert token is not None
        del self._sessions[token]

    # -- the API and the streams ---------------------------------------------------------------------------------

    def account(self, app_key: str | None, token: str | None) -> AccountSettings:
        """Whose session it is. Asking does not prolong it.

        Raises:
            ApiError: NO_APP_KEY, INVALID_APP_KEY, NO_SESSION, INVALID_SESSION_INFORMATION.
        """
        if not app_key:
            raise ApiError("NO_APP_KEY", "the application key is missing")
        if app_key not in self._keys:
            raise ApiError("INVALID_APP_KEY", "the application key is not known")
        if not token:
            raise ApiError("NO_SESSION", "the session token is missing")
        session = self._find(token)
        if session is None:
            raise ApiError("INVALID_SESSION_INFORMATION", "the session token is not known, or has expired")
        if session.account.app_key != app_key:
            raise ApiError("INVALID_APP_KEY", "the application key is of another account")
        return session.account

    def username(self, token: str | None) -> str | None:
        """Whose session it is, if it is one; for the ledger."""
        session = self._sessions.get(token or "")
        return None if session is None else session.account.username

    def count(self, username: str) -> int:
        """How many sessions of an account are open."""
        self._forget_expired()
        return sum(each.account.username == username for each in self._sessions.values())

    def expire(self, username: str) -> None:
        """End every session of an account."""
        self._sessions = {token: each for token, each in self._sessions.items() if each.account.username != username}

    # -- inside --------------------------------------------------------------------------------------------------

    def _count_login(self, username: str) -> None:
        """More than so many attempts in a minute ban the account for a while; attempts under a ban do not count."""
        now, limits = self._now(), self._settings.limits
        if now < self._banned_until.get(username, float("-inf")):
            raise SessionRefused("TEMPORARY_BAN_TOO_MANY_REQUESTS")
        attempts = self._logins[username]
        while attempts and attempts[0] <= now - 60.0:
            attempts.popleft()
        attempts.append(now)
        if len(attempts) > limits.logins_per_minute:
            attempts.clear()
            self._banned_until[username] = now + limits.login_ban_s
            raise SessionRefused("TEMPORARY_BAN_TOO_MANY_REQUESTS")

    def _check_password(self, account: AccountSettings, password: str) -> None:
        """Wrong ones lock the account until the exchange is started anew, as only support unlocks it there."""
        name, allowed = account.username, self._settings.limits.wrong_passwords
        wrong = self._wrong_passwords.get(name, 0)
        if wrong >= allowed:
            raise SessionRefused("ACCOUNT_ALREADY_LOCKED")
        if hmac.compare_digest(account.password.encode(), password.encode()):
            self._wrong_passwords.pop(name, None)
            return
        self._wrong_passwords[name] = wrong + 1
        raise SessionRefused("ACCOUNT_NOW_LOCKED" if wrong + 1 >= allowed else "INVALID_USERNAME_OR_PASSWORD")

    def _open(self, account: AccountSettings) -> str:
        self._forget_expired()
        token = base64.b64encode(secrets.token_bytes(32)).decode()
        self._sessions[token] = _Session(account, self._now() + self._settings.timers.session)
        return token

    def _find(self, token: str | None) -> _Session | None:
        session = self._sessions.get(token or "")
        if session is None:
            return None
        fault = self._faults.take("session.expire", at=self._at(), username=session.account.username)
        if fault is not None:
            self.expire(session.account.username)
            return None
        return session if self._now() < session.ends else None

    def _forget_expired(self) -> None:
        now = self._now()
        self._sessions = {token: each for token, each in self._sessions.items() if now < each.ends}

    def _expire_at_once(self, fault: Fault) -> None:
        """Sessions end when a fault is set up, and not at their next use; one that is to come later waits for that."""
        if fault.kind != "session.expire":
            return
        for username in self._accounts:
            if self.count(username) and self._faults.take("session.expire", at=self._at(), username=username):
                self.expire(username)
