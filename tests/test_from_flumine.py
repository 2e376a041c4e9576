"""What docs/from-flumine.md says of flumine's names is true, and no name of the specification is forgotten."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import headrace
import headrace as hr
from builders import FLUMINE, MARKET, Stream, priced, replay

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "from-flumine.md"
SPECIFICATION = ROOT.parent / "shared" / "spec" / "simulation.md"

#: What stands in the specification's signatures and is no name: literals, types, and words for any argument.
WORDS = {
    *("None", "True", "False", "bool", "dict", "str", "e6", "kw", "cls", "lc", "mw", "py", "self"),
    *("framework", "package", "order", "runner", "ladder", "level", "price", "prices", "path", "book", "msg"),
    *("market", "orders", "catalogue", "data", "clk", "datum", "market_book", "book_or_raw", "runner_context"),
    *("client", "worker", "strategy", "event", "id", "old", "new", "failed", "markets", "HHMM", "clear"),
    *("first", "course", "order_id"),
}
#: Where a name of the specification may stand, beside the page.
OWNERS = (
    *(hr, hr.Simulation, hr.MarketActor, hr.Coordinator, hr.Strategy, hr.RunnerContext, hr.Market, hr.Markets),
    *(hr.Blotter, hr.Transaction, hr.Trade, hr.Order, hr.Config, hr.BaseClient, hr.Clients, hr.BaseStream),
)


class Row(NamedTuple):
    """A row of a table: the name's owner here, and the cells."""

    owner: str
    old: str
    new: str
    here: str
    note: str


def rows() -> list[Row]:
    """The rows of the tables of names."""
    found, owner = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        heading = re.match(r"#+ (.*)", line)
        if heading:
            named = re.fullmatch(r"`([\w.]+)`", heading[1])
            owner = named[1] if named else ""
        elif owner and line.startswith("| ") and not line.startswith(("| 2.x", "| ---")):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            assert len(cells) == 4, line
            found.append(Row(owner, *cells))
    return found


ROWS = rows()


def names(cell: str) -> list[str]:
    """The names in a cell, without their arguments."""
    return [re.sub(r"\(.*\)$", "", name) for name in re.findall(r"`([^`]+)`", cell)]


def mentioned(text: str) -> set[str]:
    """All identifiers in backticks, but for those of code blocks."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return {word for span in re.findall(r"`([^`]+)`", text) for word in re.findall(r"[A-Za-z_]\w+", span)}


# -- (a) nothing of the specification is forgotten --------------------------------------------------------------------


def specified() -> dict[str, set[str]]:
    """The names of section 8 of the specification, by subsection."""
    text = SPECIFICATION.read_text(encoding="utf-8")
    section = text.partition("## 8. Public API")[2].partition("\n## 9.")[0]
    parts = re.split(r"^### (8\.\d) .*$", section, flags=re.MULTILINE)
    found = {}
    for number, body in zip(["8", *parts[1::2]], [parts[0], *parts[2::2]], strict=True):
        spans = [span for span in re.findall(r"`([^`]+)`", body) if not re.search(r"\w+\.py\b|/", span)]
        found[number] = {word for span in spans for word in re.findall(r"[A-Za-z_]\w+", span)} - WORDS
    return found


@pytest.mark.skipif(not SPECIFICATION.exists(), reason=f"the specification is not here ({SPECIFICATION})")
def test_every_name_of_the_specification_is_here_or_told() -> None:
    told = mentioned(PAGE.read_text(encoding="utf-8"))
    found = specified()
    assert set(found) == {"8", "8.1", "8.2", "8.3", "8.4", "8.5"}
    assert sum(map(len, found.values())) > 200  # the pattern still reads the section
    forgotten = {
        number: missing
        for number, all_names in found.items()
        if (missing := {n for n in all_names if n not in told and not any(hasattr(each, n) for each in OWNERS)})
    }
    assert forgotten == {}


# -- (b) what the page says is here, is here ---------------------------------------------------------------------------


class Seen(hr.Strategy):
    """Takes everything that the page names along, while it is alive."""

    def __init__(self, found: dict[str, Any], **keywords: Any) -> None:
        super().__init__(**keywords)
        self.found = found

    def __deepcopy__(self, memo: dict[int, Any]) -> Seen:
        made = Seen.__new__(Seen)
        made.__dict__.update(self.__dict__)
        return made

    def check_market_book(self, market: Any, book: Any) -> bool:
        return not market.blotter.active and bool(book.runners[0].ex.available_to_back)

    def process_market_book(self, market: Any, book: Any) -> None:
        trade = hr.Trade(market.market_id, 1, 0, self)
        order = trade.create_order("BACK", hr.LimitOrder(2.1, 2.0))
        with market.transaction() as transaction:
            assert transaction.place_order(order)
        self.found.update(
            {
                "hr.Strategy": self,
                "hr.RunnerContext": self.get_runner_context(market.market_id, 1),
                "hr.Market": market,
                "hr.Markets": market.framework.markets,
                "hr.Blotter": market.blotter,
                "hr.Transaction": transaction,
                "hr.Trade": trade,
                "hr.Order": order,
                "hr.MarketActor": market.framework,
                "hr.Coordinator": market.framework.coordinator,
                "hr.SimulatedClient": self.clients.get_default(),
            }
        )

    def process_closed_market(self, market: Any, book: Any) -> None:
        """Names that need the market to be there are read before it goes."""
        self.found["missing"] = [
            f"{row.owner}: {name}" for row in ROWS for name in claims(row) if not is_here(self.found, row.owner, name)
        ]


def claims(row: Row) -> Iterator[str]:
    """The names that a row says are here."""
    if row.here == "same":
        told = row.old if row.old != "-" else row.new
        yield from (re.sub(r'^market_filter\["(\w+)"\]$', "market_filter", name) for name in names(told))
    else:
        yield from names(row.here)


def is_here(found: dict[str, Any], owner: str, name: str) -> bool:
    """Whether an owner, or where the name begins with `hr.` whatever it says, has the name."""
    path = name if name.startswith("hr.") else f"{owner}.{name}"
    parts = path.split(".")[1:]
    place: Any = found.get(f"hr.{parts[0]}", getattr(hr, parts[0], None))
    if place is None:
        return False
    for part in parts[1:]:
        if not hasattr(place, part):
            return False
        place = getattr(place, part)
    return True


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One of each thing that the page tells of, and the names that they lack."""
    found: dict[str, Any] = {}
    path = priced().touch(400).close().write(tmp_path_factory.mktemp("seen") / MARKET)
    simulation = hr.Simulation(path, engine="local", config=hr.Config(raise_errors=True))
    simulation.add_client(hr.SimulatedClient())
    found["hr.Simulation"] = simulation
    found["hr.Config"] = simulation.config
    found["hr.BackgroundWorker"] = hr.BackgroundWorker(simulation, print, 1)
    simulation.add_strategy(Seen(found))
    assert simulation.run().failures.num_rows == 0
    return found


