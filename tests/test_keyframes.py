"""Keyframes: a book, its image, and the book again are one and the same."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from headrace.simulate.reading.keyframes import image_of, restore
from headrace.strategies.book import MarketBook
from headrace.strategies.changes import ChangeMessage, MarketChange
from headrace.strategies.runner_book import RunnerBook

RUNNERS = [(1, 0.0), (2, 0.0), (2, -1.5), (2, 1.5), (3, 0.0)]
PRICES = st.sampled_from([1.01, 1.5, 2.0, 2.02, 1000.0])
SIZES = st.sampled_from([0, 0.0, 0.01, 2.0, 13.37, 1e9, 1 / 3])
LEVELS = st.lists(st.tuples(PRICES, SIZES), max_size=4)
RANKED = st.lists(st.tuples(st.integers(0, 3), PRICES, SIZES), max_size=4)
STARTING = st.one_of(st.sampled_from(["NaN", "Infinity"]), st.floats(0, 1000))


def keyed(runner: tuple[int, float]) -> dict[str, Any]:
    return {"id": runner[0], "hc": runner[1]} if runner[1] else {"id": runner[0]}


@st.composite
def runner_changes(draw: st.DrawFn) -> dict[str, Any]:
    fields = st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("atb", "atl", "trd", "spb", "spl"), LEVELS),
            **dict.fromkeys(("batb", "batl", "bdatb", "bdatl"), RANKED),
            **dict.fromkeys(("spn", "spf"), STARTING),
            "ltp": st.sampled_from([0.0, 1.01, 55.0]),
            "tv": st.sampled_from([0.0, 12.5]),
        },
    )
    return {**keyed(draw(st.sampled_from(RUNNERS))), **draw(fields)}


@st.composite
def definitions(draw: st.DrawFn, named: list[tuple[int, float]]) -> dict[str, Any]:
    runners = [
        {
            **keyed(runner),
            "status": draw(st.sampled_from(["ACTIVE", "REMOVED", "WINNER", "LOSER", "HIDDEN"])),
            "sortPriority": place,
            "adjustmentFactor": draw(st.sampled_from([None, 12.5])),
            "bsp": draw(st.one_of(st.none(), STARTING)),
            "removalDate": draw(st.sampled_from([None, "2024-01-01T12:00:00.000Z"])),
        }
        for place, runner in enumerate(draw(st.permutations(named)))
    ]
    state = st.fixed_dictionaries(
        {
            "status": st.sampled_from(["OPEN", "SUSPENDED", "CLOSED"]),
            "inPlay": st.booleans(),
            "version": st.integers(0, 9),
            "bspReconciled": st.booleans(),
            "complete": st.booleans(),
            "betDelay": st.integers(0, 5),
        }
    )
    return {**draw(state), "runners": runners}


@st.composite
def recordings(draw: st.DrawFn) -> list[ChangeMessage]:
    """Messages of a market, the first with its definition; a later one may name fewer runners, or more."""
    named = st.lists(st.sampled_from(RUNNERS), min_size=1, unique=True)
    usual = draw(named)
    messages = []
    for at in range(draw(st.integers(1, 8))):
        change: dict[str, Any] = {"id": "1.1", "rc": draw(st.lists(runner_changes(), max_size=4))}
        if at == 0 or draw(st.booleans()):
            # Mostly the same runners: else there would rarely be an image.
            change["marketDefinition"] = draw(definitions(draw(st.one_of(st.just(usual), st.just(RUNNERS), named))))
        change["img"] = draw(st.sampled_from([False, False, False, True]))
        change["tv"] = draw(st.sampled_from([None, 0.0, 99.9]))
        messages.append({"op": "mcm", "pt": 1_700_000_000_000 + at, "mc": [change]})
    return [msgspec.json.decode(msgspec.json.encode(message), type=ChangeMessage) for message in messages]


def fold(messages: list[ChangeMessage]) -> MarketBook:
    book = MarketBook("1.1")
    for message in messages:
        book.apply(message.pt, message.mc[0])
    return book


def state(book: MarketBook) -> Any:
    """All that anybody can read of a book."""
    return (
        book.publish_time_epoch,
        book.market_definition,
        (book.status, book.inplay, book.version, book.bet_delay, book.complete, book.bsp_reconciled),
        (book.cross_matching, book.runners_voidable, book.number_of_winners, book.number_of_active_runners),
        book.total_matched,
        [runner_state(runner) for runner in book.runners],
        [book.runner(runner.selection_id, runner.handicap) is runner for runner in book.runners],
    )


def runner_state(runner: RunnerBook) -> Any:
    ex, sp = runner.ex, runner.sp
    return (
        (runner.selection_id, runner.handicap, runner.status, runner.name, runner.sort_priority, runner.definition),
        (runner.adjustment_factor, runner.removal_date, runner.last_price_traded, runner.total_matched),
        (ex.available_to_back, ex.available_to_lay, ex.traded_volume),
        # In their order too: sums over them must not differ.
        [list(ladder.levels.items()) for ladder in (ex.back, ex.lay, ex.traded)],
        {kind: ladder.levels for kind, ladder in ex.best.items() if ladder.levels},
        (sp.near_price, sp.far_price, sp.actual_sp, sp.back_stake_taken, sp.lay_liability_taken),
    )


@settings(max_examples=60)
@given(recordings())
def test_book_restored_from_its_image_is_the_book(messages: list[ChangeMessage]) -> None:
    book = fold(messages)
    image = image_of(book)
    event("image" if image else "no image")
    if image is not None:
        again = MarketBook("1.1")
        again.market_definition = book.market_definition
        restore(again, image)
        assert state(again) == state(book)


@settings(max_examples=60)
@given(recordings(), st.data())
def test_book_that_missed_changes_is_brought_up_by_an_image(messages: list[ChangeMessage], data: st.DataObject) -> None:
    book = fold(messages)
    image = image_of(book)
    if image is None:
        return
    seen = data.draw(st.integers(1, len(messages)))
    again = fold(messages[:seen])
    for message in messages[seen:]:
        definition = message.mc[0].market_definition
        if definition is not None:
            again.apply(message.pt, MarketChange(id="1.1", market_definition=definition))
    restore(again, image)
    assert state(again) == state(book)


@settings(max_examples=60)
@given(recordings())
def test_there_is_an_image_where_the_definition_names_the_runners_of_the_book(messages: list[ChangeMessage]) -> None:
    book = fold(messages)
    assert book.market_definition is not None
    named = {(runner.id, runner.hc) for runner in book.market_definition.runners}
    held = {(runner.selection_id, runner.handicap) for runner in book.runners}
    assert (image_of(book) is not None) == (named == held)
