"""Which checks of the book are answered once for all parameter sets that share some values, and which are not."""

from __future__ import annotations

import enum
import importlib.util
import sys
from pathlib import Path

import pytest

import headrace as hr
from headrace.actors import books
from headrace.cluster.shipping import sources_of
from headrace.strategies.analysis.deciding_parameters import deciding_parameters, values_of

PLAIN = {
    "return book.status == 'OPEN' and not book.inplay and market.seconds_to_start < self.seconds": ("seconds",),
    "return book.inplay": (),
    "if book.inplay:\n            return False\n        return -5 < market.seconds_to_start < 2 * self.seconds": (
        "seconds",
    ),
    "limit = self.price\n        return any(r.total_matched and r.total_matched < limit for r in book.runners)": (
        "price",
    ),
    "return len(market.market_book.runners) > 3 and book.runners[0].total_matched > self.seconds * self.price": (
        "price",
        "seconds",
    ),
    "return None": (),
}

OTHERWISE = [
    "return market.blotter.strategy_orders(self) == []",
    "return not market.blotter",
    "return market.context.get('seen')",
    "return market.random.random() < self.seconds",
    "return self.calls < self.seconds",
    "return self.wanted(book)",
    "return self.context['x']",
    "return LIMIT > market.seconds_to_start",
    "return hr.get_price(book.runners[0].ex.available_to_back, 0) < self.price",
    "self.price = 3\n        return True",
    "book.seen = True\n        return True",
    "return book.copy()",
    "for runner in book.runners:\n            return True",
    "import random\n        return random.random()",
    "return (lambda: True)()",
    "return [market][0].closed",
    "market = book\n        return market.anything",
    "print(book)\n        return True",
    "return len(self.context)",
    "return f'{book.status}' == 'OPEN'",
    "return any(LIMIT for LIMIT in book.runners) and LIMIT",
]

SOURCE = """
import headrace as hr

LIMIT = 60

class Watcher(hr.Strategy):
    seconds: float = 60.0
    price: float = 3.0

    def check_market_book(self, market, book):
        {body}
{more}
"""


def made(tmp_path: Path, body: str, more: str = "") -> tuple[type[hr.Strategy], str]:
    """A strategy in a file of its own, and the file's text."""
    path = tmp_path / f"watcher_{abs(hash((body, more)))}.py"
    path.write_text(SOURCE.format(body=body, more=more))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Watcher, path.read_text()


@pytest.mark.parametrize(("body", "names"), PLAIN.items())
def test_a_condition_on_book_time_and_parameters_is_shared(body: str, names: tuple[str, ...], tmp_path: Path) -> None:
    cls, source = made(tmp_path, body)
    assert deciding_parameters(cls, [source]) == names


@pytest.mark.parametrize("body", OTHERWISE)
def test_what_may_depend_on_anything_else_is_asked_of_each_set(body: str, tmp_path: Path) -> None:
    cls, source = made(tmp_path, body)
    assert deciding_parameters(cls, [source]) is None


@pytest.mark.parametrize(
    "more",
    [
        "    def process_market_book(self, market, book):\n        self.seconds = 5",
        "    def process_market_book(self, market, book):\n        self.seconds += 5",
        "    def process_market_book(self, market, book):\n        del self.seconds",
        "    def process_market_book(self, market, book):\n        setattr(self, 'sec' + 'onds', 5)",
        "    def process_market_book(self, market, book):\n        self.__dict__['seconds'] = 5",
        "    def process_market_book(self, market, book):\n        vars(self).update(seconds=5)",
        "    def __getattribute__(self, name):\n        return super().__getattribute__(name)",
        "    def process_market_book(self, market, book):\n        self.__init__(seconds=5)",
        "    def process_market_book(self, market, book):\n        getattr(self, '__setattr__')('seconds', 5)",
        "from builtins import setattr as put",
        "def harden(strategy):\n    for strategy.seconds in (1, 2):\n        pass",
    ],
)
def test_parameters_that_somebody_may_change_are_not_shared(more: str, tmp_path: Path) -> None:
    body = "return market.seconds_to_start < self.seconds"
    cls, source = made(tmp_path, body, more)
    assert deciding_parameters(cls, [source]) is None


def test_a_change_in_another_file_counts(tmp_path: Path) -> None:
    cls, source = made(tmp_path, "return market.seconds_to_start < self.seconds")
    assert deciding_parameters(cls, [source, "def nudge(strategy):\n    strategy.price = 4"]) == ("seconds",)
    assert deciding_parameters(cls, [source, "def nudge(strategy):\n    strategy.seconds = 4"]) is None
    assert deciding_parameters(cls, [source, "this is no python"]) is None
    assert deciding_parameters(cls, None) is None


