"""What a subscription does with hand-written messages: clocks, images, segments, ids."""

from __future__ import annotations

import json
from typing import Any

from headrace.actors.streaming.stream_messages import Batch, decode_message
from headrace.actors.streaming.subscription import Subscription


def taken(operation: str = "marketSubscription", **request: Any) -> Subscription:
    """A subscription whose first request, number 7, was taken."""
    made = Subscription(operation, request)
    made.ask(7)
    made.taken()
    return made


def give(subscription: Subscription, op: str = "mcm", number: int | None = 7, **message: Any) -> Batch | None:
    """What comes of a message; it is done with at once."""
    batch = subscription.take(decode_message(json.dumps({"op": op, "id": number, **message}).encode()), 5)
    if batch is not None:
        subscription.done(batch)
    return batch


def asked(subscription: Subscription, number: int = 8) -> dict[str, Any]:
    return json.loads(subscription.ask(number))


IMAGE = {"ct": "SUB_IMAGE", "initialClk": "i1", "clk": "c1", "pt": 10}


def test_request_has_its_operation_and_its_id() -> None:
    assert asked(Subscription("orderSubscription", {"orderFilter": {}, "heartbeatMs": 500}), 3) == {
        "op": "orderSubscription",
        "id": 3,
        "orderFilter": {},
        "heartbeatMs": 500,
    }


def test_clocks_of_whole_messages_are_sent_with_the_next_request() -> None:
    found = taken()
    give(found, mc=[{"id": "1.1"}], **IMAGE)
    give(found, clk="c2", pt=11, mc=[{"id": "1.1"}])
    assert (asked(found)["initialClk"], asked(found)["clk"]) == ("i1", "c2")


def test_clock_of_a_heartbeat_counts() -> None:
    found = taken()
    give(found, **IMAGE)
    assert give(found, ct="HEARTBEAT", clk="c9", pt=12) is None
    assert asked(found)["clk"] == "c9"


def test_clock_counts_only_once_the_changes_have_been_handed_on() -> None:
    found = taken()
    give(found, **IMAGE)
    assert found.take(decode_message(b'{"op":"mcm","id":7,"clk":"c2","pt":11,"mc":[{"id":"1.1"}]}'), 5) is not None
    assert asked(found)["clk"] == "c1"


def test_message_without_clock_leaves_the_clock() -> None:
    found = taken()
    give(found, **IMAGE)
    assert give(found, pt=11, mc=[{"id": "1.1"}]) is not None
    assert asked(found)["clk"] == "c1"


def test_without_an_image_there_is_nothing_to_go_on_from() -> None:
    assert "clk" not in asked(taken())


def test_sports_data_is_always_asked_for_anew() -> None:
    found = taken("raceSubscription")
    assert give(found, "rcm", clk="c1", initialClk="i1", pt=1, rc=[{"mid": "1.1"}]) is not None
    assert "clk" not in asked(found)


def test_clocks_that_were_refused_are_dropped() -> None:
    found = taken()
    give(found, **IMAGE)
    found.forget_clocks()
    assert "initialClk" not in asked(found)


def test_clocks_of_another_request_are_dropped() -> None:
    found = taken(marketFilter={})
    give(found, **IMAGE)
    found.change({"marketFilter": {"marketIds": ["1.5"]}})
    assert asked(found) == {"op": "marketSubscription", "id": 8, "marketFilter": {"marketIds": ["1.5"]}}


def test_image_of_segments_comes_whole_with_all_its_changes() -> None:
    found = taken()
    first = {key: value for key, value in IMAGE.items() if key not in ("clk", "initialClk")}
    assert give(found, segmentType="SEG_START", mc=[{"id": "1.1"}, {"id": "1.2"}], **first) is None
    assert give(found, segmentType="SEG", mc=[{"id": "1.3"}], **first) is None
    batch = give(found, segmentType="SEG_END", mc=[{"id": "1.4"}], **IMAGE)
    assert batch is not None
    assert batch.image
    assert [json.loads(bytes(each))["id"] for each in batch.changes] == ["1.1", "1.2", "1.3", "1.4"]
    assert asked(found)["clk"] == "c1"


def test_segments_that_were_cut_off_leave_no_trace() -> None:
    found = taken()
    give(found, **IMAGE)
    give(found, segmentType="SEG_START", pt=11, mc=[{"id": "1.1"}])
    found.disconnected()
    assert asked(found, 9)["clk"] == "c1"
    found.taken()
    batch = give(found, number=9, ct="RESUB_DELTA", clk="c4", pt=12, mc=[{"id": "1.2"}])
    assert batch is not None
    assert batch.resumed
    assert len(batch.changes) == 1


def test_messages_with_another_id_are_left_out() -> None:
    found = taken()
    give(found, **IMAGE)
    assert give(found, number=6, pt=11, clk="c5", mc=[{"id": "1.1"}]) is None
    assert give(found, number=None, pt=11, mc=[{"id": "1.1"}]) is None
    assert give(found, op="ocm", pt=11, oc=[{"id": "1.1"}]) is None
    assert asked(found)["clk"] == "c1"


def test_changes_before_the_image_are_left_out() -> None:
    found = taken()
    assert give(found, pt=9, clk="c0", mc=[{"id": "1.1"}]) is None
    assert give(found, **IMAGE) is not None


def test_request_under_way_leaves_the_one_in_force_until_it_is_taken() -> None:
    found = taken()
    give(found, **IMAGE)
    found.change({"marketFilter": {"marketIds": ["1.5"]}})
    found.ask(8)
    assert give(found, pt=11, mc=[{"id": "1.1"}]) is not None
    found.refused()
    assert give(found, pt=12, mc=[{"id": "1.1"}]) is not None
    found.ask(9)
    found.taken()
    assert give(found, pt=13, mc=[{"id": "1.1"}]) is None


def test_heartbeats_are_expected_as_often_as_the_exchange_says() -> None:
    found = taken(heartbeatMs=500)
    assert found.heartbeat_ms == 500
    give(found, heartbeatMs=5_000, **IMAGE)
    assert found.heartbeat_ms == 5_000


def test_nulls_are_absent() -> None:
    found = taken()
    batch = give(found, initialClk=None, ct="SUB_IMAGE", clk=None, mc=None, segmentType=None, status=None, pt=3)
    assert batch is not None
    assert batch.changes == []
