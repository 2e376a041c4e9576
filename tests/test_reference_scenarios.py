"""The 68 scenarios whose outcome is known of flumine 3.3.2, replayed under its rules.

Each asks for every snapshot, fill, bet id, error code, status log, profit, exposure, summary and count to agree.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, T0, Played, Request, Snapshot, cancel, note, place, replace, replay, update

PATH = Path(__file__).resolve().parents[2] / "shared" / "reference" / "scenarios.json.gz"
MONEY = 1e-9


def load_scenarios() -> list[dict[str, Any]]:
    return json.loads(gzip.decompress(PATH.read_bytes())) if PATH.is_file() else []


SCENARIOS = load_scenarios()

pytestmark = pytest.mark.skipif(not SCENARIOS, reason=f"the reference scenarios are not at {PATH}")


def order_type(action: dict[str, Any]) -> Any:
    if action["type"] == "LIMIT_ON_CLOSE":
        return hr.LimitOnCloseOrder(action["liability"], action["price"])
    if action["type"] == "MARKET_ON_CLOSE":
        return hr.MarketOnCloseOrder(action["liability"])
    names = ("price", "size", "persistence_type", "time_in_force", "min_fill_size")
    settings = {name: action[name] for name in names if name in action}
    return hr.LimitOrder(**settings, price_ladder_definition="LINE_RANGE" if action.get("line") else "CLASSIC")


def request_of(action: dict[str, Any]) -> Request:
    ref = action["ref"]
    if action["op"] == "cancel":
        return cancel(ref, action.get("size_reduction"))
    if action["op"] == "update":
        return update(ref, action["persistence_type"])
    if action["op"] == "replace":
        return replace(ref, action["price"])
    version = action.get("market_version")
    return place(ref, action["side"], order_type(action), action["sel"], action.get("hc", 0), market_version=version)


def play(scenario: dict[str, Any], failing: bool = False) -> Played:
    times = [line["pt"] - T0 for line in scenario["lines"]]
    actions = {times[int(book)]: [*map(request_of, found)] for book, found in scenario["actions"].items()}
    if "line" in scenario:
        actions.setdefault(times[0], []).append(note("line_range_result", scenario["line"]))
    return replay(
        scenario["lines"],
        actions,
        config=dataclasses.replace(FLUMINE, **scenario.get("config", {})),
        client=hr.SimulatedClient(**scenario.get("client", {})),
        failing=failing,
    )


def final_of(played: Played, ref: str) -> dict[str, Any]:
    order = played[ref]
    names = {"price": None, "liability": None, "size": None}
    return {
        **dataclasses.asdict(Snapshot.of(order)),
        **{name: getattr(order.order_type, name, default) for name, default in names.items()},
        "bet_id": order.bet_id,
        "profit": order.profit,
        "fills": [list(fill) for fill in played.fills(ref)],
        "log": played.log(ref),
        "error": played.error(ref),
    }


def near(value: Any) -> Any:
    """`value` with its numbers made approximate to a thousand-millionth, however deep they lie."""
    if isinstance(value, dict):
        return {key: near(each) for key, each in value.items()}
    if isinstance(value, list):
        return [near(each) for each in value]
    return pytest.approx(value, abs=MONEY, rel=0) if isinstance(value, float) else value


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if not s.get("raised")], ids=lambda s: s["name"])
def test_scenario_ends_as_in_flumine(scenario: dict[str, Any]) -> None:
    played = play(scenario)
    snapshots = [
        {"book": book, "pt": at, "orders": {ref: dataclasses.asdict(order) for ref, order in orders.items()}}
        for book, (at, orders) in enumerate(played.snapshots.items())
    ]
    assert snapshots == near(scenario["snapshots"])
    assert {ref: final_of(played, ref) for ref in scenario["final"]} == near(scenario["final"])
    assert played.client.transaction_count_total == scenario["transactions"]
    cleared = {name: (played.cleared or {}).get(name) for name in scenario["cleared"] or {}}
    assert cleared == near(scenario["cleared"] or {})
    exposures = {selection: played.exposures(int(selection)) for selection in scenario["exposures"] or {}}
    assert exposures == near(scenario["exposures"] or {})


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.get("raised")], ids=lambda s: s["name"])
def test_scenario_that_ends_flumines_run_is_a_failure_of_the_market(scenario: dict[str, Any]) -> None:
    played = play(scenario, failing=True)
    # Where arithmetic on a missing value ends the peer's run, ours says what is missing.
    expected = {"each_way_without_divisor_raises": "SettlementError"}
    error_type = expected.get(scenario["name"], scenario["raised"].split("(")[0])
    assert [(row.error_type, row.count) for row in played.failures] == [(error_type, 1)]


def test_all_scenarios_are_there() -> None:
    assert len(SCENARIOS) == 68
