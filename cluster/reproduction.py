"""What repeats a failure: the command or the call of the run, with all that was given, over the unit that failed."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import os
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ..actors.clients import BaseClient, SimulatedClient
from ..config import Config
from ..names import to_text
from ..simulate.units import Unit
from ..strategies.hosting import declared_of, limits_of, parameters_of
from ..strategies.parameters import from_text
from ..strategies.strategy import Strategy

#: Recordings that are named one by one; for a unit of more the markets of the run are given.
_MOST_PATHS = 20
#: Stands for what cannot be written down.
_OMITTED = "..."


@dataclasses.dataclass(frozen=True)
class ShellCommand:
    """A run as a command of a shell.

    Attributes:
        text: all but the markets.
        markets: those of the run.
    """

    text: str
    markets: tuple[str, ...] = ()

    def __call__(self, unit: Unit) -> str:
        """The command for one unit."""
        given = [word for path in _paths(unit, self.markets) for word in ("--markets", path)]
        return f"{self.text} {shlex.join([*given, '--engine', 'local'])}"


@dataclasses.dataclass(frozen=True)
class PythonCall:
    """A run as a call in Python.

    Attributes:
        function: such as "hr.backtest".
        before: arguments before the markets.
        after: keywords after them.
        note: what the text leaves out.
    """

    function: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    note: str = ""
    markets: tuple[str, ...] = ()

    def __call__(self, unit: Unit) -> str:
        """The call for one unit."""
        paths = _paths(unit, self.markets)
        markets = repr(paths[0] if len(paths) == 1 else paths)
        text = ", ".join((*self.before, markets, "engine='local'", *self.after))
        return f"{self.function}({text})" + (f"  # {self.note}" if self.note else "")


def _paths(unit: Unit, markets: Sequence[str]) -> list[str]:
    paths = [to_text(str(path)) for path in unit.paths]
    return list(markets) if markets and len(paths) > _MOST_PATHS else paths


# -- commands of a shell ---------------------------------------------------------------------------------------------

#: Options of a run that do not change a unit's result; instead of `markets` the unit's own recordings are named.
NOT_REPEATED = frozenset(("markets", "out", "resume", "engine", "workers", "debug", "quiet", "progress", "command"))


def words_of(
    options: Iterable[Any], values: Mapping[str, Any], defaults: Collection[str], left_out: Collection[str]
) -> list[str]:
    """The words of a command line that give these values.

    Args:
        options: of the command, as click has them.
        values: by the options' names.
        defaults: names of options that were not given.
        left_out: names of those that are not repeated.
    """
    found: list[str] = []
    for option in options:
        value = values.get(option.name)
        if option.name in left_out or option.name in defaults or value is None:
            continue
        each = value if option.multiple or option.nargs != 1 else [value]
        if option.param_type_name == "argument":
            found.extend(map(str, each))
        elif option.is_flag:
            found.extend(option.opts[:1] if value else option.secondary_opts[:1])
        else:
            found.extend(word for one in each for word in (option.opts[0], str(one)))
    return found


def words_of_set(kind: type[Strategy], values: Mapping[str, Any], options: Iterable[Any]) -> list[str] | None:
    """The words that give a strategy the values of a parameter set; None where there are none for some value.

    Args:
        options: of the command that runs one set.
    """
    declared = declared_of(kind)
    limits = {option.name: option.opts[0] for option in options}
    found: list[str] = []
    for name, value in values.items():
        text = value.name if isinstance(value, enum.Enum) else str(value)
        if name in declared:
            try:
                read = from_text(declared[name], text, kind.__name__)
            except TypeError:
                return None
            if read != value:
                return None
            found += ["--parameter", f"{name}={text}"]
        elif name in limits and value is not None:
            found += [limits[name], text]
        else:
            return None
    return found


# -- calls in Python -------------------------------------------------------------------------------------------------


def call_of_backtest(
    strategies: Sequence[Strategy], config: Config, given: Mapping[str, Any], markets: Any, rest: bool = False
) -> PythonCall:
    """The call of `hr.backtest` that makes a run.

    Args:
        given: further keywords of the call, by name.
        markets: those of the run.
        rest: there is more to the run than `hr.backtest` takes.
    """
    made = [_made(strategy) for strategy in strategies]
    first = made[0] if len(made) == 1 else f"[{', '.join(made)}]"
    keywords = [] if config == Config() else [f"config={_config(config)}"]
    keywords += [f"{name}={_written(value)}" for name, value in given.items()]
    omitted = any(_OMITTED in text for text in (first, *keywords))
    notes = [
        f"{_OMITTED}: as in the run" if omitted else "",
        "with what was added to the run" if rest else "",
    ]
    return PythonCall("hr.backtest", (first,), tuple(keywords), "; ".join(filter(None, notes)), texts_of(markets))


def texts_of(markets: Any) -> tuple[str, ...]:
    """The markets of a call as texts; none where they are something else, such as a selection of a catalog."""
    each = [markets] if isinstance(markets, (str, os.PathLike)) else markets
    if not isinstance(each, (list, tuple)) or not all(isinstance(one, (str, os.PathLike)) for one in each):
        return ()
    return tuple(map(os.fspath, each))


def given_beside(call: Callable[..., Any], arguments: Mapping[str, Any], left_out: Collection[str]) -> dict[str, Any]:
    """Those arguments of a call that are not as its defaults have them.

    Args:
        arguments: by name.
        left_out: names that are not asked for.
    """
    defaults = {name: each.default for name, each in inspect.signature(call).parameters.items()}
    return {
        name: value
        for name, value in arguments.items()
        if name in defaults and name not in left_out and value is not None and not _same(value, defaults[name])
    }


def _made(strategy: Strategy) -> str:
    """A strategy as it was made."""
    kind, plain = type(strategy), Strategy()
    values = {"name": strategy.name, **parameters_of(strategy), **limits_of(strategy)}
    values["stream_class"] = strategy.stream_class
    defaults = {"name": kind.__name__, "stream_class": None, **limits_of(plain)}
    defaults |= {name: parameter.default for name, parameter in declared_of(kind).items()}
    given = {name: value for name, value in values.items() if not _same(value, defaults.get(name))}
    texts = [f"{name}={_written(value)}" for name, value in given.items()]
    return f"{kind.__name__}({', '.join(texts) if _takes(kind, given, values) else _OMITTED})"


def _takes(kind: type[Strategy], given: Collection[str], known: Collection[str]) -> bool:
    """Whether a class is made of these keywords: its own `__init__` has them, and none that is unknown."""
    if kind.__init__ is Strategy.__init__:
        return True
    _, *parameters = inspect.signature(kind.__init__).parameters.values()
    names = {each.name for each in parameters if each.kind is not each.VAR_KEYWORD}
    return names <= set(known) and (len(names) < len(parameters) or set(given) <= names)


def _same(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:
        return False


def _config(config: Config) -> str:
    plain = Config()
    described = config.as_dict()
    texts = [f"{name}={_written(value)}" for name, value in described.items() if not _same(value, getattr(plain, name))]
    return f"hr.Config({', '.join(texts)})"


def same_settings(one: BaseClient, other: BaseClient) -> bool:
    """Whether two clients are of one class and have the same settings."""
    return type(one) is type(other) and _settings(one) == _settings(other)


def _settings(client: BaseClient) -> dict[str, str]:
    names = inspect.signature(BaseClient).parameters
    return {name: _written(getattr(client, name)) for name in names if hasattr(client, name)}


def _client(client: SimulatedClient) -> str:
    plain = _settings(SimulatedClient())
    texts = [f"{name}={text}" for name, text in _settings(client).items() if text != plain[name]]
    return f"hr.SimulatedClient({', '.join(texts)})"


def _written(value: Any) -> str:
    """A value as source, `...` where it has none."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f"float('{value}')"
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return repr(value)
    if type(value) is SimulatedClient:
        return _client(value)
    if type(value) is dict:
        return "{" + ", ".join(f"{_written(key)}: {_written(each)}" for key, each in value.items()) + "}"
    if type(value) is list:
        return f"[{', '.join(map(_written, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(_written, value))}{',' if len(value) == 1 else ''})"
    return _OMITTED


#: How a unit is run again, as text.
Reproduction = Callable[[Unit], str]
