"""Markets written line by line, orders scripted by the time of a book, and what became of them.

    market = Stream().prices(100, {1: {"atb": [[2.0, 10]], "atl": [[2.1, 6]]}}).touch(400).close(9000, winner=1)
    played = replay(market, {100: [back("a", 2.0, 5)]})
    assert played["a"].size_matched == 5

Times are milliseconds after `T0`. The first line, at 0, is the market's definition.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import headrace as hr
from headrace.actors.hosted_market import HostedMarket
from headrace.simulate.replay import Replay
from headrace.simulate.rows import FIELDS
from headrace.simulate.setup import Setup
from headrace.simulate.units import Unit

T0 = 1_700_000_000_000
MARKET = "1.100000001"
#: Milliseconds from `T0` to the scheduled start of `MARKET_DEFINITION`.
START = 400_000

MARKET_DEFINITION: dict[str, Any] = {
    "bspMarket": True,
    "turnInPlayEnabled": True,
    "persistenceEnabled": True,
    "marketBaseRate": 5,
    "eventId": "99",
    "eventTypeId": "7",
    "numberOfWinners": 1,
    "bettingType": "ODDS",
    "marketType": "WIN",
    "marketTime": "2023-11-14T22:20:00.000Z",
    "suspendTime": "2023-11-14T22:20:00.000Z",
    "openDate": "2023-11-14T22:20:00.000Z",
    "bspReconciled": False,
    "complete": True,
    "inPlay": False,
    "crossMatching": True,
    "runnersVoidable": False,
    "numberOfActiveRunners": 2,
    "betDelay": 0,
    "status": "OPEN",
    "countryCode": "GB",
    "discountAllowed": True,
    "timezone": "GMT",
    "version": 1,
}
TWO_RUNNERS: dict[int, dict[str, Any]] = {1: {"status": "ACTIVE"}, 2: {"status": "ACTIVE"}}


class Stream:
    """The lines of one market's recording, in order. Every method answers the stream itself."""

    def __init__(
        self, market_id: str = MARKET, runners: Mapping[int, Mapping[str, Any]] = TWO_RUNNERS, **definition: Any
    ) -> None:
        self.market_id = market_id
        self.lines: list[dict[str, Any]] = []
        self._definition = {**MARKET_DEFINITION, **definition}
        self._runners: dict[int, dict[str, Any]] = {key: dict(value) for key, value in runners.items()}
        self._definition.setdefault("numberOfActiveRunners", len(runners))
        self.define(0)

    def define(self, at: int, runners: Mapping[int, Mapping[str, Any]] | None = None, **fields: Any) -> Stream:
        """The definition again, with `fields` and fields of runners changed for good."""
        self._definition.update(fields)
        for selection_id, changes in (runners or {}).items():
            self._runners.setdefault(selection_id, {}).update(changes)
        named = [
            {"id": selection_id, "sortPriority": place, **fields}
            for place, (selection_id, fields) in enumerate(self._runners.items(), 1)
        ]
        return self.change(at, marketDefinition=copy.deepcopy({**self._definition, "runners": named}))

    def prices(self, at: int, runners: Mapping[int, Mapping[str, Any]], **change: Any) -> Stream:
        """Runner changes: `{1: {"atb": [[2.0, 10]], "trd": [[2.0, 100]], "ltp": 2.0}}`."""
        return self.change(
            at, rc=[{"id": selection_id, **fields} for selection_id, fields in runners.items()], **change
        )

    def touch(self, at: int) -> Stream:
        """A change that says nothing of interest: the market's time moves on."""
        return self.change(at, rc=[])

    def change(self, at: int, **change: Any) -> Stream:
        self.lines.append({"op": "mcm", "clk": "A", "pt": T0 + at, "mc": [{"id": self.market_id, **change}]})
        return self

    def suspend(self, at: int, version: int = 2, **fields: Any) -> Stream:
        return self.define(at, status="SUSPENDED", version=version, **fields)

    def turn_in_play(self, at: int, version: int = 3, bet_delay: int = 0) -> Stream:
        return self.define(at, status="OPEN", inPlay=True, version=version, betDelay=bet_delay)

    def remove(self, at: int, selection_id: int, factor: float | None, version: int = 2) -> Stream:
        """A runner is withdrawn; the market stays open."""
        return self.define(at, {selection_id: {"status": "REMOVED", "adjustmentFactor": factor}}, version=version)

    def close(
        self, at: int = 9000, winner: int | Iterable[int] = 1, bsp: Mapping[int, Any] | None = None, **fields: Any
    ) -> Stream:
        """Settle: runners that are not removed win or lose."""
        winners = {winner} if isinstance(winner, int) else set(winner)
        prices = {selection_id: {"bsp": price} for selection_id, price in (bsp or {}).items()}
        results = {
            selection_id: {"status": "WINNER" if selection_id in winners else "LOSER", **prices.get(selection_id, {})}
            for selection_id, runner in self._runners.items()
            if runner.get("status") != "REMOVED"
        }
        return self.define(at, results, status="CLOSED", **fields)

    def text(self) -> str:
        return "".join(json.dumps(line) + "\n" for line in self.lines)

    def write(self, path: Path) -> str:
        path.write_text(self.text())
        return str(path)


