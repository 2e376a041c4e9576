"""Generated markets: what holds of every one of them, and what their options change."""

from __future__ import annotations

import bz2
import gzip
import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.simulate.generator import SPORTS, GeneratedMarket, Recipe, generate_event, write_markets
from headrace.simulate.generator.chances import (
    get_both_teams_chances,
    get_match_chances,
    get_place_chances,
    get_total_chances,
)
from headrace.simulate.generator.order_book import OrderBook
from headrace.simulate.generator.starting_price import StartingPrice
from headrace.strategies.prices import PRICES

LADDER = frozenset(PRICES)
TICK = {price: tick for tick, price in enumerate(PRICES)}
STATUSES = {"OPEN", "SUSPENDED", "CLOSED"}

seeds = st.integers(0, 2**32)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    sport = draw(st.sampled_from(SPORTS))
    return Recipe(
        sport=sport,
        changes=draw(st.integers(50, 400)),
        minutes_before=draw(st.none() | st.floats(1, 120)),
        non_runner=sport == "horse_racing" and draw(st.booleans()),
        suspension=draw(st.booleans()),
        each_way=sport == "horse_racing" and draw(st.booleans()),
        both_teams=sport == "football" and draw(st.booleans()),
    )


class Replayed:
    """A market rebuilt from its lines, as a reader of the stream would, checked at each message."""

    def __init__(self, market: GeneratedMarket) -> None:
        self.definitions: list[dict[str, Any]] = []
        self.ladders: dict[int, dict[str, dict[float, float]]] = defaultdict(lambda: defaultdict(dict))
        self.last: dict[int, float] = {}
        self.totals: dict[int, float] = {}
        self.total = 0.0
        self.times: list[int] = []
        self.books_at_definition: list[dict[int, dict[str, dict[float, float]]]] = []
        for number, line in enumerate(market.lines):
            self._apply(number, json.loads(line), market.market_id)

    def _apply(self, number: int, message: dict[str, Any], market_id: str) -> None:
        assert message["op"] == "mcm"
        (change,) = message["mc"]
        assert change["id"] == market_id
        assert change["img"] is (number == 0)
        self.times.append(message["pt"])
        if "marketDefinition" in change:
            self.definitions.append(change["marketDefinition"])
            self.books_at_definition.append(
                {key: {side: dict(ladder) for side, ladder in sides.items()} for key, sides in self.ladders.items()}
            )
        for runner in change["rc"]:
            self._apply_runner(runner)
        if "tv" in change:
            assert change["tv"] >= self.total
            self.total = change["tv"]
        self._check_books()

    def _apply_runner(self, runner: dict[str, Any]) -> None:
        ladders = self.ladders[runner["id"]]
        for side in ("trd", "atb", "atl", "spb", "spl"):
            for price, size in runner.get(side, ()):
                if side in ("trd", "atb", "atl"):
                    assert price in LADDER
                assert size >= 0
                assert round(size, 2) == size
                if side == "trd":
                    assert size >= ladders[side].get(price, 0)
                if size:
                    ladders[side][price] = size
                else:
                    ladders[side].pop(price, None)
        if "tv" in runner:
            assert runner["tv"] == round(sum(ladders["trd"].values()), 2)
            assert runner["ltp"] in ladders["trd"]
            self.totals[runner["id"]] = runner["tv"]
            self.last[runner["id"]] = runner["ltp"]

    def _check_books(self) -> None:
        assert self.total == round(sum(self.totals.values()), 2)
        for ladders in self.ladders.values():
            if ladders["atb"] and ladders["atl"]:
                assert max(ladders["atb"]) < min(ladders["atl"])

    @property
    def final(self) -> dict[str, Any]:
        return self.definitions[-1]

    def count(self, status: str) -> int:
        return sum(runner["status"] == status for runner in self.final["runners"])


@settings(max_examples=60, deadline=None)
@given(seed=seeds, number=st.integers(0, 9999), recipe=recipes())
def test_rebuilt_book_is_never_crossed_and_its_totals_agree(seed: int, number: int, recipe: Recipe) -> None:
    for market in generate_event(seed, number, recipe):
        replayed = Replayed(market)
        assert replayed.times == sorted(replayed.times)
        versions = [definition["version"] for definition in replayed.definitions]
        assert versions == sorted(versions)
        assert {definition["status"] for definition in replayed.definitions} <= STATUSES
        for definition in replayed.definitions[:-1]:
            active = sum(runner["status"] == "ACTIVE" for runner in definition["runners"])
            assert definition["numberOfActiveRunners"] == active


