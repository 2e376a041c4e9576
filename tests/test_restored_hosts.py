"""Hosts that go on where others have crashed: after any letter, with the same orders, exposures and contexts."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apart import outcome
from builders import MARKET, T0, back, priced, replace
from crashing_hosts import World
from headrace.actors.journal.entries import unpacked
from headrace.actors.letters import Hosting, Introduce
from headrace.strategies.messages import PLACE, Request, StrategyFact
from stories import RUNNERS, Story, requests, stories
from test_rebuilding import shown, told

#: What results say is taken once the market is shown, and shown as closed.
RESULT = (
    "profit", "settled", "runner_status", "market_type", "each_way_divisor", "number_of_dead_heat_winners", "on_line",
    "line_range_result", "settlement_note",
)  # fmt: skip


CRASHES = st.lists(st.integers(1, 60), min_size=1, max_size=3)


def outcomes(world: World) -> dict[str, Any]:
    found = {}
    for number, script in enumerate(world.scripts):
        script._name_replacements()
        for ref, order in script.orders.items():
            log = [each.name for each in order.status_log]
            found[f"{number} {ref}"] = outcome(order) | {"bet_id": order.bet_id, "log": log}
    return found


def require_same(world: World) -> None:
    """What the new host has is what the old one had."""
    old, new = world._before.rooms["s1.market"].actor.market(world.market_id), world.market
    assert world.restored[-1].error == ""
    assert [order.id for order in new.blotter] == [order.id for order in old.blotter]
    for before, after in zip(old.blotter, new.blotter, strict=True):
        ours, theirs = shown(after), shown(before)
        for name in RESULT:
            ours[name] = theirs[name]
        # The journal keeps the last news of a bet: of a first match it may know the time of a later one.
        assert (ours["matched_ms"] is None) == (theirs["matched_ms"] is None)
        ours["matched_ms"] = theirs["matched_ms"]
        if ours["placement"] is None:
            # It took another's place, and nothing was asked for since: how the market looked then is not known.
            assert after.id in new.replaced_by.values()
            for name in ("placement", "market_notes", "publish_time"):
                ours[name] = theirs[name]
        assert ours == theirs
    assert {order.id for order in new.blotter.live_orders} == {order.id for order in old.blotter.live_orders}
    assert new.replaced_by == old.replaced_by
    assert new.replacing == old.replacing
    for first, second in zip(old.blotter.trades, new.blotter.trades, strict=True):
        assert told(second) == told(first)
    for (one, other), selection_id in itertools.product(zip(old.seats, new.seats, strict=True), RUNNERS):
        mine, again = one.strategy, other.strategy
        lookup = (old.market_id, selection_id, 0)
        exposures = old.blotter.get_exposures(mine, lookup)
        assert new.blotter.get_exposures(again, lookup) == pytest.approx(exposures, abs=1e-9)
        before, after = (each.get_runner_context(old.market_id, selection_id) for each in (mine, again))
        for name in set(before.__slots__) - {"_clock"}:
            assert getattr(after, name) == getattr(before, name), name


@settings(max_examples=60, deadline=None)
@given(stories(), st.lists(st.lists(requests, max_size=2), max_size=8), CRASHES, st.booleans())
def test_a_host_that_crashes_after_any_letter_has_a_successor_that_is_as_far(
    story: Story, more: list[list[Any]], crashes: list[int], merges: bool
) -> None:
    stream, actions = story
    others = dict(zip(actions, more, strict=False))
    plain, crashed = World(stream, actions, others), World(stream, actions, others)
    crashed.merges = merges
    plain.play().end()
    crashed.play(*crashes, then=require_same).end()
    ours, theirs = outcomes(crashed), outcomes(plain)
    assert ours.keys() == theirs.keys()
    for ref, ended in ours.items():
        assert ended == theirs[ref], ref


@settings(max_examples=60, deadline=None)
@given(stories(), st.integers(1, 60), st.integers(0, 3))
def test_requests_that_never_reached_the_coordinator_never_happened(story: Story, crash: int, goes_out: int) -> None:
    stream, actions = story
    world = World(stream, actions).play(crash, goes_out=goes_out)
    blotter = world.market.blotter
    world.end()
    asked = {
        name
        for request in world.known
        if isinstance(request, Request)
        for each in request.instructions
        for name in (each.order_id, getattr(each, "new_order_id", None))
    }
    for order in blotter:
        assert order.id in asked
        bet = world.bet(order.id)
        if bet is not None:
            assert (order.size_matched, order.size_remaining, order.size_cancelled, order.size_lapsed) == (
                bet.size_matched, bet.size_remaining, bet.size_cancelled, bet.size_lapsed
            )  # fmt: skip
            assert order.complete == bet.ended
    for request in world.known:
        if isinstance(request, Request) and request.kind == PLACE:
            assert {each.order_id for each in request.instructions} <= {order.id for order in blotter}


# -- a coordinator that starts anew ------------------------------------------------------------------------------------


def told_anew(world: World) -> list[Any]:
    """What the host tells a coordinator that is introduced to it."""
    before = len(world.mail.sent)
    world.hand(Introduce("c", "fake:c"))
    return [letter for name, letter in world.mail.sent[before:] if name == "c"]


def repeated(letters: list[Any]) -> list[Request]:
    return [each.message for each in letters if isinstance(getattr(each, "message", None), Request)]


def test_a_host_tells_a_new_coordinator_what_it_has_and_repeats_what_is_not_answered() -> None:
    stream = priced().touch(150).touch(300)
    world = World(stream, {100: [back("a", 3.0, 4.0)], 300: [replace("a", 4.0), back("b", 3.5, 2.0)]})
    found: list[Any] = []
    world.play(
        watch={T0 + 150: lambda: found.append(told_anew(world)), T0 + 310: lambda: found.append(told_anew(world))}
    )
    asked = [each for each in world.known if isinstance(each, Request)]
    hello, hosting, opened, first, knows = found[0]
    assert (hello.kind, hello.name) == ("HOST", "h")
    assert hosting == Hosting("h", (("s1.market", MARKET, "99"),))
    assert (opened.message.what, opened.message.market_id) == ("OPENED", MARKET)
    # As it was sent, with what was kept: nobody had answered by then.
    assert (first.message, first.kept) == (asked[0], world.kept[0])
    # The first is answered; the other two are not.
    assert repeated(found[1]) == asked[1:]
    assert repeated(told_anew(world)) == []
    # What the strategy knows now comes last: a coordinator that ended may have had it, and not have written it down.
    assert isinstance(knows.message, StrategyFact)
    kept = unpacked(knows.kept)
    assert (kept.strategy, kept.snapshot, kept.current) == (
        "Trader 0", unpacked(first.kept).snapshot, (asked[0].instructions[0].order_id,)
    )  # fmt: skip
    world.end()


def test_a_replace_is_answered_when_both_its_parts_are() -> None:
    stream = priced().turn_in_play(150, bet_delay=5).touch(300).touch(20_000)
    world = World(stream, {100: [back("a", 3.0, 4.0)], 300: [replace("a", 4.0)]})
    again: dict[int, int] = {}

    def look(at: int) -> None:
        again[at] = len(repeated(told_anew(world)))

    # Its cancel is answered after 280 ms, its placing after the delay.
    world.play(watch={T0 + at: partial(look, at) for at in (310, 700, 7000)})
    assert again == {310: 1, 700: 1, 7000: 0}
    world.end()


def test_results_are_told_again() -> None:
    stream = priced().touch(300).close(9000)
    world = World(stream, {100: [back("a", 1.9, 4.0)]}).play()
    (result,) = world.results
    assert told_anew(world)[3].message == result
    world.free()
    assert told_anew(world)[1] == Hosting("h", ())
    world.end()
