"""Calls of the exchange's API, as JSON-RPC, with the session that they need. For the coordinator's own thread.

A call that the exchange refuses because its session is over is asked again with another one: nothing was done. What
else is asked again is said by whoever asks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec

from .betfair_client import BetfairClient
from .calls import ANSWER_S, LAST, OTHERS, Calls
from .classification import NOT_SENT, REFUSED, SESSION_CODES, Answer, classify
from .connections import Target
from .posts import Got, Post, head_of
from .session import Session

#: Operations by service; all others are of betting.
_ACCOUNT = frozenset({"getAccountFunds", "getAccountDetails", "getAccountStatement", "listCurrencyRates"})
_HEARTBEAT = frozenset({"heartbeat"})
#: Seconds before what was not sent is tried again: first, doubled each time, and at most.
_BACK_OFF_S, _MOST_BACK_OFF_S = 0.05, 2.0
#: Logins for one call.
_MOST_LOGINS = 2

Done = Callable[[Answer], object]
_encode = msgspec.json.Encoder().encode


@dataclasses.dataclass(slots=True)
class Question:
    """A call of the API, and how it is to be made.

    Attributes:
        params: of the operation; without nulls.
        room, urgency, at_once, answer_s: see `Calls.post`.
        send_by_ms: when it is too late to send it; None: never.
        repeats: how often it is sent again while nothing of it was sent.
    """

    operation: str
    params: dict[str, Any]
    done: Done
    room: str = OTHERS
    urgency: int = LAST
    at_once: bool = False
    answer_s: float = ANSWER_S
    send_by_ms: int | None = None
    repeats: int = 0
    begun_ms: int = 0
    tried: int = 0
    logins: int = 0
    body: bytes = b""
    over: bool = False


class Api:
    """The API, for one account."""

    def __init__(self, session: Session, calls: Calls) -> None:
        self.session = session
        self.calls = calls
        self._targets: tuple[Target, str] | None = None
        self._heads: tuple[str, dict[str, bytes]] = ("", {})

    def ask(self, question: Question) -> None:
        """Ask something. `Question.done` is called later, always once."""
        question.begun_ms = self.calls.clock_ms()
        question.body = _encode(
            {"jsonrpc": "2.0", "method": _method(question.operation), "params": question.params, "id": 1}
        )
        if self.session.token is None and question.send_by_ms is not None:
            self.calls.later(question.send_by_ms, lambda: self._too_late(question))
        self._start(question)

    def _start(self, question: Question) -> None:
        if not question.over:
            self.session.want(lambda token: self._send(question, token))

    def _too_late(self, question: Question) -> None:
        """There is no session in time."""
        if not question.tried:
            self._end(question, Answer(NOT_SENT, why=f"no session in time{_because(self.session.error)}"))

    def _send(self, question: Question, token: str | None) -> None:
        if question.over:
            return
        if token is None:
            self._end(question, Answer(NOT_SENT, why=f"there is no session{_because(self.session.error)}"))
            return
        now, by = self.calls.clock_ms(), question.send_by_ms
        if by is not None and now > by:
            self._end(question, Answer(NOT_SENT, why=f"came to be sent {now - by} ms after its deadline"))
            return
        question.tried += 1
        self.calls.post(
            Post(self._target()[0], self._head(_service(question.operation), token), question.body),
            lambda got: self._got(question, token, got),
            room=question.room,
            urgency=question.urgency,
            send_by_ms=by,
            answer_s=question.answer_s,
            at_once=question.at_once,
        )

    def _got(self, question: Question, token: str, got: Got) -> None:
        answer = classify(got)
        if answer.verdict == REFUSED and answer.code in SESSION_CODES and question.logins < _MOST_LOGINS:
            question.logins += 1
            self.session.want(lambda new: self._send(question, new), refused=token)
        elif answer.verdict == NOT_SENT and question.tried <= question.repeats:
            wait_s = min(_BACK_OFF_S * 2 ** (question.tried - 1), _MOST_BACK_OFF_S)
            at = self.calls.clock_ms() + wait_s * 1000
            if question.send_by_ms is not None and at > question.send_by_ms:
                self._end(question, answer)
            else:
                self.calls.later(at, lambda: self._start(question))
        else:
            self._end(question, answer)

    def _end(self, question: Question, answer: Answer) -> None:
        if question.over:
            return
        question.over = True
        if not answer.begun_ms or question.tried > 1:
            answer = dataclasses.replace(
                answer, begun_ms=question.begun_ms, ended_ms=answer.ended_ms or self.calls.clock_ms()
            )
        question.done(answer)

    # -- addresses -----------------------------------------------------------------------------------------------

    def warm(self) -> None:
        """Keep connections open from now on."""
        self.calls.warm(self._target()[0])

    def _target(self) -> tuple[Target, str]:
        """The host of the API, and the path of its address."""
        if self._targets is None:
            client = self.session.client
            assert isinstance(client, BetfairClient)
            places = client.places
            path = "/" + places.api.split("/", 3)[3]
            self._targets = Target.of(places.api, places.certificate), path
        return self._targets

    def _head(self, service: str, token: str) -> bytes:
        """How calls of a service begin, with the session that they are made in."""
        if self._heads[0] != token:
            client = self.session.client
            assert isinstance(client, BetfairClient)
            headers = {
                "X-Application": client.app_key,
                "X-Authentication": token,
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "Connection": "keep-alive",
                "User-Agent": "headrace",
            }
            target, path = self._target()
            made = {name: head_of(target, f"{path}{name}/json-rpc/v1", headers) for name in _METHODS}
            self._heads = (token, made)
        return self._heads[1][service]


_METHODS = {"betting": "SportsAPING/v1.0/", "account": "AccountAPING/v1.0/", "heartbeat": "HeartbeatAPING/v1.0/"}


def _service(operation: str) -> str:
    return "account" if operation in _ACCOUNT else "heartbeat" if operation in _HEARTBEAT else "betting"


def _method(operation: str) -> str:
    return _METHODS[_service(operation)] + operation


def _because(error: str) -> str:
    return f": {error}" if error else ""
