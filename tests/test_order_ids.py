"""Ids of orders: counted in a replay; elsewhere never the same twice, whoever makes them, wherever and when."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable

import pytest

import headrace as hr
from builders import MARKET, T0, back, priced, replay
from headrace.strategies.host import unique_id

#: What the exchange takes in a `customerOrderRef`: at most 32 letters, digits and a few signs.
REFERENCE = re.compile(r"[A-Za-z0-9\-._+*:;~]{1,32}")


def orders_of(strategy: hr.Strategy, count: int) -> list[hr.Order]:
    trade = hr.Trade(MARKET, 1, 0, strategy)
    return [trade.create_order("BACK", hr.LimitOrder(2.0, 2.0)) for _ in range(count)]


def in_fork(make: Callable[[], list[str]]) -> Callable[[], list[str]]:
    """Begin to make ids in a forked process; what is answered waits for them."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, "\n".join(make()).encode())
        finally:
            os._exit(0)
    os.close(writing)

    def found() -> list[str]:
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        return text.split("\n")

    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_forked_processes_with_neighbouring_ids_share_no_order_id() -> None:
    strategy = hr.Strategy()
    mine = [order.id for order in orders_of(strategy, 100)]  # what is kept of ids by now, children inherit
    children = [in_fork(lambda: [order.id for order in orders_of(strategy, 500)]) for _ in range(6)]
    mine += [order.id for order in orders_of(strategy, 500)]
    for child in children:
        theirs = child()
        assert len(theirs) == 500
        mine += theirs
    assert len(set(mine)) == len(mine) == 100 + 7 * 500


def test_hosts_of_one_process_share_no_order_id() -> None:
    made = [order.id for strategy in [hr.Strategy() for _ in range(50)] for order in orders_of(strategy, 20)]
    assert len(set(made)) == 1000


def test_threads_share_no_order_id() -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend(unique_id() for _ in range(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 4000


def test_runs_that_begin_in_one_moment_share_no_order_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart may have the process id of the run before it, and a clock that was set back."""
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    monkeypatch.setattr(time, "time_ns", lambda: T0 * 1_000_000)
    made = [order.id for _ in range(20) for order in orders_of(hr.Strategy(), 50)]
    assert len(set(made)) == 1000


def test_every_place_of_an_id_takes_every_character() -> None:
    """The odds that the docstring argues with are those of 36 characters at 18 places."""
    ids = [unique_id() for _ in range(2000)]
    assert {len(each) for each in ids} == {18}
    assert [len(set(place)) for place in zip(*ids, strict=True)] == [36] * 18


def test_reference_of_an_order_is_one_that_the_exchange_takes() -> None:
    for order in orders_of(hr.Strategy(), 200):
        assert len(order.customer_order_ref) == 32
        assert REFERENCE.fullmatch(order.customer_order_ref)
        assert order.customer_order_ref[14:] == order.id


def test_ids_of_a_replay_count_from_one() -> None:
    script = {100: [back("a", 2.0, 5.0), back("b", 2.0, 5.0)]}
    first, again = (replay(priced().touch(400).close(), script) for _ in range(2))
    # Trades take a number too.
    assert (first["a"].id, first["b"].id) == ("000000000000000002", "000000000000000004")
    assert (again["a"].id, again["b"].id) == (first["a"].id, first["b"].id)
