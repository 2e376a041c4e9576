"""A run goes on only as the same: whatever it is made of is compared, and what differs is said with both values."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import math
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headrace as hr
from builders import FLUMINE, priced
from headrace.actors.session_lines import begin_line
from headrace.cluster.description import described
from headrace.cluster.identity import Beginning, identity_of
from headrace.simulate.setup import Setup


class Idle(hr.Strategy):
    stake: float = 2.0
    #: Not declared: a value of the class.
    LADDER = (1.5, 2.5)
    lock = hr.resource(threading.Lock)

    def __init__(self, depth: int = 3, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.depth = depth


class OtherIdle(Idle):
    pass


class Watch(hr.Middleware):
    def __init__(self, limit: float = 5.0) -> None:
        self.limit = limit
        self.seen = 0
        self.lock = threading.Lock()  # it cannot be told, and does no harm

    def __call__(self, market: Any) -> None:
        self.seen += 1


class Spread(hr.BaseControl):
    NAME = "SPREAD"

    def _validate(self, order: hr.Order, package_type: hr.OrderPackageType) -> None:
        return


class Quota(hr.BaseControl):
    NAME = "QUOTA"

    def __init__(self, framework: Any, client: Any, most: int = 3) -> None:
        super().__init__(framework, client=client, most=most)

    def _validate(self, order: hr.Order, package_type: hr.OrderPackageType) -> None:
        return


class Queue(hr.QueueModel):
    def __init__(self, share: float = 0.5) -> None:
        self.share = share


class Actor(hr.MarketActor):
    pass


class Office(hr.Coordinator):
    pass


def tick(context: Any, framework: Any) -> None:
    """What a worker does."""


def tock(context: Any, framework: Any) -> None:
    """What another does."""


@dataclasses.dataclass
class Run:
    """What a run is made of, by what a test changes of it."""

    strategy: Callable[[], hr.Strategy] = Idle
    client: Callable[[], hr.BaseClient] = hr.SimulatedClient
    config: hr.Config = dataclasses.field(default_factory=hr.Config)
    middleware: tuple[Callable[[], Any], ...] = ()
    controls: tuple[tuple[type[hr.BaseControl], dict[str, Any]], ...] = ()
    client_controls: tuple[tuple[type[hr.BaseControl], dict[str, Any]], ...] = ()
    workers: tuple[Callable[[], hr.BackgroundWorker], ...] = ()
    keywords: dict[str, Any] = dataclasses.field(default_factory=dict)

    def play(self, markets: Any, out: Path, resume: bool = False) -> hr.Result:
        simulation = hr.Simulation(markets, config=self.config, engine="local", out=out, resume=resume, **self.keywords)
        client = self.client()
        simulation.add_client(client)
        simulation.add_strategy(self.strategy())
        for make in self.middleware:
            simulation.add_market_middleware(make())
        for control, settings in self.controls:
            simulation.add_trading_control(control, **settings)
        for control, settings in self.client_controls:
            simulation.add_client_control(client, control, **settings)
        for work in self.workers:
            simulation.add_worker(work())
        return simulation.run()


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recording that is that of a session as well."""
    path = tmp_path_factory.mktemp("markets") / "1.100000001"
    lines = priced().touch(400).close().text()
    path.write_bytes(begin_line(1, "h1", ["Idle", "Second"]) + b"\n" + lines.encode())
    return str(path)


def folder_with(tmp_path: Path, name: str, content: str) -> str:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "1.100000001.json").write_text(content)
    return str(folder)


def events(path: Path, *payloads: Any) -> str:
    hr.write_custom_events(path, [hr.CustomEvent(payload, publish_time=1_700_000_000_100) for payload in payloads])
    return str(path)


CATALOGUE = json.dumps({"marketId": "1.100000001", "marketName": "5f Hcap"})

Change = tuple[Callable[[Path], Run], Callable[[Path], Run], str]