@settings(max_examples=60, deadline=None)
@given(seed=seeds, recipe=recipes())
def test_ends_closed_with_the_right_number_of_winners(seed: int, recipe: Recipe) -> None:
    for market in generate_event(seed, 0, recipe):
        replayed = Replayed(market)
        final = replayed.final
        assert final["status"] == "CLOSED"
        assert final["numberOfActiveRunners"] == 0
        if market.market_type == "EACH_WAY":
            assert (replayed.count("WINNER"), replayed.count("PLACED")) == (1, final["numberOfWinners"] - 1)
        else:
            assert replayed.count("WINNER") == final["numberOfWinners"]
        assert replayed.count("REMOVED") == recipe.non_runner
        assert not any(ladders["atb"] or ladders["atl"] for ladders in replayed.ladders.values())


@settings(max_examples=15, deadline=None)
@given(seed=seeds, recipe=recipes())
def test_same_seed_gives_the_same_bytes_and_another_seed_others(seed: int, recipe: Recipe) -> None:
    first, again, other = (generate_event(value, 3, recipe) for value in (seed, seed, seed + 1))
    assert [market.lines for market in first] == [market.lines for market in again]
    assert all(one.lines != two.lines for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("sport", SPORTS)
@pytest.mark.parametrize("changes", [200, 1200, 5000])
def test_number_of_messages_is_near_what_was_asked(sport: Any, changes: int) -> None:
    for market in generate_event(2, 1, Recipe(sport=sport, changes=changes)):
        assert 0.8 * changes <= len(market.lines) <= 1.2 * changes + 30


@pytest.mark.parametrize("seed", range(20))
def test_race_markets_share_the_event_the_runners_and_the_result(seed: int) -> None:
    win, place, each_way = (
        Replayed(market).final for market in generate_event(seed, 5, Recipe(changes=80, each_way=True))
    )
    assert win["eventId"] == place["eventId"] == each_way["eventId"]
    runners = [runner["id"] for runner in win["runners"]]
    assert runners == [runner["id"] for runner in place["runners"]]
    assert runners == [runner["id"] for runner in each_way["runners"]]
    (winner,) = [runner["id"] for runner in win["runners"] if runner["status"] == "WINNER"]
    placed = {runner["id"] for runner in place["runners"] if runner["status"] == "WINNER"}
    assert winner in placed
    assert len(placed) == place["numberOfWinners"] in (2, 3, 4)
    assert placed == {runner["id"] for runner in each_way["runners"] if runner["status"] != "LOSER"}
    assert each_way["eachWayDivisor"] == 5.0


@pytest.mark.parametrize("seed", range(20))
def test_non_runner_is_removed_under_suspension_with_its_ladders_emptied(seed: int) -> None:
    for market in generate_event(seed, 0, Recipe(changes=300, non_runner=True)):
        replayed = Replayed(market)
        at = next(n for n, one in enumerate(replayed.definitions) if "REMOVED" in str(one))
        before, removed, after = replayed.definitions[at - 1 : at + 2]
        (runner,) = [runner for runner in removed["runners"] if runner["status"] == "REMOVED"]
        assert (before["status"], removed["status"], after["status"]) == ("SUSPENDED", "SUSPENDED", "OPEN")
        assert before["version"] < removed["version"] < after["version"]
        assert removed["numberOfActiveRunners"] == before["numberOfActiveRunners"] - 1
        assert runner["adjustmentFactor"] > 0
        assert runner["removalDate"].endswith(".000Z")
        ladders = replayed.books_at_definition[at][runner["id"]]
        assert not ladders["atb"]
        assert not ladders["atl"]
        assert "bsp" not in next(one for one in replayed.final["runners"] if one["id"] == runner["id"])


@pytest.mark.parametrize("sport", ["horse_racing", "greyhounds"])
def test_starting_prices_are_reconciled_at_the_off_near_the_last_price_traded(sport: Any) -> None:
    near = []
    for seed in range(10):
        market = generate_event(seed, 0, Recipe(sport=sport, changes=1200))[0]
        replayed = Replayed(market)
        at = next(n for n, one in enumerate(replayed.definitions) if one["bspReconciled"])
        reconciled = replayed.definitions[at]
        assert reconciled["status"] == "SUSPENDED"
        assert not reconciled["inPlay"]
        for runner in reconciled["runners"]:
            ladders = replayed.books_at_definition[at][runner["id"]]
            if ladders["atb"] and ladders["atl"]:
                middle = (max(ladders["atb"]) + min(ladders["atl"])) / 2
                near.append(abs(runner["bsp"] - middle) <= 0.2 * middle)
    assert sum(near) / len(near) > 0.9


def test_turns_in_play_with_the_bet_delay_of_its_sport() -> None:
    for sport, delays in (("horse_racing", {1}), ("football", {5, 6, 8}), ("tennis", {3, 5})):
        market = generate_event(4, 0, Recipe(sport=sport, changes=600))[0]  # type: ignore[arg-type]
        replayed = Replayed(market)
        turn = next(one for one in replayed.definitions if one["inPlay"])
        assert turn["status"] == "OPEN"
        assert turn["betDelay"] in delays
        assert all(one["betDelay"] == 0 for one in replayed.definitions if not one["inPlay"])


@pytest.mark.parametrize("sport", ["horse_racing", "football"])
def test_most_orders_lapse_at_the_turn_in_play_and_those_kept_stay(sport: Any) -> None:
    replayed = Replayed(generate_event(4, 0, Recipe(sport=sport, changes=1200))[0])
    turn = next(n for n, one in enumerate(replayed.definitions) if one["inPlay"])
    off = max(n for n, one in enumerate(replayed.definitions[:turn]) if one["status"] == "OPEN") + 1
    before, after = (
        sum(len(ladders[side]) for ladders in replayed.books_at_definition[n].values() for side in ("atb", "atl"))
        for n in (off, turn)
    )
    assert 0 < after < 0.6 * before


def test_greyhounds_never_turn_in_play() -> None:
    (market,) = generate_event(4, 0, Recipe(sport="greyhounds", changes=100))
    assert not any(one["inPlay"] or one["betDelay"] for one in Replayed(market).definitions)


def test_goal_suspends_the_market_in_play_and_cancels_every_order() -> None:
    goals = 0
    for seed in range(6):
        replayed = Replayed(generate_event(seed, 0, Recipe(sport="football", changes=400))[0])
        for n, definition in enumerate(replayed.definitions[:-2]):
            if definition["inPlay"] and definition["status"] == "SUSPENDED":
                goals += 1
                assert replayed.definitions[n + 1]["status"] == "OPEN"
                books = replayed.books_at_definition[n + 1].values()
                assert not any(ladders["atb"] or ladders["atl"] for ladders in books)
    assert goals > 3


def test_suspension_reopens_before_the_off() -> None:
    recipe = Recipe(sport="tennis", changes=200, suspension=True)
    definitions = Replayed(generate_event(1, 0, recipe)[0]).definitions
    before = [one["status"] for one in definitions if not one["inPlay"]]
    assert before == ["OPEN", "SUSPENDED", "OPEN"]


@pytest.mark.parametrize("sport", SPORTS)
def test_books_are_near_a_hundred_per_cent_before_the_off(sport: Any) -> None:
    to_back, to_lay = [], []
    for seed in range(9):
        replayed = Replayed(generate_event(seed, 0, Recipe(sport=sport, changes=1200))[0])
        stops = (n for n, one in enumerate(replayed.definitions) if one["status"] != "OPEN" or one["inPlay"])
        books = replayed.books_at_definition[next(stops)].values()
        to_back.append(sum(1 / max(ladders["atb"], default=1000) for ladders in books))
        to_lay.append(sum(1 / min(ladders["atl"], default=1000) for ladders in books))
    assert 1 <= median(to_back) < 1.06
    assert 0.94 < median(to_lay) <= 1


@pytest.mark.slow
def test_starting_prices_tell_how_often_runners_win() -> None:
    expected = won = 0.0
    favourites = 0
    for number in range(300):
        win = Replayed(generate_event(11, number, Recipe(changes=50))[0]).final
        favourite = min(win["runners"], key=lambda runner: runner["bsp"])
        favourites += 1
        expected += 1 / favourite["bsp"]
        won += favourite["status"] == "WINNER"
    assert abs(won - expected) < 3 * (favourites * 0.25) ** 0.5


def test_definition_has_every_field_of_a_recording() -> None:
    win, _, each_way = generate_event(1, 0, Recipe(changes=60, each_way=True))
    definition = Replayed(win).definitions[0]
    fields = """
        bspMarket turnInPlayEnabled persistenceEnabled marketBaseRate eventId eventTypeId numberOfWinners
        bettingType marketType marketTime suspendTime bspReconciled complete inPlay crossMatching
        runnersVoidable numberOfActiveRunners betDelay status runners regulators countryCode
        discountAllowed timezone openDate version name eventName venue priceLadderDefinition
    """
    assert sorted(definition) == sorted(fields.split())
    assert definition["priceLadderDefinition"] == {"type": "CLASSIC"}
    assert "eachWayDivisor" in Replayed(each_way).definitions[0]
    assert sorted(definition["runners"][0]) == ["adjustmentFactor", "id", "name", "sortPriority", "status"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sport": "cricket"}, "sport is 'cricket': expected one of horse_racing"),
        ({"changes": 3}, "changes is 3: expected 50"),
        ({"minutes_before": 0}, "minutes_before is 0: expected 1 to 1440"),
        ({"runners": 40}, "runners is 40: horse_racing has 5 to 24"),
        ({"sport": "tennis", "runners": 3}, "runners is 3: tennis has 2 to 2"),
        ({"sport": "greyhounds", "non_runner": True}, "non_runner is for horse_racing only"),
        ({"sport": "tennis", "both_teams": True}, "both_teams is for football only"),
    ],
)
def test_recipe_says_what_it_expected(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**wrong)


