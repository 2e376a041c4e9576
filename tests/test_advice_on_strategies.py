"""Advice in errors about strategies, orders and runs works: for each, what is refused, and what to do instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import headrace as hr
from builders import MARKET, Stream, back, priced, replay
from common_strategies import BacksAtFirstPrices
from headrace.actors.streams import HandlerQueue
from headrace.strategies.hosting import require_sound

ROOT = Path(__file__).resolve().parents[1]


class Other(BacksAtFirstPrices):
    pass


class Control(hr.BaseControl):
    NAME = "NOTHING"

    def _validate(self, order: Any, package_type: Any) -> None:
        return None


class Middleware(hr.Middleware):
    def __call__(self, market: Any) -> None:
        return None


class Reads(hr.BaseStream):
    def run(self) -> None:
        self.flumine.handler_queue.put(hr.CustomEvent({"a": 1}))


def recording(folder: Path) -> str:
    return priced().touch(400).close(9000, winner=1).write(folder / MARKET)


def simulation(folder: Path, **settings: Any) -> hr.Simulation:
    return hr.Simulation(recording(folder), engine="local", **settings)


def ready(folder: Path, **settings: Any) -> hr.Simulation:
    made = simulation(folder, **settings)
    made.add_client(hr.SimulatedClient())
    made.add_strategy(BacksAtFirstPrices())
    return made


def runs(made: hr.Simulation) -> None:
    assert made.run().orders.num_rows == 1


def in_market(act: Callable[[Any, Any], object], **settings: Any) -> None:
    """Do something at the second book, with an order `a` at the exchange."""
    script = {100: [back("a", 2.2, 5.0)], 400: [act]}
    replay(priced().touch(400).touch(800).touch(2000).close(), script, **settings)


def class_of(name: str, base: type = hr.Strategy, **members: Any) -> Any:
    annotations = members.pop("annotations", {})
    return type(name, (base,), {"__annotations__": annotations, **members})


class Case(NamedTuple):
    """One message.

    Attributes:
        message: a part of it, as it stands in the source.
        wrong: what it is about; raises.
        right: what it says to do; does not.
    """

    message: str
    wrong: Callable[[Path], object]
    right: Callable[[Path], object]


def names_twice(folder: Path) -> None:
    made = ready(folder)
    made.add_strategy(BacksAtFirstPrices())


def files_named(folder: Path, *names: str) -> list[Path]:
    found = []
    for number, name in enumerate(names):
        (folder / str(number)).mkdir()
        found.append(folder / str(number) / name)
        found[-1].write_text("")
    return found


def files_named_apart(folder: Path) -> None:
    runs(ready(folder, files=files_named(folder, "x", "y")))


def named_apart(folder: Path) -> None:
    made = ready(folder)
    made.add_strategy(BacksAtFirstPrices(name="second"))
    assert made.run().orders.num_rows == 2


def control_of_stranger(folder: Path) -> None:
    ready(folder).add_client_control(hr.SimulatedClient(username="else"), Control)


def control_of_client(folder: Path) -> None:
    made, client = ready(folder), hr.SimulatedClient(username="else")
    made.add_client(client)
    made.add_client_control(client, hr.MaxTransactionCount)
    runs(made)


def clients_twice(folder: Path) -> None:
    ready(folder).add_client(hr.SimulatedClient())


def clients_apart(folder: Path) -> None:
    made = ready(folder)
    made.add_client(hr.SimulatedClient(username="second"))
    runs(made)


def by_filter(folder: Path, *filters: Any, markets: Any = None) -> hr.Simulation:
    made = hr.Simulation(markets, engine="local")
    made.add_client(hr.SimulatedClient())
    for kind, each in zip((BacksAtFirstPrices, Other), filters, strict=False):
        made.add_strategy(kind(market_filter=each))
    return made


def two_files(folder: Path) -> tuple[str, str]:
    first = recording(folder)
    second = Stream("1.100000002").close()
    return first, second.write(folder / second.market_id)


def different_filters(folder: Path) -> hr.Simulation:
    first, second = two_files(folder)
    return by_filter(folder, {"markets": [first]}, {"markets": [second]})


def filters_apart(folder: Path) -> None:
    first, second = two_files(folder)
    assert by_filter(folder, {"markets": [first]}).run().orders.num_rows == 1
    assert by_filter(folder, {"markets": [second]}).run().orders.num_rows == 0
    different = by_filter(folder, {"markets": [first]}, {"markets": [second]}, markets=first)
    assert different.run().markets.num_rows == 2


def ran_twice(folder: Path) -> None:
    made = ready(folder)
    made.run()
    made.run()


def placed_twice(script: Any, market: Any) -> None:
    market.place_order(script.orders["a"], force=True)


def placed_anew(script: Any, market: Any) -> None:
    order = hr.Trade(MARKET, 1, 0, script.strategy).create_order("BACK", hr.LimitOrder(2.2, 2.0))
    assert market.place_order(order, force=True)


def two_requests(script: Any, market: Any) -> None:
    market.cancel_order(script.orders["a"], 1.0, force=True)
    market.cancel_order(script.orders["a"], 1.0, force=True)


def two_requests_in_turn(script: Any, market: Any) -> None:
    order = script.orders["a"]
    market.cancel_order(order, 1.0, force=True)

    def again() -> None:
        assert order.status is hr.OrderStatus.EXECUTABLE
        market.cancel_order(order, 1.0, force=True)

    market.call_later(1.0, again)


def swept(parameters: Any, **settings: Any) -> Callable[[Path], object]:
    strategy = settings.pop("strategy", BacksAtFirstPrices)
    return lambda folder: hr.sweep(strategy, parameters, recording(folder), engine="local", **settings)


def resumed(folder: Path) -> None:
    out, path = folder / "out", recording(folder)
    hr.backtest(BacksAtFirstPrices(), path, engine="local", out=out)
    assert hr.backtest(BacksAtFirstPrices(), path, engine="local", out=out, resume=True).orders.num_rows == 1


def of_strategy(make: Callable[[], Any]) -> Callable[[Path], object]:
    return lambda folder: require_sound(make())


def stream_without_run(folder: Path) -> None:
    made = ready(folder)
    made.add_stream(hr.BaseStream(made))
    made.run()


def stream_with_run(folder: Path) -> None:
    made = ready(folder)
    made.add_stream(Reads(made))
    runs(made)


def put(value: Any) -> Callable[[Path], object]:
    return lambda folder: HandlerQueue(lambda event: None).put(value)


def control_without_validate(folder: Path) -> None:
    made = ready(folder)
    made.add_trading_control(hr.BaseControl)
    if error := next(iter(made.run().failures.to_pylist()), None):
        raise hr.ControlError(error["message"])


def control_with_validate(folder: Path) -> None:
    made = ready(folder)
    made.add_trading_control(Control)
    runs(made)


class ReadsFile(BacksAtFirstPrices):
    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, text=Path(hr.path("model.txt")).read_text())


def with_file(folder: Path, *files: Path) -> None:
    """A run of a strategy that reads a file; raises its first failure."""
    result = hr.backtest(ReadsFile(), recording(folder), engine="local", files=files)
    for row in result.failures.to_pylist():
        raise hr.InputError(row["message"])
    assert result.records["record"].to_pylist() == ['{"text":"7"}']


def with_file_given(folder: Path) -> None:
    (folder / "model.txt").write_text("7")
    with_file(folder, folder / "model.txt")


CASES = [
    # -- models that are chosen by name
    Case(
        "compatibility='flumine' has the peer's; leave one of the two out",
        lambda _: hr.Config(compatibility="flumine", queue="optimistic"),
        lambda _: (hr.Config(compatibility="flumine"), hr.Config(queue="optimistic")),
    ),
    Case(
        "compatibility='flumine' has constant latencies",
        lambda _: hr.Config(compatibility="flumine", latency="lognormal:0.5"),
        lambda _: (hr.Config(compatibility="flumine"), hr.Config(latency="lognormal:0.5")),
    ),
    # -- putting a run together
    Case("is a class; add an instance", lambda f: ready(f).add_strategy(BacksAtFirstPrices), named_apart),  # type: ignore[arg-type]
    Case("is not a strategy; subclass headrace.Strategy", lambda f: ready(f).add_strategy(5), named_apart),  # type: ignore[arg-type]
    Case("give each a name= of its own", names_twice, named_apart),
    Case("give each file a name of its own", lambda f: ready(f, files=files_named(f, "x", "x")), files_named_apart),
    Case("was not added; add_client comes first", control_of_stranger, control_of_client),
    Case(
        "is not middleware; add an instance",
        lambda f: ready(f).add_market_middleware(Middleware),  # type: ignore[arg-type]
        lambda f: ready(f).add_market_middleware(Middleware()),
    ),
    Case(
        "is not a logging control; add an instance",
        lambda f: ready(f).add_logging_control(hr.LoggingControl),  # type: ignore[arg-type]
        lambda f: ready(f).add_logging_control(hr.LoggingControl()),
    ),
    Case(
        "make one with headrace.BackgroundWorker(framework, function, interval)",
        lambda f: ready(f).add_worker(print),  # type: ignore[arg-type]
        lambda f: ready(f).add_worker(hr.BackgroundWorker(None, print, 5.0)),
    ),
    Case("this simulation has run; make another", ran_twice, lambda f: runs(ready(f))),
    Case("no client: add_client(SimulatedClient()) first", lambda f: simulation(f).run(), lambda f: runs(ready(f))),
    Case("SimulatedClient()", lambda f: _live(f).run(), lambda f: runs(ready(f))),
    Case("no strategy: add_strategy first", lambda f: _without_strategy(f).run(), lambda f: runs(ready(f))),
    Case(
        "no markets: give Simulation(markets=...)",
        lambda f: by_filter(f, None).run(),
        lambda f: runs(by_filter(f, {"markets": [recording(f)]})),
    ),
    Case("run them apart, or give markets=", lambda f: different_filters(f).run(), filters_apart),
    Case("resume=True needs out=", lambda f: hr.Simulation(recording(f), resume=True), resumed),
    Case(
        "is not a control; pass a class",
        lambda f: ready(f).add_trading_control(Control(None)),  # type: ignore[arg-type]
        control_with_validate,
    ),
    Case("does not say what it validates: override _validate", control_without_validate, control_with_validate),
    Case("does not say what it reads: override run", stream_without_run, stream_with_run),
    Case("is not a stream; subclass headrace.BaseStream", lambda f: ready(f).add_stream(5), stream_with_run),  # type: ignore[arg-type]
    Case("use CustomEvent(payload, callback)", put("event"), put(hr.CustomEvent("event", print))),
    Case("make one with SimulatedClient", lambda f: ready(f).add_client("me"), clients_apart),  # type: ignore[arg-type]
    Case("give each its own username", clients_twice, clients_apart),
    Case("no files; give files=[...]", with_file, with_file_given),
    # -- strategies
    Case(
        "give it another name, such as",
        lambda f: class_of("Late", annotations={"start": float}, start=600.0),
        lambda f: class_of("Late", annotations={"start_value": float}, start_value=600.0)(start_value=5),
    ),
    Case(
        "stands where the method",
        lambda f: class_of("Late", finish=5),
        lambda f: class_of("Late", finish_value=5)(),
    ),
    Case(
        "use a tuple or a frozenset, or set it in __init__",
        lambda f: class_of("Steps", annotations={"steps": list}, steps=[1, 2])(),
        lambda f: (
            class_of("Steps", annotations={"steps": tuple}, steps=(1, 2))(),
            class_of("Steps", annotations={"steps": frozenset}, steps=frozenset({1}))(),
            class_of("Steps", __init__=_sets_steps)(),
        ),
    ),
    Case(
        "needs a value for its parameter",
        lambda f: class_of("Needs", annotations={"stake": float})(),
        lambda f: class_of("Needs", annotations={"stake": float})(stake=2),
    ),
    Case(
        "give stream or streams, not both",
        lambda f: hr.Strategy(stream=hr.MarketStream(), streams=[hr.MarketStream()]),
        lambda f: (hr.Strategy(stream=hr.MarketStream()), hr.Strategy(streams=[hr.MarketStream()])),
    ),
    Case(
        "expected a class, such as headrace.DataStream",
        lambda f: hr.Strategy(stream_class="data"),
        lambda f: hr.Strategy(stream_class=hr.DataStream),
    ),
    Case(
        "did you mean",
        lambda f: BacksAtFirstPrices(staek=3),
        lambda f: BacksAtFirstPrices(stake=3),
    ),
    # -- orders
    Case("before; create another", lambda f: in_market(_raising(placed_twice)), lambda f: in_market(placed_anew)),
    Case("wait for EXECUTABLE", lambda f: in_market(_raising(two_requests)), lambda f: in_market(two_requests_in_turn)),
    Case(
        "leave it out to",
        lambda f: in_market(_raising(lambda s, m: m.cancel_order(s.orders["a"], 0, force=True))),
        lambda f: in_market(lambda s, m: m.cancel_order(s.orders["a"], force=True)),
    ),
    Case(
        "trade.create_order(...) makes one",
        lambda f: in_market(_raising(lambda s, m: m.transaction().place_order(hr.LimitOrder(2.0, 2.0)))),
        lambda f: in_market(placed_anew),
    ),
    Case(
        "gives one that is",
        lambda f: hr.price_ticks_away(2.03, 1),
        lambda f: hr.price_ticks_away(hr.get_nearest_price(2.03), 1),
    ),
    Case(
        "expected the strategy, self in its methods",
        lambda f: hr.Trade(MARKET, 1, 0, "me"),  # type: ignore[arg-type]
        lambda f: in_market(placed_anew),
    ),
    # -- sweeps
    Case(
        "give a subclass of headrace.Strategy, or an instance of one",
        swept({"stake": [2]}, strategy=dict),
        lambda f: (swept({"stake": [2]})(f), swept({"stake": [2]}, strategy=BacksAtFirstPrices(stake=5))(f)),
    ),
    Case("split=", swept({"stake": [2]}, split=5), swept({"stake": [2]}, split=0.5)),
]


def _sets_steps(self: Any, **keywords: Any) -> None:
    hr.Strategy.__init__(self, **keywords)
    self.steps = [1, 2]


def _live(folder: Path) -> hr.Simulation:
    made = ready(folder)
    made.add_client(hr.BaseClient(username="live"))
    return made


def _without_strategy(folder: Path) -> hr.Simulation:
    made = simulation(folder)
    made.add_client(hr.SimulatedClient())
    return made


def _raising(act: Callable[[Any, Any], object]) -> Callable[[Any, Any], object]:
    """What a strategy does, its error kept from becoming a failure."""

    def caught(script: Any, market: Any) -> None:
        try:
            act(script, market)
        except Exception as error:
            raised.append(error)

    return caught


raised: list[Exception] = []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.message[:50])
def test_advice_works(case: Case, tmp_path: Path) -> None:
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    wrong.mkdir()
    right.mkdir()
    raised.clear()
    with pytest.raises(Exception, match=re.escape(case.message)):
        _raise_of(case, wrong)
    case.right(right)
    assert raised == []


def _raise_of(case: Case, folder: Path) -> None:
    case.wrong(folder)
    if raised:
        raise raised.pop()


#: Words with which a message of ours advises.
ADVICE = re.compile(
    r"[;:] (give|use|add|make|create|wait|leave|pass|subclass|override|run them|decompress|trade\.create)\b| first$"
)
#: Advice that other tests follow, by a part of its message.
ELSEWHERE = {
    "leave compatibility out": "tests/test_session_replay.py",
    "give a larger share, or more markets": "tests/test_search.py",
    "give a size": "tests/test_handed_over.py: bet targets are simulated by the default rules",
    "give it to the coordinator, which asks it": "tests/test_apart.py",
    "; leave it out": "tests/test_apart.py: names of actors",
    "has joined before; give each a name of its own": "tests/test_apart.py",
}


def advising(path: Path) -> list[str]:
    """The texts of a module's errors that advise."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            parts = [each.value for each in ast.walk(node.exc.args[0]) if isinstance(each, ast.Constant)]
            text = "".join(part if isinstance(part, str) else "" for part in parts)
            if ADVICE.search(text):
                found.append(text)
    return found


@pytest.mark.parametrize("place", ["strategies", "actors", "backtest.py", "sweep.py", "search.py", "config.py"])
def test_no_advice_is_without_a_case(place: str) -> None:
    paths = sorted((ROOT / place).glob("*.py")) if (ROOT / place).is_dir() else [ROOT / place]
    told = [case.message for case in CASES] + list(ELSEWHERE)
    bare = [f"{path.name}: {text}" for path in paths for text in advising(path) if not any(t in text for t in told)]
    assert bare == [], "give each a Case that follows its advice"
