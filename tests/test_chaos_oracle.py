"""The witness of `python -m benchmarks.chaos` finds each defect that is planted in front of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.simulate.exchange.ledger import Entry

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
try:
    from benchmarks.chaos_kills import Kill, bar, table
    from benchmarks.chaos_oracle import History, Limits
    from benchmarks.chaos_system import Notes
finally:
    sys.path.remove(str(ROOT))

A, B = "hash-000000000000000a", "hash-000000000000000b"  # references of orders
IDS = {A: A[-18:], B: B[-18:]}


class Book:
    """A ledger that is written line by line."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._calls = 0

    def add(self, kind: str, **values: Any) -> None:
        number = len(self.entries) + 1
        self.entries.append(Entry(number, number, float(number), kind, values))

    def call(self, operation: str, *instructions: dict[str, Any], **reply: Any) -> None:
        self._calls += 1
        self.add("REQUEST", request=self._calls, operation=operation, params={"instructions": list(instructions)})
        self.add("REPLY", request=self._calls, operation=operation, **{"status": 200, "result": {}, **reply})

    def place(self, *refs: str, **reply: Any) -> None:
        self.call("placeOrders", *({"customerOrderRef": ref} for ref in refs), **reply)

    def replace(self, bet_id: str) -> None:
        self.call("replaceOrders", {"betId": bet_id, "newPrice": 3.5})

    def bet(self, bet_id: str, ref: str = A, **sizes: Any) -> None:
        """How a bet now stands; what is not said of its size remains."""
        values = {"market_id": "1.1", "selection_id": 11, "side": "BACK", "price": 3.0, "size": 4.0}
        values |= dict.fromkeys(("matched", "average", "cancelled", "lapsed", "voided"), 0.0) | sizes
        gone = sum(values[name] for name in ("matched", "cancelled", "lapsed", "voided"))
        values.setdefault("remaining", round(values["size"] - gone, 2))
        values.setdefault("executable", bool(values["remaining"]))
        self.add("BET", bet_id=bet_id, order_ref=ref, **values)

    def read(self, **limits: Any) -> History:
        return History(self.entries, Limits(**limits))


@pytest.fixture
def book() -> Book:
    made = Book()
    made.place(A)
    made.bet("91")
    return made


def state_of(history: History, **changes: Any) -> dict[str, Any]:
    """The state of a system that believes what is so."""
    names = ("bet_id", "market_id", "selection_id", "side", "price", "size", "matched", "remaining")
    orders = [
        {**{name: getattr(bet, name) for name in names}, "order_id": bet.order_ref[-18:]}
        | {"in_doubt": False, "status": "EXECUTABLE"}
        for bet in history.live().values()
    ]
    money = {"exposure": history.exposure, "settled_today": history.settled + history.commission}
    return {
        "at": history.began,
        "orders": orders,
        "foreign": [],
        "clients": [{"exposure": history.exposure, "currency": "GBP"}],
        "risk": {"by_currency": {"GBP": money}},
        **changes,
    }


def rows_of(history: History) -> list[dict[str, Any]]:
    """The orders of a result that has all as it is."""
    return [
        {
            "order_id": bet.order_ref[-18:] if bet.replaces is None else f"replacement of {bet.replaces}",
            "bet_id": bet.bet_id,
            "status": "EXECUTABLE" if bet.executable else "EXECUTION_COMPLETE",
            "average_price_matched": bet.average,
            "profit": None,
            **{
                f"size_{name}": getattr(bet, name) for name in ("matched", "remaining", "cancelled", "lapsed", "voided")
            },
        }
        for bet in history.bets.values()
    ]


def at_rest(history: History, **changes: Any) -> list[str]:
    return history.differences_at_rest(state_of(history, **changes), -history.exposure)


# -- nothing is wrong ------------------------------------------------------------------------------------------------


def test_nothing_is_found_where_nothing_is_wrong(book: Book) -> None:
    book.bet("91", matched=4.0, average=3.05)
    book.place(B)
    book.bet("92", B, side="LAY")
    history = book.read(exposure=100.0, selection=10.0, order=10.0, live=1)
    assert history.wrong == []
    assert at_rest(history) == []
    book.bet("92", B, side="LAY", cancelled=4.0)
    history = book.read()
    assert history.differences_at_end(rows_of(history)) == []


