"""Hosts: what a market actor is told live is what it is told in a simulation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings

import headrace as hr
from apart import NO_LIMITS, outcome
from builders import Request, Script, Scripted
from headrace.simulate.replay import Replay
from headrace.simulate.setup import Setup
from headrace.simulate.units import Unit
from live_hosts import Driven, live_setup
from stories import Story, stories

Actions = Mapping[int, Sequence[Request]]


def scripted(actions: Actions, name: str = "Trader", force: bool = True) -> Scripted:
    return Scripted(Script(actions, force), name=name, **NO_LIMITS)


def simulated(path: str, strategies: Sequence[hr.Strategy], **setup: Any) -> list[Any]:
    markets: list[Any] = []
    made = Setup(list(strategies), [setup.pop("client", None) or hr.SimulatedClient()], hr.Config(), **setup)
    Replay(Unit(path, (path,)), made, markets.append).run()
    return markets


def seen(strategy: Scripted) -> dict[str, Any]:
    """All that a script saw: calls of `process_orders`, orders after each book, answers, and how orders ended."""
    script = strategy.script
    script._name_replacements()
    orders = {
        ref: outcome(order) | {"log": [each.name for each in order.status_log]} for ref, order in script.orders.items()
    }
    for each in orders.values():
        del each["bet_id"]
    return {"calls": script.calls, "snapshots": script.snapshots, "answers": script.answers, "orders": orders}


@settings(max_examples=150, deadline=None)
@given(stories())
def test_a_paper_account_is_told_what_a_simulation_tells(story: Story) -> None:
    stream, actions = story
    with tempfile.TemporaryDirectory() as folder:
        path = stream.write(Path(folder) / stream.market_id)
        here, there = scripted(actions), scripted(actions)
        simulated(path, [here])
        Driven(live_setup([there])).play(path).free(stream.market_id)
    assert seen(there) == seen(here)
