"""Heartbeats of an account: where they stop, the exchange cancels its limit bets by itself ("Heartbeat API").

The exchange counts from the last heartbeat that it has heard. Three are sent within that time, so that one or two may
be lost. It watches the account, not this system: bets that were placed elsewhere are cancelled as well.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable

import msgspec

from ...values import UNREADABLE
from .api import Api, Question
from .calls import FIRST, ORDERS
from .classification import ANSWERED, Answer

logger = logging.getLogger("headrace")

#: Heartbeats within the time that the exchange waits for one, and those that may be without an answer at once.
_WITHIN, _UNANSWERED = 3, 4
#: Seconds that the last answer may take, when the system ends.
_LAST_S = 2.0
#: The exchange has cancelled nothing since the last heartbeat.
_NOTHING = "NONE"
#: What the exchange says that it has done, in words.
_ACTIONS = {
    "CANCELLATION_REQUEST_SUBMITTED": "it has begun to cancel the account's bets",
    "ALL_BETS_CANCELLED": "it has cancelled the account's bets",
    "SOME_BETS_NOT_CANCELLED": "it has cancelled some of the account's bets, and could not cancel others",
    "CANCELLATION_REQUEST_ERROR": "it has tried to cancel the account's bets, and could not",
    "CANCELLATION_STATUS_UNKNOWN": "it has tried to cancel the account's bets, and does not know whether it did",
}


class _Report(msgspec.Struct, rename="camel"):
    action_performed: str = _NOTHING
    actual_timeout_seconds: int = 0


_decode = msgspec.json.Decoder(_Report).decode


class Heartbeat:
    """The heartbeats of one account, while it has a session. For the coordinator's own thread.

    Args:
        api: the account's.
        seconds: how long the exchange is to wait for one, 10 to 300.

    Attributes:
        seconds: how long it does wait, as it says itself.
        report: takes what people have to know, in a sentence.
        cancelled: called when the exchange has, or may have, cancelled bets.
        heard_ms: when the last heartbeat that was answered had been sent, milliseconds since the epoch; None: none was.
    """

    def __init__(self, api: Api, seconds: int) -> None:
        self._api, self._wanted, self.seconds = api, seconds, seconds
        self.report: Callable[[str], object] = logger.warning
        self.cancelled: Callable[[], object] = lambda: None
        self.heard_ms: int | None = None
        self._due_ms = 0.0
        self._open = 0
        self._late = self._closed = False
        self._refusal = ""

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def next_ms(self) -> float:
        """When `wake` is to be called."""
        if self._closed:
            return math.inf
        return min(math.inf if self._api.session.token is None else self._due_ms, self._late_ms)

    @property
    def _late_ms(self) -> float:
        """When the exchange stops waiting for one, as far as is known here; infinite: it did, or was never asked to."""
        return math.inf if self._late or self.heard_ms is None else self.heard_ms + self.seconds * 1000

    def wake(self, at_ms: int) -> None:
        """Send one, if it is time; say so if the exchange has not heard one in time."""
        if self._closed:
            return
        if at_ms >= self._late_ms:
            self._late = True
            self.report(
                f"no heartbeat of account {self._username} was answered for {self.seconds} s: the exchange cancels the "
                "account's bets"
            )
            self.cancelled()
        if self._api.session.token is not None and at_ms >= self._due_ms:
            self._due_ms = at_ms + self.seconds * 1000 / _WITHIN
            if self._open < _UNANSWERED:
                self._send(self._wanted, self.seconds / _WITHIN, functools.partial(self._answered, at_ms))

    @property
    def _username(self) -> str:
        return self._api.session.client.username

    def _send(self, seconds: int, answer_s: float, done: Callable[[Answer], object]) -> None:
        self._open += 1
        # Lists may take all threads that are not for orders; a heartbeat is not to wait for them.
        self._api.ask(
            Question(
                "heartbeat",
                {"preferredTimeoutSeconds": seconds},
                done,
                room=ORDERS,
                urgency=FIRST,
                answer_s=answer_s,
            )
        )

    # -- answers -------------------------------------------------------------------------------------------------

    def _answered(self, sent_ms: int, answer: Answer) -> None:
        self._open -= 1
        if self._closed:
            return
        if answer.verdict != ANSWERED:
            self._not_answered(answer)
            return
        try:
            report = _decode(answer.result)
        except UNREADABLE as error:
            logger.warning("The answer to a heartbeat of %s cannot be read: %s", self._username, error)
            return
        self.heard_ms = max(sent_ms, self.heard_ms or 0)
        if report.actual_timeout_seconds > 0:
            self.seconds = report.actual_timeout_seconds
            self._due_ms = min(self._due_ms, sent_ms + self.seconds * 1000 / _WITHIN)
        if self._refusal or self._late:
            logger.info("The exchange hears the heartbeats of %s again", self._username)
        self._refusal, self._late = "", False
        if report.action_performed != _NOTHING:
            done = _ACTIONS.get(report.action_performed, f"it says {report.action_performed}")
            self.report(f"the exchange has missed heartbeats of account {self._username}: {done}")
            self.cancelled()

    def _not_answered(self, answer: Answer) -> None:
        logger.debug("A heartbeat of %s: %s", self._username, answer.why)
        if answer.code and answer.code != self._refusal:
            self._refusal = answer.code
            self.report(
                f"the exchange does not take heartbeats of account {self._username}: {answer.why}; while it does not, "
                "nothing cancels the account's bets if this system fails"
            )

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self, then: Callable[[], object]) -> None:
        """Tell the exchange to wait for no more of them; then call `then`, whatever it says."""
        closed, self._closed = self._closed, True
        if closed or self.heard_ms is None or self._api.session.token is None:
            then()
        else:
            self._send(0, _LAST_S, lambda answer: then())
