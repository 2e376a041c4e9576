"""What the peer gets wrong about non-runners, voids, starting prices, settlement and the end of a market.

Each test has the peer's number, which `compatibility="flumine"` gives, and the right one, which is the default, with
the reason beside it. Markets are replayed as a user would, with `hr.backtest`. Stakes are pounds. Unless a test says
otherwise, bets are asked for at 100 ms, and matched when their latency has passed.

Rules: Betfair's Exchange Rules and Regulations, and support.betfair.com; docs/fidelity.md names where each stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, MARKET, T0, Stream

DEFAULT = hr.Config()
Do = Callable[[hr.Strategy, Any], object]
Row = dict[str, Any]


class Bets(hr.Strategy):
    """Does what it is told, at the books that it is told."""

    def __init__(self, told: Mapping[int, Sequence[Do]], **keywords: Any) -> None:
        self.told = told
        limits = {"max_order_exposure": None, "max_selection_exposure": None, "max_live_trade_count": 1000}
        super().__init__(**{**limits, **keywords})

    def check_market_book(self, market: Any, book: Any) -> bool:
        return True

    def process_market_book(self, market: Any, book: Any) -> None:
        for do in self.told.get(book.publish_time_epoch - T0, ()):
            do(self, market)


def bet(name: str, side: str, kind: type, *terms: Any, on: int = 1, line: float = 0.0, **more: Any) -> Do:
    """Place an order: `kind` and `terms` are its type's class and arguments; `on` its selection."""

    def do(strategy: hr.Strategy, market: Any) -> None:
        trade = hr.Trade(market.market_id, on, line, strategy)
        market.place_order(trade.create_order(side, kind(*terms, **more), notes={"name": name}), force=True)

    return do


def back(name: str, price: float, size: float, on: int = 1, **more: Any) -> Do:
    return bet(name, "BACK", hr.LimitOrder, price, size, on=on, **more)


def lay(name: str, price: float, size: float, on: int = 1, **more: Any) -> Do:
    return bet(name, "LAY", hr.LimitOrder, price, size, on=on, **more)


def cancel(name: str, size: float) -> Do:
    def do(strategy: hr.Strategy, market: Any) -> None:
        order = next(order for order in market.blotter if order.notes["name"] == name)
        market.cancel_order(order, size, force=True)

    return do


def exposure(selection_id: int = 1) -> Do:
    """Record what the strategy stands to lose, and to win, on a runner."""

    def do(strategy: hr.Strategy, market: Any) -> None:
        found = market.blotter.get_exposures(strategy, (market.market_id, selection_id, 0))
        strategy.record(market, lose=found["worst_possible_profit_on_lose"], win=found["worst_possible_profit_on_win"])

    return do


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., hr.Result]:
    """Replay recordings with what is to be done in each of them."""

    def backtest(
        streams: Stream | Sequence[Stream], *told: Do, config: hr.Config = DEFAULT, at: Mapping[int, Sequence[Do]] = {},
        **keywords: Any,
    ) -> hr.Result:  # fmt: skip
        streams = [streams] if isinstance(streams, Stream) else streams
        paths = [stream.write(tmp_path / stream.market_id) for stream in streams]
        strategy = Bets({100: told, **at}, **keywords)
        return hr.backtest(strategy, paths, engine="local", progress=False, config=config)

    return backtest


@pytest.fixture
def orders(run: Callable[..., hr.Result]) -> Callable[..., dict[str, Row]]:
    """The same; what became of the orders, by the names that they were given."""

    def rows(*what: Any, **how: Any) -> dict[str, Row]:
        result = run(*what, **how)
        assert result.failures.to_pylist() == []
        return {row["notes"]: row for row in result.orders.to_pylist()}

    return rows


Run, Orders = Callable[..., hr.Result], Callable[..., dict[str, Row]]


def race(count: int = 5, factor: float | None = 20.0, market_id: str = MARKET, **definition: Any) -> Stream:
    """A race of some runners, each at 3.0 to back and 3.1 to lay from 100 ms on."""
    runners = {each: {"status": "ACTIVE", "adjustmentFactor": factor} for each in range(1, count + 1)}
    stream = Stream(market_id, runners=runners, numberOfActiveRunners=count, **definition)
    offers: Row = {"atb": [[3.0, 50.0]], "atl": [[3.1, 50.0]]}
    return stream.prices(100, {each: dict(offers) for each in runners}).touch(400)


def profits(found: Mapping[str, Row]) -> dict[str, float]:
    return {name: row["profit"] for name, row in found.items()}


def notes(found: Mapping[str, Row]) -> dict[str, str | None]:
    return {name: row["settlement_note"] for name, row in found.items()}


# -- D7: fills of a size below zero ----------------------------------------------------------------------------------


def withdrawn_with_volume() -> Stream:
    """40 trade at 2.2 just before runner 1 is withdrawn."""
    stream = Stream().prices(100, {1: {"atb": [[2.0, 10.0]], "atl": [[2.2, 6.0]]}}).touch(400).touch(700)
    return stream.prices(800, {1: {"trd": [[2.2, 20.0]]}}).remove(900, 1, 20.0).touch(1000).close(winner=2)


