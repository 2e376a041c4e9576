"""What is made of the order stream's messages, without a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.actors.letters import OrdersClosed
from headrace.actors.streaming.order_messages import Folded, OrderFold
from headrace.strategies.host import order_id_of, unique_id
from headrace.strategies.messages import STREAM, OrderFact

MARKET = "1.207"
ORDER = "aaaabbbbccccdddd01"
REFERENCE = f"0123456789abc-{ORDER}"


def order(bet_id: str = "31", **of: Any) -> dict[str, Any]:
    """An order of the stream: a back of 4.00 at 3.5 that rests."""
    return {
        "id": bet_id,
        "p": 3.5,
        "s": 4.0,
        "side": "B",
        "status": "E",
        "pt": "L",
        "ot": "L",
        "pd": 1_000,
        "sm": 0.0,
        "sr": 4.0,
        "sl": 0.0,
        "sc": 0.0,
        "sv": 0.0,
        "rac": "",
        "rc": "REG_GGC",
        "rfo": REFERENCE,
        "rfs": "mine",
        **of,
    }


def changes(*orders: dict[str, Any], market_id: str = MARKET, runner: int = 7, **of: Any) -> list[bytes]:
    """A message's `oc`: one market, one runner. `mb`, `ml`, `hc` are the runner's, the rest the market's."""
    told = {name: of.pop(name) for name in ("mb", "ml", "hc", "whole") if name in of}
    if told.pop("whole", False):
        told["fullImage"] = True
    runners = [{"id": runner, "uo": list(orders), **told}] if orders or told else []
    return [json.dumps({"id": market_id, "orc": runners, **of}).encode()]


@pytest.fixture
def fold() -> OrderFold:
    return OrderFold("Betfair", "alice", lambda strategy_ref, _: strategy_ref == "mine")


def only(found: Folded) -> OrderFact:
    (fact,) = found.facts
    assert found.unread == []
    return fact


def test_a_resting_bet_is_a_fact_of_its_order(fold: OrderFold) -> None:
    assert only(fold.fold(changes(order()), 5_000)) == OrderFact(
        MARKET, ORDER, "31", STREAM, 5_000, True, 3.5, 4.0, "LAPSE", remaining=4.0
    )


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"sm": 1.5, "sr": 2.5, "avp": 3.55}, {"executable": True, "matched": 1.5, "average": 3.55, "remaining": 2.5}),
        ({"status": "EC", "sm": 4.0, "sr": 0.0, "avp": 3.5}, {"executable": False, "matched": 4.0, "average": 3.5}),
        ({"status": "EC", "sr": 0.0, "sc": 4.0, "cd": 2_000}, {"executable": False, "cancelled": 4.0, "lapsed": 0.0}),
        ({"status": "EC", "sr": 0.0, "sl": 4.0, "ld": 2_000}, {"executable": False, "lapsed": 4.0, "cancelled": 0.0}),
        ({"status": "EC", "sr": 0.0, "sv": 4.0, "md": 2_000}, {"executable": False, "voided": 4.0, "average": 0.0}),
        ({"pt": "P"}, {"persistence_type": "PERSIST"}),
        ({"sm": 1.3333333, "sr": 2.6666667, "avp": 3.5}, {"matched": 1.33, "remaining": 2.67}),
        ({"side": "L", "hc": None}, {"executable": True}),
    ],
)
def test_sizes_and_states(fold: OrderFold, told: dict[str, Any], expected: dict[str, Any]) -> None:
    fact = only(fold.fold(changes(order(**told)), 5_000))

    assert {name: getattr(fact, name) for name in expected} == expected


def test_fill_or_kill_that_is_killed_is_cancelled(fold: OrderFold) -> None:
    fact = only(fold.fold(changes(order(status="EC", sc=4.0, sr=0.0, pt="L")), 5_000))

    assert (fact.executable, fact.cancelled, fact.remaining) == (False, 4.0, 0.0)


def test_average_that_is_left_out_is_the_last_one_known_and_else_the_price(fold: OrderFold) -> None:
    partly = only(fold.fold(changes(order(sm=2.0, sr=2.0, avp=3.6)), 5_000))
    wholly = only(fold.fold(changes(order(status="EC", sm=4.0, sr=0.0, md=4_000)), 6_000))
    other = only(fold.fold(changes(order("32", status="EC", sm=4.0, sr=0.0, avp=None)), 7_000))

    assert [each.average for each in (partly, wholly, other)] == [3.6, 3.6, 3.5]


