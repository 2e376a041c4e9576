"""Ladders that are published of recordings that have them by rank."""

from __future__ import annotations

from builders import MARKET, Stream
from exchange_builders import exchange_of, play
from headrace.simulate.exchange.listings.price_projection import PriceProjection
from headrace.simulate.exchange.public_market import PublicRunner, Touched
from headrace.simulate.exchange.stream.best_offers import rolled_up


def _runner(*changes: dict[str, object], until: int = 10_000) -> tuple[PublicRunner, list[Touched]]:
    stream = Stream()
    for number, change in enumerate(changes):
        stream.prices(100 + number, {1: change})
    exchange = exchange_of(stream)
    heard: list[Touched] = []

    class Listener:
        def __getattr__(self, name: str) -> object:
            return lambda *told: heard.append(told[1]) if name == "market_changed" else None

    exchange.listeners.append(Listener())  # type: ignore[arg-type]
    play(exchange, until=until)
    return exchange.markets[MARKET].public.runner(1, 0.0), heard


def test_ranks_stand_for_a_ladder_that_the_recording_does_not_have():
    runner, heard = _runner({"batb": [[0, 2.0, 10], [1, 1.9, 5]]}, {"batb": [[0, 2.02, 7], [1, 2.0, 10]]})
    assert runner.ladder("atb") == {2.02: 7, 2.0: 10}
    assert heard[-1].runners[runner]["atb"] == {2.02, 1.9}


def test_virtual_offers_do_not_stand_for_a_ladder_by_price_that_is_empty():
    runner, _ = _runner({"atl": [[2.2, 4]], "bdatb": [[0, 2.0, 10]]})
    assert runner.ladder("atb") == {}
    assert runner.ladder("atl") == {2.2: 4}


def test_what_ranks_stood_for_is_void_when_a_ladder_by_price_comes():
    runner, heard = _runner({"batb": [[0, 2.0, 10]]}, {"atb": [[1.99, 3]]})
    assert runner.ladder("atb") == {1.99: 3}
    assert heard[-1].image


def test_the_stream_and_the_list_of_books_roll_small_offers_up_alike():
    runner, _ = _runner({"atb": [[2.0, 0.6], [1.9, 0.5], [1.8, 3], [1.7, 0.25], [1.6, 0.3]], "atl": [[2.2, 0.4]]})
    listed = PriceProjection({"priceData": ["EX_BEST_OFFERS"]}).offers(runner, 1.0)
    expected = {"availableToBack": [(1.9, 1.1), (1.8, 3), (1.6, 0.55)], "availableToLay": [(2.2, 0.4)]}
    for side, key in (("atb", "availableToBack"), ("atl", "availableToLay")):
        assert rolled_up(runner.ladder(side), side == "atb", 3) == expected[key]
        assert [(each["price"], each["size"]) for each in listed[key]] == expected[key]
