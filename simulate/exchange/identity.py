"""Login, keepAlive and logout, as the identity service answers them ("Login & Session Management")."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .sessions import SessionRefused, Sessions

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
        username: whose request it was, as far as it is known.
        code: why it was refused, for the ledger; None if it was not.
    """

    body: dict[str, Any] | str
    username: str | None = None
    code: str | None = None


class Identity:
    """The four calls. Names of headers are in lower case."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def login(self, headers: Mapping[str, str], form: Mapping[str, str]) -> Answer:
        """Interactive login."""
        username, product = form.get("username"), headers.get("x-application", "")
        if not accepts_json(headers):
            return Answer(PAGE, username)
        try:
            token = self._log_in(username, form.get("password"), product)
        except SessionRefused as refused:
            return Answer(_status("", product, refused), username, refused.code)
        return Answer(_status(token, product), username)

    def certificate_login(self, headers: Mapping[str, str], form: Mapping[str, str], certified: bool) -> Answer:
        """Login without a person. `certified`: the client has shown its certificate."""
        username = form.get("username")
        try:
            if not certified:
                raise SessionRefused("CERT_AUTH_REQUIRED")
            token = self._log_in(username, form.get("password"), headers.get("x-application", ""))
        except SessionRefused as refused:
            return Answer({"loginStatus": refused.code}, username, refused.code)
        return Answer({"sessionToken": token, "loginStatus": "SUCCESS"}, username)

    def keep_alive(self, headers: Mapping[str, str]) -> Answer:
        """Prolong a session: its token, or another one that takes its place, is told again."""
        token, product = headers.get("x-authentication", ""), headers.get("x-application", "")
        username = self._sessions.username(token)
        if not accepts_json(headers):
            return Answer(PAGE, username)
        try:
            if not product:
                raise SessionRefused("INPUT_VALIDATION_ERROR")
            token = self._sessions.keep_alive(token)
        except SessionRefused as refused:
            return Answer(_status("", product, refused), username, refused.code)
        return Answer(_status(token, product), username)

    def logout(self, headers: Mapping[str, str]) -> Answer:
        """End a session."""
        token, product = headers.get("x-authentication", ""), headers.get("x-application", "")
        username = self._sessions.username(token)
        if not accepts_json(headers):
            return Answer(PAGE, username)
        try:
            if not product:
                raise SessionRefused("INPUT_VALIDATION_ERROR")
            self._sessions.logout(token)
        except SessionRefused as refused:
            return Answer(_status("", product, refused), username, refused.code)
        return Answer(_status(token, product), username)

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