#: For each field of `Setup`: runs that differ in it, and what is said.
CHANGES: dict[str, list[Change]] = {
    "strategies": [
        (
            lambda _: Run(),
            lambda _: Run(lambda: Idle(stake=3.0)),
            "the parameter stake of strategy 'Idle' was 2.0 and is 3.0",
        ),
        (lambda _: Run(), lambda _: Run(lambda: Idle(4)), "the attribute depth of strategy 'Idle' was 3 and is 4"),
        (
            lambda _: Run(),
            lambda _: Run(lambda: Idle(max_order_exposure=7)),
            "the setting max_order_exposure of strategy 'Idle' was 10 and is 7",
        ),
        (
            lambda _: Run(),
            lambda _: Run(lambda: Idle(market_filter={"market_types": ["WIN"]})),
            "the setting market_filter of strategy 'Idle' was None and is {'market_types': \\['WIN'\\]}",
        ),
        (
            lambda _: Run(),
            lambda _: Run(lambda: OtherIdle(name="Idle")),
            "strategy 'Idle' was a Idle and is a OtherIdle",
        ),
        (
            lambda _: Run(),
            lambda _: Run(lambda: Idle(name="Second")),
            "its strategies were 'Idle' and are 'Second'",
        ),
    ],
    "clients": [
        (
            lambda _: Run(),
            lambda _: Run(client=lambda: hr.SimulatedClient(commission_base=0.02)),
            "the setting commission_base of client 'simulated' was None and is 0.02",
        ),
        (
            lambda _: Run(client=lambda: hr.SimulatedClient(simulated_full_match=True)),
            lambda _: Run(),
            "the setting simulated_full_match of client 'simulated' was True and is False",
        ),
        (
            lambda _: Run(),
            lambda _: Run(client=lambda: hr.SimulatedClient(username="mine")),
            "its clients were 'simulated' and are 'mine'",
        ),
    ],
    "config": [
        (
            lambda _: Run(),
            lambda _: Run(config=FLUMINE),
            "the setting compatibility was None and is 'flumine'",
        )
    ],
    "middleware": [
        (
            lambda _: Run(),
            lambda _: Run(middleware=(Watch,)),
            r"middleware was none and is .*Watch\(limit=5.0, .*",
        ),
        (
            lambda _: Run(middleware=(Watch,)),
            lambda _: Run(middleware=(lambda: Watch(6.0),)),
            r"middleware\[0\].limit was 5.0 and is 6.0",
        ),
    ],
    "trading_controls": [
        (
            lambda _: Run(),
            lambda _: Run(controls=((Spread, {}),)),
            r"trading_controls was none .*Spread, {}\]\]",
        ),
        (
            lambda _: Run(controls=((Spread, {"most": 1}),)),
            lambda _: Run(controls=((Spread, {"most": 2}),)),
            r"trading_controls\[0\]\[1\].most was 1 and is 2",
        ),
    ],
    "client_controls": [
        (
            lambda _: Run(client_controls=((Quota, {"most": 5}),)),
            lambda _: Run(client_controls=((Quota, {}),)),
            r"client_controls\[0\]\[2\].most was 5 and is not there",
        )
    ],
    "models": [
        (
            lambda _: Run(),
            lambda _: Run(keywords={"models": hr.Models(queue=Queue())}),
            r"models.queue was 'proportional' and is .*Queue\(share=0.5\)",
        ),
        (
            lambda _: Run(keywords={"models": hr.Models(queue=Queue(0.25))}),
            lambda _: Run(keywords={"models": hr.Models(queue=Queue(0.75))}),
            r"models.queue.share was 0.25 and is 0.75",
        ),
    ],
    "workers": [
        (
            lambda _: Run(workers=(lambda: hr.BackgroundWorker(None, tick, 5.0),)),
            lambda _: Run(workers=(lambda: hr.BackgroundWorker(None, tick, 6.0),)),
            r"workers\[0\].interval was 5.0 and is 6.0",
        ),
        (
            lambda _: Run(workers=(lambda: hr.BackgroundWorker(None, tick, 5.0, name="t"),)),
            lambda _: Run(workers=(lambda: hr.BackgroundWorker(None, tock, 5.0, name="t"),)),
            r"workers\[0\].function was .*\.tick and is .*\.tock",
        ),
    ],
    "custom_events": [
        (
            lambda path: Run(keywords={"custom_events": events(path / "a.jsonl", {"wind": 1})}),
            lambda path: Run(keywords={"custom_events": events(path / "b.jsonl", {"wind": 2})}),
            r"custom_events\[0\].event.wind was 1 and is 2",
        ),
        (
            lambda path: Run(keywords={"custom_events": events(path / "a.jsonl", *[{"wind": n} for n in range(200)])}),
            lambda path: Run(keywords={"custom_events": events(path / "b.jsonl", *[{"wind": n} for n in range(201)])}),
            r"custom_events was a list of length 200 with hash \w+ and is a list of length 201 with hash \w+",
        ),
    ],
    "files": [
        (
            lambda path: Run(keywords={"files": [written(path / "one" / "model.json", "{}")]}),
            lambda path: Run(keywords={"files": [written(path / "two" / "model.json", "[]")]}),
            r"the file model.json has another content: its hash was \w+ and is \w+",
        ),
        (
            lambda path: Run(keywords={"files": [written(path / "one" / "model.json", "{}")]}),
            lambda _: Run(),
            "its files were 'model.json' and are none",
        ),
    ],
    "catalogues": [
        (
            lambda path: Run(keywords={"catalogues": folder_with(path, "one", CATALOGUE)}),
            lambda path: Run(keywords={"catalogues": folder_with(path, "two", CATALOGUE + " ")}),
            rf"catalogues had 1 file of {len(CATALOGUE)} bytes and has 1 file of {len(CATALOGUE) + 1} bytes",
        ),
        (
            lambda path: Run(keywords={"catalogues": folder_with(path, "one", CATALOGUE)}),
            lambda _: Run(),
            rf"catalogues was 1 file of {len(CATALOGUE)} bytes and is None",
        ),
    ],
    "sports_data": [
        (
            lambda _: Run(),
            lambda path: Run(keywords={"sports_data": folder_with(path, "one", "")}),
            "sports_data was None and is 1 file of 0 bytes",
        )
    ],
    "market_actor": [
        (
            lambda _: Run(),
            lambda _: Run(keywords={"market_actor": Actor}),
            r"market_actor was headrace.actors.market.MarketActor and is .*\.Actor",
        )
    ],
    "coordinator": [
        (
            lambda _: Run(keywords={"coordinator": Office}),
            lambda _: Run(),
            r"coordinator was .*\.Office and is headrace.actors.coordinator.Coordinator",
        )
    ],
    "session": [(lambda _: Run(), lambda _: Run(keywords={"session": True}), "session was False and is True")],
    "band": [(lambda _: Run(), lambda _: Run(keywords={"band": True}), "band was False and is True")],
}