def test_number_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="number is -1"):
        generate_event(1, -1, Recipe())


@pytest.mark.parametrize(("compression", "read"), [("none", bytes), ("gz", gzip.decompress), ("bz2", bz2.decompress)])
def test_writes_an_archive_as_betfair_lays_it_out(tmp_path: Path, compression: Any, read: Any) -> None:
    seen: list[int] = []
    paths = write_markets(tmp_path / "a", 7, changes=60, compression=compression, progress=seen.append)
    again = write_markets(tmp_path / "b", 7, changes=60, compression=compression)
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert len(set(paths)) == 7
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    for path in paths:
        lines = read(path.read_bytes()).splitlines()
        change = json.loads(lines[0])["mc"][0]
        year, month, day, event_id, name = path.relative_to(tmp_path / "a").parts
        assert (year, month, day) == ("2026", "Jan", "5")
        assert event_id == change["marketDefinition"]["eventId"]
        assert name.removesuffix(".bz2").removesuffix(".gz") == change["id"]


def test_more_markets_begin_with_the_same_files(tmp_path: Path) -> None:
    few = write_markets(tmp_path / "few", 5, changes=60, sports=["football", "horse_racing"])
    many = write_markets(tmp_path / "many", 9, changes=60, sports=["football", "horse_racing"])
    assert [path.read_bytes() for path in few] == [path.read_bytes() for path in many[:5]]


