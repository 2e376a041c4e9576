"""A coordinator whose starter has died stops the system, and does not wait for ever for what cannot be cancelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.actors.live import starter
from live_coordinators import resting, trading


class SharedInstance:
    """The folder as another process holds it, which dies when the test says so."""

    left_alone = False
    taken_over = False

    def __init__(self, *named: Any) -> None:
        pass

    def share(self) -> bool:
        return True

    def take_over(self) -> None:
        type(self).taken_over = True

    def release_shared(self) -> None:
        pass


def test_it_stops_the_system_and_gives_up_after_two_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Instance(SharedInstance):
        pass

    monkeypatch.setattr(starter, "Instance", Instance)
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    bench.passes(60_000)
    assert bench.role.answers.state()["stopping"] == ""
    Instance.left_alone = True
    bench.passes(1_000)
    assert bench.role.answers.state()["stopping"] == "the process that started the system has died"
    assert Instance.taken_over
    bench.passes(119_000)
    assert [event for event in bench.role.alerts.events if event.kind == "LEFT"] == []
    for _ in range(40):
        bench.passes(1_000)
    left, more = [event.text for event in bench.role.alerts.events if event.kind == "LEFT"]
    assert left == "not cancelled, for the exchange does not do it: 1 orders rest"
    assert more.startswith("1 bets rest at the exchange: ")
    assert bench.mail.stopped