def priced(**definition: Any) -> Stream:
    """A market with prices and volume on both runners, at 100 ms."""
    return Stream(**definition).prices(
        100,
        {
            1: {
                "atb": [[2.0, 10], [1.98, 10], [1.9, 100]],
                "atl": [[2.1, 6], [2.2, 4]],
                "trd": [[2.0, 100], [2.1, 10]],
            },
            2: {"atb": [[1.8, 50]], "atl": [[1.9, 50]], "trd": [[1.85, 10]]},
        },
    )


# -- requests --------------------------------------------------------------------------------------------------------

#: What a script does at a book: it gets the script and the market.
Request = Callable[["Script", Any], object]


def place(ref: str, side: str, order_type: Any, selection_id: int = 1, handicap: float = 0, **request: Any) -> Request:
    """Place an order under the name `ref`. `request`: of `market.place_order`; `trade`: settings of its trade."""
    trade_settings = request.pop("trade", {})

    def act(script: Script, market: Any) -> object:
        made = copy.deepcopy(order_type)
        trade = hr.Trade(market.market_id, selection_id, handicap, script.strategy, **trade_settings)
        order = trade.create_order(side, made)
        script.orders[ref] = order
        return market.place_order(order, **{"force": script.force, **request})

    return act


def _limit(side: str) -> Callable[..., Request]:
    def limit(ref: str, price: float, size: float | None, selection_id: int = 1, **settings: Any) -> Request:
        names = ("market_version", "force", "trade", "client", "handicap")
        request = {name: settings.pop(name) for name in names if name in settings}
        return place(ref, side, hr.LimitOrder(price, size, **settings), selection_id, **request)

    return limit


back = _limit("BACK")
lay = _limit("LAY")


def at_sp(ref: str, side: str, liability: float, price: float | None = None, selection_id: int = 1) -> Request:
    """A market-on-close order, or a limit-on-close one where a price is given."""
    order_type = hr.MarketOnCloseOrder(liability) if price is None else hr.LimitOnCloseOrder(liability, price)
    return place(ref, side, order_type, selection_id)


def cancel(ref: str, size_reduction: float | None = None, **request: Any) -> Request:
    return lambda script, market: market.cancel_order(
        script.orders[ref], size_reduction, **{"force": script.force, **request}
    )


def update(ref: str, persistence_type: str, **request: Any) -> Request:
    return lambda script, market: market.update_order(
        script.orders[ref], persistence_type, **{"force": script.force, **request}
    )


def replace(ref: str, price: float, **request: Any) -> Request:
    return lambda script, market: market.replace_order(script.orders[ref], price, **{"force": script.force, **request})


def note(key: str, value: Any) -> Request:
    """Put something into the market's context."""
    return lambda script, market: market.context.__setitem__(key, value)


# -- replaying -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """An order as it stood after a book."""

    status: str
    matched: float
    avg: float
    remaining: float
    cancelled: float
    lapsed: float
    voided: float
    piq: float

    @classmethod
    def of(cls, order: hr.Order) -> Snapshot:
        return cls(
            order.status.name if order.status else "NEW",
            order.size_matched,
            order.average_price_matched,
            order.size_remaining,
            order.size_cancelled,
            order.size_lapsed,
            order.size_voided,
            order.simulated.queue_ahead if order.simulated else 0.0,
        )


class Script:
    """What a scripted strategy is told to do, and what it saw. Markets share it: it is never copied."""

    def __init__(self, actions: Mapping[int, Sequence[Request]], force: bool) -> None:
        self.actions = actions
        self.force = force
        self.strategy: Any = None
        self.orders: dict[str, hr.Order] = {}
        self.answers: list[Any] = []
        self.snapshots: dict[int, dict[str, Snapshot]] = {}
        self.calls: list[tuple[int, list[str | None]]] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Script:
        return self

    def read(self, strategy: Any, market: Any) -> None:
        self.strategy = strategy
        at = market.market_book.publish_time_epoch - T0
        self._name_replacements()
        for request in self.actions.get(at, ()):
            self.answers.append(request(self, market))
        self.snapshots[at] = {ref: Snapshot.of(order) for ref, order in self.orders.items()}

    def _name_replacements(self) -> None:
        """A primed name is that of a replacement: `a'` takes the place of `a`."""
        for ref, order in list(self.orders.items()):
            siblings = order.trade.orders
            for later in siblings[siblings.index(order) + 1 :]:
                ref += "'"
                self.orders.setdefault(ref, later)

    def name_of(self, order: hr.Order) -> str | None:
        return next((ref for ref, known in self.orders.items() if known is order), None)


class Scripted(hr.Strategy):
    """Does what its script says, at the books it says."""

    def __init__(self, script: Script, **keywords: Any) -> None:
        self.script = script
        super().__init__(**keywords)

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return True

    def process_market_book(self, market: Any, market_book: Any) -> None:
        self.script.read(self, market)

    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        self.script.calls.append((market.clock.now_ms - T0, [self.script.name_of(order) for order in orders]))


