"""What can neither be sent to a worker nor copied for a market is named, and the advice that comes with it works."""

from __future__ import annotations

import re
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import priced, write
from headrace.cluster.shipping import pack
from headrace.cluster.unpicklable import why_not


class Counts(hr.Strategy):
    """Counts the changes it sees in a database."""

    def open(self) -> Any:
        connection = sqlite3.connect(":memory:")
        connection.execute("create table seen (market_id text)")
        return connection

    def check_market_book(self, market: Any, book: Any) -> bool:
        return True

    def process_market_book(self, market: Any, book: Any) -> None:
        self.store.execute("insert into seen values (?)", [market.market_id])  # type: ignore[attr-defined]

    def process_closed_market(self, market: Any, book: Any) -> None:
        rows = self.store.execute("select count(*) from seen where market_id = ?", [market.market_id])  # type: ignore[attr-defined]
        self.record(market, seen=rows.fetchone()[0])


class MadeInStart(Counts):
    def start(self, framework: Any) -> None:
        self.store = self.open()


class MadeInInit(Counts):
    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.store = self.open()


class Advised(Counts):
    """As the message says."""

    store = hr.resource(lambda: Counts().open())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, *(priced(market_id=f"1.2{number:08d}").touch(400).close() for number in range(3)))
    return tmp_path


@pytest.mark.parametrize("kind", [MadeInStart, MadeInInit])
def test_state_that_cannot_be_copied_or_sent_ends_the_run_in_one_sentence(
    kind: type[Counts], engine: str, folder: Path
) -> None:
    with pytest.raises(hr.RunError) as caught:
        hr.backtest(kind(name="Keeper"), folder, engine=engine)  # type: ignore[arg-type]
    said = str(caught.value)
    sent = engine == "ray" and kind is MadeInInit
    what = "cannot be sent to workers" if sent else "cannot be copied, and each market has a copy of its own"
    assert said.startswith(f"Keeper: attribute 'store' (sqlite3.Connection) {what}: ")
    assert "`name = hr.resource(lambda: ...)` in the class" in said
    assert "\n" not in said


def test_the_advice_to_make_it_a_resource_works(engine: str, folder: Path) -> None:
    result = hr.backtest(Advised(), folder, engine=engine)  # type: ignore[arg-type]
    assert result.failures.num_rows == 0
    assert result.records["record"].to_pylist() == ['{"seen":3}'] * 3


class Holds(hr.Strategy):
    def start(self, framework: Any) -> None:
        self.context["feeds"] = {"prices": [None, threading.Lock()]}


def test_what_lies_deep_is_named_by_its_whole_path(folder: Path) -> None:
    with pytest.raises(hr.RunError, match=re.escape("attribute 'context'['feeds']['prices'][1] (_thread.lock)")):
        hr.backtest(Holds(), folder, engine="local")


def test_a_variable_that_a_method_uses_is_named_with_the_method() -> None:
    line = threading.Lock()

    class Waits(hr.Strategy):
        def process_market_book(self, market: Any, book: Any) -> None:
            with line:
                pass

    with pytest.raises(hr.RunError) as caught:
        pack(Waits(), [Waits()])
    assert str(caught.value).startswith("Waits: the variable 'line' that ")
    assert "Waits.process_market_book() uses (_thread.lock) cannot be sent to workers" in str(caught.value)


def test_what_is_not_a_strategy_is_named_too() -> None:
    class Feed(hr.Middleware):
        def __init__(self) -> None:
            self.line = socket.socket()

        def __call__(self, market: Any) -> None: ...

    feed = Feed()
    try:
        with pytest.raises(hr.RunError, match=r"Feed: attribute 'line' \(socket.socket\) cannot be sent to workers"):
            pack(feed, [feed])
    finally:
        feed.line.close()


def test_the_advice_works_for_what_is_not_a_strategy() -> None:
    class Feed(hr.Middleware):
        line = hr.resource(threading.Lock)

        def __call__(self, market: Any) -> None: ...

    pack(Feed(), [Feed()])


def test_what_can_be_copied_is_no_culprit() -> None:
    assert why_not(Counts(), repr, "cannot be shown") is None


@pytest.mark.ray
def test_strategy_that_cannot_be_sent_is_one_clear_sentence(ray_local: None, folder: Path) -> None:
    strategy = hr.Strategy()
    strategy.lock = threading.Lock()
    with pytest.raises(hr.RunError, match=r"Strategy: attribute 'lock'.*cannot be sent to workers.*hr.resource"):
        hr.backtest(strategy, folder, engine="ray")
