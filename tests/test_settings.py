"""Settings of a run and parameters of a strategy: what fits, what does not, and what the refusal says."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

import headrace as hr
from headrace.strategies.currency import CURRENCIES
from headrace.strategies.parameters import from_text

# -- configuration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"compatibility": "betfair"}, "compatibility='betfair': expected 'flumine' or None"),
        ({"place_latency": -0.1}, "place_latency=-0.1: expected seconds"),
        ({"replace_latency": "fast"}, "replace_latency='fast': expected a number"),
        ({"raise_errors": 1}, "raise_errors=1: expected True or False"),
        ({"seed": 1.5}, "seed=1.5: expected a whole number"),
        ({"seed": True}, "expected a whole number"),
        ({"max_execution_workers": 0}, "expected 1 or more"),
        ({"max_market_actors": 0}, "expected 1 or more, or None"),
        ({"execution_retry_attempts": -1}, "expected 0 or more"),
        ({"order_sep": "--"}, "expected one letter, digit or one of"),
        ({"order_sep": "#"}, "expected one letter, digit or one of"),
        ({"customer_strategy_ref": "a" * 16}, "expected 1 to 15 characters, got 16"),
        ({"customer_strategy_ref": ""}, "expected 1 to 15 characters, got 0"),
        ({"hostname": "a" * 16}, "got 16"),
        ({"process_orders_interval": 0}, "expected seconds above 0"),
        ({"unit_timeout": 0}, "expected seconds above 0, or None"),
        ({"currency": "eur"}, "currency='eur': expected GBP, .*; did you mean 'EUR'"),
        ({"log_level": "LOUD"}, "expected DEBUG, INFO"),
        ({"log_setup": "none"}, "expected a function or None|expected None or a function"),
    ],
)
def test_setting_that_cannot_be_used_is_refused_by_name(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(hr.ConfigError, match=said):
        hr.Config(**settings)


@pytest.mark.parametrize("currency", CURRENCIES)
def test_every_currency_with_smallest_stakes_can_be_chosen(currency: str) -> None:
    assert hr.Config(currency=currency).currency == currency


def test_config_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        hr.Config().seed = 3  # type: ignore[misc]


def test_whole_number_does_for_seconds() -> None:
    assert hr.Config(place_latency=1).place_latency == 1.0


def test_hostname_is_the_old_name_of_the_strategy_reference() -> None:
    assert hr.Config(hostname="mine").customer_strategy_ref == "mine"
    assert hr.Config(hostname="mine", customer_strategy_ref="other").customer_strategy_ref == "other"


def test_toml_gives_settings(tmp_path: Path) -> None:
    path = tmp_path / "headrace.toml"
    path.write_text('[headrace]\ncompatibility = "flumine"\nplace_latency = 0.2\nraise_errors = true\nseed = 7\n')
    config = hr.Config.from_toml(path)
    assert (config.compatibility, config.place_latency, config.raise_errors, config.seed) == ("flumine", 0.2, True, 7)


def test_toml_without_a_table_is_taken_whole(tmp_path: Path) -> None:
    path = tmp_path / "headrace.toml"
    path.write_text("seed = 7\n")
    assert hr.Config.from_toml(path).seed == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed = ", "headrace.toml"),
        ("sede = 1", "no setting 'sede'; did you mean 'seed'"),
        ('seed = "many"', "seed='many': expected a whole number"),
        ("\xff", "headrace.toml"),
    ],
)
def test_bad_toml_is_a_config_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "headrace.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(hr.ConfigError, match=said):
        hr.Config.from_toml(path)


def test_missing_toml_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(hr.ConfigError, match=r"no\.toml"):
        hr.Config.from_toml(tmp_path / "no.toml")


def test_environment_gives_settings() -> None:
    environment = {
        "HEADRACE_PLACE_LATENCY": "0.2",
        "HEADRACE_COMPATIBILITY": "flumine",
        "HEADRACE_RAISE_ERRORS": "yes",
        "HEADRACE_SIMULATED_STRATEGY_ISOLATION": "false",
        "HEADRACE_UNIT_TIMEOUT": "none",
        "HEADRACE_RECORDINGS": "/data",
        "HOME": "/root",
    }
    config = hr.Config.from_environment(environment)
    assert (config.place_latency, config.compatibility, config.raise_errors) == (0.2, "flumine", True)
    assert (config.simulated_strategy_isolation, config.unit_timeout) == (False, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("HEADRACE_SEED", "many"), ("HEADRACE_RAISE_ERRORS", "perhaps"), ("HEADRACE_COMPATIBILITY", "x")],
)
def test_environment_that_does_not_fit_is_a_config_error(name: str, value: str) -> None:
    with pytest.raises(hr.ConfigError, match=name.removeprefix("HEADRACE_").lower()):
        hr.Config.from_environment({name: value})


def test_latencies_of_the_configuration_are_those_of_the_exchange() -> None:
    from builders import back, priced, replay

    stream = priced().touch(249).touch(400).close()
    slow = replay(stream, {100: [back("a", 3.0, 5.0)]}, config=hr.Config(place_latency=0.15))
    assert [slow.snapshots[at]["a"].status for at in (249, 400)] == ["PENDING", "EXECUTABLE"]


# -- parameters ------------------------------------------------------------------------------------------------------


class Mood(enum.Enum):
    CALM = "calm"
    BOLD = "bold"


class Every(hr.Strategy):
    number: float = 1.0
    whole: int = 2
    flag: bool = False
    text: str = "a"
    choice: Literal["x", "y"] = "x"
    maybe: float | None = None
    mood: Mood = Mood.CALM
    several: tuple[int, ...] = (1, 2)
    anything: Any = None
    constant: ClassVar[int] = 3
    _private: int = 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", 2.5), ("whole", 3), ("flag", True), ("text", "b"), ("choice", "y"), ("maybe", 1.5), ("maybe", None),
        ("mood", Mood.BOLD), ("several", (3,)), ("anything", [1]),
    ],
)  # fmt: skip
def test_parameter_that_fits_is_taken(name: str, value: Any) -> None:
    assert getattr(Every(**{name: value}), name) == value


def test_whole_number_does_for_a_number() -> None:
    value = Every(number=2).number
    assert (value, type(value)) == (2.0, float)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("number", "2", "a number"),
        ("number", True, "a number"),
        ("whole", 2.0, "a whole number"),
        ("flag", 1, "True or False"),
        ("text", 1, "a text"),
        ("choice", "z", "'x' or 'y'"),
        ("maybe", "no", "a number or None"),
        ("mood", "calm", r"Mood \(CALM, BOLD\)"),
        ("several", [1], "tuple"),
    ],
)
def test_parameter_that_does_not_fit_is_refused_by_name(name: str, value: Any, expected: str) -> None:
    with pytest.raises(TypeError, match=rf"Every.{name} = .*: expected .*{expected}"):
        Every(**{name: value})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("number", "2", 2.0), ("whole", "3", 3), ("flag", "yes", True), ("flag", "0", False), ("text", "3", "3"),
        ("choice", "y", "y"), ("maybe", "none", None), ("maybe", "1.5", 1.5), ("mood", "BOLD", Mood.BOLD),
        ("mood", "bold", Mood.BOLD), ("several", "3, 4", (3, 4)), ("several", "", ()),
    ],
)  # fmt: skip
def test_text_of_the_command_line_becomes_a_value(name: str, text: str, value: Any) -> None:
    assert from_text(Every.parameters()[name], text, "Every") == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("number", "much"), ("whole", "1.5"), ("flag", "perhaps"), ("choice", "z"), ("mood", "sad"), ("several", "1,b")],
)
def test_text_that_does_not_fit_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(TypeError, match=rf"Every.{name}"):
        from_text(Every.parameters()[name], text, "Every")


def test_parameters_are_the_annotated_attributes_but_private_and_class_ones() -> None:
    names = ["number", "whole", "flag", "text", "choice", "maybe", "mood", "several", "anything"]
    assert list(Every.parameters()) == names
    assert list(Every().parameter_values) == names


def test_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(TypeError, match="Every has no parameter 'numbr'; did you mean 'number'"):
        Every(numbr=1)


def test_unknown_parameter_with_no_near_one_names_them_all() -> None:
    with pytest.raises(TypeError, match="it has anything, choice"):
        Every(zzzz=1)


@pytest.mark.parametrize("default", [[], {}, set()])
def test_default_that_can_change_is_refused(default: Any) -> None:
    cls = type("Shared", (hr.Strategy,), {"__annotations__": {"seen": type(default)}, "seen": default})
    with pytest.raises(TypeError, match=r"Shared\.seen = .*shared by all markets"):
        cls()


def test_parameter_without_default_is_needed() -> None:
    class Needs(hr.Strategy):
        edge: float

    assert Needs(edge=0.1).edge == 0.1
    with pytest.raises(TypeError, match="Needs needs a value for its parameter 'edge'"):
        Needs()


def test_default_of_the_wrong_type_is_refused() -> None:
    class Wrong(hr.Strategy):
        stake: float = "two"  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"Wrong\.stake = 'two': expected a number"):
        Wrong()


def test_subclass_inherits_and_overrides() -> None:
    class Parent(hr.Strategy):
        stake: float = 2.0
        side: str = "BACK"

    class Child(Parent):
        side = "LAY"
        edge: float = 0.1

    assert Child().parameter_values == {"stake": 2.0, "side": "LAY", "edge": 0.1}
    assert Child(stake=3).parameter_values == {"stake": 3.0, "side": "LAY", "edge": 0.1}


def test_init_of_ones_own_goes_with_parameters() -> None:
    class Own(hr.Strategy):
        stake: float = 2.0

        def __init__(self, **keywords: Any) -> None:
            super().__init__(**keywords)
            self.doubled = self.stake * 2

    assert Own(stake=4).doubled == 8.0


def test_name_is_the_class_unless_given() -> None:
    assert (Every().name, Every(name="other").name) == ("Every", "other")


def test_stream_object_carries_the_filters() -> None:
    class AnyStream:
        market_filter: ClassVar[dict[str, Any]] = {"event_type_ids": ["7"]}
        conflate_ms = 50

    strategy = Every(stream=AnyStream())
    assert (strategy.market_filter, strategy.conflate_ms) == ({"event_type_ids": ["7"]}, 50)
    with pytest.raises(ValueError, match="not both"):
        Every(stream=AnyStream(), streams=[AnyStream()])


# -- what a strategy's parameters may not be ---------------------------------------------------------------------------


class Skips(hr.Strategy):
    skip: int = 0


def test_wrong_parameters_are_one_clear_sentence() -> None:
    with pytest.raises(TypeError, match="Skips has no parameter 'skipp'; did you mean 'skip'"):
        Skips(skipp=1)
    with pytest.raises(TypeError, match=r"Skips.skip = 'x': expected a whole number"):
        Skips(skip="x")


def test_mutable_default_is_one_clear_sentence() -> None:
    class Shared(hr.Strategy):
        seen: list[int] = []  # noqa: RUF012

    with pytest.raises(TypeError, match=r"Shared\.seen = \[\].*shared by all markets"):
        Shared()
