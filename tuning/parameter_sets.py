"""Parameter sets of a sweep: a grid, a sample, or a list, checked before anything runs."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..loading import make_strategy
from ..strategies.errors import InputError
from ..strategies.parameters import Parameter, Values, check_names, checked, declared_parameters, from_text
from ..strategies.strategy import Strategy
from ..values import unboxed
from .parameter_ranges import Choice, Range, choices, range_or_choice

#: Keys of a strategy's context are swept as "context.KEY".
CONTEXT = "context."
_LIMITS: dict[str, Any] = {
    "max_order_exposure": float | None,
    "max_selection_exposure": float | None,
    "max_market_exposure": float | None,
    "max_trade_count": float,
    "max_live_trade_count": float,
    "multi_order_trades": bool,
    "market_filter": Any,
}
_KEPT = ("market_data_filter", "streaming_timeout", "conflate_ms", "stream_class", "sports_data_filter")

#: A grid or ranges by name, or a list of sets.
Parameters = Mapping[str, Any] | Iterable[Mapping[str, Any]]


def sweepable(strategy_class: type[Strategy]) -> dict[str, Parameter]:
    """What of a strategy can be swept, by name: its parameters, its limits and its market filter."""
    limits = {name: Parameter(name, kind, None) for name, kind in _LIMITS.items()}
    return {**limits, **declared_parameters(strategy_class, Strategy)}


def settable(strategy_class: type[Strategy]) -> dict[str, Parameter]:
    """What of a strategy a command line can set, by name: its parameters and its limits."""
    return {name: each for name, each in sweepable(strategy_class).items() if name != "market_filter"}


def parameter_sets(
    strategy_class: type[Strategy], parameters: Parameters, samples: int | None = None, seed: int = 0
) -> list[Values]:
    """The sets of a sweep, in order.

    Args:
        parameters: lists of values by name: all combinations, the last name fastest; or a list of sets.
        samples: draw so many sets instead: from `(low, high)` tuples evenly, ends included, from `log_range`s likewise
            by ratio, from lists by choice.
        seed: of the draw.

    Raises:
        TypeError: a name is not known (the message names the nearest), or a value does not fit its type.
        InputError: there is no set, or what stands for a name is not a list (or, with `samples`, not a range).
    """
    known = sweepable(strategy_class)
    owner = strategy_class.__name__
    if not isinstance(parameters, Mapping):
        if samples is not None:
            raise InputError("random= draws from ranges: give parameters as a dict of (low, high) tuples and lists")
        sets = [dict(each) for each in parameters]
        if len({frozenset(each) for each in sets}) > 1:
            raise InputError(f"parameter sets of {owner} name different parameters; name the same ones in each")
    else:
        check_names((name for name in parameters if not _in_context(name)), known, owner)
        sets = _grid(parameters) if samples is None else _sample(parameters, known, samples, seed)
    if not sets:
        raise InputError(f"no parameter sets of {owner}: every parameter needs at least one value")
    return [_checked(each, known, owner) for each in sets]


def _in_context(name: str) -> bool:
    return name.startswith(CONTEXT) and len(name) > len(CONTEXT)


def _checked(values: Mapping[str, Any], known: Mapping[str, Parameter], owner: str) -> Values:
    check_names((name for name in values if not _in_context(name)), known, owner)
    found: Values = {}
    for name, value in values.items():
        plain = unboxed(value)
        found[name] = plain if _in_context(name) else checked(known[name], plain, owner)
    return found


def _grid(parameters: Mapping[str, Any]) -> list[Values]:
    lists = [choices(name, values) for name, values in parameters.items()]
    return [dict(zip(parameters, values, strict=True)) for values in itertools.product(*lists)]


def _sample(parameters: Mapping[str, Any], known: Mapping[str, Parameter], samples: int, seed: int) -> list[Values]:
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(f"random={samples!r}: expected how many sets to draw, 1 or more")
    if not parameters:
        return []
    chance = random.Random(seed)
    space = {name: range_or_choice(name, values, known.get(name)) for name, values in parameters.items()}
    return [{name: each.draw(chance) for name, each in space.items()} for _ in range(samples)]


def search_space(strategy_class: type[Strategy], parameters: Mapping[str, Any]) -> dict[str, Range | Choice]:
    """What each parameter of a search may be.

    Args:
        parameters: `(low, high)` tuples, `log_range`s and lists by name.

    Raises:
        TypeError: a name is not known (the message names the nearest), or a value does not fit its type.
        InputError: there is no name, or what stands for a name is neither a range nor a list.
    """
    known = sweepable(strategy_class)
    owner = strategy_class.__name__
    if not isinstance(parameters, Mapping):
        raise InputError("a search moves in ranges: give parameters as a dict of (low, high) tuples and lists")
    check_names((name for name in parameters if not _in_context(name)), known, owner)
    space = {name: range_or_choice(name, values, known.get(name)) for name, values in parameters.items()}
    if not space:
        raise InputError(f"no parameters of {owner} to search: give at least one range (low, high) or list of values")
    for name, each in space.items():
        for value in each.ends:
            _checked({name: value}, known, owner)
    return space


def parse_values(strategy_class: type[Strategy], texts: Mapping[str, str], ranges: bool = False) -> dict[str, Any]:
    """Parameters of a sweep as a command line gives them: values with commas between them, or a range `low:high`.

    Args:
        ranges: take `low:high` for a range.

    Raises:
        TypeError: a name is not known, or a value does not fit its type.
    """
    known = sweepable(strategy_class)
    owner = strategy_class.__name__
    check_names((name for name in texts if not _in_context(name)), known, owner)
    found: dict[str, Any] = {}
    for name, text in texts.items():
        parameter = Parameter(name, int | float | str, None) if _in_context(name) else known[name]
        low, colon, high = text.partition(":")
        if ranges and colon and "," not in text:
            found[name] = (from_text(parameter, low.strip(), owner), from_text(parameter, high.strip(), owner))
        else:
            found[name] = [from_text(parameter, part.strip(), owner) for part in text.split(",")]
    return found


def make_sets(strategy: Strategy | type[Strategy], sets: Sequence[Values]) -> list[Strategy]:
    """A strategy for each set: made anew, so that its `__init__` sees the values; all have one name.

    Args:
        strategy: a class, or an instance that gives the values which the sets leave out.

    Raises:
        InputError: the class cannot be made with keywords, or its own `__init__` failed.
        TypeError: a parameter is required and has no value.
    """
    if isinstance(strategy, type):
        return [_made(strategy, values, {}, {}) for values in sets]
    if not isinstance(strategy, Strategy):
        raise InputError(f"{strategy!r} is not a strategy: give a subclass of headrace.Strategy, or an instance of one")
    given = {
        name: getattr(strategy, name)
        for name in (*declared_parameters(type(strategy), Strategy), *_LIMITS, *_KEPT, "name")
    }
    return [_made(type(strategy), values, given, strategy.context) for values in sets]


def _made(cls: type[Strategy], values: Values, given: Values, context: Mapping[Any, Any]) -> Strategy:
    keywords = {**given, **{name: value for name, value in values.items() if not _in_context(name)}}
    swept = {name[len(CONTEXT) :]: value for name, value in values.items() if _in_context(name)}
    if context or swept:
        keywords["context"] = {**copy.deepcopy(dict(context)), **swept}
    return make_strategy(cls, keywords)