def test_what_the_page_says_is_here_is_here(found: dict[str, Any]) -> None:
    assert sum(1 for row in ROWS for _ in claims(row)) > 200
    assert found["missing"] == []


def test_each_row_says_where_the_name_is_or_why_not() -> None:
    unclear = [row for row in ROWS if not (row.here == "same" or names(row.here) or (row.here == "no" and row.note))]
    assert unclear == []


def test_no_name_that_is_said_to_be_missing_is_here() -> None:
    gone = [name for row in ROWS if row.here == "no" for name in names(row.old + row.new)]
    assert [name for name in gone if name.isidentifier() and hasattr(hr, name)] == []


# -- (c) a strategy of flumine runs ---------------------------------------------------------------------------------


class Flumine(hr.BaseStrategy):
    """As flumine's users write it: only imports have changed."""

    def add(self, framework: Any) -> None:
        self.log.debug("added")

    def start(self, framework: Any) -> None:
        self.started = True

    def process_new_market(self, market: Any, market_book: Any) -> None:
        market.context["seen"] = market_book.publish_time

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return bool(market_book.status != "CLOSED" and market_book.inplay is False)

    def process_market_book(self, market: Any, market_book: Any) -> None:
        assert market_book.streaming_unique_id in self.stream_ids
        assert self.market_cached(market.market_id)
        assert market.flumine.markets.markets[market.market_id] is market
        with market.transaction() as t:
            for runner in market_book.runners:
                backs, lays = runner.ex.available_to_back, runner.ex.available_to_lay
                if runner.status != "ACTIVE" or not backs or not lays:
                    continue
                best = backs[0]["price"]
                assert best == hr.get_price(backs, 0)
                assert lays[0]["size"] == hr.get_size(lays, 0)
                runner_context = self.get_runner_context(market.market_id, runner.selection_id, runner.handicap)
                if runner_context.live_trade_count or runner_context.trade_count >= self.context["most"]:
                    continue
                trade = hr.Trade(
                    market_id=market.market_id,
                    selection_id=runner.selection_id,
                    handicap=runner.handicap,
                    strategy=self,
                    notes={"best": best, "note": hr.get_market_notes(market, runner.selection_id)},
                    reset_seconds=1,
                )
                order = trade.create_order(
                    side="LAY",
                    order_type=hr.LimitOrder(price=best, size=self.context["stake"], persistence_type="LAPSE"),
                    notes={"published": market_book.publish_time_epoch},
                )
                t.place_order(order)

    def process_orders(self, market: Any, orders: list[Any]) -> None:
        for order in orders:
            if order.status == hr.OrderStatus.EXECUTABLE:
                if order.elapsed_seconds and order.elapsed_seconds > 2:
                    market.cancel_order(order)
                elif order.order_type.persistence_type == "LAPSE" and order.size_remaining == self.context["stake"]:
                    market.update_order(order, new_persistence_type="PERSIST")

    def process_closed_market(self, market: Any, market_book: Any) -> None:
        orders = market.blotter.strategy_orders(self)
        for order in orders:
            told = json.loads(order.json())
            assert told["customer_order_ref"] == order.customer_order_ref == f"{self.name_hash}-{order.id}"
            self.record(
                market,
                notes=order.trade.notes_str,
                status=order.status.value,
                matched=order.simulated.matched,
                cancels=[answer.status for answer in order.responses.cancel_responses],
            )
        assert orders == [order for order in market.blotter if order.trade.strategy is self]
        assert hr.get_event_ids(market.flumine.markets, "7") == []
        assert isinstance(market.context["seen"], datetime.datetime)