def test_d7_bet_that_was_partly_cancelled_is_void_and_nothing_of_it_is_matched(orders: Orders) -> None:
    asked = {"at": {400: [cancel("a", 4.0)]}}
    # The peer calls all 10 void, though 4 were cancelled: -4 remain, and the volume before the removal, which it shows
    # to the bet again, matches these.
    peer = orders(withdrawn_with_volume(), back("a", 2.2, 10.0), config=FLUMINE, **asked)["a"]
    assert (peer["size_matched"], peer["size_cancelled"], peer["size_voided"]) == (-4.0, 4.0, 10.0)
    # 4 cancelled and 6 void are the 10 that were asked for.
    ours = orders(withdrawn_with_volume(), back("a", 2.2, 10.0), **asked)["a"]
    assert (ours["size_matched"], ours["size_cancelled"], ours["size_voided"]) == (0.0, 4.0, 6.0)
    assert (ours["size_remaining"], ours["status"], ours["profit"]) == (0.0, "EXECUTION_COMPLETE", 0.0)


# -- D8: volume that is shown again ----------------------------------------------------------------------------------


def test_d8_volume_of_a_runner_that_leaves_active_is_matched_once(orders: Orders) -> None:
    def stream() -> Stream:
        market = Stream().prices(100, {1: {"atb": [[2.0, 10.0]], "atl": [[2.3, 6.0]], "trd": [[2.2, 10.0]]}})
        market.touch(400).prices(500, {1: {"trd": [[2.2, 18.0]]}}).define(600, {1: {"status": "HIDDEN"}})
        return market.touch(700).touch(800).close(winner=1)

    # The growth of 8 is 4 on each side. The peer keeps it while the runner is hidden, and matches it four times.
    assert orders(stream(), back("a", 2.2, 50.0), config=FLUMINE)["a"]["size_matched"] == 16.0
    assert orders(stream(), back("a", 2.2, 50.0))["a"]["size_matched"] == 4.0


# -- D9: non-runners -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [None, 0.0])
def test_d9_bets_on_a_runner_without_factor_are_void(orders: Orders, run: Run, factor: float | None) -> None:
    """Greyhounds have no reduction factors. Rule: "All matched bets on that horse will be void"."""
    told = [
        back("matched", 3.0, 10.0, on=3),
        back("resting", 3.3, 10.0, on=3),
        bet("sp", "BACK", hr.MarketOnCloseOrder, 10.0, on=3),
    ]

    def stream() -> Stream:
        return race(factor=None).remove(500, 3, factor).touch(600).close(winner=1)

    def stand(config: hr.Config) -> dict[str, tuple[float, float, str]]:
        found = orders(stream(), *told, config=config)
        return {name: (row["size_matched"], row["size_voided"], row["status"]) for name, row in found.items()}

    assert stand(FLUMINE) == {
        "matched": (10.0, 0.0, "EXECUTION_COMPLETE"),
        "resting": (0.0, 0.0, "EXECUTABLE"),
        "sp": (0.0, 0.0, "EXECUTABLE"),
    }
    assert stand(DEFAULT) == dict.fromkeys(["matched", "resting", "sp"], (0.0, 10.0, "EXECUTION_COMPLETE"))
    # Nothing of it can be lost any more: the peer counts 30 until the end.
    for config, lost in ((FLUMINE, -30.0), (DEFAULT, 0.0)):
        told_at = {"at": {600: [exposure(3)]}}
        (record,) = run(stream(), *told, config=config, **told_at).records.to_pylist()
        assert json.loads(record["record"])["lose"] == lost


@pytest.mark.parametrize(
    ("kind", "factor", "peers", "right"),
    [
        # "In the win market, reductions will be made on the traded price ... if 2.5% or greater."
        ({"marketType": "WIN"}, 2.4, 3.0, 3.0),
        ({"marketType": "WIN"}, 2.5, 2.92, 2.925),
        # "In the EW market, reductions will be made on the traded win price."
        ({"marketType": "EACH_WAY", "eachWayDivisor": 4.0, "numberOfWinners": 2}, 20.0, 2.4, 2.4),
        # "In the place market the reduction factor of all non-runners will be applied (even if less than 2.5%)", and
        # "to the potential winnings on the bet only": 8.0 becomes 6.25 by 25 %.
        ({"marketType": "PLACE", "numberOfWinners": 2}, 1.0, 3.0, 2.98),
        ({"marketType": "PLACE", "numberOfWinners": 2}, 25.0, 2.25, 2.5),
        ({"marketType": "OTHER_PLACE", "numberOfWinners": 2}, 25.0, 2.25, 2.5),
        # "Odds cannot be reduced below 1.01."
        ({"marketType": "WIN"}, 80.0, 1.01, 1.01),
    ],
)
def test_d9_matched_odds_are_reduced_as_the_type_of_market_wants(
    orders: Orders, kind: dict[str, Any], factor: float, peers: float, right: float
) -> None:
    def average(config: hr.Config) -> float:
        stream = race(**kind).remove(500, 3, factor).touch(600).close(winner=1)
        found = orders(stream, back("a", 3.0, 10.0), config=config)["a"]["average_price_matched"]
        return float(found)

    assert average(FLUMINE) == peers
    assert average(DEFAULT) == right