@pytest.mark.parametrize(
    ("lines", "shared"),
    [
        ("import tweaks_a", True),
        ("from tweaks_a import look", True),
        ("import tweaks_b", False),
        ("from tweaks_b import tweak", False),
        ("def late():\n    import tweaks_b", False),
        ("def late():\n    import not_there_at_all", False),
        ("import json, decimal", True),
        ("def late():\n    import importlib\n    importlib.import_module('tweaks_' + 'b')", False),
    ],
)
def test_what_the_file_imports_counts_too(
    lines: str, shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tweaks_a.py").write_text("def look(strategy):\n    return strategy.seconds\n")
    (elsewhere / "tweaks_b.py").write_text("def tweak(strategy):\n    strategy.seconds = 5\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    for name in ("tweaks_a", "tweaks_b"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.import_module(name)
    cls, _ = made(tmp_path, "return market.seconds_to_start < self.seconds", lines)
    assert (deciding_parameters(cls, sources_of([cls])) == ("seconds",)) is shared


def test_what_the_check_reads_of_the_book_is_not_shared_where_somebody_sets_it(tmp_path: Path) -> None:
    cls, source = made(tmp_path, "return any(runner.liked for runner in book.runners)")
    assert deciding_parameters(cls, [source]) == ()
    assert deciding_parameters(cls, [source, "def like(runner):\n    runner.liked = True"]) is None


def test_a_file_edited_since_it_was_loaded_is_not_believed(tmp_path: Path) -> None:
    import linecache

    cls, source = made(tmp_path, "return market.seconds_to_start < self.seconds")
    path = Path(cls.check_market_book.__code__.co_filename)
    path.write_text(source.replace("<", ">"))
    linecache.checkcache()
    assert deciding_parameters(cls, [source]) is None


def test_values_that_are_equal_but_of_another_type_are_kept_apart(tmp_path: Path) -> None:
    class Kind(enum.Enum):
        A = 1

    cls, _ = made(tmp_path, "return book.inplay")
    one, other = cls(seconds=1.0), cls(seconds=1.0, price=9.0)
    assert values_of(one, ("seconds",)) == values_of(other, ("seconds",))
    other.seconds = True  # type: ignore[attr-defined]
    assert values_of(one, ("seconds",)) != values_of(other, ("seconds",))
    other.seconds = [1.0]  # type: ignore[attr-defined]
    assert values_of(other, ("seconds",)) is None
    other.seconds = Kind.A  # type: ignore[attr-defined]
    assert values_of(other, ("seconds",)) == ((Kind, Kind.A),)
    one.check_market_book = lambda market, book: True  # type: ignore[method-assign]
    assert values_of(one, ("seconds",)) is None


@pytest.mark.parametrize(
    ("body", "fails"),
    [
        ("return market.seconds_to_start < self.seconds", False),
        ("return market.seconds_to_start < self.seconds and book.runners[0].last_price_traded > 2", True),
    ],
)
def test_sets_that_share_a_check_do_what_each_does_alone(
    body: str, fails: bool, tmp_path: Path, generated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = """
    def process_market_book(self, market, book):
        self.record(market, seconds=self.seconds, price=self.price)"""
    cls, _ = made(tmp_path, body, more)
    assert deciding_parameters(cls, sources_of([cls])) == ("seconds",)
    recordings = [str(path) for path in sorted(generated.rglob("*.bz2"))]
    sets = [{"seconds": seconds, "price": price} for seconds in (30.0, 300.0) for price in (2.0, 3.0)]
    shared: set[tuple[str, ...]] = set()
    monkeypatch.setattr(books, "values_of", lambda of, names: (shared.add(names), values_of(of, names))[1])
    swept = hr.sweep(cls, sets, recordings, engine="local", orders=True)
    assert shared == {("seconds",)}, "each set was asked: the sweep does not know what decides"
    for number, values in enumerate(sets):
        alone = hr.backtest(cls(**values), recordings, engine="local")
        assert alone.records.num_rows
        assert swept.result(number).digest == alone.digest
        mine = [(row["market_id"], row["count"]) for row in swept.failures.to_pylist() if row["set"] == number]
        assert mine == [(row["market_id"], row["count"]) for row in alone.failures.to_pylist()]
    assert bool(swept.failures.num_rows) is fails
