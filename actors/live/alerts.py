"""Alerts: what its owner should know at once, logged, kept for whoever looks, and posted to a webhook.

Posting never holds the system up: it has a thread of its own, and what cannot be posted is counted.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from ...strategies.errors import InputError
from ...values import legible
from ..violations import kind_of_reason

logger = logging.getLogger("headrace")

#: Events that are kept.
_KEPT = 200
#: Alerts that wait to be posted; more are not.
_WAITING = 100
#: Seconds for one attempt, and between attempts.
_TIMEOUT_S, _BETWEEN_S = 5.0, (1.0, 5.0)
#: Milliseconds for which an alert with equal words is told only once.
_QUIET_MS = 60_000


@dataclasses.dataclass(frozen=True)
class Noted:
    """Something that happened. `at`: milliseconds since the epoch."""

    at: int
    kind: str
    text: str


def check_webhook(url: str) -> str:
    """An address that alerts can be posted to.

    Raises:
        InputError: it is not a URL of http or https with a host.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"webhook={url!r}: expected a URL such as https://hooks.example.com/headrace")
    return url


class Alerts:
    """Takes what happens. All but the posting is for the coordinator's thread.

    Args:
        webhook: where alerts are posted, as JSON: reference, at, kind, text; None: nowhere.
        reference: of the instance.
        clock_ms: now, milliseconds since the epoch.

    Attributes:
        events: the last ones, the newest last.
        unposted: alerts that could not be posted.
    """

    def __init__(self, webhook: str | None, reference: str, clock_ms: Callable[[], int]) -> None:
        self._webhook = None if webhook is None else check_webhook(webhook)
        self._reference, self._clock_ms = reference, clock_ms
        self.events: collections.deque[Noted] = collections.deque(maxlen=_KEPT)
        self.unposted = 0
        self._told: dict[tuple[str, str], int] = {}
        self._queue: queue.Queue[Noted | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None

    def note(self, kind: str, text: str, level: int = logging.INFO) -> None:
        """Something happened that is worth a line, and no more."""
        logger.log(level, "%s", text)
        self.events.append(Noted(self._clock_ms(), kind, text))

    def alert(self, kind: str, text: str) -> None:
        """Something happened that somebody has to know. What was told in the last minute is not told again.

        Of limits the figures do not matter for that: each order that is refused has others.

        Args:
            kind: STOP, QUARANTINE, LIMIT, DIFFERENCE, STALLED, STREAM, SESSION or another word.
        """
        now, said = self._clock_ms(), (kind, kind_of_reason(text) if kind == "LIMIT" else text)
        if now - self._told.get(said, -_QUIET_MS) < _QUIET_MS:
            return
        if len(self._told) > 10 * _KEPT:
            self._told = {key: at for key, at in self._told.items() if now - at < _QUIET_MS}
        self._told[said] = now
        self.note(kind, text, logging.WARNING)
        if self._webhook is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._post_all, name="alerts", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(self.events[-1])
        except queue.Full:
            self.unposted += 1

    def close(self, seconds: float = 5.0) -> None:
        """Post what waits, for so long at most."""
        if self._thread is None:
            return
        end = time.monotonic() + seconds
        try:
            self._queue.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(max(0.0, end - time.monotonic()))

    # -- the thread ----------------------------------------------------------------------------------------------

    def _post_all(self) -> None:
        while (noted := self._queue.get()) is not None:
            body: dict[str, Any] = {"reference": self._reference, **dataclasses.asdict(noted)}
            if not self._posted(json.dumps(body).encode()):
                self.unposted += 1

    def _posted(self, body: bytes) -> bool:
        assert self._webhook is not None
        headers = {"Content-Type": "application/json", "User-Agent": "headrace"}
        for pause in (*_BETWEEN_S, None):
            request = urllib.request.Request(self._webhook, body, headers, method="POST")
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
                    return True
            except urllib.error.HTTPError as error:
                why = f"HTTP status {error.code}"
            except Exception as error:
                why = legible(error)
            if pause is None:
                logger.warning("An alert could not be posted to the webhook: %s", why)
            else:
                time.sleep(pause)
        return False