def test_d9_removals_reduce_one_after_the_other(orders: Orders) -> None:
    """20 %, then 10 % of what is left: 3.0, 2.4, 2.16."""
    stream = race().remove(500, 3, 20.0).remove(600, 4, 10.0, version=3).touch(700).close(winner=1)
    assert orders(stream, back("a", 3.0, 10.0))["a"]["average_price_matched"] == 2.16


def test_d9_bets_struck_in_play_are_not_reduced(orders: Orders) -> None:
    """Rule: "Reduction factors are not applied to bets which are struck in-play"; a runner that was withdrawn too late
    to be taken out before the off is removed after it, and reduces what was matched before.
    """

    def found(config: hr.Config) -> dict[str, float]:
        stream = race().turn_in_play(500).touch(900).remove(1500, 3, 20.0, version=4).touch(1600).close(winner=1)
        rows = orders(stream, back("before", 3.0, 10.0), at={500: [back("in play", 3.0, 10.0)]}, config=config)
        return profits(rows)

    assert found(FLUMINE) == {"before": 14.0, "in play": 14.0}
    assert found(DEFAULT) == {"before": 14.0, "in play": 20.0}


def test_d9_bets_struck_in_play_by_mistake_are_reduced(orders: Orders) -> None:
    """A false start: "all bets matched during this time will be subject to any later reduction factor, provided the
    market is turned out of play before the race commences".
    """
    stream = race().turn_in_play(500).touch(900).define(1000, inPlay=False, version=5)
    stream.remove(1500, 3, 20.0, version=6).touch(1600).close(winner=1)
    assert profits(orders(stream, at={500: [back("a", 3.0, 10.0)]})) == {"a": 14.0}


@pytest.mark.parametrize(
    ("kind", "factor", "cancelled", "kept_at"),
    [
        # "Unmatched offers to lay will be cancelled": win 2.5 % or more, place 4.0 % or more. Of those to be kept "the
        # lay odds offered in place markets will be reduced in proportion", in win markets from 2.5 % on.
        ("WIN", 2.4, 0.0, 2.5),
        ("WIN", 2.5, 10.0, 2.42),  # 2.4375, down to a price that can be offered
        ("WIN", 20.0, 10.0, 2.0),
        ("PLACE", 3.9, 0.0, 2.44),  # 1 + 1.5 x 96.1 % = 2.4415
        ("PLACE", 4.0, 10.0, 2.44),
        ("PLACE", 20.0, 10.0, 2.2),
    ],
)
def test_d9_unmatched_lays_are_cancelled_or_kept_at_reduced_odds(
    orders: Orders, kind: str, factor: float, cancelled: float, kept_at: float
) -> None:
    told = [
        lay("lapse", 2.5, 10.0),
        lay("keep", 2.5, 10.0, persistence_type="PERSIST"),
        back("back", 3.5, 10.0),
    ]

    def found(config: hr.Config) -> tuple[float, float, float]:
        stream = race(marketType=kind, numberOfWinners=1).remove(500, 3, factor).touch(600)
        # It trades at each price from 2.5 down: what is kept is matched at the odds that it is kept at.
        traded = [[price, 400.0] for price in (2.5, 2.44, 2.42, 2.2, 2.0)]
        stream.prices(700, {1: {"trd": traded}}).touch(800).close(winner=2)
        rows = orders(stream, *told, config=config)
        assert rows["back"]["size_cancelled"] == 0.0
        return rows["lapse"]["size_cancelled"], rows["keep"]["size_cancelled"], rows["keep"]["average_price_matched"]

    assert found(FLUMINE) == (0.0, 0.0, 2.5)
    assert found(DEFAULT) == (cancelled, 0.0, kept_at)


def test_d9_lays_that_are_kept_stay_as_they_are_in_play(orders: Orders) -> None:
    """Rule: "Any such bets placed before the off and matched in-play will remain at the original selected price"."""
    stream = race().turn_in_play(500).remove(900, 3, 20.0, version=4).touch(950)
    stream.prices(1000, {1: {"trd": [[2.5, 400.0]]}}).close(winner=1)
    rows = orders(stream, lay("keep", 2.5, 10.0, persistence_type="PERSIST"))
    assert (rows["keep"]["average_price_matched"], rows["keep"]["profit"]) == (2.5, -15.0)