class TestStartingPrice:
    WAITING = order(ot="MOC", status="EC", p=0.0, s=0.0, sr=0.0, bsp=12.0)

    def test_a_bet_that_waits_is_not_complete(self, fold: OrderFold) -> None:
        fact = only(fold.fold(changes(self.WAITING), 5_000))

        assert (fact.executable, fact.size, fact.price, fact.persistence_type) == (True, 12.0, None, None)

    @pytest.mark.parametrize("ended", [{"sm": 5.0, "avp": 3.4}, {"sl": 12.0, "ld": 9}, {"sc": 0.0, "cd": 9}])
    def test_it_ends_matched_lapsed_or_by_an_edit_of_its_price(self, fold: OrderFold, ended: dict[str, Any]) -> None:
        fold.fold(changes(self.WAITING), 5_000)

        assert not only(fold.fold(changes({**self.WAITING, **ended}), 6_000)).executable

    def test_liability_that_is_left_out_is_the_one_known(self, fold: OrderFold) -> None:
        fold.fold(changes(self.WAITING), 5_000)
        fact = only(fold.fold(changes({**self.WAITING, "bsp": None, "sm": 12.0, "avp": 2.0}), 6_000))

        assert fact.size == 12.0

    def test_nothing_waits_in_a_market_that_has_closed(self, fold: OrderFold) -> None:
        fold.fold(changes(self.WAITING), 5_000)
        found = fold.fold(changes(closed=True), 6_000)

        assert not only(found).executable
        assert found.closings == [OrdersClosed("Betfair", "alice", MARKET, True, 6_000)]

    def test_limit_order_that_went_there_is_complete_with_its_sizes(self, fold: OrderFold) -> None:
        fact = only(fold.fold(changes(order(ot="MOC", pt="MOC", status="EC", sm=2.0, avp=3.3, sr=0.0, bsp=2.0)), 5))

        assert (fact.executable, fact.size, fact.persistence_type) == (False, 4.0, "MARKET_ON_CLOSE")


class TestOrderOfEvents:
    def test_of_several_states_in_a_message_the_last_counts(self, fold: OrderFold) -> None:
        fact = only(fold.fold(changes(order(), order(status="EC", sm=4.0, sr=0.0, avp=3.5)), 5_000))

        assert (fact.executable, fact.matched) == (False, 4.0)

    def test_repetition_is_the_same_fact(self, fold: OrderFold) -> None:
        first = only(fold.fold(changes(order(sm=1.0, sr=3.0, avp=3.5)), 5_000))

        assert only(fold.fold(changes(order(sm=1.0, sr=3.0, avp=3.5)), 5_000)) == first

    def test_what_comes_later_at_the_same_moment_is_later(self, fold: OrderFold) -> None:
        first = only(fold.fold(changes(order(pt="P")), 5_000))
        second = only(fold.fold(changes(order(pt="L")), 5_000))

        assert second.at > first.at


class TestWhose:
    def test_bets_of_other_references_are_told_of_apart(self, fold: OrderFold) -> None:
        found = fold.fold(changes(order("41", rfo="", rfs=""), hc=-0.5), 5_000)

        (bet,) = found.bets
        assert found.facts == []
        assert (bet.bet_id, bet.side, bet.price, bet.size, bet.own) == ("41", "BACK", 3.5, 4.0, False)
        assert (bet.market_id, bet.selection_id, bet.handicap) == (MARKET, 7, -0.5)
        assert bet.fact is not None
        assert bet.fact.order_id is None

    def test_a_bet_whose_references_are_left_empty_once_stays_ours(self, fold: OrderFold) -> None:
        fold.fold(changes(order()), 5_000)
        fact = only(fold.fold(changes(order(rfo="", rfs="", sm=1.0, sr=3.0, avp=3.5)), 6_000))

        assert (fact.order_id, fact.matched) == (ORDER, 1.0)

    def test_ours_is_told_of_as_a_bet_when_it_is_first_seen(self, fold: OrderFold) -> None:
        first, second = fold.fold(changes(order()), 5_000), fold.fold(changes(order(sm=1.0, sr=3.0)), 6_000)

        assert [bet.own for bet in first.bets] == [True]
        assert second.bets == []

    def test_references_made_elsewhere_name_no_order(self) -> None:
        made = unique_id()

        assert order_id_of(f"0123456789abc-{made}") == made
        assert order_id_of("") is None
        assert order_id_of("my own reference") is None


