"""The book: whatever order its changes come in, it equals the sum of them, and what was handed out stays as it was."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import MARKET, MARKET_DEFINITION, T0, priced
from headrace.strategies.changes import MarketChange

LADDERS = {"atb": "available_to_back", "atl": "available_to_lay", "trd": "traded_volume"}

prices = st.sampled_from((1.01, 1.02, 1.5, 2.0, 2.02, 3.0, 3.05, 10.0, 1000.0))
sizes = st.sampled_from((0, 0, 0.5, 2, 10.25, 999.99))
levels = st.lists(st.tuples(prices, sizes).map(list), max_size=5)


def runner_changes() -> Any:
    ladder = st.none() | levels
    fields = {"id": st.sampled_from((1, 2)), "hc": st.sampled_from((0, 0.5))}
    optional = {"ltp": st.none() | prices, "tv": st.none() | sizes}
    return st.fixed_dictionaries({**fields, **optional, **dict.fromkeys(LADDERS, ladder)}).map(
        lambda change: {name: value for name, value in change.items() if value is not None}
    )


#: What is done to a book: runner changes, an image or not, and which ladders are looked at afterwards.
steps = st.lists(
    st.tuples(
        st.lists(runner_changes(), max_size=3),
        st.integers(0, 9).map(lambda draw: draw == 0),
        st.sets(st.sampled_from(sorted(LADDERS))),
    ),
    max_size=90,
)


def change(**fields: Any) -> MarketChange:
    return msgspec.json.decode(json.dumps({"id": MARKET, **fields}), type=MarketChange)


def definition(*runners: tuple[int, float], **fields: Any) -> dict[str, Any]:
    return {**MARKET_DEFINITION, "runners": [{"id": i, "hc": h, "status": "ACTIVE"} for i, h in runners], **fields}


class Naive:
    """A book kept as plain dicts."""

    def __init__(self) -> None:
        self.runners: dict[tuple[int, float], dict[str, Any]] = {}

    def apply(self, changes: list[dict[str, Any]], image: bool) -> None:
        if image:
            self.runners = {}
        for rc in changes:
            runner = self.runners.setdefault((rc["id"], rc["hc"]), {name: {} for name in LADDERS})
            for name in LADDERS:
                if name in rc:
                    ladder = runner[name]
                    if not rc[name]:
                        ladder.clear()
                    for price, size in rc[name]:
                        ladder.pop(price, None)
                        if size:
                            ladder[price] = size
            for name in ("ltp", "tv"):
                if name in rc:
                    runner[name] = rc[name]

    def ladder(self, key: tuple[int, float], name: str) -> list[tuple[float, float]]:
        runner = self.runners.get(key, {})
        return sorted(runner.get(name, {}).items(), reverse=name == "atb")


def seen(book: hr.MarketBook, key: tuple[int, float], name: str) -> list[tuple[float, float]]:
    runner = book.runner(*key)
    return list(map(tuple, getattr(runner.ex, LADDERS[name]))) if runner else []


KEYS = [(1, 0), (1, 0.5), (2, 0), (2, 0.5)]


@settings(max_examples=100, deadline=None)
@given(steps=steps)
def test_ladders_equal_a_naive_rebuild_and_views_handed_out_never_change(steps: Any) -> None:
    book, naive = hr.MarketBook(MARKET), Naive()
    book.apply(T0, change(marketDefinition=definition(*KEYS)))
    handed: list[tuple[list[Any], list[Any]]] = []
    for at, (changes, image, looks) in enumerate(steps):
        book.apply(T0 + at, change(rc=changes, img=image))
        naive.apply(changes, image)
        for name in looks:
            for key in KEYS:
                runner = book.runner(*key)
                if runner is not None:
                    view = getattr(runner.ex, LADDERS[name])
                    handed.append((view, list(view)))
                assert seen(book, key, name) == naive.ladder(key, name)
    for key in KEYS:
        for name in LADDERS:
            assert seen(book, key, name) == naive.ladder(key, name)
    assert all(view == then for view, then in handed)


@settings(max_examples=100, deadline=None)
@given(steps=steps)
def test_book_from_changes_equals_the_book_from_a_final_image(steps: Any) -> None:
    changed, naive = hr.MarketBook(MARKET), Naive()
    first = definition(*KEYS)
    changed.apply(T0, change(marketDefinition=first))
    for at, (changes, image, looks) in enumerate(steps):
        changed.apply(T0 + at, change(rc=changes, img=image))
        naive.apply(changes, image)
        for key in KEYS:
            for name in looks:
                seen(changed, key, name)
    final = [
        {"id": i, "hc": h, **{k: list(v.items()) if isinstance(v, dict) else v for k, v in runner.items()}}
        for (i, h), runner in naive.runners.items()
    ]
    imaged = hr.MarketBook(MARKET)
    imaged.apply(T0, change(marketDefinition=first, rc=final, img=True))
    for key in KEYS:
        one, other = changed.runner(*key), imaged.runner(*key)
        assert one is not None
        assert other is not None
        assert (one.last_price_traded, one.total_matched) == (other.last_price_traded, other.total_matched)
        for name in LADDERS:
            assert seen(changed, key, name) == seen(imaged, key, name)
    assert changed.total_matched == imaged.total_matched


@settings(max_examples=60, deadline=None)
@given(before=steps, after=steps)
def test_copy_keeps_the_past(before: Any, after: Any) -> None:
    book = hr.MarketBook(MARKET)
    book.apply(T0, change(marketDefinition=definition(*KEYS)))
    for changes, image, _ in before:
        book.apply(T0, change(rc=changes, img=image))
    kept = book.copy()
    then = {(key, name): seen(book, key, name) for key in KEYS for name in LADDERS}
    for changes, image, _ in after:
        book.apply(T0 + 1, change(rc=changes, img=image))
    assert {(key, name): seen(kept, key, name) for key in KEYS for name in LADDERS} == then
    assert kept.publish_time_epoch == T0


def test_best_levels_stand_in_for_an_empty_ladder() -> None:
    book = hr.MarketBook(MARKET)
    book.apply(T0, change(marketDefinition=definition((1, 0)), rc=[{"id": 1, "batb": [[0, 2.0, 5], [1, 1.9, 6]]}]))
    ex = book.runner(1).ex
    assert ex.available_to_back == [(2.0, 5), (1.9, 6)]
    book.apply(T0, change(rc=[{"id": 1, "bdatb": [[0, 2.02, 4]]}]))
    assert ex.available_to_back == [(2.02, 4)]
    book.apply(T0, change(rc=[{"id": 1, "atb": [[1.8, 3]]}]))
    assert ex.available_to_back == [(1.8, 3)]
    book.apply(T0, change(rc=[{"id": 1, "atb": [[1.8, 0]]}]))
    assert ex.available_to_back == [(2.02, 4)]
    book.apply(T0, change(rc=[{"id": 1, "bdatb": [[0, 0, 0]]}]))
    assert ex.available_to_back == [(2.0, 5), (1.9, 6)]


def test_level_of_a_ladder_answers_by_name_key_and_position() -> None:
    level = hr.PriceSize(2.0, 10.0)
    assert (level.price, level["price"], level[0]) == (2.0, 2.0, 2.0)
    assert (level.size, level["size"], level[1]) == (10.0, 10.0, 10.0)
    price, size = level
    assert (price, size) == (2.0, 10.0)


def test_definition_takes_the_place_of_the_former() -> None:
    book = hr.MarketBook(MARKET)
    book.apply(T0, change(marketDefinition=definition((1, 0), (2, 0), inPlay=True, betDelay=5)))
    book.apply(T0, change(marketDefinition=definition((1, 0), (2, 0), version=7)))
    assert (book.inplay, book.bet_delay, book.version, book.status) == (False, 0, 7, "OPEN")
    assert [runner.selection_id for runner in book.runners] == [1, 2]


def test_runner_of_a_change_that_no_definition_names_is_there_without_status() -> None:
    book = hr.MarketBook(MARKET)
    book.apply(T0, change(marketDefinition=definition((1, 0))))
    book.apply(T0, change(rc=[{"id": 9, "ltp": 3.0}]))
    assert (book.runner(9).last_price_traded, book.runner(9).status) == (3.0, None)
    assert book.number_of_runners == 2


def test_runner_is_found_by_its_handicap() -> None:
    book = hr.MarketBook(MARKET)
    book.apply(T0, change(marketDefinition=definition((1, -0.5), (1, 0.5))))
    assert book.runner(1, 0.5).handicap == 0.5
    assert book.runner(1) is None


@pytest.mark.parametrize(("calculated", "total"), [(False, 120.0), (True, 60.5)])
def test_total_matched_is_published_or_summed(calculated: bool, total: float) -> None:
    book = hr.MarketBook(MARKET, calculate_market_tv=calculated)
    trades = [{"id": 1, "trd": [[2.0, 50.25]]}, {"id": 2, "trd": [[3.0, 10.25]]}]
    book.apply(T0, change(marketDefinition=definition((1, 0), (2, 0)), rc=trades, tv=120.0))
    assert book.total_matched == total


@pytest.mark.parametrize(("cumulative", "total"), [(False, 7.0), (True, 50.25)])
def test_total_of_a_runner_is_published_or_summed(cumulative: bool, total: float) -> None:
    book = hr.MarketBook(MARKET, cumulative_runner_tv=cumulative)
    book.apply(T0, change(marketDefinition=definition((1, 0)), rc=[{"id": 1, "trd": [[2.0, 50.25]], "tv": 7.0}]))
    assert book.runner(1).total_matched == total


def test_starting_prices_are_those_of_changes_and_definition() -> None:
    book = hr.MarketBook(MARKET)
    start = {**definition((1, 0)), "runners": [{"id": 1, "status": "ACTIVE", "bsp": 3.35}]}
    rc = [{"id": 1, "spn": 3.1, "spf": "NaN", "spb": [[1.01, 20], [3.0, 5]], "spl": [[1000, 7], [2.0, 3]]}]
    book.apply(T0, change(marketDefinition=start, rc=rc))
    sp = book.runner(1).sp
    assert (sp.near_price, sp.far_price, sp.actual_sp) == (3.1, "NaN", 3.35)
    assert sp.back_stake_taken == [(2.0, 3), (1000, 7)]
    assert sp.lay_liability_taken == [(3.0, 5), (1.01, 20)]


@pytest.mark.parametrize(("bsp", "sp"), [(2.5, 2.5), ("NaN", None), ("Infinity", None), (None, None)])
def test_get_sp_is_a_number_or_none(bsp: Any, sp: float | None) -> None:
    book = hr.MarketBook(MARKET)
    runner = {"id": 1, "status": "ACTIVE", **({} if bsp is None else {"bsp": bsp})}
    book.apply(T0, change(marketDefinition={**definition(), "runners": [runner]}))
    assert hr.get_sp(book.runner(1)) == sp


def test_readers_of_a_book() -> None:
    stream = priced()
    book = hr.MarketBook(MARKET)
    for line in stream.lines:
        book.apply(line["pt"], change(**{k: v for k, v in copy.deepcopy(line["mc"][0]).items() if k != "id"}))
    runner = hr.get_runner_book(book, 1)
    backs = runner.ex.available_to_back
    assert [hr.get_price(backs, level) for level in (0, 1, 2, 3, -1)] == [2.0, 1.98, 1.9, None, None]
    assert [hr.get_size(backs, level) for level in (0, 1, 2, 3, -1)] == [10, 10, 100, None, None]
    assert hr.get_market_notes(book, 1) == "2,2.1,None"
    assert hr.get_runner_book(book, 77) is None
    assert hr.get_market_notes(book, 77) is None


def test_levels_answer_what_a_dict_of_price_and_size_answers() -> None:
    level, as_dict = hr.PriceSize(2.5, 30.0), {"price": 2.5, "size": 30.0}
    for name in ("price", "size"):
        assert level[name] == level.get(name) == as_dict[name]
        assert name in level
    assert level.get("volume", 0) == as_dict.get("volume", 0) == 0
    assert level.get("volume") is None
    assert "volume" not in level
    assert list(level.keys()) == list(as_dict.keys())
    assert list(level.values()) == list(as_dict.values())
    assert list(level.items()) == list(as_dict.items())
    assert dict(level) == {**level} == as_dict
    with pytest.raises(KeyError, match="volume"):
        level["volume"]


def test_levels_unpack_and_compare_as_tuples() -> None:
    level = hr.PriceSize(2.5, 30.0)
    price, size = level
    assert (price, size) == tuple(level) == level == (2.5, 30.0)
    assert (level[0], level[-1], level[:1]) == (2.5, 30.0, (2.5,))
    assert 2.5 in level
    assert 3.0 not in level
    assert pickle.loads(pickle.dumps(level)) == copy.deepcopy(level) == level