@pytest.mark.parametrize("kind", ["WIN", "EACH_WAY", "PLACE"])
def test_d9_lays_at_the_starting_price_risk_less_once_a_runner_is_gone(orders: Orders, kind: str) -> None:
    """Rule: "For SP lay bets on win markets, Betfair will reduce a customer's liability based on the reduction
    factor(s) of any non-runner(s) and the reduction factor of the runner on which the customer's bet has been placed
    ... to ensure that the balance between the backers' stakes and the layers' liability reflects the revised market".

    A horse of factor 20 is worth odds of 5.0: 4 are risked for each pound that is backed. With one of factor 50 gone
    it is worth 2.5, and 1.5 are risked: 37.5 % of what was, which is 1 - 50 / (100 - 20). Its own factor is then 40;
    the peer reckons with that: 1 - 50 / (100 - 40), and so far less is laid. Limits fall as the odds do.
    """
    told = [
        bet("market", "LAY", hr.MarketOnCloseOrder, 80.0),
        bet("limit 9", "LAY", hr.LimitOnCloseOrder, 80.0, 9.0),
        bet("limit 4", "LAY", hr.LimitOnCloseOrder, 80.0, 4.0),
        bet("back", "BACK", hr.MarketOnCloseOrder, 10.0),
    ]

    def found(config: hr.Config) -> dict[str, float]:
        stream = race(3, marketType=kind, eachWayDivisor=4.0, numberOfWinners=1)
        stream.define(
            410, {1: {"adjustmentFactor": 20.0}, 2: {"adjustmentFactor": 30.0}, 3: {"adjustmentFactor": 50.0}}
        )
        gone = {"status": "REMOVED"}
        stream.define(500, {1: {"adjustmentFactor": 40.0}, 2: {"adjustmentFactor": 60.0}, 3: gone}, version=2)
        stream.define(600, {1: {"bsp": 2.5}}, bspReconciled=True).close(winner=2)
        return {name: row["size_matched"] for name, row in orders(stream, *told, config=config).items()}

    peer, ours = found(FLUMINE), found(DEFAULT)
    # The stake of a back is never changed.
    assert (peer["back"], ours["back"]) == (10.0, 10.0)
    if kind == "PLACE":
        # What can be won falls by the factor: so does what is risked.
        assert (peer["market"], peer["limit 9"], peer["limit 4"]) == (26.67, 53.33, 53.33)
        assert (ours["market"], ours["limit 9"], ours["limit 4"]) == (26.66, 26.66, 26.66)
        return
    # The peer reduces market bets in win markets, and nothing else.
    assert peer["market"] == (8.89 if kind == "WIN" else 53.33)
    assert (peer["limit 9"], peer["limit 4"]) == (53.33, 53.33)
    # 80 x 37.5 % = 30, at 2.5: 20. A limit of 4.0 has fallen to 2.0, below the starting price.
    assert (ours["market"], ours["limit 9"], ours["limit 4"]) == (20.0, 20.0, 0.0)


def test_d9_orders_at_the_starting_price_of_a_non_runner_complete(orders: Orders) -> None:
    def found(config: hr.Config) -> tuple[str, float]:
        stream = race().remove(500, 3, 20.0).define(600, {1: {"bsp": 2.5}}, bspReconciled=True).close(winner=1)
        row = orders(stream, bet("sp", "BACK", hr.MarketOnCloseOrder, 10.0, on=3), config=config)["sp"]
        return row["status"], row["size_voided"]

    assert found(FLUMINE) == ("EXECUTABLE", 10.0)
    assert found(DEFAULT) == ("EXECUTION_COMPLETE", 10.0)


def test_d9_factor_that_is_published_again_counts_once(orders: Orders) -> None:
    def average(config: hr.Config) -> float:
        stream = race().remove(500, 3, 20.0).remove(700, 3, 25.0, version=4).touch(800).close(winner=1)
        return float(orders(stream, back("a", 3.0, 10.0), config=config)["a"]["average_price_matched"])

    assert average(FLUMINE) == 1.8  # 3.0 less 20 %, less another 25 %
    assert average(DEFAULT) == 2.4


def test_d9_horse_that_is_withdrawn_from_two_markets_counts_in_both(tmp_path: Path) -> None:
    """Its removals have the same factor: the peer takes the second for the first, seen already."""

    class ByEvent(Bets):
        scope = "event"

    def averages(config: hr.Config, folder: Path) -> list[float]:
        folder.mkdir()
        for market_id in ("1.100000001", "1.100000002"):
            stream = race(market_id=market_id).remove(500, 3, 20.0).touch(600).close(winner=1)
            stream.write(folder / market_id)
        simulation = hr.Simulation(str(folder), config=config, engine="local", progress=False)
        simulation.add_client(hr.SimulatedClient())
        simulation.add_strategy(ByEvent({100: [back("a", 3.0, 10.0)]}))
        return sorted(simulation.run().orders["average_price_matched"].to_pylist())

    assert averages(FLUMINE, tmp_path / "peer") == [2.4, 3.0]
    assert averages(DEFAULT, tmp_path / "ours") == [2.4, 2.4]


# -- D10: rounding ---------------------------------------------------------------------------------------------------


def test_d10_starting_price_is_not_rounded(orders: Orders) -> None:
    """33.33 at 2.347 win 33.33 x 1.347 = 44.895..., and not 33.33 x 1.35 = 45.00."""

    def profit(config: hr.Config) -> float:
        stream = race().define(500, {1: {"bsp": 2.347}}, bspReconciled=True).close(winner=1)
        return float(orders(stream, bet("a", "BACK", hr.MarketOnCloseOrder, 33.33), config=config)["a"]["profit"])

    assert profit(FLUMINE) == 45.00
    assert profit(DEFAULT) == 44.90


