"""Strategies are their authors': names set on self, `__init__` without super(), dataclasses, settings of the class."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
from pathlib import Path
from typing import Any, ClassVar

import pytest

import headrace as hr
from builders import FLUMINE, Stream, priced
from headrace.strategies.hosting import hosted, instance_of, require_sound


class Sized(hr.Strategy):
    """Backs runner 1 at the best price, once in each market."""

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.runners[0].ex.available_to_back) and not market.blotter.strategy_orders(self)

    def process_market_book(self, market: Any, book: Any) -> None:
        price = book.runners[0].ex.available_to_back[0].price
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(price, self.size()))
        market.place_order(order)
        self.record(market, size=self.size())

    def size(self) -> float:
        return 2.0


def written(folder: Path, count: int = 2) -> Path:
    for number in range(count):
        stream = Stream(f"1.10000000{number}", eventId=str(number))
        stream.lines += [
            {**line, "mc": [{**change, "id": stream.market_id} for change in line["mc"]]}
            for line in priced(eventId=str(number)).touch(400).close(9000, winner=1).lines[1:]
        ]
        stream.write(folder / stream.market_id)
    return folder


@pytest.fixture
def markets(tmp_path: Path) -> Path:
    folder = tmp_path / "markets"
    folder.mkdir()
    return written(folder)


# -- names -----------------------------------------------------------------------------------------------------------

#: What a strategy's author may set on self: names that every strategy can also be asked for, or once could.
OWN_NAMES = (
    *("log", "settings", "host", "parameter_values", "clients", "info", "stream_ids", "name_hash", "streams"),
    *("window", "records", "record", "parameters", "hosted", "opened", "has_executable_orders", "market_cached"),
    *("_host", "_framework", "_runner_contexts", "_window", "_records"),
)


class Restless(Sized):
    """Sets a name of its own, before and after the base's `__init__`, and in callbacks."""

    def __init__(self, own: str, **keywords: Any) -> None:
        setattr(self, own, {"mine": 0})
        super().__init__(**keywords)
        setattr(self, own, {"mine": 1})
        self.own = own

    def start(self, framework: Any) -> None:
        setattr(self, self.own, {"mine": 2})

    def process_market_book(self, market: Any, book: Any) -> None:
        assert getattr(self, self.own) == {"mine": 2}
        setattr(self, self.own, {"mine": 3})
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, 2.0))
        assert market.place_order(order)
        assert order.customer_order_ref.startswith(hr.create_cheap_hash(self.name, 13))
        assert self.get_runner_context(market.market_id, 1).trade_count == 1


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["default", "flumine"])
@pytest.mark.parametrize("own", OWN_NAMES)
def test_names_of_the_framework_may_be_set_on_self(markets: Path, own: str, config: hr.Config) -> None:
    result = hr.backtest(Restless(own), markets, engine="local", config=config)
    assert result.failures.to_pylist() == []
    assert result.orders["profit"].to_pylist() == [2.0, 2.0]


def test_names_may_stand_in_the_class_too(markets: Path, tmp_path: Path) -> None:
    class Classy(Sized):
        log = logging.getLogger("mine")
        settings: ClassVar[dict[str, int]] = {"a": 1}
        parameters = ("a", "b")
        host = "localhost"
        info = "a strategy"
        records: int = 7
        window: int = 20
        hosted: bool = True
        opened: float = 0.5

    result = hr.backtest(Classy(window=30), markets, engine="local", out=str(tmp_path / "out"))
    assert result.failures.to_pylist() == []
    assert result.orders["profit"].to_pylist() == [2.0, 2.0]
    assert set(result.orders["parameters"].to_pylist()) == {
        '{"hosted": true, "opened": 0.5, "records": 7, "window": 30}'
    }
    sweep = hr.sweep(Classy, {"window": [10, 20]}, markets, engine="local")
    assert sweep.to_pandas()["profit"].tolist() == [4.0, 4.0]


# -- parameters and attributes that shadow ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["start", "add", "finish", "process_orders", "validate_order", "remove_market"])
def test_parameter_with_the_name_of_a_method_is_refused_where_the_class_is_made(name: str) -> None:
    message = rf"^Late\.{name} is a parameter with the name of a callback or method .* such as {name}_value$"
    with pytest.raises(TypeError, match=message):
        type("Late", (hr.Strategy,), {"__annotations__": {name: float}, name: 600.0})


@pytest.mark.parametrize("name", ["log", "clients", "settings", "info", "host", "record", "parameters"])
def test_parameter_with_the_name_of_what_every_strategy_offers_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^Late\.{name} is a parameter with the name of a"):
        type("Late", (hr.Strategy,), {"__annotations__": {name: "bool"}, name: True})


def test_advice_on_a_refused_parameter_works() -> None:
    made = type("Late", (hr.Strategy,), {"__annotations__": {"start_value": float}, "start_value": 600.0})
    assert made(start_value=60).parameter_values == {"start_value": 60.0}


