"""Login, keepAlive and logout, as the identity service answers them ("Login & Session Management")."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ..sessions import SessionRefused, Sessions

#: What is answered to a login, keepAlive or logout that does not accept JSON.
PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>Rehearsal exchange: login</title></head><body>
<p>The rehearsal exchange has no page to log in with. Requests that accept application/json are answered with JSON.</p>
</body></html>
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of the identity service; HTTP's status is always 200.

    Attributes:
        body: JSON, or a page.
        code: why it was refused, for the ledger; None if it was not.
    """

    body: dict[str, Any] | str
    code: str | None = None


class Identity:
    """The four calls. Names of headers are in lower case."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def login(self, headers: Mapping[str, str], form: Mapping[str, str]) -> Answer:
        """Interactive login."""
        product = headers.get("x-application", "")
        if not accepts_json(headers):
            return Answer(PAGE)
        try:
            token = self._log_in(form.get("username"), form.get("password"), product)
        except SessionRefused as refused:
            return Answer(_status("", product, refused), refused.code)
        return Answer(_status(token, product))

    def certificate_login(self, headers: Mapping[str, str], form: Mapping[str, str], certified: bool) -> Answer:
        """Login without a person. `certified`: the client has shown its certificate."""
        try:
            if not certified:
                raise SessionRefused("CERT_AUTH_REQUIRED")
            token = self._log_in(form.get("username"), form.get("password"), headers.get("x-application", ""))
        except SessionRefused as refused:
            return Answer({"loginStatus": refused.code}, refused.code)
        return Answer({"sessionToken": token, "loginStatus": "SUCCESS"})

    def keep_alive(self, headers: Mapping[str, str]) -> Answer:
        """Prolong a session: its token, or another one that takes its place, is told again."""
        return self._of_session(headers, self._sessions.keep_alive)

    def logout(self, headers: Mapping[str, str]) -> Answer:
        """End a session."""

        def end(token: str) -> str:
            self._sessions.logout(token)
            return token

        return self._of_session(headers, end)

    def _of_session(self, headers: Mapping[str, str], act: Callable[[str], str]) -> Answer:
        """The answer to a request about a session. `act`: does it; the token to be told."""
        token, product = headers.get("x-authentication", ""), headers.get("x-application", "")
        if not accepts_json(headers):
            return Answer(PAGE)
        try:
            if not product:
                raise SessionRefused("INPUT_VALIDATION_ERROR")
            return Answer(_status(act(token), product))
        except SessionRefused as refused:
            return Answer(_status("", product, refused), refused.code)

    def _log_in(self, username: str | None, password: str | None, product: str) -> str:
        if not username or not password or not product:
            raise SessionRefused("INPUT_VALIDATION_ERROR")
        return self._sessions.login(username, password)


def accepts_json(headers: Mapping[str, str]) -> bool:
    """Whether JSON is named among what the client accepts: */* is a page there."""
    return "application/json" in headers.get("accept", "").lower()


def _status(token: str, product: str, refused: SessionRefused | None = None) -> dict[str, Any]:
    if refused is None:
        return {"token": token, "product": product, "status": "SUCCESS", "error": ""}
    return {"token": "", "product": product, "status": refused.status, "error": refused.code}