def test_d10_average_of_several_fills_is_not_rounded(orders: Orders) -> None:
    """100 at 3.0 and 33.33 at 2.9 win 200 + 63.327; the peer pays 133.33 x 1.98, for an average of 2.98."""

    def row(config: hr.Config) -> Row:
        stream = Stream().prices(100, {1: {"atb": [[3.0, 100.0], [2.9, 33.33]]}}).touch(400).close(winner=1)
        return orders(stream, back("a", 2.9, 133.33), config=config)["a"]

    assert (row(FLUMINE)["average_price_matched"], row(FLUMINE)["profit"]) == (2.98, 263.99)
    assert row(DEFAULT)["average_price_matched"] == pytest.approx((300 + 2.9 * 33.33) / 133.33)
    assert row(DEFAULT)["profit"] == 263.33


# -- D11: settlement -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("winners", "peers", "right"),
    [
        # Rule: the stake is multiplied by the winners expected over the actual ones; the rest of it is lost. 10 at 3.0:
        # a third wins 6.67 and two thirds lose 6.67.
        ((1,), 20.0, 20.0),
        ((1, 2), 5.0, 5.0),
        ((1, 2, 3), 0.0, 0.0),
    ],
)
def test_d11_dead_heat_to_win(orders: Orders, winners: tuple[int, ...], peers: float, right: float) -> None:
    told = [back("back", 3.0, 10.0), lay("lay", 3.1, 10.0)]
    stream = race().close(winner=winners)
    assert profits(orders(stream, *told, config=FLUMINE))["back"] == peers
    found = orders(stream, *told)
    # A layer wins what the backer of the bet loses, and loses what the backer wins.
    share = 1 / len(winners)
    assert profits(found) == {"back": right, "lay": pytest.approx(-(21 * share - 10 * (1 - share)), abs=0.005)}
    assert notes(found) == {"back": None, "lay": None}


def test_d11_dead_heat_for_a_place_is_shared_and_said_to_be(orders: Orders) -> None:
    """Three places and four that are placed: which of them tied for the last place, or for more, is not told.

    "For place markets: [(stake x payouts / tied runners) x (odds - 1)] - [stake x (tied - payouts) / tied]" holds for
    those who tied; whoever was placed outright is paid in full. If two tied for third place, two are paid 20, and two
    5; if three tied for second, one is paid 20, and three 10. Either way the four are paid 50, 12.50 each: 3/4 of the
    stake wins, and 1/4 of it loses. The peer pays 80 for three places.
    """

    def stream() -> Stream:
        return race(8, marketType="PLACE", numberOfWinners=3).close(winner=(1, 2, 3, 4))

    told = [back(f"{on}", 3.0, 10.0, on=on) for on in range(1, 6)]
    assert list(profits(orders(stream(), *told, config=FLUMINE)).values()) == [20.0] * 4 + [-10.0]
    found = orders(stream(), *told)
    assert list(profits(found).values()) == [12.5] * 4 + [-10.0]
    assert list(notes(found).values()) == ["PLACES_SHARED"] * 4 + [None]


def test_d11_places_without_a_dead_heat_are_paid_in_full(orders: Orders) -> None:
    found = orders(race(8, marketType="PLACE", numberOfWinners=3).close(winner=(1, 2, 3)), back("a", 3.0, 10.0))
    assert (profits(found), notes(found)) == ({"a": 20.0}, {"a": None})


def test_d11_place_bets_are_void_where_no_more_run_than_are_placed(orders: Orders) -> None:
    """Market information: "Should the number of runners be equal to or less than the number of places available ... all
    bets will be void"."""

    def found(config: hr.Config) -> dict[str, Row]:
        stream = race(4, marketType="PLACE", numberOfWinners=3).remove(500, 4, 1.0).close(winner=(1, 2, 3))
        return orders(stream, back("a", 3.0, 10.0), config=config)

    assert profits(found(FLUMINE)) == {"a": 20.0}
    assert (profits(found(DEFAULT)), notes(found(DEFAULT))) == ({"a": 0.0}, {"a": "TOO_FEW_RUNNERS"})


def each_way(statuses: Mapping[int, str], places: int = 3, count: int = 8) -> Stream:
    """A market of each-way bets, at a quarter of the odds: a half at 3.0 to win, and one at 1.5 for a place."""
    stream = race(count, marketType="EACH_WAY", eachWayDivisor=4.0, numberOfWinners=places)
    known = {each: {"status": statuses.get(each, "LOSER")} for each in range(1, count + 1)}
    return stream.define(9000, known, status="CLOSED")