def test_attribute_of_a_class_in_the_place_of_a_callback_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Late: Late\.start = 600 stands where the method start\(\) is called"):
        type("Late", (hr.Strategy,), {"start": 600})

    class Mixin:
        finish = None

    with pytest.raises(TypeError, match=r"Late\.finish = None stands where the method finish\(\) is called"):
        type("Late", (Mixin, hr.Strategy), {})


class SetsStart(Sized):
    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.start = 600  # type: ignore[assignment,method-assign]


class SetsFinish(Sized):
    def start(self, framework: Any) -> None:
        self.finish = "noon"  # type: ignore[assignment,method-assign]


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (SetsStart, r"SetsStart: self\.start = 600 stands where the method start\(\) is called; give it another name"),
        (SetsFinish, r"SetsFinish: self\.finish = 'noon' stands where the method finish\(\) is called"),
    ],
)
def test_attribute_of_self_in_the_place_of_a_callback_is_refused(markets: Path, strategy: Any, message: str) -> None:
    with pytest.raises(hr.RunError, match=message):
        hr.backtest(strategy(), markets, engine="local")


def test_callbacks_may_be_functions_of_other_kinds() -> None:
    class Fine(Sized):
        start = staticmethod(lambda framework: None)  # type: ignore[assignment]

        @classmethod
        def finish(cls, framework: Any) -> None: ...

    require_sound(Fine())


# -- settings of the class -------------------------------------------------------------------------------------------


class Careful(Sized):
    max_order_exposure = 1
    max_live_trade_count: float = 2
    context = {"stake": 5}  # noqa: RUF012
    name = "prudent"
    market_filter = {"listener_kwargs": {"seconds_to_start": 600}}  # noqa: RUF012


def test_a_class_may_give_settings_other_defaults(markets: Path) -> None:
    strategy = Careful()
    assert (strategy.name, strategy.max_order_exposure, strategy.max_live_trade_count) == ("prudent", 1, 2)
    assert strategy.context == {"stake": 5}
    assert strategy.context is not Careful.context
    assert hr.backtest(strategy, markets, engine="local").orders.num_rows == 0  # each would risk 2
    assert hr.backtest(Careful(max_order_exposure=2), markets, engine="local").orders.num_rows == 2


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"max_order_exposure": "10"}, "Sized: max_order_exposure='10': expected a number, 0 or more, or None"),
        ({"max_selection_exposure": float("nan")}, "max_selection_exposure=nan: expected a number"),
        ({"max_market_exposure": -5}, "max_market_exposure=-5: expected a number, 0 or more"),
        ({"max_live_trade_count": None}, "max_live_trade_count=None: expected a number, 0 or more$"),
        ({"max_trade_count": True}, "max_trade_count=True: expected a number"),
        ({"multi_order_trades": "no"}, "multi_order_trades='no': expected True or False"),
        ({"context": "stake"}, "context='stake': expected a dict"),
        ({"name": 5}, "name=5: expected a text"),
        ({"stream_class": "DataStream"}, "stream_class='DataStream': expected a class"),
        ({"market_filter": {"listener_kwargs": {"inplya": True}}}, "no parameter 'inplya'; did you mean 'inplay'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Sized(**keywords)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("scope", "markets", "scope='markets': expected market, event or run; did you mean 'market'"),
        ("process_orders_scope", "ALL", "process_orders_scope='ALL': expected live or all; did you mean 'all'"),
    ],
)
def test_unknown_scopes_are_refused(markets: Path, setting: str, value: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        type("Scoped", (Sized,), {setting: value})()
    strategy = Sized()
    setattr(strategy, setting, value)
    with pytest.raises(hr.RunError, match=message):
        hr.backtest(strategy, markets, engine="local")


def test_settings_changed_after_the_strategy_was_made_hold(markets: Path) -> None:
    strategy = Sized()
    strategy.market_filter = {"listener_kwargs": {"inplay": True}}
    assert hr.backtest(strategy, markets, engine="local").orders.num_rows == 0
    strategy = Sized()
    strategy.max_order_exposure = "ten"  # type: ignore[assignment]
    with pytest.raises(hr.RunError, match="max_order_exposure='ten': expected a number"):
        hr.backtest(strategy, markets, engine="local")


# -- without super().__init__() --------------------------------------------------------------------------------------


class NoSuper(Sized):
    def __init__(self, stake: float = 3.0) -> None:
        self.stake = stake

    def size(self) -> float:
        return self.stake


class NoSuperButDeclared(NoSuper):
    stake: float


@dataclasses.dataclass
class Data(Sized):
    stake: float = 3.0
    prices: list[float] = dataclasses.field(default_factory=list)

    def size(self) -> float:
        self.prices.append(self.stake)
        return self.stake


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frozen(Sized):
    stake: float = 3.0
    limit: int = dataclasses.field(default=5, init=False)

    def size(self) -> float:
        return self.stake


@dataclasses.dataclass
class WithPostInit(Sized):
    stake: float
    max_order_exposure: float | None = 50

    def __post_init__(self) -> None:
        super().__init__(name="post", max_live_trade_count=3)

    def size(self) -> float:
        return self.stake


MADE: list[Any] = [
    lambda: NoSuper(4.0),
    lambda: NoSuperButDeclared(4.0),
    lambda: Data(4.0),
    lambda: Frozen(stake=4.0),
    lambda: WithPostInit(4.0),
]


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["default", "flumine"])
@pytest.mark.parametrize("make", MADE, ids=lambda make: type(make()).__name__)
def test_strategies_that_never_call_the_base_trade(markets: Path, make: Any, config: hr.Config) -> None:
    result = hr.backtest(make(), markets, engine="local", config=config)
    assert result.failures.to_pylist() == []
    assert result.orders["size"].to_pylist() == [4.0, 4.0]
    assert result.records["record"].to_pylist() == ['{"size":4.0}'] * 2


