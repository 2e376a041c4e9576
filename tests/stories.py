"""Stories: what a market may do and a strategy may ask of it, drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

import headrace as hr
from builders import Request, Script, Stream, cancel, place, replace, update

RUNNERS = (1, 2, 3)
PRICES = (1.01, 1.5, 1.9, 2.0, 2.02, 2.5, 3.0, 5.0, 10.0)
SIZES = (0.5, 1.0, 2.0, 3.33, 10.0, 16.67)
#: A market, and what is asked of it at each of its books.
Story = tuple[Stream, dict[int, list[Request]]]

levels = st.lists(st.tuples(st.sampled_from(PRICES), st.sampled_from((0.0, *SIZES, 100.0))).map(list), max_size=4)
runners = st.sampled_from((1, 1, 1, 2, 3))


# -- what a market may do --------------------------------------------------------------------------------------------

Change = Callable[[Stream, int], object]


def _prices(selection_id: int, back: list[Any], lay: list[Any], traded: list[Any], image: bool) -> Change:
    return lambda stream, at: stream.prices(
        at, {selection_id: {"atb": back, "atl": lay, "trd": traded}}, **({"img": True} if image else {})
    )


def _trade(selection_id: int, price: float, size: float) -> Change:
    return lambda stream, at: stream.prices(at, {selection_id: {"trd": [[price, size]]}})


def _status(status: str, version: int, in_play: bool, delay: int) -> Change:
    return lambda stream, at: stream.define(at, status=status, version=version, inPlay=in_play, betDelay=delay)


def _remove(selection_id: int, factor: float | None, status: str) -> Change:
    return lambda stream, at: stream.define(
        at, {selection_id: {"status": "REMOVED", "adjustmentFactor": factor}}, status=status, version=at
    )


def _reconcile(prices: list[Any]) -> Change:
    bsps = {selection_id: {"bsp": price} for selection_id, price in zip(RUNNERS, prices, strict=True)}
    return lambda stream, at: stream.define(at, bsps, bspReconciled=True)


changes = st.one_of(
    st.builds(_prices, runners, levels, levels, levels, st.booleans()),
    st.builds(_prices, runners, levels, levels, levels, st.just(False)),
    st.builds(_trade, runners, st.sampled_from(PRICES), st.sampled_from((5.0, 20.0, 50.5, 200.0, 1000.0))),
    st.builds(_trade, runners, st.sampled_from(PRICES), st.floats(0.01, 500).map(lambda size: round(size, 2))),
    st.builds(_status, st.sampled_from(("OPEN", "OPEN", "SUSPENDED")), st.integers(1, 4), st.booleans(),
              st.sampled_from((0, 0, 1, 5))),
    st.builds(_remove, runners, st.sampled_from((None, 0.0, 1.0, 2.5, 4.0, 20.0)),
              st.sampled_from(("OPEN", "SUSPENDED"))),
    st.builds(_reconcile, st.lists(st.sampled_from((1.5, 2.347, 5.0, "NaN", None)), min_size=3, max_size=3)),
)  # fmt: skip


# -- what a strategy may ask -----------------------------------------------------------------------------------------

persistence = st.sampled_from(("LAPSE", "PERSIST", "MARKET_ON_CLOSE"))


@st.composite
def order_types(draw: st.DrawFn) -> Any:
    price, size = draw(st.sampled_from(PRICES)), draw(st.sampled_from(SIZES))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return hr.MarketOnCloseOrder(size)
    if kind == 1:
        return hr.LimitOnCloseOrder(size, price)
    if kind <= 3:
        least = draw(st.none() | st.sampled_from((0.5, 2.0)))
        return hr.LimitOrder(price, size, time_in_force="FILL_OR_KILL", min_fill_size=least)
    return hr.LimitOrder(price, size, persistence_type=draw(persistence))


def _of_any(which: int, act: Callable[[str], Request]) -> Request:
    """A request about one of the orders there are; one that does not fit its order is refused with an OrderError."""

    def request(script: Script, market: Any) -> object:
        refs = sorted(script.orders)
        if not refs:
            return None
        try:
            return act(refs[which % len(refs)])(script, market)
        except hr.OrderError:
            return None

    return request


def _place(number: int, side: str, order_type: Any, selection_id: int, version: int | None) -> Request:
    return place(f"{number:06d}", side, order_type, selection_id, market_version=version)


which = st.integers(0, 1000)
requests = st.one_of(
    *[
        st.builds(_place, st.integers(0, 999_999), st.sampled_from(("BACK", "LAY")), order_types(), runners,
                  st.none() | st.integers(1, 3))
    ] * 3,
    st.builds(lambda n, size: _of_any(n, lambda ref: cancel(ref, size)), which, st.none() | st.sampled_from(SIZES)),
    st.builds(lambda n, kind: _of_any(n, lambda ref: update(ref, kind)), which, persistence),
    st.builds(lambda n, price: _of_any(n, lambda ref: replace(ref, price)), which, st.sampled_from(PRICES)),
)  # fmt: skip


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A market and what is asked of it at each of its books."""
    kind = draw(st.sampled_from(("WIN", "WIN", "PLACE", "MATCH_ODDS")))
    stream = Stream(
        runners={each: {"status": "ACTIVE", "adjustmentFactor": 30.0} for each in RUNNERS},
        marketType=kind,
        numberOfWinners=2 if kind == "PLACE" else 1,
        numberOfActiveRunners=3,
        version=1,
    )
    stream.prices(10, {each: {"atb": [[1.9, 10], [1.5, 50]], "atl": [[2.0, 10], [2.5, 50]]} for each in RUNNERS})
    at, actions = 10, {10: draw(st.lists(requests, max_size=3))}
    for _ in range(draw(st.integers(3, 25))):
        at += draw(st.sampled_from((1, 50, 130, 200, 300, 1300, 6000)))
        draw(changes)(stream, at)
        actions[at] = draw(st.lists(requests, max_size=2))
    if draw(st.booleans()):
        stream.close(at + draw(st.sampled_from((1, 500))), winner=draw(st.sets(runners, max_size=2)))
    return stream, actions