@pytest.mark.parametrize(
    ("statuses", "places", "peers", "right", "note_"),
    [
        # 10 each way: 20 to win and 5 for a place; 5 for a place less 10; both halves.
        ({1: "WINNER", 2: "PLACED", 3: "PLACED"}, 3, 25.0, 25.0, None),
        ({1: "PLACED", 2: "WINNER", 3: "PLACED"}, 3, -5.0, -5.0, None),
        ({2: "WINNER", 3: "PLACED", 4: "PLACED"}, 3, -20.0, -20.0, None),
        # Two tie for the win: half of 20 less half of 10, and both are placed outright: 5 + 5.
        ({1: "WINNER", 2: "WINNER", 3: "PLACED"}, 3, 25.0, 10.0, None),
        # One place is left for the two behind the winner: they have tied for it. 2.50 less 5, and 10 to win.
        ({1: "PLACED", 2: "WINNER", 3: "PLACED"}, 2, -5.0, -12.5, None),
        # Two places are left for three: 2/3 of 5 less 1/3 of 10 is nothing, and 10 to win. Who tied is not told.
        ({1: "PLACED", 2: "WINNER", 3: "PLACED", 4: "PLACED"}, 3, -5.0, -10.0, "PLACES_SHARED"),
        # The winner is placed, whoever ties behind it.
        ({1: "WINNER", 2: "PLACED", 3: "PLACED", 4: "PLACED"}, 3, 25.0, 25.0, None),
    ],
)
def test_d11_dead_heats_each_way(
    orders: Orders, statuses: dict[int, str], places: int, peers: float, right: float, note_: str | None
) -> None:
    told = [back("back", 3.0, 10.0)]
    assert profits(orders(each_way(statuses, places), *told, config=FLUMINE)) == {"back": peers}
    found = orders(each_way(statuses, places), *told)
    assert (profits(found), notes(found)) == ({"back": right}, {"back": note_})


def test_d11_half_for_a_place_is_void_where_no_more_run_than_are_placed(orders: Orders) -> None:
    """Rule: "... the place portion of all bets will be void and stakes returned": what is left is the half to win."""
    found = orders(
        each_way({1: "WINNER", 2: "PLACED", 3: "PLACED"}, count=3), back("a", 3.0, 10.0), back("b", 3.0, 10.0, 2)
    )
    assert profits(found) == {"a": 20.0, "b": -10.0}
    assert set(notes(found).values()) == {"TOO_FEW_RUNNERS"}


def test_d11_each_way_bets_risk_both_halves(run: Run) -> None:
    """The total stake is twice the size. A lay at 3.0 loses 10 x 2.0 and 10 x 0.5 to a winner; the peer counts 20."""

    def risked(told: Do, config: hr.Config) -> tuple[float, float]:
        stream = each_way({1: "WINNER", 2: "PLACED", 3: "PLACED"})
        (record,) = run(stream, told, at={400: [exposure()]}, config=config).records.to_pylist()
        found = json.loads(record["record"])
        return found["lose"], found["win"]

    assert risked(back("a", 3.3, 10.0), FLUMINE) == (-10.0, 0.0)
    assert risked(back("a", 3.3, 10.0), DEFAULT) == (-20.0, 0.0)
    assert risked(lay("a", 3.0, 10.0), FLUMINE) == (0.0, -20.0)
    assert risked(lay("a", 3.0, 10.0), DEFAULT) == (0.0, -25.0)


HANDICAP = {
    "marketType": "ASIAN_HANDICAP",
    "bettingType": "ASIAN_HANDICAP_DOUBLE_LINE",
    "numberOfWinners": 0,
    "bspMarket": False,
    "eventTypeId": "1",
}


def handicaps(margin: int | None, quarters: Sequence[int], kind: Mapping[str, Any] = HANDICAP) -> Stream:
    """A match that team 1 wins by `margin` goals, with lines in quarters of a goal.

    Whole and half lines have their results, a level one is removed; a quarter line wins or loses as the half line
    beside it does. Without a margin, all are removed.
    """
    lines = [quarter / 4 for quarter in quarters]
    stream = Stream(runners={}, numberOfActiveRunners=len(lines), **kind)

    def defined(at: int, how: Callable[[float], str], **fields: Any) -> None:
        runners = [{"id": 1, "hc": line, "status": how(line), "sortPriority": n} for n, line in enumerate(lines, 1)]
        stream.define(at, **fields)
        stream.lines[-1]["mc"][0]["marketDefinition"]["runners"] = runners

    def result(line: float) -> str:
        if margin is None or margin + line == 0:
            return "REMOVED"
        return "WINNER" if margin + line > 0 else "LOSER"

    stream.lines.clear()
    defined(0, lambda line: "ACTIVE")
    offers = [{"id": 1, "hc": line, "atb": [[3.0, 50.0]], "atl": [[3.1, 50.0]]} for line in lines]
    stream.change(100, rc=offers).touch(400)
    defined(9000, result, status="CLOSED")
    return stream