@pytest.mark.parametrize("make", MADE, ids=lambda make: type(make()).__name__)
def test_strategies_that_never_call_the_base_are_copied_and_pickled(make: Any) -> None:
    import ray.cloudpickle as cloudpickle

    made = make()
    for copied in (copy.copy(made), copy.deepcopy(made), cloudpickle.loads(cloudpickle.dumps(made))):
        assert (copied.size(), copied.name) == (4.0, made.name)
        assert copied != made
    assert pickle.loads(pickle.dumps(made)).size() == 4.0


def test_market_copies_share_nothing_of_a_dataclass() -> None:
    prototype = Data()
    framework = dataclasses.make_dataclass("F", ["host"])(hr.Strategy().host)
    one, other = hosted(prototype, framework), hosted(prototype, framework)  # type: ignore[arg-type]
    one.size()  # type: ignore[attr-defined]
    assert (one.prices, other.prices, prototype.prices) == ([3.0], [], [])  # type: ignore[attr-defined]
    one.context["a"] = 1
    assert (other.context, prototype.context) == ({}, {})
    assert len({one, other, prototype}) == 3


@pytest.mark.parametrize("make", MADE[1:], ids=lambda make: type(make()).__name__)
def test_strategies_that_never_call_the_base_are_swept_and_resumed(markets: Path, tmp_path: Path, make: Any) -> None:
    swept = hr.sweep(make(), {"stake": [2.0, 5.0]}, markets, engine="local", orders=True)
    assert sorted(swept.orders["size"].to_pylist()) == [2.0, 2.0, 5.0, 5.0]
    out = str(tmp_path / "out")
    first = hr.backtest(make(), markets, engine="local", out=out)
    again = hr.backtest(make(), markets, engine="local", out=out, resume=True)
    assert first.digest == again.digest
    with pytest.raises(hr.RunError):
        hr.backtest(instance_of(type(make()), {"stake": 9.0}), markets, engine="local", out=out, resume=True)


def test_limits_are_swept_where_init_does_not_know_them(markets: Path) -> None:
    swept = hr.sweep(Data(stake=8.0), {"max_order_exposure": [5, 8]}, markets, engine="local")
    assert swept.to_pandas()["orders"].tolist() == [0, 2]


def test_parameter_that_init_does_not_take_is_refused_in_a_sweep(markets: Path) -> None:
    class Derived(Sized):
        stake: float = 2.0

        def __init__(self) -> None:
            super().__init__()
            self.half = self.stake / 2

    with pytest.raises(hr.InputError, match="its __init__ must take keywords and pass them on"):
        hr.sweep(Derived, {"stake": [2.0, 3.0]}, markets, engine="local")


def test_declared_parameter_that_init_never_set_is_named(markets: Path) -> None:
    class Forgets(Sized):
        stake: float

        def __init__(self) -> None:
            pass

    with pytest.raises(hr.RunError, match=r"^Forgets needs a value for its parameter 'stake'"):
        hr.backtest(Forgets(), markets, engine="local")


@pytest.mark.parametrize("value", ["four", None])
def test_parameter_that_init_set_to_something_else_is_named(markets: Path, value: Any) -> None:
    with pytest.raises(hr.RunError, match=rf"^Data\.stake = {value!r}: expected a number"):
        hr.backtest(Data(value), markets, engine="local")


@pytest.mark.ray
def test_dataclasses_trade_on_ray_as_here(markets: Path, ray_local: None) -> None:
    here = hr.backtest([Data(4.0), Frozen(stake=3.0), NoSuper(2.0)], markets, engine="local")
    there = hr.backtest([Data(4.0), Frozen(stake=3.0), NoSuper(2.0)], markets, engine="ray")
    assert there.digest == here.digest
    assert there.orders.num_rows == 6
