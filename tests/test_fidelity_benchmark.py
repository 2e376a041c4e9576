"""The comparison of the peer's bets with the default's: each difference is put down to what makes it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import Stream

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
try:
    from benchmarks import fidelity
    from benchmarks.fidelity_bets import SWITCHES, Sum, attribute, beside, by_reason, out_of_order
    from benchmarks.fidelity_requests import Bet
finally:
    sys.path.remove(str(ROOT))

BET = Bet(0, "Lays", "1.1", 7, 0.0, "LAY", "LIMIT", 2.0, 1_700_000_000_000, matched=5.0, average=2.0, profit=5.0)


def bet(matched: float = 5.0, profit: float | None = None, **fields: Any) -> Bet:
    """A bet of which so much was matched, and won."""
    return dataclasses.replace(BET, matched=matched, profit=matched if profit is None else profit, **fields)


def lanes(bets: dict[str, Bet], others: Bet) -> dict[str, list[Bet]]:
    """One bet under each switch: that of `bets`, else `others`."""
    return {name: [bets.get(name, others)] for name in SWITCHES}


# -- reasons ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agreeing", "reason"),
    [
        (("queue", "queue + liquidity", "queue + settlement"), "queue"),
        (("liquidity", "queue + liquidity", "liquidity + settlement"), "liquidity"),
        (("settlement", "queue + settlement", "liquidity + settlement"), "settlement"),
        # Neither does it alone.
        (("queue + liquidity",), "queue + liquidity"),
        ((), "all models"),
        # Either does it alone.
        (("queue", "liquidity", "queue + liquidity"), "queue or liquidity"),
    ],
)
def test_difference_is_that_of_the_fewest_models_with_which_the_bet_is_the_peers(
    agreeing: tuple[str, ...], reason: str
) -> None:
    peer, ours = bet(5.0), bet(2.0)
    (found,) = attribute([peer], [ours], lanes(dict.fromkeys((*agreeing, "all models"), peer), ours))
    assert [part.reason for part in found.parts] == [reason]
    assert (found.matched, found.profit, found.size) == (-3.0, -3.0, 3.0)


@pytest.mark.parametrize(
    ("peer", "other", "reason"),
    [
        (bet(5.0), bet(0.0, refused="INVALID_ODDS", voided=5.0), "refused: INVALID_ODDS"),
        (bet(0.0, refused="BET_TAKEN_OR_LAPSED"), bet(5.0), "refused by the peer: BET_TAKEN_OR_LAPSED"),
        (bet(0.0, arrived=False), bet(5.0), "arrived"),
        (bet(5.0), bet(0.0, arrived=False), "never arrived"),
        (bet(0.0, lapsed=5.0), bet(5.0), "lapse"),
        (bet(0.0, voided=5.0), bet(5.0), "void"),
        (bet(5.0, kind="MARKET_ON_CLOSE"), bet(4.99, kind="MARKET_ON_CLOSE"), "starting price"),
        (bet(5.0, 5.0, average=2.0), bet(5.0, 4.98, average=1.996), "averages"),
        (bet(5.0), bet(4.0), "other"),
    ],
)
def test_difference_that_no_model_makes_is_named_by_what_it_shows_in(peer: Bet, other: Bet, reason: str) -> None:
    (found,) = attribute([peer], [other], lanes({}, other))
    assert [part.reason for part in found.parts] == [reason]
    assert sum(part.matched for part in found.parts) == other.matched - peer.matched


def test_difference_of_a_model_and_a_rule_has_both_parts_and_they_add_up() -> None:
    # Ours matched 1; with the peer's queue 4, and the peer 5, of which none lapsed.
    peer, ours, queue = bet(5.0), bet(1.0, lapsed=1.0), bet(4.0, lapsed=1.0)
    several = lanes({name: queue for name in SWITCHES if "queue" in name or name == "all models"}, ours)
    found = attribute([peer, bet(3.0)], [ours, bet(3.0)], {name: [*each, bet(3.0)] for name, each in several.items()})
    (difference,) = found
    assert [(part.reason, part.matched, part.profit) for part in difference.parts] == [
        ("queue", -3.0, -3.0),
        ("lapse", -1.0, -1.0),
    ]
    assert by_reason(found) == {"queue": Sum(1, -3.0, -3.0), "lapse": Sum(1, -1.0, -1.0)}


def test_bet_that_only_another_one_can_explain_is_put_down_to_what_happened_to_that() -> None:
    # The first bet lapsed with the peer. By default it was there and took what the second one has with the peer.
    peers = [bet(0.0, lapsed=5.0), bet(3.0, number=1), bet(3.0, number=2, side="BACK")]
    ours = [bet(5.0), bet(0.0, number=1), bet(0.0, number=2, side="BACK")]
    found = attribute(peers, ours, dict.fromkeys(SWITCHES, ours))
    assert [part.reason for each in found for part in each.parts] == ["lapse", "lapse, of another bet", "other"]


# -- runs beside each other ------------------------------------------------------------------------------------------


def test_bets_of_two_runs_are_the_same_where_they_were_asked_for_alike_and_at_one_moment() -> None:
    later, dearer = bet(asked=BET.asked + 1), bet(price=2.02)
    pairs, theirs, own = beside([BET, bet(4.0), later], [bet(1.0), bet(2.0), dearer])
    assert pairs == [(BET, bet(1.0)), (bet(4.0), bet(2.0))]  # in the order of their placement
    assert (theirs, own) == ([later], [dearer])
    assert len(beside([BET, BET], [BET])[1]) == 1


def test_bet_of_which_a_more_careful_queue_matched_more_is_found() -> None:
    assert out_of_order([bet(1.0)], [bet(2.0)], [bet(2.0)]) == []
    assert out_of_order([bet(2.01)], [bet(2.0)], [bet(2.0)]) == [bet(2.0)]
    assert out_of_order([bet(1.0)], [bet(2.01)], [bet(2.0)]) == [bet(2.01)]


# -- a whole comparison ----------------------------------------------------------------------------------------------


class Takes(hr.Strategy):
    """Backs what is offered, twice, in the hope that it is there twice."""

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return market_book.status == "OPEN"

    def process_market_book(self, market: Any, market_book: Any) -> None:
        context = self.get_runner_context(market.market_id, 2, 0)
        if context.trade_count < 2 and market_book.runner(2).ex.available_to_back:
            trade = hr.Trade(market.market_id, 2, 0, self)
            market.place_order(trade.create_order("BACK", hr.LimitOrder(2.0, 10.0)))


class Waits(Takes):
    """Backs at 2.2, where others wait, cancels after half a second, and asks for less where nothing was matched."""

    def process_market_book(self, market: Any, market_book: Any) -> None:
        context = self.get_runner_context(market.market_id, 1, 0)
        if context.trade_count < 2 and not context.live_trade_count and market_book.runner(1).ex.available_to_lay:
            hopeful = any(order.size_matched for order in market.blotter.strategy_orders(self))
            trade = hr.Trade(market.market_id, 1, 0, self)
            market.place_order(trade.create_order("BACK", hr.LimitOrder(2.2, 6.0 if hopeful else 5.0)))

    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        for order in orders:
            if order.status is hr.OrderStatus.EXECUTABLE and (order.elapsed_seconds or 0) > 0.5:
                market.cancel_order(order)


STRATEGIES: dict[str, type] = {"Takes": Takes, "Waits": Waits}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> fidelity.Found:
    """Ten pounds are offered at 2.0. Of twenty at 2.2 seventeen are cancelled, and eleven a side are traded."""
    offers = {1: {"atb": [[2.0, 10]], "atl": [[2.2, 20]]}, 2: {"atb": [[2.0, 10]], "atl": [[2.2, 20]]}}
    stream = Stream().prices(100, offers).touch(400)
    stream.prices(500, {1: {"atl": [[2.2, 3]]}}).prices(600, {1: {"trd": [[2.2, 22]]}}).touch(900).touch(1500)
    path = stream.touch(2000).close(9000, winner=1).write(tmp_path_factory.mktemp("fidelity") / "1.1")
    return fidelity.examine([path], STRATEGIES)


def test_requests_made_again_under_compatibility_come_to_the_same(found: fidelity.Found) -> None:
    assert len(found.peer) == len(found.again) == 4
    assert found.unlike == []
    assert found.disordered == []


def test_each_difference_of_a_recording_has_its_reason(found: fidelity.Found) -> None:
    told = {each.peer.strategy: (each.peer.matched, each.ours.matched, each.parts) for each in found.differences}
    assert told.keys() == {"Takes", "Waits"}
    # Ten pounds cannot be taken twice.
    (takes,) = (part.reason for part in told["Takes"][2])
    assert (told["Takes"][:2], takes) == ((10.0, 0.0), "liquidity")
    # Of twenty ahead three were left: of eleven that are served, eight, and all of the bet.
    (waits,) = (part.reason for part in told["Waits"][2])
    assert (told["Waits"][:2], waits) == ((0.0, 5.0), "queue")


def test_tables_have_both_runs_and_what_only_one_of_them_asked_for(
    found: fidelity.Found, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {line.split()[0]: line.split()[1:] for line in fidelity.table(found, STRATEGIES)}
    # Matched bets of the peer and of the default; sizes of the peer, default, and of the band.
    assert lines["Takes"][:6] == ["2", "1", "20.00", "10.00", "10.00", "10.00"]
    assert lines["Waits"][:4] == ["0", "1", "0.00", "5.00"]
    assert lines["all"][:4] == ["2", "2", "20.00", "15.00"]
    assert fidelity.report(found, list(STRATEGIES), 10) is True
    told = capsys.readouterr().out
    assert "Takes at 1.1" in told
    # The default's second order is another one, because the first one was matched.
    assert "By the peer's alone: 1, 0.00 matched, profit +0.00. By the default's: 1, 0.00 matched" in told
    assert told.splitlines()[-1].startswith("4/4 orders are flumine's under compatibility")


def test_what_is_to_hold_and_does_not_is_told(found: fidelity.Found, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ({"wrong": 1}, {"unlike": [BET]}, {"disordered": [BET]}):
        assert fidelity.report(dataclasses.replace(found, **wrong), list(STRATEGIES), 3) is False
    assert "not within the band" in capsys.readouterr().out


def test_orders_that_are_not_the_reference_are_counted() -> None:
    row = {"price": 2.0, "size_matched": 5.0, "number": 0, "recording": "1.1"}
    one: Any = {("1.1", 0): row, ("1.1", 1): row}
    assert fidelity.differing(one, {key: {**each, "number": 7} for key, each in one.items()}) == 0
    assert fidelity.differing(one, {("1.1", 0): {**row, "size_matched": 4.99}, ("1.1", 2): row}) == 3