def test_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not an empty folder"):
        write_markets(tmp_path, 1, changes=60)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"markets": 0}, "markets is 0: expected at least 1"),
        ({"sports": ["cricket"]}, r"sports is \['cricket'\]: expected some of"),
        ({"sports": []}, "expected some of"),
        ({"sports": "tennis"}, "expected a list of names"),
        ({"compression": "zip"}, "compression is 'zip': expected one of none, gz, bz2"),
        ({"changes": 1}, "changes is 1: expected 50"),
    ],
)
def test_writing_refuses_what_it_cannot_do_before_it_writes(
    tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_markets(tmp_path / "out", **{"markets": 1, **wrong})
    assert not (tmp_path / "out").exists()


def test_order_book_matches_the_oldest_order_at_the_best_price_first() -> None:
    book = OrderBook()
    book.lay(TICK[2.0], 300)
    book.lay(TICK[2.02], 200)
    book.lay(TICK[2.02], 500)
    book.back(TICK[2.0], 600)
    first, second, third = book.resting
    assert [first.remaining, second.remaining, third.remaining] == [300, 0, 100]
    assert book.traded == {TICK[2.02]: 1200}
    assert book.lays.sizes == {TICK[2.0]: 300, TICK[2.02]: 100}
    assert book.backs.best is None


def test_order_book_keeps_what_is_left_of_an_order_unless_it_shall_not_rest() -> None:
    book = OrderBook()
    book.lay(TICK[3.0], 100)
    book.back(TICK[3.0], 250)
    assert (book.backs.best, book.backs.sizes) == (TICK[3.0], {TICK[3.0]: 150})
    book.lay(TICK[3.0], 400, rests=False)
    assert not book.backs.sizes
    assert not book.lays.sizes


@given(
    st.lists(
        st.tuples(st.sampled_from(["back", "lay", "cancel", "lapse"]), st.integers(100, 120), st.integers(1, 5000)),
        max_size=80,
    )
)
def test_order_book_totals_are_those_of_its_orders(actions: list[tuple[str, int, int]]) -> None:
    book = OrderBook()
    for action, tick, size in actions:
        if action == "back":
            book.back(tick, size, keeps=size % 2 == 0)
        elif action == "lay":
            book.lay(tick, size, keeps=size % 2 == 0)
        elif action == "cancel":
            book.cancel(size / 5001)
        else:
            book.lapse(kept=True)
        for queues, is_back in ((book.backs, True), (book.lays, False)):
            sizes: dict[int, int] = defaultdict(int)
            for order in book.resting:
                if order.is_back is is_back and order.remaining:
                    sizes[order.tick] += order.remaining
            assert queues.sizes == sizes
            assert queues.best == ((min if is_back else max)(sizes) if sizes else None)
        if book.backs.best is not None and book.lays.best is not None:
            assert book.lays.best < book.backs.best
        assert book.volume == sum(book.traded.values())


def test_starting_price_is_the_far_price_where_the_exchange_has_nothing_better() -> None:
    book, bets = OrderBook(), StartingPrice()
    book.lay(TICK[2.8], 1000)
    book.back(TICK[3.2], 1000)
    bets.back(1000)
    bets.lay(2000)
    assert (bets.get_near_price(book), bets.get_far_price()) == (3.0, 3.0)


@pytest.mark.parametrize(("liability", "price"), [(6000, 3.2), (9000, 4.0), (100, 2.8)])
def test_starting_price_meets_unmatched_orders_on_its_way(liability: int, price: float) -> None:
    book, bets = OrderBook(), StartingPrice()
    book.lay(TICK[2.8], 1000)
    book.back(TICK[3.2], 2000)
    bets.back(1000)
    bets.lay(liability)
    assert bets.get_near_price(book) == pytest.approx(price)


def test_reconciled_starting_price_trades_with_the_orders_it_meets() -> None:
    book, bets = OrderBook(), StartingPrice()
    book.back(TICK[3.2], 2000)
    bets.back(1000)
    bets.lay(9000)
    assert bets.reconcile(book) == pytest.approx(4.0)
    assert book.traded == {TICK[3.2]: 4000}


@given(st.lists(st.floats(0.001, 1), min_size=5, max_size=24), st.integers(2, 4))
def test_place_chances_add_up_to_the_places(weights: list[float], places: int) -> None:
    chances = get_place_chances(weights, places)
    assert sum(chances) == pytest.approx(places, abs=1e-4)
    assert all(0 < chance <= 1 for chance in chances)


@given(st.integers(0, 5), st.integers(0, 5), st.floats(0, 4), st.floats(0, 4))
def test_match_chances_are_chances(home: int, away: int, home_rate: float, away_rate: float) -> None:
    state = (home, away), (home_rate, away_rate)
    for chances in (get_match_chances(*state), get_total_chances(*state), get_both_teams_chances(*state)):
        assert sum(chances) == pytest.approx(1)
        assert all(-1e-9 <= chance <= 1 for chance in chances)


def test_match_chances_are_certain_at_the_end() -> None:
    assert get_match_chances((2, 1), (0.0, 0.0)) == [1, 0, 0]
    assert get_match_chances((1, 1), (0.0, 0.0)) == [0, 0, 1]
    assert get_total_chances((2, 1), (0.0, 0.0)) == [0, 1]
    assert get_both_teams_chances((2, 0), (0.0, 0.0)) == [0, 1]