class TestPositions:
    def test_ladders_are_changes_by_price(self, fold: OrderFold) -> None:
        fold.fold(changes(mb=[[3.5, 2.0], [3.6, 1.0]], ml=[[3.4, 5.0]]), 5_000)
        (position,) = fold.fold(changes(mb=[[3.5, 0.0], [3.7, 4.0]]), 6_000).positions

        assert (position.backs, position.lays) == (((3.6, 1.0), (3.7, 4.0)), ((3.4, 5.0),))
        assert (position.username, position.market_id, position.selection_id) == ("alice", MARKET, 7)

    def test_what_is_the_same_is_not_told_again(self, fold: OrderFold) -> None:
        fold.fold(changes(mb=[[3.5, 2.0]]), 5_000)

        assert fold.fold(changes(mb=[[3.5, 2.0]]), 6_000).positions == []

    def test_runner_image_replaces_the_ladders(self, fold: OrderFold) -> None:
        fold.fold(changes(mb=[[3.5, 2.0]]), 5_000)
        (position,) = fold.fold(changes(whole=True), 6_000).positions

        assert (position.backs, position.lays) == ((), ())

    def test_market_image_replaces_its_runners(self, fold: OrderFold) -> None:
        fold.fold(changes(mb=[[3.5, 2.0]], runner=7), 5_000)
        found = fold.fold(changes(mb=[[2.0, 1.0]], runner=8, fullImage=True), 6_000).positions

        assert {each.selection_id: each.backs for each in found} == {7: (), 8: ((2.0, 1.0),)}

    def test_market_image_without_runners_says_that_nothing_is_left(self, fold: OrderFold) -> None:
        fold.fold(changes(mb=[[3.5, 2.0]]), 5_000)
        (position,) = fold.fold(changes(fullImage=True), 6_000).positions

        assert position.backs == ()
        assert fold.markets == 0

    def test_whole_image_replaces_all_markets(self, fold: OrderFold) -> None:
        fold.fold(changes(mb=[[3.5, 2.0]]), 5_000)
        fold.fold(changes(mb=[[2.5, 3.0]], market_id="1.208"), 5_000)
        found = fold.fold(changes(mb=[[2.5, 3.0]], market_id="1.208"), 6_000, image=True).positions

        assert {each.market_id: each.backs for each in found} == {MARKET: (), "1.208": ((2.5, 3.0),)}


class TestOddMessages:
    def test_an_order_that_cannot_be_read_leaves_the_others(self, fold: OrderFold) -> None:
        found = fold.fold(changes({"id": "33"}, order("34"), order("35", side="X")), 5_000)

        assert [fact.bet_id for fact in found.facts] == ["34"]
        assert len(found.unread) == 2
        assert MARKET in found.unread[0]

    def test_a_market_that_cannot_be_read_leaves_the_others(self, fold: OrderFold) -> None:
        found = fold.fold([b'{"orc": []}', *changes(order())], 5_000)

        assert [fact.bet_id for fact in found.facts] == ["31"]
        assert len(found.unread) == 1

    @pytest.mark.parametrize("junk", [b"{}", b"[", b'"x"', b"null"])
    def test_what_is_no_market_is_told(self, fold: OrderFold, junk: bytes) -> None:
        found = fold.fold([junk], 5_000)

        assert (found.facts, len(found.unread)) == ([], 1)

    def test_fields_may_be_absent_null_or_text(self, fold: OrderFold) -> None:
        bare = {
            "id": 31,
            "side": "B",
            "status": "E",
            "ot": "L",
            "p": "3.5",
            "s": 4,
            "sr": 4,
            "avp": None,
            "rfs": "mine",
        }
        fact = only(fold.fold(changes({**bare, "unheard": [1]}), 5_000))

        assert (fact.bet_id, fact.price, fact.remaining, fact.order_id) == ("31", 3.5, 4.0, None)

    def test_market_that_opens_again_is_told(self, fold: OrderFold) -> None:
        found = [fold.fold(changes(closed=closed), at).closings for at, closed in enumerate([True, True, False])]

        assert [[each.closed for each in closings] for closings in found] == [[True], [], [False]]

    def test_closed_markets_are_forgotten_in_time(self, fold: OrderFold) -> None:
        fold.fold(changes(order(), closed=True), 5_000)
        fold.fold(changes(order("32"), market_id="1.208"), 5_000)
        fold.forget_closed(5_000)
        assert fold.markets == 2
        fold.forget_closed(5_001)

        assert fold.markets == 1
