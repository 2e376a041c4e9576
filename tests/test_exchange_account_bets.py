"""What the rehearsal exchange says of an account's bet, from its placing to its result."""

from __future__ import annotations

from builders import priced
from exchange_builders import BOB, T0, exchange_of, play
from exchange_requests import cancel, place, replace, submit, update
from headrace.simulate.exchange.settings import Timers
from headrace.strategies.messages import PLACE, PlaceInstruction


def test_a_version_that_is_too_old_lapses_a_bet_with_its_reason_in_one_change():
    exchange = play(exchange_of(priced(version=7)), until=100)
    bet = place(exchange, price=3.0, market_version=6)
    assert (bet.ended, bet.executable, bet.lapsed, bet.lapse_reason) == (True, False, 5.0, "MKT_VERSION")
    assert bet.first_sequence == bet.sequence == 1


def test_an_ordinary_lapse_has_no_reason():
    exchange = play(exchange_of(priced().suspend(200, inPlay=True)), until=100)
    bet = place(exchange, price=3.0)
    play(exchange)
    assert (bet.lapsed, bet.lapsed_ms, bet.lapse_reason) == (5.0, T0 + 200, None)


def test_a_replacement_has_the_references_of_the_bet_that_it_replaces():
    exchange = play(exchange_of(priced()), until=100)
    old = place(exchange, price=3.0, ref="mine", strategy="s", persistence="PERSIST")
    cancel(exchange, old, 2.0)
    new = replace(exchange, old, 3.2)
    assert (old.cancelled, old.remaining, old.ended) == (5.0, 0.0, True)
    assert (new.order_ref, new.strategy_ref, new.price, new.size, new.persistence) == ("mine", "s", 3.2, 3.0, "PERSIST")
    assert new.username == old.username
    assert new.bet_id != old.bet_id


def test_on_a_removed_runner_what_was_matched_is_void_and_the_rest_lapses():
    exchange = play(exchange_of(priced().remove(300, 1, 20.0)), until=100)
    bet = place(exchange, price=2.0, size=15.0)
    matched = bet.matched
    assert 0 < matched < 15.0
    play(exchange)
    assert (bet.matched, bet.voided, bet.lapsed, bet.remaining) == (0.0, matched, 15.0 - matched, 0.0)
    assert bet.voided_average == 2.0
    assert (bet.voided_ms, bet.lapsed_ms) == (T0 + 300, T0 + 300)


def test_a_price_that_a_removal_reduces_is_marked():
    exchange = play(exchange_of(priced().remove(300, 2, 20.0)), until=100)
    bet = place(exchange, price=2.0)
    assert not bet.reduced
    play(exchange)
    assert (bet.reduced, bet.average, bet.voided) == (True, 1.6, 0.0)


def test_a_limit_order_that_goes_to_the_starting_price_becomes_a_market_order():
    market = priced().define(200, {1: {"bsp": 3.5}}, status="OPEN", inPlay=True, bspReconciled=True, version=2)
    exchange = play(exchange_of(market), until=100)
    kept = place(exchange, price=3.0, size=20.0, persistence="MARKET_ON_CLOSE")
    taken = place(exchange, price=2.0, size=5.0, persistence="MARKET_ON_CLOSE")
    play(exchange)
    assert (kept.order_type, kept.matched, kept.average, kept.liability) == ("MARKET_ON_CLOSE", 20.0, 3.5, 20.0)
    assert (taken.order_type, taken.average) == ("LIMIT", 2.0)


def test_a_limit_on_close_whose_price_is_not_met_lapses_whole():
    market = priced().define(200, {1: {"bsp": 3.5}}, inPlay=True, bspReconciled=True, version=2)
    exchange = play(exchange_of(market), until=100)
    bet = place(exchange, price=4.0, order_type="LIMIT_ON_CLOSE", liability=10.0)
    assert (bet.executable, bet.ended, bet.lapsed) == (False, False, 0.0)
    play(exchange)
    assert (bet.ended, bet.lapsed, bet.matched) == (True, 10.0, 0.0)


def test_results_are_known_when_the_market_is_settled_and_again_after_it_was_reopened():
    market = (
        priced()
        .close(1000, winner=1)
        .define(3000, {1: {"status": "ACTIVE"}, 2: {"status": "ACTIVE"}}, status="SUSPENDED")
        .close(4000, winner=2)
    )
    exchange = play(exchange_of(market, timers=Timers(settle=0.5)), until=100)
    exchange.call_later(100_000_000, lambda: None)
    bet = place(exchange, price=2.0)
    play(exchange, until=1000)
    assert bet.result is None
    exchange.advance(T0 + 1500)
    assert bet.result is not None
    assert (bet.result.profit, bet.settled_ms) == (5.0, T0 + 1500)
    play(exchange, until=3000)
    assert (bet.result, bet.settled_ms) == (None, None)
    play(exchange)
    exchange.advance(T0 + 4500)
    assert bet.result is not None
    assert (bet.result.profit, bet.settled_ms) == (-5.0, T0 + 4500)


def test_a_request_that_waits_when_its_market_closes_is_answered():
    exchange = play(exchange_of(priced().close(500)), until=100)
    asked = PlaceInstruction(exchange.numbers.next_order_id(), "", 1, 0.0, "BACK", "LIMIT", 2.0, 5.0)
    answers: list[object] = []
    reports = submit(exchange, PLACE, asked, bet_delay=5, account=BOB)
    assert reports == []
    (submission,) = exchange._submissions._pending.values()
    submission.answered = answers.append
    play(exchange)
    assert answers == [[]]


def test_another_persistence_is_a_change_of_the_bet():
    exchange = play(exchange_of(priced()), until=100)
    bet = place(exchange, price=3.0)
    before = bet.sequence
    update(exchange, bet, "PERSIST")
    assert (bet.persistence, bet.sequence) == ("PERSIST", before + 1)


def test_lays_that_a_removal_cancels_have_lapsed():
    exchange = play(exchange_of(priced().remove(300, 2, 20.0)), until=100)
    bet = place(exchange, side="LAY", price=1.5)
    cancel(exchange, bet, 1.0)
    play(exchange)
    assert (bet.cancelled, bet.lapsed, bet.remaining, bet.ended) == (1.0, 4.0, 0.0, True)
    assert (bet.cancelled_ms, bet.lapsed_ms, bet.lapse_reason) == (T0 + 100, T0 + 300, None)