def test_a_bet_that_is_placed_anew_by_a_replace_is_the_order_itself(book: Book) -> None:
    book.replace("91")
    book.bet("91", cancelled=4.0)
    book.bet("92", price=3.5)
    history = book.read(live=1)
    assert history.wrong == []
    assert history.bets["92"].replaces == "91"


# -- orders that are placed twice ------------------------------------------------------------------------------------


def test_a_second_bet_of_an_order_is_found(book: Book) -> None:
    book.bet("92")
    assert book.read().wrong == [f"order {A} was placed twice: bet 92 beside 91"]


def test_one_replace_makes_one_new_bet(book: Book) -> None:
    book.replace("91")
    book.bet("91", cancelled=4.0)
    book.bet("92", price=3.5)
    book.bet("93", price=3.5)
    assert book.read().wrong == [f"order {A} was placed twice: bet 93 beside 91, 92"]


def test_a_new_bet_beside_one_that_still_rests_is_found_though_a_replace_was_asked_for(book: Book) -> None:
    book.replace("91")
    book.bet("92", price=3.5)
    assert book.read().wrong == [f"order {A} was placed twice: bet 92 beside 91"]


def test_an_order_that_is_sent_twice_is_found_though_only_one_bet_came_of_it(book: Book) -> None:
    book.place(A, status=0)
    assert book.read().wrong == [f"order {A} was sent twice: by calls 1 and 2"]


def test_what_was_refused_as_a_whole_may_be_sent_again() -> None:
    book = Book()
    book.place(A, error="TOO_MANY_REQUESTS")
    book.place(A)
    book.bet("91")
    assert book.read().wrong == []


# -- orders that are lost --------------------------------------------------------------------------------------------


def test_a_bet_that_rests_and_is_forgotten_is_found(book: Book) -> None:
    history = book.read()
    assert at_rest(history, orders=[]) == [f"bet 91 ({A}) of 1.1 rests, and is not known"]


def test_a_bet_that_is_believed_to_rest_and_does_not_is_found(book: Book) -> None:
    before = state_of(book.read())
    book.bet("91", cancelled=4.0)
    history = book.read()
    assert "bet 91 is believed to rest, and does not" in at_rest(history, orders=before["orders"])


def test_a_bet_of_which_something_else_is_believed_is_found(book: Book) -> None:
    book.bet("91", matched=1.0, average=3.0)
    history = book.read()
    (row,) = state_of(history)["orders"]
    wrong = at_rest(history, orders=[{**row, "matched": 2.0, "remaining": 2.0}])
    assert wrong == ["bet 91: matched is 1.0, believed 2.0", "bet 91: remaining is 3.0, believed 2.0"]


@pytest.mark.parametrize("row", [{"in_doubt": True, "status": "IN_DOUBT"}, {"bet_id": None, "status": "PENDING"}])
def test_an_order_of_which_nobody_knows_what_became_is_found(row: dict[str, Any], book: Book) -> None:
    history = book.read()
    (known,) = state_of(history)["orders"]
    other = {**known, "order_id": "b", "bet_id": "92", **row}
    assert f"order b in 1.1 is {row['status']}" in at_rest(history, orders=[known, other])


def test_a_bet_that_is_taken_for_somebody_elses_is_found(book: Book) -> None:
    history = book.read()
    assert "bet 91 is taken for one of somebody else" in at_rest(history, foreign=[{"bet_id": "91"}])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size_matched": 3.0}, "bet 91: matched is 4.00, believed 3.00"),
        ({"average_price_matched": 3.0}, "bet 91: matched at 3.05, believed 3.0"),
        ({"size_voided": 1.0}, "bet 91: voided is 0.00, believed 1.00"),
        ({"profit": 8.2}, "bet 91: won -4.00, believed 8.20"),
        ({"bet_id": "92"}, "bet 92 is believed in, and is not there"),
        ({"bet_id": None}, f"order {A} is believed not to be placed, and is bet 91"),
    ],
)
def test_a_row_of_the_result_that_is_not_so_is_found(change: dict[str, Any], told: str, book: Book) -> None:
    book.bet("91", matched=4.0, average=3.05)
    book.add("ACCOUNT", what="BET", amount=-4.0, bet_id="91")
    history = book.read()
    (row,) = rows_of(history)
    assert told in history.differences_at_end([{**row, **change}])


