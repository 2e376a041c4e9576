"""What a recording may leave out: no rule of the exchange computes with it, by either rule set."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from builders import FLUMINE, Request, Stream, at_sp, back, cancel, lay, replace, replay, update

FACTORS = {1: 40.0, 2: 30.0, 3: 20.0, 4: 10.0}
ORDERS = [
    back("backed", 2.0, 5),
    lay("laid", 2.1, 4),
    back("waits", 3.0, 2),
    lay("waits too", 1.5, 2, persistence_type="PERSIST"),
    at_sp("back sp", "BACK", 10),
    at_sp("lay sp", "LAY", 20),
    at_sp("back limit", "BACK", 10, 1.5),
    at_sp("lay limit", "LAY", 20, 5),
    back("other", 8.0, 3, selection_id=2),
    lay("taken", 1.5, 3, persistence_type="MARKET_ON_CLOSE"),
]


def eventful(market_type: str) -> Stream:
    """A market with a removal, reconciled starting prices, a turn in play, and a result."""
    stream = Stream(
        runners={key: {"status": "ACTIVE", "adjustmentFactor": factor} for key, factor in FACTORS.items()},
        marketType=market_type, eachWayDivisor=4.0, numberOfWinners=1, priceLadderDefinition={"type": "CLASSIC"},
    )  # fmt: skip
    levels = {"atb": [[2.0, 10], [1.9, 50]], "atl": [[2.1, 10], [2.2, 50]], "trd": [[2.0, 100]]}
    stream.prices(100, {1: levels, 2: levels}).touch(400).touch(600)
    stream.remove(700, 4, 10.0).prices(800, {1: {"trd": [[3.0, 50]]}}).remove(850, 3, 20.0, version=3)
    stream.define(900, {1: {"bsp": 2.4}, 2: {"bsp": 3.1}}, bspReconciled=True, inPlay=True, version=4)
    return stream.prices(1000, {1: {"trd": [[1.5, 80]]}}).close(bsp={1: 2.4, 2: 3.1})


def without(stream: Stream, fields: set[str], runner_fields: set[str], which: int) -> Stream:
    found = copy.deepcopy(stream)
    for line in found.lines:
        for change in line["mc"]:
            definition = change.get("marketDefinition")
            if definition is not None:
                definition.update(dict.fromkeys(fields))
                for runner in definition["runners"]:
                    if which in (0, runner["id"]):
                        runner.update(dict.fromkeys(runner_fields))
    return found


FIELDS = sorted({*eventful("WIN").lines[0]["mc"][0]["marketDefinition"]} - {"runners", "status"})
RUNNER_FIELDS = ["adjustmentFactor", "bsp", "sortPriority", "removalDate", "hc"]


def if_taken(ref: str, request: Request) -> Request:
    """A request about an order, unless the exchange has refused it: a market that does not say so has no in-play."""
    return lambda script, market: None if script.orders[ref].complete else request(script, market)


def check(stream: Stream, config: hr.Config) -> None:
    changes = [if_taken("waits", update("waits", "PERSIST")), if_taken("waits too", replace("waits too", 1.6))]
    played = replay(
        stream,
        {100: ORDERS, 400: changes, 600: [if_taken("other", cancel("other"))]},
        config=config,
        failing=True,
    )
    # What the definition leaves open cannot be settled, and is said so; nothing else may come of it.
    assert {each.error_type for each in played.failures} <= {"SettlementError", "RecordingError"}
    assert played.market.status == "CLOSED"


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["own", "flumine"])
@pytest.mark.parametrize("market_type", ["WIN", "PLACE", "EACH_WAY"])
@pytest.mark.parametrize("fields", [[], *([each] for each in FIELDS), FIELDS], ids=lambda found: "-".join(found)[:30])
def test_absent_field_of_a_definition_breaks_no_rule(fields: list[str], market_type: str, config: hr.Config) -> None:
    check(without(eventful(market_type), set(fields), set(), 0), config)


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["own", "flumine"])
@pytest.mark.parametrize("which", [0, *FACTORS])
@pytest.mark.parametrize("field", RUNNER_FIELDS)
def test_absent_field_of_a_runner_breaks_no_rule(field: str, which: int, config: hr.Config) -> None:
    check(without(eventful("WIN"), set(), {field}, which), config)


@given(
    st.sampled_from(["WIN", "PLACE", "EACH_WAY", "OTHER_PLACE", None]),
    st.sets(st.sampled_from(FIELDS), max_size=6),
    st.sets(st.sampled_from(RUNNER_FIELDS)),
    st.sampled_from([0, *FACTORS]),
    st.sampled_from([hr.Config(), FLUMINE]),
)
def test_absent_fields_together_break_no_rule(
    market_type: Any, fields: set[str], runner_fields: set[str], which: int, config: hr.Config
) -> None:
    check(without(eventful(market_type), fields, runner_fields, which), config)


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["own", "flumine"])
@pytest.mark.parametrize("own", [100.0, 99.0, 0.0])
def test_liability_is_never_reduced_below_nothing(own: float, config: hr.Config) -> None:
    stream = eventful("WIN")
    for line in stream.lines:
        for change in line["mc"]:
            for runner in change.get("marketDefinition", {}).get("runners", ()):
                if runner["id"] == 1:
                    runner["adjustmentFactor"] = own
    played = replay(stream, {100: [at_sp("lay sp", "LAY", 20)]}, config=config, failing=True)
    assert [each.message for each in played.failures] == []
    if config is not FLUMINE:
        assert 0 <= played["lay sp"].order_type.liability <= 20
