"""The coordinator and the page of a running system: one that ends by itself is started again."""

from __future__ import annotations

import functools
import http.client
import itertools
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator

import pytest

import headrace as hr
from builders import priced
from headrace.actors.letters import Gone
from headrace.actors.role import Role
from headrace.actors.shells import guardian as module
from headrace.actors.shells.guardian import Guardian
from headrace.actors.shells.thread_engine import ThreadEngine
from live_roles import Noting, until
from live_session import made, seen
from live_trading import Venue, venue


class Kept:
    """An engine with a guardian that keeps "page", and what it has made of that name."""

    def __init__(self) -> None:
        self.guardian = Guardian()
        self.engine = ThreadEngine(self.guardian.gone)
        self.made: list[Noting] = []
        self.there = 0
        self.fails = 0
        self.engine.start("page", self.make())
        self.engine.ready("page", 5)
        self.guardian.keep(self.engine, "page", self.make, self.is_there)

    def make(self) -> Callable[[], Role]:
        if self.fails:
            self.fails -= 1
            raise OSError("no room")
        self.made.append(Noting("page"))
        return functools.partial(lambda role: role, self.made[-1])

    def is_there(self) -> None:
        self.there += 1


@pytest.fixture
def kept() -> Iterator[Kept]:
    made = Kept()
    yield made
    made.guardian.close()
    made.engine.close(2.0)


def test_role_that_ends_by_itself_is_started_again_at_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_S", 600.0)
    kept.engine.crash("page")
    until(lambda: kept.there == 1)
    assert kept.engine.adopt(["page"])["page"].incarnation == 1
    assert kept.guardian.restarts == {"page": 1}
    assert not kept.guardian.is_over("page")


def test_one_that_was_asked_to_end_is_over(kept: Kept) -> None:
    kept.engine.stop("page", "enough")
    until(lambda: kept.guardian.is_over("page"))
    assert kept.guardian.restarts == {}


def test_one_that_keeps_ending_is_started_ever_later(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_S", 0.25)
    times = [time.monotonic()]
    for count in range(1, 5):
        kept.engine.crash("page")
        until(lambda count=count: kept.there == count)
        times.append(time.monotonic())
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert waits[0] < 0.25 <= waits[1]
    assert waits[3] >= 1.0


def test_one_that_was_at_work_for_a_while_is_started_again_at_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_S", 600.0)
    monkeypatch.setattr(module, "_RUNS_S", 0.05)
    for count in range(1, 5):
        time.sleep(0.1)
        kept.engine.crash("page")
        until(lambda count=count: kept.there == count)


def test_the_time_that_one_takes_to_start_does_not_count(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_S", 0.25)
    monkeypatch.setattr(module, "_RUNS_S", 0.1)
    is_there = kept.is_there

    def slowly() -> None:
        time.sleep(0.2)
        is_there()

    kept.guardian.keep(kept.engine, "page", kept.make, slowly)
    times = [time.monotonic()]
    for count in range(1, 5):
        kept.engine.crash("page")
        until(lambda count=count: kept.there == count)
        times.append(time.monotonic())
    assert times[-1] - times[-2] >= 1.0


def test_one_that_cannot_be_made_is_tried_again(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_S", 0.01)
    kept.fails = 3
    kept.engine.crash("page")
    until(lambda: kept.there == 1)
    assert kept.engine.adopt(["page"])["page"].incarnation == 4


def test_news_of_a_former_one_do_no_harm(kept: Kept) -> None:
    kept.engine.crash("page")
    until(lambda: kept.there == 1)
    kept.guardian.gone(Gone("page", "late news", 0))
    kept.guardian.gone(Gone("other", "not kept", 0))
    time.sleep(0.05)
    assert kept.guardian.restarts == {"page": 1}
    assert len(kept.made) == 2


def test_one_that_had_ended_before_it_was_kept_is_started_again() -> None:
    guardian = Guardian()
    engine = ThreadEngine(guardian.gone)
    engine.start("page", lambda: Noting("page"))
    engine.crash("page")
    until(lambda: not engine.alive())
    guardian.keep(engine, "page", lambda: lambda: Noting("page"))
    until(lambda: guardian.restarts == {"page": 1})
    guardian.close()
    engine.close(2.0)


def test_one_that_waits_for_another_does_not_hold_it_up(kept: Kept) -> None:
    other, waited = threading.Event(), threading.Event()
    kept.engine.start("c", lambda: Noting("c"))
    kept.engine.ready("c", 5)
    kept.guardian.keep(kept.engine, "page", kept.make, lambda: other.wait(10) and waited.set())
    kept.guardian.keep(kept.engine, "c", lambda: lambda: Noting("c"), other.set)
    kept.engine.crash("page")
    until(lambda: len(kept.made) == 2)
    kept.engine.crash("c")
    assert waited.wait(5)


# -- of a whole system -------------------------------------------------------------------------------------------------


class Idle(hr.Strategy):
    """Does nothing."""


def page_is_there(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[hr.Live, Venue]]:
    folder = tmp_path_factory.mktemp("guarded")
    with venue(priced(), played=1) as exchange:
        live = made(exchange, [Idle()], instance=folder / "instance", page=True)
        live.start()
        until(lambda: seen(live))
        yield live, exchange
        live.end()


def test_page_that_died_is_there_again_at_the_same_address(running: tuple[hr.Live, Venue]) -> None:
    live, _ = running
    url = live.page_url
    assert page_is_there(url)
    live._driver.engine.crash("page")  # type: ignore[union-attr]
    until(lambda: live._driver._guardian.restarts.get("page"))  # type: ignore[union-attr]
    until(lambda: page_is_there(live.page_url))
    assert live.page_url == url


def test_coordinator_that_died_answers_again_and_the_system_ends_in_order(running: tuple[hr.Live, Venue]) -> None:
    live, _ = running
    before = live.state()["at"]
    live._driver.engine.crash("c")  # type: ignore[union-attr]

    def answers() -> bool:
        try:
            return bool(live.state()["at"] > before)
        except hr.RunError:
            return False

    until(lambda: live._driver._guardian.restarts.get("c"))  # type: ignore[union-attr]
    until(answers)
    live.stop()
    result = live.end()
    assert [row["message"] for row in result.failures.to_pylist()] == []
    assert not [thread.name for thread in threading.enumerate() if thread.name in {"c", "page"}]