@pytest.mark.parametrize(
    ("margin", "line", "peers", "right"),
    [
        # On -0.25 and a draw, the half on 0 is returned, and that on -0.5 loses: 5 of 10.
        (0, -0.25, -10.0, -5.0),
        # On +0.25 the half on +0.5 wins: 5 at 3.0.
        (0, 0.25, 20.0, 10.0),
        # Won by one: -0.75 is -0.5, which wins, and -1, which is level; -1.25 is level and lost.
        (1, -0.75, 20.0, 10.0),
        (1, -1.25, -10.0, -5.0),
        # Where both halves win or lose, the line does.
        (2, -0.75, 20.0, 20.0),
        (-1, -0.25, -10.0, -10.0),
        # Whole and half lines. Level: the stake is returned.
        (0, 0.0, 0.0, 0.0),
        (1, -1.0, 0.0, 0.0),
        (1, -0.5, 20.0, 20.0),
        (0, -0.5, -10.0, -10.0),
    ],
)
def test_d11_quarter_lines_are_two_halves(orders: Orders, margin: int, line: float, peers: float, right: float) -> None:
    """A quarter line is half a stake on each of the lines beside it, whose runners' statuses tell how they ended."""

    def found(config: hr.Config) -> dict[str, Row]:
        told = bet("a", "BACK", hr.LimitOrder, 3.0, 10.0, line=line)
        return orders(handicaps(margin, range(-8, 9)), told, config=config)

    assert profits(found(FLUMINE)) == {"a": peers}
    assert (profits(found(DEFAULT)), notes(found(DEFAULT))) == ({"a": right}, {"a": None})


def test_d11_lay_of_a_quarter_line_is_the_other_side_of_its_back(orders: Orders) -> None:
    told = [bet("lay", "LAY", hr.LimitOrder, 3.1, 10.0, line=line / 4) for line in (-1,)]
    assert profits(orders(handicaps(0, range(-8, 9)), *told)) == {"lay": 5.0}


def test_d11_quarter_line_without_the_lines_beside_it_is_settled_whole_and_said_to_be(orders: Orders) -> None:
    single = {**HANDICAP, "bettingType": "ASIAN_HANDICAP_SINGLE_LINE"}
    told = bet("a", "BACK", hr.LimitOrder, 3.0, 10.0, line=-0.25)
    found = orders(handicaps(0, [-1], single), told)
    assert (profits(found), notes(found)) == ({"a": -10.0}, {"a": "QUARTER_LINE"})


def lines(result: float | None) -> tuple[Stream, list[Do]]:
    """A market of lines, with a back and a lay at 3.0 each."""
    stream = Stream(marketType="TOTAL_GOALS", bettingType="LINE", bspMarket=False, numberOfWinners=0)
    stream.prices(100, {1: {"atb": [[3.0, 50.0]], "atl": [[3.0, 50.0]]}}).touch(400).close(winner=())

    def told(strategy: hr.Strategy, market: Any) -> None:
        market.context["line_range_result"] = result

    ladder = {"price_ladder_definition": "LINE_RANGE"}
    return stream, [told, back("back", 3.0, 5.0, **ladder), lay("lay", 3.0, 5.0, **ladder)]


@pytest.mark.parametrize(
    ("result", "peers", "right"),
    [
        # API-NG, `Side`: a back, or SELL line, wins if the outcome is less than the line taken, a lay if it is more.
        (2.0, (5.0, -5.0), (5.0, -5.0)),
        (4.0, (-5.0, 5.0), (-5.0, 5.0)),
        # Equal to it neither has won, and what one side loses the other must win: stakes are returned.
        (3.0, (-5.0, -5.0), (0.0, 0.0)),
        # No goal is a result.
        (0, (0.0, 0.0), (5.0, -5.0)),
    ],
)
def test_d11_line_that_is_met_returns_the_stake_and_none_is_a_result(
    orders: Orders, result: float, peers: tuple[float, float], right: tuple[float, float]
) -> None:
    stream, told = lines(result)
    assert tuple(profits(orders(stream, *told, config=FLUMINE)).values()) == peers
    assert tuple(profits(orders(stream, *told)).values()) == right


@pytest.mark.parametrize(("status", "note_"), [("REMOVED", None), ("REMOVED_VACANT", None), ("LOSER", "NO_WINNER")])
def test_d11_market_that_is_void_gives_stakes_back(orders: Orders, status: str, note_: str | None) -> None:
    """All runners removed, or none of them the winner that the market is to have. The peer has no word for the second:
    all lose.
    """

    def found(config: hr.Config) -> dict[str, Row]:
        stream = race().define(9000, {each: {"status": status} for each in range(1, 6)}, status="CLOSED")
        return orders(stream, back("back", 3.0, 10.0), lay("lay", 3.1, 10.0), back("rests", 3.5, 10.0), config=config)

    peer = profits(found(FLUMINE))
    assert peer == ({"back": -10.0, "lay": 10.0, "rests": 0.0} if status == "LOSER" else dict.fromkeys(peer, 0.0))
    ours = found(DEFAULT)
    assert profits(ours) == dict.fromkeys(["back", "lay", "rests"], 0.0)
    assert notes(ours) == {"back": note_, "lay": note_, "rests": None}
    assert ours["rests"]["status"] == "EXECUTION_COMPLETE"


# -- D13: exposure at the starting price -----------------------------------------------------------------------------


