"""Alerts: kept, logged, and posted without holding anything up."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import headrace as hr
from headrace.actors.live import alerts as module
from headrace.actors.live.alerts import Alerts, check_webhook


class Hook:
    """A webhook on this machine that keeps what is posted; it answers with the statuses it is given, then with 200."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.hold.wait(10)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.statuses.pop(0) if hook.statuses else 200
                if status == 200:
                    hook.posted.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Nothing is printed."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.hold.set()
    made.server.shutdown()
    made.server.server_close()


def test_alerts_are_posted_with_the_reference_and_notes_are_not(hook: Hook) -> None:
    alerts = Alerts(hook.url, "tests", lambda: 1_000)
    alerts.note("READY", "orders may be placed")
    alerts.alert("STOP", "placing has stopped: enough")
    alerts.close()
    assert hook.posted == [{"reference": "tests", "at": 1_000, "kind": "STOP", "text": "placing has stopped: enough"}]
    assert [event.kind for event in alerts.events] == ["READY", "STOP"]


def test_what_was_told_in_the_last_minute_is_not_told_again() -> None:
    now = [0]
    alerts = Alerts(None, "tests", lambda: now[0])
    for now[0] in (0, 59_999, 60_000):
        alerts.alert("LIMIT", "too much")
    alerts.alert("LIMIT", "something else")
    assert [(event.at, event.text) for event in alerts.events] == [
        (0, "too much"),
        (60_000, "too much"),
        (60_000, "something else"),
    ]


def test_a_webhook_that_fails_is_tried_again(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BETWEEN_S", (0.01, 0.01))
    hook.statuses = [500, 503]
    alerts = Alerts(hook.url, "tests", lambda: 0)
    alerts.alert("STOP", "enough")
    alerts.close()
    assert [each["text"] for each in hook.posted] == ["enough"]
    assert alerts.unposted == 0


def test_what_cannot_be_posted_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BETWEEN_S", (0.01, 0.01))
    alerts = Alerts("http://127.0.0.1:9/hook", "tests", lambda: 0)
    alerts.alert("STOP", "enough")
    alerts.close()
    assert alerts.unposted == 1


def test_a_webhook_that_hangs_holds_nothing_up(hook: Hook) -> None:
    hook.hold.clear()
    alerts = Alerts(hook.url, "tests", lambda: 0)
    began = time.monotonic()
    for number in range(300):
        alerts.alert("DIFFERENCE", f"bet {number}")
    assert time.monotonic() - began < 1.0
    assert alerts.unposted >= 190, "what does not fit into the queue is counted"
    assert len(alerts.events) == 200


@pytest.mark.parametrize("url", ["hooks.example.com/x", "ftp://example.com", "https:///x", ""])
def test_a_webhook_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(hr.InputError, match="expected a URL such as"):
        check_webhook(url)


def test_a_limit_that_refuses_order_after_order_is_told_once_a_minute() -> None:
    now = [1_000_000]
    alerts = Alerts(None, "tests", lambda: now[0])
    for lost in (10.5, 12.25, 1_100.0):
        alerts.alert("LIMIT", f"open bets could lose {lost:.2f} GBP, max_exposure is 10.00")
    alerts.alert("LIMIT", "open bets could lose 10.50 EUR, max_exposure is 10.00")
    assert [event.text.split()[5] for event in alerts.events] == ["GBP,", "EUR,"]
    now[0] += 60_000
    alerts.alert("LIMIT", "open bets could lose 10.50 GBP, max_exposure is 10.00")
    assert len(alerts.events) == 3