def test_an_order_that_was_sent_and_is_in_no_row_is_found(book: Book) -> None:
    book.bet("91", cancelled=4.0)
    book.place(B)
    history = book.read()
    assert history.differences_at_end(rows_of(history)) == [f"order {B} was sent, and nobody knows of it"]


def test_an_order_without_an_end_and_one_that_is_there_twice_are_found(book: Book) -> None:
    book.bet("91", cancelled=4.0)
    history = book.read()
    (row,) = rows_of(history)
    open_ = {**row, "order_id": "c", "bet_id": None, "status": "PENDING", "size_remaining": 2.0}
    wrong = history.differences_at_end([row, row, open_])
    assert wrong == [
        f"order {IDS[A]} is there twice",
        f"bet 91 is there twice: of {IDS[A]} and others",
        "order c has no end: PENDING",
    ]


def test_an_order_that_was_not_placed_without_its_strategy_being_told_is_found(book: Book) -> None:
    book.place(B)
    rows = [*rows_of(book.read()), {"order_id": IDS[B]}]
    assert book.read().untold(rows, [A, B], [IDS[A], IDS[B]]) == []
    assert book.read().untold(rows, [A, B], []) == [f"order {B} was not placed, and its strategy was not told"]
    assert book.read().untold(rows[:1], [A, B], []) == [], "it died with its host before anybody heard of it"


def test_a_bet_that_rests_after_the_end_is_found(book: Book) -> None:
    history = book.read()
    assert f"bet 91 ({A}) rests after the end" in history.differences_at_end(rows_of(history))


# -- money -----------------------------------------------------------------------------------------------------------


def test_exposure_is_the_worst_of_all_results(book: Book) -> None:
    book.bet("91", matched=4.0, average=3.0)  # wins 8, or loses 4
    book.place(B)
    book.bet("92", B, selection_id=12, side="LAY", matched=3.0, average=2.0, remaining=2.0, size=5.0, price=2.5)
    # 11 wins: 8 + 3; 12 wins: -4 - 3 - 3; another: -4 + 3
    assert book.read().exposure == 10.0
    book.bet("91", voided=4.0)
    assert book.read().exposure == 6.0


def test_a_runner_that_is_removed_is_no_way_out(book: Book) -> None:
    book.bet("92", B, selection_id=12, side="BACK", size=5.0)
    book.bet("91", matched=4.0, average=3.0)
    book.bet("92", B, selection_id=12, side="BACK", size=5.0, matched=5.0, average=3.0)
    assert History(book.entries, runners=3).exposure == 9.0, "the third wins"
    book.add("MARKET", market_id="1.1", what="RUNNER_REMOVED", selection_id=13)
    assert History(book.entries, runners=3).exposure == 0.0, "one of the two wins: 8 - 5, or 10 - 4"
    assert History(book.entries, runners=4).exposure == 9.0, "the fourth wins"
    book.add("MARKET", market_id="1.1", what="RUNNER_REMOVED", selection_id=12)
    book.bet("92", B, selection_id=12, side="BACK", size=5.0, voided=5.0)
    assert History(book.entries, runners=3).exposure == 0.0
    assert History(book.entries, runners=4).exposure == 4.0


def test_exposure_that_is_not_believed_to_the_penny_is_found(book: Book) -> None:
    history = book.read()
    told = state_of(history)
    told["clients"][0]["exposure"] = 4.01
    assert history.differences_at_rest(told, -4.0) == ["the account's exposure: 4.01 could be lost, by the ledger 4.00"]
    assert history.differences_at_rest(state_of(history), -3.99) == [
        "the exchange's own count: 3.99 could be lost, by the ledger 4.00"
    ]