def test_d13_exposure_at_the_starting_price_is_what_can_still_be_lost(run: Run) -> None:
    """Once the price is known, a bet that it did not match has nothing at risk; one that it matched may win as well."""

    def risked(config: hr.Config, *terms: Any, on: int) -> list[tuple[float, float]]:
        stream = race().define(500, {1: {"bsp": 3.0}, 2: {"bsp": 3.0}}, bspReconciled=True).touch(600).close(winner=1)
        told = bet("a", "BACK", *terms, on=on)
        result = run(stream, told, at={400: [exposure(on)], 600: [exposure(on)]}, config=config)
        found = [json.loads(row["record"]) for row in result.records.to_pylist()]
        return [(each["lose"], each["win"]) for each in found]

    unmatched = (hr.LimitOnCloseOrder, 10.0, 4.0)
    assert risked(FLUMINE, *unmatched, on=1) == [(-10.0, 0.0), (-10.0, 0.0)]
    assert risked(DEFAULT, *unmatched, on=1) == [(-10.0, 0.0), (0.0, 0.0)]
    matched = (hr.MarketOnCloseOrder, 10.0)
    assert risked(FLUMINE, *matched, on=2) == [(-10.0, 0.0), (-10.0, 0.0)]
    assert risked(DEFAULT, *matched, on=2) == [(-10.0, 0.0), (-10.0, 20.0)]


# -- D14: the end of a market ----------------------------------------------------------------------------------------


def test_d14_starting_price_that_comes_with_the_result_counts(orders: Orders) -> None:
    def found(config: hr.Config) -> tuple[float, float]:
        stream = race().close(2000, winner=1, bsp={1: 3.0}, bspReconciled=True)
        row = orders(stream, bet("a", "BACK", hr.MarketOnCloseOrder, 10.0), config=config)["a"]
        return row["size_matched"], row["profit"]

    assert found(FLUMINE) == (0.0, 0.0)
    assert found(DEFAULT) == (10.0, 20.0)


def test_d14_trades_that_come_with_the_result_count(orders: Orders) -> None:
    """20 at 3.5 and 20 at 3.6 are 10 and 10 on each side: they were struck before the market was closed."""

    def found(config: hr.Config) -> tuple[float, float]:
        stream = race().close(2000, winner=1)
        stream.lines[-1]["mc"][0]["rc"] = [{"id": 1, "trd": [[3.5, 20.0], [3.6, 20.0]]}]
        row = orders(stream, back("a", 3.5, 12.0), config=config)["a"]
        return row["size_matched"], row["profit"]

    assert found(FLUMINE) == (0.0, 0.0)
    assert found(DEFAULT) == (12.0, 30.0)


def test_d14_removal_that_comes_with_the_result_counts(orders: Orders) -> None:
    """Rule: "In the event of a late withdrawal, Betfair reserves the right to remove the runner after completion of the
    race. In this case only those bets matched prior to the off will be affected by a reduction factor."
    """

    def found(config: hr.Config) -> dict[str, float]:
        stream = (
            race().turn_in_play(500).touch(900).define(1900, {3: {"status": "ACTIVE"}}, status="SUSPENDED", version=9)
        )
        gone = {"status": "REMOVED", "adjustmentFactor": 20.0}
        lost = {each: {"status": "LOSER"} for each in (2, 4, 5)}
        stream.define(2000, {1: {"status": "WINNER"}, 3: gone, **lost}, status="CLOSED")
        told = [back("before", 3.0, 10.0), back("void", 3.0, 10.0, on=3)]
        return profits(orders(stream, *told, at={500: [back("in play", 3.0, 10.0)]}, config=config))

    assert found(FLUMINE) == {"before": 20.0, "void": 0.0, "in play": 20.0}
    assert found(DEFAULT) == {"before": 14.0, "void": 0.0, "in play": 20.0}


def test_d14_what_rests_at_the_close_has_ended(orders: Orders) -> None:
    def found(config: hr.Config) -> dict[str, tuple[str, float, float]]:
        told = [back("rests", 3.5, 10.0), back("in part", 3.0, 60.0), bet("sp", "BACK", hr.MarketOnCloseOrder, 10.0)]
        rows = orders(race().close(2000, winner=1), *told, config=config)
        return {name: (row["status"], row["size_remaining"], row["size_lapsed"]) for name, row in rows.items()}

    assert found(FLUMINE) == {
        "rests": ("EXECUTABLE", 10.0, 0.0),
        "in part": ("EXECUTABLE", 10.0, 0.0),
        "sp": ("EXECUTABLE", 0.0, 0.0),
    }
    assert found(DEFAULT) == {
        "rests": ("EXECUTION_COMPLETE", 0.0, 10.0),
        "in part": ("EXECUTION_COMPLETE", 0.0, 10.0),
        "sp": ("EXECUTION_COMPLETE", 0.0, 10.0),
    }


def test_d14_order_that_is_on_its_way_at_the_close_never_arrives(orders: Orders) -> None:
    def found(config: hr.Config) -> tuple[str, float]:
        row = orders(race().close(450, winner=1), at={400: [back("late", 3.0, 10.0)]}, config=config)["late"]
        return row["status"], row["size_matched"]

    assert found(FLUMINE) == ("PENDING", 0.0)
    assert found(DEFAULT) == ("EXPIRED", 0.0)
