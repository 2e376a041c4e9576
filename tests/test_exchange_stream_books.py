"""The books that betfairlightweight's cache makes of what the stream sends are the markets as the exchange publishes
them, whatever a client asked for and however badly it reads."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import hypothesis
from betfairlightweight import StreamListener
from betfairlightweight.streaming.cache import RunnerBookCache
from hypothesis import strategies as st

from builders import MARKET, MARKET_DEFINITION, T0
from exchange_builders import Stream, exchange_of, play
from exchange_requests import place
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.feed_messages import FeedChange
from headrace.simulate.exchange.public_market import PublicMarket, PublicRunner
from headrace.simulate.exchange.stream.projection import FIELDS
from headrace.strategies.change_lines import decode_line
from stream_in_process import Client, InProcess

OTHER = "1.100000002"
#: betfairlightweight reads no definition without it.
REGULATED: dict[str, Any] = {"regulators": ["MR_INT"]}
PRICES = (1.5, 1.51, 1.9, 2.0, 2.02, 2.5, 3.0, 10.0)
SIZES = (0, 0.3, 0.75, 1, 2.5, 40)


# -- what is played -------------------------------------------------------------------------------------------------

_levels = st.lists(st.tuples(st.sampled_from(PRICES), st.sampled_from(SIZES)), min_size=1, max_size=4)
_ranks = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(PRICES), st.sampled_from(SIZES)), max_size=3, unique_by=lambda e: e[0]
)
_runner = st.fixed_dictionaries(
    {"id": st.sampled_from((1, 1, 2, 3))},
    optional={
        **dict.fromkeys(("atb", "atl", "trd", "spb", "spl"), _levels),
        **dict.fromkeys(("bdatb", "bdatl"), _ranks),
        "ltp": st.sampled_from(PRICES),
        "tv": st.sampled_from(SIZES),
        "spn": st.sampled_from((2.0, "NaN")),
        "spf": st.sampled_from((3.0, "Infinity")),
    },
)
_markets = st.sampled_from((MARKET, MARKET, MARKET, OTHER))
_change = st.tuples(
    st.just("change"),
    _markets,
    st.lists(_runner, min_size=1, max_size=2, unique_by=lambda rc: rc["id"]),
    st.sampled_from((None, None, 12.5)),
)
_definition = st.tuples(st.just("definition"), _markets, st.sampled_from(("OPEN", "SUSPENDED")), st.booleans())
_image = st.tuples(st.just("image"), _markets, st.lists(_runner, max_size=3, unique_by=lambda rc: rc["id"]))
_bet = st.tuples(
    st.just("bet"), st.sampled_from(("BACK", "LAY")), st.sampled_from(PRICES), st.sampled_from((2.0, 30.0))
)
_reading = st.tuples(
    st.sampled_from((*["stop reading"] * 4, "read", "read", "wait", "wait", "lose", "resubscribe", "anew"))
)
_actions = st.lists(st.one_of(*[_change] * 6, _definition, _image, _bet, *[_reading] * 4), min_size=10, max_size=40)
_wanted = st.fixed_dictionaries(
    {
        "fields": st.one_of(
            st.just(sorted(FIELDS)),
            st.sets(st.sampled_from(sorted(FIELDS))).map(lambda found: sorted({*found, "EX_MARKET_DEF"})),
        ),
        "levels": st.integers(1, 4),
        "conflate": st.sampled_from((0, 200)),
        "segmented": st.booleans(),
        "filter": st.sampled_from(({}, {"marketIds": [MARKET]}, {"eventTypeIds": ["7"]})),
    }
)


def _played(change: dict[str, Any]) -> FeedChange:
    decoded = decode_line(json.dumps({"op": "mcm", "clk": "1", "pt": T0, "mc": [change]}).encode())[0]
    return FeedChange(decoded.mc[0], change.get("marketDefinition"))


def _defined(version: int, status: str = "OPEN", third: bool = False) -> dict[str, Any]:
    ids = (1, 2, 3) if third else (1, 2)
    runners = [{"id": each, "sortPriority": each, "status": "ACTIVE"} for each in ids]
    return {**MARKET_DEFINITION, **REGULATED, "version": version, "status": status, "runners": runners}


# -- what a client believes -----------------------------------------------------------------------------------------


class Believer:
    """A client with betfairlightweight's cache."""

    def __init__(self, stream: InProcess, wanted: dict[str, Any]) -> None:
        self._stream = stream
        self._wanted = wanted
        self._numbers = itertools.count(1)
        self._listener = StreamListener(max_latency=None)
        self._expected: int | None = None
        self.client: Client = stream.connect().log_in()
        self.subscribe()

    def subscribe(self, clocks: bool = False) -> None:
        number, wanted = next(self._numbers), self._wanted
        if clocks:
            self._listener.update_unique_id(number)
        else:
            self._listener.register_stream(number, "marketSubscription")
        self.take(
            self.client.send(
                op="marketSubscription",
                id=number,
                marketFilter=wanted["filter"],
                marketDataFilter={"fields": wanted["fields"], "ladderLevels": wanted["levels"]},
                conflateMs=wanted["conflate"],
                segmentationEnabled=wanted["segmented"],
                initialClk=self._listener.initial_clk if clocks else None,
                clk=self._listener.clk if clocks else None,
            )
        )

    def lose(self) -> None:
        """The connection breaks, and what was under way is lost; the client goes on from its clocks."""
        self.client.leave()
        self.client = self._stream.connect().log_in()
        self.subscribe(clocks=self._listener.clk is not None)

    def take(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            assert message.get("statusCode", "SUCCESS") == "SUCCESS", message
            self._listener.on_data(json.dumps(message))

    @property
    def books(self) -> dict[str, Any]:
        return self._listener.stream._caches


def _ladder(available: Any) -> dict[float, float]:
    return {price: book[1] for price, book in available.order_book.items()}


def _by_rank(available: Any) -> dict[int, tuple[float, float]]:
    return {rank: (book[1], book[2]) for rank, book in available.order_book.items()}


def _best(runner: PublicRunner, side: str, levels: int) -> dict[int, tuple[float, float]]:
    """The best offers, written anew: offers under £1 go with the next that is worse."""
    found: list[list[float]] = []
    carried = 0.0
    for price, size in sorted(runner.ladder(side).items(), reverse=side == "atb"):
        carried = round(carried + size, 2)
        if carried >= 1:
            found.append([price, carried])
            carried = 0.0
    if carried:
        found.append([price, carried])
    return {rank: (price, size) for rank, (price, size) in enumerate(found[:levels])}


def _check(book: Any, public: PublicMarket, wanted: dict[str, Any]) -> None:
    fields: list[str] = wanted["fields"]
    levels: int = wanted["levels"]
    assert book.market_definition == public.definition
    if "EX_TRADED_VOL" in fields:
        assert book.total_matched == (public.volume or 0)
    for key, runner in public.runners.items():
        cached = book.runner_dict.get(key) or RunnerBookCache(key[0], True)
        if "EX_ALL_OFFERS" in fields:
            assert _ladder(cached.available_to_back) == runner.ladder("atb")
            assert _ladder(cached.available_to_lay) == runner.ladder("atl")
        if "EX_TRADED" in fields:
            assert _ladder(cached.traded) == runner.ladder("trd")
        if "SP_TRADED" in fields:
            assert _ladder(cached.starting_price_back) == runner.ladder("spb")
            assert _ladder(cached.starting_price_lay) == runner.ladder("spl")
        if "EX_LTP" in fields:
            assert cached.last_price_traded == runner.last_price_traded
        if "EX_TRADED_VOL" in fields:
            assert cached.total_matched == (runner.volume or 0)
        if "SP_PROJECTED" in fields:
            assert cached.starting_price_near == runner.values.get("spn")
            assert cached.starting_price_far == runner.values.get("spf")
        if "EX_BEST_OFFERS" in fields:
            assert _by_rank(cached.best_available_to_back) == _best(runner, "atb", levels)
            assert _by_rank(cached.best_available_to_lay) == _best(runner, "atl", levels)
        if "EX_BEST_OFFERS_DISP" in fields:
            for side, shown in (
                ("atb", cached.best_display_available_to_back),
                ("atl", cached.best_display_available_to_lay),
            ):
                ranked = runner.ranked.get(f"bd{side}")
                if ranked is None:
                    assert _by_rank(shown) == _best(runner, side, levels)
                elif not runner.altered(side):
                    recorded = [ranked[rank] for rank in sorted(ranked)]
                    assert _by_rank(shown) == dict(enumerate(recorded[:levels]))


# -- the property ---------------------------------------------------------------------------------------------------


def _act(exchange: Exchange, action: tuple[Any, ...], version: Callable[[], int]) -> None:
    kind, where = action[0], action[1]
    if kind == "bet":
        if exchange.markets[MARKET].definition.status == "OPEN":
            place(exchange, where, action[2], action[3])
        return
    change: dict[str, Any] = {"id": where}
    if kind == "definition":
        change["marketDefinition"] = _defined(version(), action[2], action[3])
    elif kind == "image":
        change |= {"img": True, "marketDefinition": _defined(version()), "rc": action[2]}
    else:
        change["rc"] = action[2]
        if action[3] is not None:
            change["tv"] = action[3]
    exchange.play(_played(change))


@hypothesis.given(_wanted, _actions)
@hypothesis.settings(deadline=None, max_examples=150, derandomize=True)
def test_cached_books_are_what_is_published(wanted: dict[str, Any], actions: list[tuple[Any, ...]]) -> None:
    exchange = play(exchange_of(Stream(**REGULATED)))
    versions = itertools.count(2)
    with InProcess(exchange) as stream:
        believer = Believer(stream, wanted)
        for action in actions:
            if action == ("stop reading",):
                believer.client.reads = False
                believer.client.connection.pause_writing()
            elif action == ("read",):
                if not believer.client.reads:
                    believer.client.connection.resume_writing()
                believer.take(believer.client.read_on())
            elif action == ("wait",):
                stream.let_pass(250)
            elif action == ("lose",):
                believer.lose()
            elif action == ("anew",):
                believer.subscribe()
            elif action == ("resubscribe",):
                if believer.client.reads:
                    believer.take(believer.client.read())
                    believer.subscribe(clocks=True)
            else:
                _act(exchange, action, lambda: next(versions))
            if believer.client.reads:
                believer.take(believer.client.read())
                if not wanted["conflate"] or action == ("wait",):
                    _compare(believer, exchange, wanted)
        if not believer.client.reads:
            believer.client.connection.resume_writing()
        believer.take(believer.client.read_on())
        stream.let_pass(250)
        believer.take(believer.client.read())
        _compare(believer, exchange, wanted)


def _compare(believer: Believer, exchange: Exchange, wanted: dict[str, Any]) -> None:
    asked = wanted["filter"].get("marketIds")
    expected = [each for each in exchange.markets if asked is None or each in asked]
    assert sorted(believer.books) == sorted(expected)
    for market_id in expected:
        _check(believer.books[market_id], exchange.markets[market_id].public, wanted)