def written(path: Path, content: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return str(path)


def test_every_field_of_a_setup_is_among_the_changes() -> None:
    assert set(CHANGES) == {field.name for field in dataclasses.fields(Setup)}


@pytest.mark.parametrize(
    "change", [each for changes in CHANGES.values() for each in changes], ids=lambda change: change[2][:60]
)
def test_a_run_with_another_part_is_not_resumed_and_both_values_are_said(
    change: Change, markets: str, tmp_path: Path
) -> None:
    before, now, said = change
    out = tmp_path / "out"
    kept = before(tmp_path).play(markets, out)
    with pytest.raises(hr.InputError, match=f": the run that it holds cannot be resumed: {said}; ask for it as it was"):
        now(tmp_path).play(markets, out, resume=True)
    assert hr.Result.load(out).digest == kept.digest


@pytest.mark.parametrize("change", [changes[-1] for changes in CHANGES.values()], ids=lambda change: change[2][:60])
def test_a_run_made_anew_of_equal_parts_is_resumed(change: Change, markets: str, tmp_path: Path) -> None:
    run = change[1](tmp_path)
    first = run.play(markets, tmp_path / "out")
    assert run.play(markets, tmp_path / "out", resume=True).digest == first.digest


def test_a_field_that_is_added_to_a_setup_is_compared() -> None:
    @dataclasses.dataclass
    class Larger(Setup):
        tide: Any = None

    def told(tide: Any) -> Any:
        setup = Larger([Idle()], [hr.SimulatedClient()], hr.Config(), tide=tide)
        return identity_of(setup, [], Beginning(setup))["tide"]

    assert told({"high": [1, 2]}) == told({"high": [1, 2]}) != told({"high": [1, 3]})


def other_than(value: Any) -> Any:
    """Another value for a setting."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return "1" if value is None else "+"


#: Settings whose other value is not just any.
OTHER = {
    "compatibility": "flumine",
    "queue": "pessimistic",
    "liquidity": "flumine",
    "settlement": "flumine",
    "commission": "flumine",
    "latency": "lognormal:0.5",
    "currency": "EUR",
    "currency_code": "EUR",
    "currency_rate": 1.2,
    "balance": 100.0,
    "exposure_limit": 10.0,
    "max_market_actors": 3,
    "unit_timeout": 3.0,
    "worker_memory": 3.0,
    "transaction_limit": 3,
    "commission_base": 0.5,
    "order_stream_conflate_ms": 3,
    "heartbeat_seconds": 30,
}


@pytest.mark.parametrize("name", hr.Config().as_dict())
def test_every_setting_of_a_run_is_compared(name: str) -> None:
    config = hr.Config()
    other = dataclasses.replace(config, **{name: OTHER.get(name, other_than(getattr(config, name)))})
    assert getattr(other, name) != getattr(config, name)
    told = [identity_of(setup, [], Beginning(setup))["config"] for setup in map(setup_with, (config, other, config))]
    assert told[0] == told[2] != told[1]


def setup_with(config: hr.Config) -> Setup:
    return Setup([Idle()], [hr.SimulatedClient()], config)


def test_settings_of_the_process_and_of_its_logs_are_not_compared() -> None:
    """All others are, those that are added later too."""
    left_out = {field.name for field in dataclasses.fields(hr.Config)} - set(hr.Config().as_dict())
    watched = {name for name in left_out if name.endswith("_limit") or name == "restart_stalled"}
    journal = {"journal_days", "journal_mb"}
    assert left_out - watched - journal == {
        "process_id", "log_setup", "log_level", "log_json", "instance_id", "hostname"
    }  # fmt: skip
    assert len(watched) == 7


@pytest.mark.parametrize("name", list(inspect.signature(hr.BaseClient).parameters))
def test_every_setting_of_a_client_is_compared(name: str) -> None:
    default = getattr(hr.SimulatedClient(), name)
    other = OTHER.get(name, other_than(default))

    def told(client: hr.BaseClient) -> Any:
        setup = Setup([Idle()], [client], hr.Config())
        return identity_of(setup, [], Beginning(setup))["clients"]

    assert told(hr.SimulatedClient()) == told(hr.SimulatedClient()) != told(hr.SimulatedClient(**{name: other}))


# -- what is told of values ------------------------------------------------------------------------------------------


class Shape:
    __slots__ = ("sides", "size")

    def __init__(self, sides: int, size: float) -> None:
        self.sides, self.size = sides, size


class Prices(list):  # type: ignore[type-arg]
    unit = 1


#: Values that go by a number.
VALUES: list[Callable[[int], Any]] = [
    lambda n: n,
    lambda n: math.nan if n == 1 else math.inf,
    lambda n: b"x" * n,
    lambda n: "x" * (500 + n),
    lambda n: {"a", "b", n},
    lambda n: {1: n, "1": 2},
    lambda n: {str(n): 1},
    lambda n: [(1, [2, n])],
    lambda n: np.arange(5) * n,
    lambda n: np.float32(n + 0.5),
    lambda n: Shape(3, n),
    lambda n: Prices([n]),
    lambda n: random.Random(n),
    lambda n: Path(f"folder/{n}"),
    lambda n: lambda: n,
]


@pytest.mark.parametrize("make", VALUES)
def test_equal_values_are_told_alike_and_others_are_not(make: Callable[[int], Any]) -> None:
    one = described(make(1))
    assert one == described(make(1)) != described(make(2))
    assert json.loads(json.dumps(one)) == one


def test_what_is_held_many_times_is_looked_at_once() -> None:
    held: Any = [1.5]
    for _ in range(60):
        held = [held, {(held[0] is None): held}]  # 2^60 ways to the number
    assert described(held) == described(copy.deepcopy(held))


def test_what_holds_a_great_deal_is_not_looked_at_where_the_run_is_not_kept() -> None:
    strategy = Idle()
    strategy.prices = [[n] for n in range(50_000)]  # type: ignore[attr-defined]
    setup = Setup([strategy], [hr.SimulatedClient()], hr.Config())
    assert Beginning(setup, kept=False).tell(strategy) is None
    assert Beginning(setup).tell(strategy)["prices"]["length"] == 50_000


def test_values_are_told_alike_in_every_process() -> None:
    """Not by hashes of texts, nor by where they lie in memory."""
    code = (
        "import json, random, numpy as np\n"
        "from headrace.cluster.description import described\n"
        "import headrace as hr\n"
        "held = {'a': {'x', 'y', 'z', ('p', 1)}, 'b': np.arange(3), 'c': random.Random(5), 'd': hr.Models(),\n"
        "        'e': object(), 'f': hr.SimulatedClient(), 'g': frozenset('hello'), 'h': lambda x: x}\n"
        "print(json.dumps(described(held), sort_keys=True))\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in (1, 2)
    }
    assert len(told) == 1


def test_passwords_and_keys_are_not_written(markets: str, tmp_path: Path) -> None:
    class Library:
        def __init__(self) -> None:
            self.username, self.inner = "me", "hunter2"

    class Telling(Idle):
        def __init__(self) -> None:
            super().__init__()
            self.api_key = "hunter2"
            self.account = {"app_key": "hunter2", "password": b"hunter2", "user": "me"}

    run = Run(Telling, lambda: hr.SimulatedClient(betting_client=Library()))
    run.play(markets, tmp_path / "out")
    text = (tmp_path / "out" / "manifest.json").read_text()
    assert "hunter2" not in text
    assert '"user": "me"' in text


def test_what_refers_to_itself_and_to_the_run_is_told(markets: str, tmp_path: Path) -> None:
    class Circular(Idle):
        def __init__(self) -> None:
            super().__init__()
            self.me: list[Any] = [self]

        def add(self, framework: Any) -> None:
            self.framework = framework

        def __deepcopy__(self, memo: Any) -> Circular:
            return type(self)()

    first = Run(Circular).play(markets, tmp_path / "out")
    assert Run(Circular).play(markets, tmp_path / "out", resume=True).digest == first.digest


# -- objects that runs have used -------------------------------------------------------------------------------------


class Loading(Idle):
    def start(self, framework: Any) -> None:
        self.model = [1.0, 2.0]


def test_a_run_goes_on_with_the_objects_that_it_was_begun_with(markets: str, tmp_path: Path) -> None:
    """`start` and middleware leave things on them in this process."""
    strategy, watch = Loading(), Watch()
    run = Run(lambda: strategy, middleware=(lambda: watch,))
    first = run.play(markets, tmp_path / "out")
    assert watch.seen > 0
    assert run.play(markets, tmp_path / "out", resume=True).digest == first.digest
    anew = Run(Loading, middleware=(Watch,))
    assert anew.play(markets, tmp_path / "out", resume=True).digest == first.digest


def test_objects_that_were_changed_between_two_runs_are_not_those_of_the_first(markets: str, tmp_path: Path) -> None:
    strategy, watch = Loading(), Watch()
    run = Run(lambda: strategy, middleware=(lambda: watch,))
    run.play(markets, tmp_path / "out")
    strategy.depth = 9
    with pytest.raises(hr.InputError, match=re.escape("the attribute depth of strategy 'Loading' was 3 and is 9")):
        run.play(markets, tmp_path / "out", resume=True)


# -- scripts ---------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
import headrace as hr

STAKE = {stake}
unused = {unused}


def size(price):
    return STAKE * {factor}


class Sized(hr.Strategy):
    def process_new_market(self, market, book):
        price = 2.0
        trade = hr.Trade(market.market_id, 1, 0, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(price, size(price))))


if __name__ == "__main__":
    try:
        print(hr.backtest(Sized(), {markets!r}, engine="local", out={out!r}, resume="--resume" in sys.argv).digest)
    except hr.InputError as error:
        print(error)
"""


def test_what_a_strategy_uses_of_its_script_is_compared_and_nothing_else(markets: str, tmp_path: Path) -> None:
    def play(*words: str, **changed: int) -> str:
        values = {"stake": 2, "unused": 0, "factor": 1, **changed}
        script = written(tmp_path / "script.py", SCRIPT.format(markets=markets, out=str(tmp_path / "out"), **values))
        command = [sys.executable, script, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    first = play()
    assert play("--resume", unused=1) == first
    assert "cannot be resumed: STAKE in the script was 2 and is 3; " in play("--resume", stake=3)
    assert "cannot be resumed: the source of size in the script has changed since; " in play("--resume", factor=2)
