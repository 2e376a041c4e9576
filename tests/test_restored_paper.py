"""Paper accounts, strategies and results after a restart of their host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import headrace as hr
from builders import MARKET, T0, Stream, at_sp, back, cancel, priced, replace
from headrace.actors.letters import Carried, MarketUpdate, Restore, Restored
from headrace.actors.live.setup import LiveSetup
from headrace.actors.live.shadow import with_shadows
from headrace.strategies.messages import ClearedOrder, MarketResult, OrderFact, Reply, Request
from live_hosts import Actions, Driven, arrived, ended_hosts, live_setup, mixed, msg_for, on_paper, scripted, updates_of

__all__ = ["ended_hosts"]  # used by all tests here


def restore_of(driven: Driven, crew: str = "s1.market", market_id: str = MARKET, **fields: Any) -> Restore:
    """What a coordinator that has heard all of a host gives to its successor."""
    letters = [each for each in driven.mail.letters(Carried) if each.crew == crew]
    kept = tuple(each.kept for each in letters if each.kept)
    messages = tuple(
        each.message for each in letters if isinstance(each.message, Request | Reply | OrderFact | ClearedOrder)
    )
    definition = json.dumps(Stream(market_id).lines[0]["mc"][0]["marketDefinition"]).encode()
    return Restore(crew, market_id, kept, messages, definition, "99", "killed", **fields)


def successor(driven: Driven, *letters: Restore, at: int, setup: LiveSetup | None = None) -> Driven:
    """Another host, with what the coordinator knows."""
    following = Driven(setup or driven.setup)
    for each in letters or (restore_of(driven),):
        following.deliver(each, at=T0 + at)
    assert [each.error for each in following.mail.letters(Restored)] == [""] * max(1, len(letters))
    return following


def shown(driven: Driven, stream: Stream, at: int, crew: str = "s1.market", tmp: Path | None = None) -> Any:
    """The image of a market comes, as it was at a moment: all changes until then as one."""
    market: dict[str, Any] = {"id": stream.market_id, "img": True, "rc": []}
    for line in stream.lines:
        if line["pt"] <= T0 + at:
            change = line["mc"][0]
            market["rc"] = market["rc"] + change.get("rc", [])
            if "marketDefinition" in change:
                market["marketDefinition"] = change["marketDefinition"]
    update = MarketUpdate(crew, stream.market_id, T0 + at, 0, json.dumps(market).encode(), True)
    driven.deliver(update, at=T0 + at, sender="s1")
    return driven.host.rooms[crew].actor.market(stream.market_id)


def ends(driven: Driven) -> dict[str, tuple[Any, ...]]:
    """How orders stand, by price."""
    (market,) = driven.host.rooms["s1.market"].actor.hosted
    return {
        f"{getattr(order.order_type, 'price', 'SP')}": (
            order.status.name, order.size_matched, order.size_remaining, order.size_lapsed, order.not_placed,
        )
        for order in market.blotter
    }  # fmt: skip


def test_what_rested_on_paper_lapses_and_what_was_matched_is_settled(tmp_path: Path) -> None:
    stream = priced().touch(300).touch(390).touch(500).close(9000, winner=1)
    actions: Actions = {
        100: [back("matched", 1.9, 4.0), back("rests", 3.0, 5.0), at_sp("sp", "BACK", 2.0)],
        390: [back("late", 3.5, 6.0)],
    }
    driven = Driven(live_setup([scripted(actions)]))
    for at in (0, 100, 300, 390):
        arrived(driven, stream, tmp_path, at=at, until=at)
    following = successor(driven, at=400)
    assert ends(following) == {
        "1.9": ("EXECUTION_COMPLETE", 4.0, 0.0, 0.0, None),
        "3.0": ("EXECUTION_COMPLETE", 0.0, 0.0, 5.0, None),
        "SP": ("EXECUTION_COMPLETE", 0.0, 0.0, 2.0, None),
        "3.5": ("EXPIRED", 0.0, 6.0, 0.0, "EXPIRED"),
    }
    told = [each.message for each in following.mail.letters(Carried)]
    assert {each.lapsed for each in told if isinstance(each, OrderFact)} == {5.0, 2.0}
    ((request_id, reason),) = [(each.request_id, each.reason) for each in told if isinstance(each, Reply)]
    assert request_id.startswith("h1.s1.market/")
    assert reason == "the host that simulated it has ended"
    market = shown(following, stream, 400)
    assert market.seats[0].strategy.script.calls[-1][0] == 400
    shown(following, stream, 9000)
    result = [each.message for each in following.mail.letters(Carried) if isinstance(each.message, MarketResult)][-1]
    assert [(each.profit, each.settled) for each in result.orders] == [(4.0, True)]
    assert [each.profit for each in result.markets] == [4.0]


def test_changes_of_paper_orders_that_were_on_their_way_come_too_late(tmp_path: Path) -> None:
    stream = priced().touch(300).touch(390)
    actions: Actions = {
        100: [back("a", 3.0, 4.0), back("b", 3.5, 5.0)],
        390: [replace("a", 4.0), cancel("b")],
    }
    driven = Driven(live_setup([scripted(actions)]))
    for at in (0, 100, 300, 390):
        arrived(driven, stream, tmp_path, at=at, until=at)
    following = successor(driven, at=400)
    market = shown(following, stream, 400)
    assert ends(following) == {
        "3.0": ("EXECUTION_COMPLETE", 0.0, 0.0, 4.0, None),
        "3.5": ("EXECUTION_COMPLETE", 0.0, 0.0, 5.0, None),
    }
    assert not market.replacing
    assert [trade.status.name for trade in market.blotter.trades] == ["COMPLETE", "COMPLETE"]


def test_a_live_order_is_left_as_it_is_beside_a_paper_one(tmp_path: Path) -> None:
    driven, _ = mixed(tmp_path, {100: [back("a", 2.5, 5.0), on_paper("b", 3.0, 4.0)]})
    following = successor(driven, at=300)
    shown(following, priced(), 300)
    assert ends(following) == {
        "2.5": ("PENDING", 0.0, 5.0, 0.0, None),
        "3.0": ("EXPIRED", 0.0, 4.0, 0.0, "EXPIRED"),
    }


def test_the_paper_twin_of_a_strategy_goes_on_as_well(tmp_path: Path) -> None:
    setup = with_shadows(live_setup([scripted({100: [back("a", 1.9, 5.0)]})], client=hr.BaseClient(username="me")))
    driven = Driven(setup)
    crews = ("s1.market", "s1.market.paper")
    for update in updates_of(priced().touch(300).write(tmp_path / "market")):
        for crew in crews:
            driven.deliver(msg_for(update, crew), at=update.pt, sender="s1")
    following = successor(driven, *[restore_of(driven, crew) for crew in crews], at=400)
    found = {}
    for crew in crews:
        market = shown(following, priced(), 400, crew)
        found[crew] = [(order.client.username, order.status.name, order.size_matched) for order in market.blotter]
    assert found == {"s1.market": [("me", "PENDING", 0.0)], "s1.market.paper": [("me", "EXECUTION_COMPLETE", 5.0)]}
