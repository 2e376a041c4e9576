"""The configuration: one frozen object, validated where it is made and passed down to what needs it."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import socket
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from .values import did_you_mean, either, number_of, shown, unboxed

#: The greatest length of a `customer_strategy_ref`, in characters (Betfair's `customerStrategyRef`).
MAX_STRATEGY_REF = 15
_SEPARATORS = "-._+*:;~"
#: What is watched live, and in what it is counted.
_LIMITS = {
    "stream_silence_limit": "seconds",
    "latency_limit": "seconds",
    "clock_drift_limit": "seconds",
    "queue_limit": "a number",
    "stall_limit": "seconds",
    "restart_stalled": "seconds",
    "disk_limit": "megabytes",
}
#: How much of what happened live is kept.
_JOURNAL = ("journal_days", "journal_mb")
#: Models of the simulated exchange that are chosen by name.
_MODELS = ("queue", "liquidity", "settlement", "commission")
#: Models of the queue, beside "share:SHARE".
_QUEUES = ("proportional", "pessimistic", "optimistic", "flumine")
#: Models of latency, and what stands behind their names after a colon.
_LATENCIES = {"constant": "", "lognormal": "SPREAD", "uniform": "SPREAD", "session": "FOLDER"}
#: The greatest spread of a latency that is drawn: of the logarithm, and as a share of the constant.
_MAX_SPREAD = {"lognormal": 3.0, "uniform": 1.0}
#: Currencies that the exchange has accounts in; their smallest stakes are in `strategies/currency.py`.
_CURRENCIES = (
    *("GBP", "EUR", "USD", "HKD", "AUD", "CAD", "DKK", "NOK", "SEK", "SGD"),
    *("RON", "BRL", "MXN", "PEN", "HUF", "ISK", "NZD", "ARS", "GEL"),
)
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class ConfigError(ValueError):
    """A setting has a value that cannot be used; the message names the setting, the value and what fits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a run. Frozen: `dataclasses.replace(config, place_latency=0.2)` makes another.

    Attributes:
        compatibility: "flumine" repeats the results of flumine 3.3.2 to the penny; None: our own rules.
        simulated_strategy_isolation: each strategy matches against the full traded volume; False: they share it.
        simulation_available_prices: with `queue="flumine"`, resting orders also match against prices available after
            placement, which counts the same money more than once; other queues take each offer once in any case.
        queue: what of the cancellations at its price was ahead of a resting order: "proportional" (its share),
            "pessimistic" (nothing), "optimistic" (all), "share:0.4" (that share of them, 0 to 1), or "flumine" (as the
            peer has it); None: "proportional", under compatibility "flumine".
        liquidity: "finite": what an order took of a level is gone until the level is replenished; "flumine": every
            order finds what is published; None: "finite", under compatibility "flumine".
        settlement: non-runners, dead heats, lines and profits by the exchange's rules ("betfair") or as the peer has
            them ("flumine"); None: "betfair", under compatibility "flumine".
        commission: "market": the rate of the market; "flumine": 5 %, as the peer has it; the client's own
            `commission_base` goes before both. None: "market", under compatibility "flumine".
        latency: "constant": each request takes as long as the four settings below say; "lognormal:0.5" and
            "uniform:0.5" draw around them, with that spread of the logarithm (up to 3), or that share of them up and
            down (up to 1); "session:FOLDER" draws from what was measured in a session that `hr.Live(record=FOLDER)`
            kept. None: "constant", which alone is allowed under compatibility.
        stream_latency: simulated seconds from publishing a change to a strategy seeing it; not under compatibility.
        instance_id: the server's name or id, for logs, the manifest, the journal and config events;
            None: the machine's name.
        customer_strategy_ref: reference sent with every order, at most 15 characters.
        hostname: the old name of `customer_strategy_ref`.
        process_id: the process of the run, for logs.
        raise_errors: let errors of strategies end the run instead of being reported.
        max_execution_workers: HTTP requests under way at once, live.
        async_place_orders: place orders without waiting for the bet delay, live.
        place_latency, cancel_latency, update_latency, replace_latency: simulated seconds from request to exchange.
        order_sep: one character between the strategy's hash and the order's id in order references.
        execution_retry_attempts: tries of a cancel while the order stream is down.
        max_market_actors: market actors at once, live; None: four per CPU, memory allowing.
        seed: seeds `market.random`.
        currency: the currency of simulated accounts.
        stream_silence_limit: live, seconds for which a stream may bring nothing, not even heartbeats, before that is an
            alert. None: it is not watched; the same holds for the three that follow, and for `disk_limit`.
        latency_limit: live, seconds from publishing a change to reading it, from there to the end of the callbacks, and
            from a request to its answer, before that is an alert.
        clock_drift_limit: live, seconds by which this machine's clock may differ from publish times.
        queue_limit: live, letters that may wait at an actor, and calls that may wait for a thread.
        stall_limit: live, seconds that a callback may take before its host counts as stalled; never None.
        restart_stalled: live, seconds after which a host that is stalled is killed, and goes on as after any death;
            None: it never is. Threads (engine="local") cannot be killed: there it goes on once the callback returns.
        disk_limit: live, megabytes (10^6 bytes) that are to be left on the disk of the instance's folder.
        journal_days: live, days for which the journal is kept; what is open is kept for as long as it is open.
        journal_mb: live, megabytes (10^6 bytes) of the journal, above which what is over goes, the oldest first.
        max_deaths_an_hour: live, how often in an hour a market goes on after the end of its actor's process; then it is
            given up, and its open orders are cancelled.
        process_orders_interval: greatest time between two calls of `process_orders` while orders are live, seconds;
            not used under compatibility.
        unit_timeout: seconds for one unit of input (a file, an event), in every engine; what takes longer is given up:
            a row of `failures` says where it was. Code that cannot be interrupted ends with its process. None: as long
            as it takes.
        worker_memory: megabytes (10^6 bytes) a worker may have grown to at the end of a batch; beyond it is replaced by
            a new one. None: no limit but Ray's own, which ends workers when a machine's memory runs out.
        log_level: lowest level that is logged. INFO and DEBUG leave what this process shows to its own logging.
        log_json: log lines are JSON objects.
        log_setup: called once in every process instead of our own set-up of logging.
    """

    compatibility: Literal["flumine"] | None = None
    simulated_strategy_isolation: bool = True
    simulation_available_prices: bool = False
    queue: str | None = None
    liquidity: Literal["finite", "flumine"] | None = None
    settlement: Literal["betfair", "flumine"] | None = None
    commission: Literal["market", "flumine"] | None = None
    latency: str | None = None
    stream_latency: float = 0.0
    instance_id: str | None = None
    customer_strategy_ref: str | None = None
    hostname: str | None = None
    process_id: int = dataclasses.field(default_factory=os.getpid)
    raise_errors: bool = False
    max_execution_workers: int = 32
    async_place_orders: bool = False
    place_latency: float = 0.120
    cancel_latency: float = 0.170
    update_latency: float = 0.150
    replace_latency: float = 0.280
    order_sep: str = "-"
    execution_retry_attempts: int = 10
    max_market_actors: int | None = None
    seed: int = 0
    currency: str = "GBP"
    stream_silence_limit: float | None = 10.0
    latency_limit: float | None = 2.0
    clock_drift_limit: float | None = 1.0
    queue_limit: int | None = 1000
    stall_limit: float = 5.0
    restart_stalled: float | None = None
    disk_limit: float | None = 200.0
    journal_days: int = 30
    journal_mb: float = 1000.0
    max_deaths_an_hour: int = 20
    process_orders_interval: float = 1.0
    unit_timeout: float | None = None
    worker_memory: float | None = None
    log_level: str = "INFO"
    log_json: bool = True
    log_setup: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        hints = _hints()
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked(field.name, getattr(self, field.name), hints[field.name]))
        for name in ("place_latency", "cancel_latency", "update_latency", "replace_latency", "stream_latency"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)}: expected seconds, 0 or more")
        for name in _MODELS:
            if self.compatibility == "flumine" and getattr(self, name) not in (None, "flumine"):
                raise ConfigError(
                    f"{name}={getattr(self, name)!r}: compatibility='flumine' has the peer's; leave one of the two out"
                )
        queue_of(self.queue)
        kind, _ = latency_of(self.latency)
        if self.compatibility == "flumine" and (kind != "constant" or self.stream_latency):
            name = "latency" if kind != "constant" else "stream_latency"
            raise ConfigError(
                f"{name}={getattr(self, name)!r}: compatibility='flumine' has constant latencies, and none of the "
                "stream; leave one of the two out"
            )
        if self.currency not in _CURRENCIES:
            hint = did_you_mean(self.currency, _CURRENCIES)
            raise ConfigError(f"currency={self.currency!r}: expected {either(_CURRENCIES)}{hint}")
        if not self.process_orders_interval > 0:
            raise ConfigError(f"process_orders_interval={self.process_orders_interval}: expected seconds above 0")
        if self.unit_timeout is not None and not self.unit_timeout > 0:
            raise ConfigError(f"unit_timeout={self.unit_timeout}: expected seconds above 0, or None")
        if self.worker_memory is not None and not self.worker_memory > 0:
            raise ConfigError(f"worker_memory={self.worker_memory}: expected megabytes above 0, or None")
        for name in _LIMITS:
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                none = "" if name == "stall_limit" else ", or None"
                raise ConfigError(f"{name}={limit}: expected {_LIMITS[name]} above 0{none}")
        if self.journal_days < 1:
            raise ConfigError(f"journal_days={self.journal_days}: expected days, 1 or more")
        if self.max_deaths_an_hour < 0:
            raise ConfigError(f"max_deaths_an_hour={self.max_deaths_an_hour}: expected 0 or more")
        if not self.journal_mb >= 1:
            raise ConfigError(f"journal_mb={self.journal_mb}: expected megabytes, 1 or more")
        if self.max_execution_workers < 1:
            raise ConfigError(f"max_execution_workers={self.max_execution_workers}: expected 1 or more")
        if self.max_market_actors is not None and self.max_market_actors < 1:
            raise ConfigError(f"max_market_actors={self.max_market_actors}: expected 1 or more, or None")
        if self.execution_retry_attempts < 0:
            raise ConfigError(f"execution_retry_attempts={self.execution_retry_attempts}: expected 0 or more")
        separator = self.order_sep
        if len(separator) != 1 or not (separator.isascii() and (separator.isalnum() or separator in _SEPARATORS)):
            raise ConfigError(f"order_sep={separator!r}: expected one letter, digit or one of {_SEPARATORS}")
        if self.hostname is not None and self.customer_strategy_ref is None:
            object.__setattr__(self, "customer_strategy_ref", self.hostname)
        ref = self.customer_strategy_ref
        if ref is not None and not 0 < len(ref) <= MAX_STRATEGY_REF:
            raise ConfigError(
                f"customer_strategy_ref={ref!r}: expected 1 to {MAX_STRATEGY_REF} characters, got {len(ref)}"
            )
        if self.log_level.upper() not in _LOG_LEVELS:
            hint = did_you_mean(self.log_level, _LOG_LEVELS)
            raise ConfigError(f"log_level={self.log_level!r}: expected DEBUG, INFO, WARNING, ERROR or CRITICAL{hint}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Config:
        """A configuration from names and values; texts are read as the type of the setting.

        Raises:
            ConfigError: a name is unknown (the nearest is named) or a value does not fit.
        """
        hints = typing.get_type_hints(cls)
        settings = {}
        for name, value in values.items():
            if name not in hints:
                raise ConfigError(f"no setting {name!r}{did_you_mean(name, hints)}")
            settings[name] = _from_text(name, value, hints[name]) if isinstance(value, str) else value
        return cls(**settings)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Config:
        """A configuration from variables such as `HEADRACE_PLACE_LATENCY=0.2`."""
        environment = os.environ if environment is None else environment
        prefix = "HEADRACE_"
        names = {field.name for field in dataclasses.fields(cls)}
        found = {key[len(prefix) :].lower(): value for key, value in environment.items() if key.startswith(prefix)}
        return cls.from_mapping({name: value for name, value in found.items() if name in names})

    @classmethod
    def from_toml(cls, path: str | Path) -> Config:
        """A configuration from a TOML file, of its table `[headrace]` where it has one.

        Raises:
            ConfigError: the file cannot be read, is not TOML, or holds a setting that does not fit.
        """
        try:
            values = tomllib.loads(Path(path).read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        table = values.get("headrace", values)
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: headrace={table!r}: expected a table, [headrace], with a setting on each line")
        return cls.from_mapping(table)

    def as_dict(self) -> dict[str, Any]:
        """The settings that describe a run: all but those of the process, of its logs, and of what is watched live."""
        left_out = {"process_id", "log_setup", "log_level", "log_json", "instance_id", "hostname", *_LIMITS, *_JOURNAL}
        return {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in left_out
        }


def queue_of(text: str | None) -> tuple[str | None, float]:
    """The model of the queue that `Config.queue` names, and the share behind the colon; 0.0 where there is none.

    Raises:
        ConfigError: there is no such model, or no such share.
    """
    if text is None or text in _QUEUES:
        return text, 0.0
    kind, _, argument = text.partition(":")
    if kind != "share":
        names = [*map(repr, _QUEUES), "'share:SHARE'"]
        raise ConfigError(f"queue={text!r}: expected {either(names)} or None{did_you_mean(kind, (*_QUEUES, 'share'))}")
    try:
        share = float(argument)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(f"queue={text!r}: expected a share of 0 to 1, such as 'share:0.4'")
    return kind, share


def latency_of(text: str | None) -> tuple[str, str]:
    """The model of latency that `Config.latency` names, and what stands behind the colon.

    Raises:
        ConfigError: there is no such model, or it cannot be made of that.
    """
    if text is None:
        return "constant", ""
    kind, _, argument = text.partition(":")
    if kind not in _LATENCIES:
        names = [f"'{name}:{wants}'" if wants else repr(name) for name, wants in _LATENCIES.items()]
        raise ConfigError(f"latency={text!r}: expected {either(names)} or None{did_you_mean(kind, _LATENCIES)}")
    if kind == "constant" and argument:
        raise ConfigError(
            f"latency={text!r}: expected nothing after 'constant'; the settings place_latency and so on say"
        )
    if kind == "session" and not argument:
        raise ConfigError(f"latency={text!r}: expected the folder of a recorded session, such as 'session:recorded'")
    if kind in _MAX_SPREAD:
        try:
            spread = float(argument)
        except ValueError:
            spread = 0.0
        if not 0 < spread <= _MAX_SPREAD[kind]:
            raise ConfigError(
                f"latency={text!r}: expected a spread above 0, up to {_MAX_SPREAD[kind]:g}, such as '{kind}:0.5'"
            )
    return kind, argument


def instance_id_of(config: Config) -> str:
    """The server's name or id: as it is configured, else the machine's name."""
    return config.instance_id or socket.gethostname()


def with_instance_id(config: Config) -> Config:
    """The configuration as those are told who listen to a run: it says at which server that is."""
    return dataclasses.replace(config, instance_id=instance_id_of(config))


def _members(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


@functools.cache
def _hints() -> dict[str, Any]:
    """The types of the fields of `Config`; reading them takes longer than all else in making one."""
    return typing.get_type_hints(Config)


def _checked(name: str, value: Any, hint: Any) -> Any:
    """`value` as the setting wants it: a whole number will do for a float."""
    value = unboxed(value)
    names: list[str] = []
    choices: list[str] = []
    for member in _members(hint):
        if member is type(None):
            if value is None:
                return None
            names.append("None")
        elif typing.get_origin(member) is Literal:
            if value in typing.get_args(member):
                return value
            choices.extend(typing.get_args(member))
            names.extend(repr(choice) for choice in typing.get_args(member))
        elif member is float:
            found = number_of(value)
            if found is not None and math.isfinite(found):
                return float(found)
            names.append("a number")
        elif member is int:
            if isinstance(value, int) and not isinstance(value, bool):
                return int(value)
            names.append("a whole number")
        elif member in (bool, str):
            if isinstance(value, member):
                return value
            names.append("True or False" if member is bool else "a text")
        elif callable(value):
            return value
        else:
            names.append("a function")
    raise ConfigError(f"{name}={shown(value)}: expected {either(names)}{did_you_mean(value, choices)}")


def _from_text(name: str, text: str, hint: Any) -> Any:
    for member in _members(hint):
        if member is type(None) and text.lower() in ("", "none"):
            return None
        if member is bool and text.lower() in ("true", "false", "1", "0", "yes", "no"):
            return text.lower() in ("true", "1", "yes")
        if member in (int, float):
            try:
                return member(text)
            except ValueError:
                continue
        if member is str or typing.get_origin(member) is Literal:
            return text
    return _checked(name, text, hint)