def test_what_was_settled_is_compared(book: Book) -> None:
    book.add("ACCOUNT", what="BET", amount=8.0, bet_id="91")
    book.add("ACCOUNT", what="COMMISSION", amount=-0.4, bet_id=None)
    book.add("MARKET", market_id="1.1", what="SETTLED")
    history = book.read()
    assert (history.exposure, at_rest(history)) == (0.0, [])
    told = state_of(history)
    told["risk"]["by_currency"]["GBP"]["settled_today"] = 8.0
    assert history.differences_at_rest(told, 0.0) == ["settled today: 8.00, by the ledger 7.60"]
    assert history.differences_at_rest({**told, "at": 86_400_000}, 0.0) == [], "it is another day"


# -- limits ----------------------------------------------------------------------------------------------------------


def test_a_bet_that_passes_the_limit_of_all_is_found_at_its_moment_though_it_is_cancelled_later(book: Book) -> None:
    book.place(B)
    book.bet("92", B, market_id="1.2", size=7.0)
    book.bet("92", B, market_id="1.2", size=7.0, cancelled=7.0)
    assert book.read(exposure=11.0).wrong == []
    assert book.read(exposure=10.0).wrong == [f"bet 92 ({B}): all bets could lose 11.00, max_exposure is 10.00"]


def test_limits_of_a_runner_of_an_order_and_of_live_orders_are_watched(book: Book) -> None:
    book.place(B)
    book.bet("92", B, side="LAY", price=4.0, size=3.0)
    assert book.read(selection=9.0, order=9.0, live=2).wrong == []
    runner = f"bet 92 ({B}): bets on 11 of 1.1 could lose 9.00, max_selection_exposure is 8.00"
    assert book.read(selection=8.0).wrong == [runner]
    assert book.read(order=8.0).wrong == ["bet 92 could lose 9.00, max_order_exposure is 8.00"]
    live = f"bet 92 ({B}): 2 bets are live on 11 of 1.1, max_live_trade_count is 1"
    assert book.read(live=1).wrong == [live]


def test_what_a_void_does_to_exposure_is_not_the_systems_fault(book: Book) -> None:
    book.bet("91", matched=4.0, average=3.0)
    book.place(B)
    book.bet("92", B, side="LAY", matched=4.0, average=3.0)  # all is hedged
    book.bet("91", voided=4.0)  # and now it could lose 8
    assert book.read(exposure=5.0, selection=5.0).wrong == []
    book.place("hash-000000000000000c")
    book.bet("93", "hash-000000000000000c", selection_id=12, size=6.0)
    assert len(book.read(exposure=5.0).wrong) == 1, "and this bet is"


def test_what_is_placed_after_the_stop_is_found(book: Book) -> None:
    history = History(no_more=float(len(book.entries)))
    history.read(book.entries)
    assert history.wrong == []
    book.place(B)
    history.read(book.entries[-2:])
    assert history.wrong == ["call 2 places 1 orders after the stop"]


def test_a_failure_of_the_exchange_itself_is_told(book: Book) -> None:
    book.add("ERROR", error="it is broken")
    assert book.read().wrong == ["the exchange failed: it is broken"]


# -- times -----------------------------------------------------------------------------------------------------------


def test_times_are_told_by_kind_with_what_took_too_long() -> None:
    kills = [
        {"kind": "host", "count": 1, "back": 1.0},
        {"kind": "host", "count": 1, "back": 3.5},
        {"kind": "several", "count": 4, "back": 5.0},
        {"kind": "all", "count": 1, "back": 9.0},
    ]
    assert table(kills)[2:] == [
        "| host | 2 | 2.25 | 3.50 | 1 |",
        "| several | 4 | 5.00 | 5.00 | 0 |",
        "| all | 1 | 9.00 | 9.00 |  |",
    ]
    assert (bar("several", 5), bar("raylet", 1)) == (6.0, None)


def test_a_host_is_back_when_all_of_its_markets_were_shown_by_another_process(book: Book) -> None:
    system: Any = None
    notes = Notes(Path())
    notes.seen = {"1.1": [(900.0, 890, 7), (1010.0, 990, 7), (1500.0, 990, 8)], "1.2": [(1600.0, 1590, 8)]}
    kill = Kill("host", 1000.0, ["h1"], [7], {"1.1", "1.2", "1.3"})
    history = book.read()
    assert kill.when(notes, history, system) is None, "a market is missing"
    book.add("MARKET", market_id="1.3", what="CLOSED")
    assert kill.when(notes, book.read(), system) == 1600.0
