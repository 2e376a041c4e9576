"""Market actors, the coordinator and the exchange stand apart, and orders end as they do in one process."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import headrace as hr
from apart import Office, Outcome, Post, Room, outcome, play
from builders import Request, Script, Scripted
from headrace.simulate.replay import Replay
from headrace.simulate.setup import Setup
from headrace.simulate.units import Unit
from stories import Story, stories

NO_LIMITS: dict[str, Any] = {
    "max_order_exposure": None,
    "max_selection_exposure": None,
    "max_live_trade_count": 100_000,
}
Actions = Mapping[int, Sequence[Request]]


def scripted(*actions: Actions, force: bool = True) -> list[Scripted]:
    return [
        Scripted(Script(each, force), name=f"Trader{number}", **NO_LIMITS) for number, each in enumerate(actions, 1)
    ]


def outcomes(strategies: Sequence[Scripted]) -> list[dict[str, Outcome]]:
    """How the orders of each script ended, by their names."""
    found = []
    for strategy in strategies:
        strategy.script._name_replacements()
        found.append({ref: outcome(order) for ref, order in strategy.script.orders.items()})
    return found


def together(path: str, strategies: Sequence[hr.Strategy], client: hr.BaseClient | None = None) -> Replay:
    """The run in one process."""
    setup = Setup(list(strategies), [client or hr.SimulatedClient()], hr.Config())
    run = Replay(Unit(path, (path,)), setup, lambda market: None)
    run.run()
    return run


def apart(
    path: str,
    strategies: Sequence[hr.Strategy],
    seed: int,
    latest: int = 0,
    client: hr.BaseClient | None = None,
) -> tuple[Office, list[Room]]:
    """The same, each strategy in a room of its own."""
    rooms = [Room(f"room{number}", [each], client=client) for number, each in enumerate(strategies, 1)]
    office = Office([room.name for room in rooms], client=client)
    play(path, office, rooms, lambda room: Post(hash((seed, room.encode()[-1])), latest))
    return office, rooms


# -- every story -------------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(stories(), st.integers(0, 1_000_000))
def test_orders_end_as_in_one_process_whatever_the_order_and_number_of_messages(story: Story, seed: int) -> None:
    stream, actions = story
    with tempfile.TemporaryDirectory() as folder:
        path = stream.write(Path(folder) / stream.market_id)
        here = scripted(actions, actions)
        run = together(path, here)
        there = scripted(actions, actions)
        office, rooms = apart(path, there, seed)
    assert outcomes(there) == outcomes(here)
    assert [counts(office.coordinator)] == [counts(run.coordinator)]
    assert not office.coordinator.requests
    assert [len(room.actor.failures) for room in rooms] == [0, 0]
    assert len(office.desk.failures) == len(run.failures)


def counts(coordinator: hr.Coordinator) -> list[dict[int, list[int]]]:
    return [client.transactions_by_hour for client in coordinator.clients]