class ScriptedForAll(Scripted):
    process_orders_scope = "all"


class Played:
    """What a replay gave.

    Attributes:
        orders: by ref; `played["a"]` is short for it.
        snapshots: by time of the book, then by ref: how each order stood after it.
        calls: time and refs of each call of `process_orders`.
        answers: what each request answered, in order.
        cleared: the first client's result, None where the market was never settled.
        failures, violations: as the result has them.
    """

    def __init__(self, script: Script, run: Replay, markets: list[HostedMarket]) -> None:
        script._name_replacements()
        self.script = script
        self.orders = script.orders
        self.snapshots = script.snapshots
        self.calls = script.calls
        self.answers = script.answers
        self.strategy = script.strategy
        self.markets = markets
        self.run = run
        self.failures = list(run.failures)
        self.violations = list(run.coordinator.violations.values())
        self.client = run.coordinator.clients.get_default()

    def __getitem__(self, ref: str) -> hr.Order:
        return self.orders[ref]

    def fills(self, ref: str) -> list[tuple[float, float, float]]:
        """Time after `T0`, price, size."""
        return [(time - T0 if time else time, price, size) for time, price, size in self.orders[ref].simulated.fills]

    def log(self, ref: str) -> list[str]:
        return [status.name for status in self.orders[ref].status_log]

    def error(self, ref: str) -> str | None:
        answer = self.orders[ref].responses.place_response
        return answer.error_code if answer else None

    @property
    def market(self) -> HostedMarket:
        (market,) = self.markets
        return market

    @property
    def cleared(self) -> dict[str, Any] | None:
        return self.market.market_cleared[0] if self.market.market_cleared else None

    def exposures(self, selection_id: int = 1, handicap: float = 0) -> dict[str, float]:
        return self.market.blotter.get_exposures(self.strategy, (self.market.market_id, selection_id, handicap))


def replay(
    lines: Stream | Sequence[Mapping[str, Any]] | Sequence[Stream],
    actions: Mapping[int, Sequence[Request]] | None = None,
    *,
    config: hr.Config | None = None,
    client: hr.BaseClient | None = None,
    force: bool = True,
    scope: str = "live",
    failing: bool | str = False,
    strategies: Sequence[hr.Strategy] = (),
    setup: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Played:
    """Replay a market through a scripted strategy.

    Args:
        lines: the market; several streams are several files read together.
        actions: requests by the time of the book that they are made at.
        force: requests skip the controls, as they do in the reference scenarios.
        scope: `process_orders_scope` of the scripted strategy.
        failing: failures are expected, where it is a text those that it is part of; any other is an error of the test.
        strategies: others beside the scripted one.
        setup: further fields of `Setup`.
        settings: of the scripted strategy; exposures are not limited unless given.
    """
    script = Script(actions or {}, force)
    limits = {"max_order_exposure": None, "max_selection_exposure": None, "max_live_trade_count": 1000}
    kind = ScriptedForAll if scope == "all" else Scripted
    scripted = kind(script, **{**limits, **settings})
    markets: list[HostedMarket] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = _write(lines, Path(folder))
        run = Replay(
            Unit(paths[0], tuple(paths)),
            Setup([scripted, *strategies], [client or hr.SimulatedClient()], config or hr.Config(), **(setup or {})),
            markets.append,
        )
        run.run()
    played = Played(script, run, markets)
    if failing is not True:
        told = [f"{each.error_type}: {each.message} at {each.line}" for each in played.failures]
        assert [each for each in told if not failing or failing not in each] == []
    return played


def _write(lines: Any, folder: Path) -> list[str]:
    if isinstance(lines, Stream):
        lines = [lines]
    if lines and isinstance(lines[0], Stream):
        return [stream.write(folder / f"{number}-{stream.market_id}") for number, stream in enumerate(lines)]
    path = folder / MARKET
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [str(path)]


# -- folders of markets ----------------------------------------------------------------------------------------------


def write(folder: Path, *streams: Stream) -> Path:
    """A folder with a recording of each market, named by its id."""
    folder.mkdir(exist_ok=True)
    for stream in streams:
        stream.write(folder / stream.market_id)
    return folder


def many(folder: Path, count: int) -> Path:
    """A folder of markets with prices, two of an event, each of four changes."""
    return write(
        folder,
        *(priced(market_id=f"1.2{n:08d}", eventId=f"{n // 2 + 100}").touch(400 + n).close() for n in range(count)),
    )


def records(result: hr.Result, market_id: str | None = None) -> list[Any]:
    """What strategies have recorded, of all markets or of one."""
    rows = [row for row in result.records.to_pylist() if market_id in (None, row["market_id"])]
    return [json.loads(row["record"]) for row in rows]


def by_name(table: str, rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows of a table of a result, as workers make them: each value by the name of its column."""
    names = [name for name, _ in FIELDS[table]]
    return [dict(zip(names, row, strict=True)) for row in rows]


FLUMINE = hr.Config(compatibility="flumine")
#: Where the peer's run would end, as with a replace of an order that a cancel leaves nothing of, the order fails.
PEER_ENDS = "the peer's run ends"