def market_of_flumine() -> Stream:
    stream = priced()
    for at in range(1000, 6000, 500):
        stream.touch(at)
    stream.prices(6000, {1: {"trd": [[2.0, 140]]}}).touch(8500)
    return stream.close(9000)


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["default", "compatible"])
def test_strategy_of_flumine_runs_unchanged_but_for_imports(config: hr.Config, tmp_path: Path) -> None:
    path = market_of_flumine().write(tmp_path / MARKET)
    simulation = hr.Simulation(path, engine="local", config=config)
    simulation.add_client(hr.SimulatedClient())
    strategy = Flumine(
        market_filter={"markets": [path], "listener_kwargs": {"inplay": False}},
        max_order_exposure=1000,
        max_selection_exposure=100,
        context={"stake": 2.0, "most": 2},
    )
    simulation.add_strategy(strategy)
    result = simulation.run()
    assert result.failures.to_pylist() == []
    records = [json.loads(text) for text in result.records["record"].to_pylist()]
    assert [each["notes"] for each in records[:2]] == ["2,2,2.1,None", "1.8,1.8,1.9,None"]
    assert [each["cancels"] for each in records[:2]] == [["SUCCESS"], ["SUCCESS"]]
    assert result.orders.num_rows == 4
    assert set(result.orders["status"].to_pylist()) == {"EXECUTION_COMPLETE"}
    assert (result.orders["size_matched"][2].as_py(), result.orders["size_cancelled"][0].as_py()) == (2.0, 2.0)
    assert len(result.orders["notes"][0].as_py().split(",")) == 5


# -- the small functions that came along ---------------------------------------------------------------------------


def test_chunks_cut_a_list() -> None:
    assert list(hr.chunks([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(hr.chunks([], 2)) == []


def test_chunks_of_no_size_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a size of 1 or more"):
        list(hr.chunks([1], 0))


def test_cheap_hash_is_the_begin_of_a_sha1() -> None:
    assert hr.create_cheap_hash("headrace", 13) == Seen({}, name="headrace").name_hash
    assert len(hr.create_cheap_hash("headrace")) == 15


def test_file_type_follows_from_the_name() -> None:
    files = ("x/1.170258213.bz2", "29865434.bz2", "notes.txt")
    assert [hr.detect_file_type(file) for file in files] == ["MARKET", "EVENT", "UNKNOWN"]


def test_lines_and_definition_of_a_recording(tmp_path: Path) -> None:
    path = priced(venue="Ascot").write(tmp_path / MARKET)
    assert hr.file_line_count(path) == 2
    definition = hr.get_file_md(path)
    assert definition is not None
    assert (definition.venue, definition.market_type) == ("Ascot", "WIN")


def test_events_of_a_sport_are_those_with_open_markets() -> None:
    seen: list[list[str]] = []

    class Look(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            markets = list(market.framework.markets)
            seen.append(hr.get_event_ids([*markets, *markets], "7") + hr.get_event_ids(markets, "1"))
            return False

    replay(priced(), strategies=[Look()])
    assert seen[-1] == ["99"]


def test_market_is_cached_where_the_strategy_lives() -> None:
    assert not hr.Strategy().market_cached(MARKET)


def test_several_streams_give_the_markets_of_all() -> None:
    streams = [hr.BetfairMarketStream(market_filter={"event_type_ids": [each]}) for each in ("7", "1")]
    strategy = hr.Strategy(streams=streams)
    assert strategy.streams == streams
    assert strategy.market_filter == [{"event_type_ids": ["7"]}, {"event_type_ids": ["1"]}]
    assert hr.Strategy(streams=[*streams, hr.MarketStream()]).market_filter is None


def test_streams_have_the_names_of_flumine_3_too() -> None:
    for name in ("MarketStream", "DataStream", "OrderDataStream", "RaceDataStream", "CricketDataStream"):
        assert getattr(headrace, f"Betfair{name}") is getattr(headrace, name)
