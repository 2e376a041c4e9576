"""What the framework keeps for a strategy: in one slot, so that it never clashes with a name of the user's.

A strategy's attributes belong to its author. `self.window`, `self.records`, `self.host` are names that strategies use
for things of their own; nothing here looks at them. A strategy whose `__init__` never called the base's, as that of a
dataclass, has the defaults of its class.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ..values import legible, number_of, shown, word
from .errors import RunError
from .host import Host
from .parameters import Parameter, checked, declared_parameters
from .runner_context import RunnerContext
from .window import Window

if TYPE_CHECKING:
    from .framework import Framework
    from .strategy import Strategy

SCOPES = ("market", "event", "run")
ORDERS_SCOPES = ("live", "all")
#: Limits: the most that may be lost or placed; None where there is none.
EXPOSURES = ("max_order_exposure", "max_selection_exposure", "max_market_exposure")
COUNTS = ("max_trade_count", "max_live_trade_count")

Value = TypeVar("Value")


class Offered(Generic[Value]):
    """Something that every strategy can be asked for, under a name that its author may use for something else."""

    def __init__(self, read: Callable[[Any], Value]) -> None:
        self._read = read
        self.__doc__ = read.__doc__

    @overload
    def __get__(self, strategy: None, owner: type) -> Offered[Value]: ...

    @overload
    def __get__(self, strategy: object, owner: type) -> Value: ...

    def __get__(self, strategy: object | None, owner: type) -> Offered[Value] | Value:
        return self if strategy is None else self._read(strategy)


class MadeAtFirst(Offered[Value]):
    """Made when it is first read, and the instance's own from then on."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, strategy: None, owner: type) -> Offered[Value]: ...

    @overload
    def __get__(self, strategy: object, owner: type) -> Value: ...

    def __get__(self, strategy: object | None, owner: type) -> Offered[Value] | Value:
        if strategy is None:
            return self
        made = strategy.__dict__[self._name] = self._read(strategy)
        return made


class Hosting:
    """The framework's side of one strategy. It is never copied or pickled: a copy of the strategy has a new one.

    Attributes:
        framework: where the strategy lives; None if it is not hosted.
        contexts: what it has done, by market and runner.
        records: market id, milliseconds since the epoch and JSON of each row that it keeps for the result.
    """

    __slots__ = ("_filter", "_host", "_window", "contexts", "framework", "records")

    def __init__(self, host: Host | None = None, framework: Framework | None = None) -> None:
        self._host = host
        self.framework = framework
        self.contexts: dict[str, dict[int | tuple[int, float], RunnerContext]] = {}
        self.records: list[tuple[str, int, str]] = []
        self._filter: Any = None
        self._window: Window | None = None

    @property
    def host(self) -> Host:
        """The clock and rules of the strategy's host; the machine's own time if it is not hosted."""
        if self._host is None:
            self._host = Host.detached()
        return self._host

    def window(self, market_filter: Any) -> Window:
        """The window of a filter, which is read once."""
        if self._window is None or self._filter is not market_filter:
            self._filter, self._window = market_filter, Window.of_filter(market_filter)
        return self._window

    def forget_window(self) -> None:
        self._window = None

    def take_records(self, market_id: str) -> list[tuple[str, int, str]]:
        """The records of a market; they are forgotten here."""
        mine = [record for record in self.records if record[0] == market_id]
        if mine:
            self.records = [record for record in self.records if record[0] != market_id]
        return mine

    def __deepcopy__(self, memo: dict[int, Any]) -> Hosting:
        return Hosting()

    def __reduce__(self) -> tuple[Any, ...]:
        return Hosting, ()


def window_of(strategy: Strategy) -> Window:
    """When a strategy wants to see books."""
    return strategy._headrace.window(strategy.market_filter)


def scope_of(strategy: Strategy) -> str:
    """Where instances of a strategy live."""
    scope: str = strategy.scope
    return "event" if scope == "market" and _groups_events(strategy.market_filter) else scope


def parameters_of(strategy: Strategy) -> dict[str, Any]:
    """The values of a strategy's declared parameters."""
    return {name: getattr(strategy, name) for name in declared_of(type(strategy))}


def limits_of(strategy: Strategy) -> dict[str, Any]:
    """A strategy's limits, filter and context, by keyword."""
    names = (*EXPOSURES, *COUNTS, "multi_order_trades", "market_filter", "context")
    return {name: getattr(strategy, name) for name in names}


def description_of(strategy: Strategy) -> dict[str, Any]:
    """What a log line tells of a strategy."""
    return {"name": strategy.name, "parameters": parameters_of(strategy), **limits_of(strategy)}


def state_of(strategy: Strategy) -> dict[str, Any]:
    """What a strategy knows by itself: all its attributes but those that it is configured with."""
    cls: type = type(strategy)
    configured = _configured(cls)
    return {name: value for name, value in vars(strategy).items() if name not in configured}


def take_state(strategy: Strategy, state: Mapping[str, Any]) -> None:
    """Give a strategy the attributes that another copy of it had; what it is configured with stays as it is."""
    cls: type = type(strategy)
    configured = _configured(cls)
    vars(strategy).update({name: value for name, value in state.items() if name not in configured})


@functools.lru_cache(maxsize=64)
def _configured(cls: type) -> frozenset[str]:
    """The attributes that come from the run's configuration, or are the framework's."""
    return _SETTINGS - {"context"} | {"streams", "_headrace", *declared_of(cls)}


def declared_of(cls: type) -> dict[str, Parameter]:
    """The parameters that a class of strategies declares, by name.

    Raises:
        TypeError: a default is mutable: all markets would share it.
    """
    from .strategy import Strategy

    return declared_parameters(cls, Strategy)


def _groups_events(market_filter: Any) -> bool:
    """Whether a filter asks, as flumine's does, for the markets of an event to be processed together."""
    filters = market_filter if isinstance(market_filter, (list, tuple)) else [market_filter]
    return any(isinstance(one, dict) and (one.get("event_processing") or one.get("event_groups")) for one in filters)


# -- hosting ---------------------------------------------------------------------------------------------------------


def opened(strategy: Strategy, framework: Any) -> None:
    """Call `start`: the process has begun; the clients are known meanwhile."""
    hosting = strategy._headrace
    hosting.framework = framework
    try:
        strategy.start(framework)
    finally:
        hosting.framework = None
    hosting.forget_window()
    require_callbacks(strategy)


def hosted(strategy: Strategy, framework: Framework) -> Strategy:
    """A copy of a strategy for one market (or event, or run), living by the framework's clock."""
    copied = copy.deepcopy(strategy)
    vars(copied)["_headrace"] = Hosting(framework.host, framework)
    return copied


def instance_of(cls: type[Strategy], keywords: Mapping[str, Any]) -> Strategy:
    """A strategy of a class, from keywords of which its own `__init__` may know nothing: name, limits, filters.

    Raises:
        TypeError: the class has no such keyword, or needs others.
    """
    from .strategy import KEYWORDS

    taken = inspect.signature(cls.__init__).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in taken):
        return cls(**keywords)
    names = {each.name for each in taken}
    later = {name: value for name, value in keywords.items() if name in KEYWORDS and name not in names}
    made = cls(**{name: value for name, value in keywords.items() if name not in later})
    for name, value in later.items():
        object.__setattr__(made, name, value)
    return made


# -- checks ----------------------------------------------------------------------------------------------------------


def require_sound(strategy: Strategy) -> None:
    """Refuse what would go wrong in every market, in a strategy that is about to be run; make plain values of the rest.

    Raises:
        RunError: names the attribute, its value, and what was expected.
    """
    owner = type(strategy).__name__
    own = vars(strategy)
    if not isinstance(strategy.name, str) or not strategy.name or legible(strategy.name) != strategy.name:
        raise RunError(f"{owner}: name={shown(strategy.name)}: expected a text")
    if not isinstance(strategy.context, Mapping):
        raise RunError(f"{owner}: context={shown(strategy.context)}: expected a dict")
    if "context" not in own:
        own["context"] = copy.copy(strategy.context)  # a dict of the class would be shared by all markets
    for name, value in limits(strategy, owner, RunError).items():
        if value is not getattr(strategy, name):
            own[name] = value
    word(strategy.scope, f"{owner}: scope", SCOPES, RunError)
    word(strategy.process_orders_scope, f"{owner}: process_orders_scope", ORDERS_SCOPES, RunError)
    require_stream(strategy.stream_class, owner, RunError)
    for name, parameter in declared_of(type(strategy)).items():
        try:
            value = getattr(strategy, name)
        except AttributeError:
            raise RunError(f"{owner} needs a value for its parameter {name!r}") from None
        try:
            plain = checked(parameter, value, owner)
        except TypeError as error:
            raise RunError(str(error)) from None
        if type(plain) is not type(value) and type(value).__module__ == "numpy":
            own[name] = plain
    require_callbacks(strategy)


def limits(settings: Any, owner: str, error: type[Exception]) -> dict[str, Any]:
    """The limits among settings (a strategy, or a dict), as plain numbers.

    Raises:
        error: one of them is not a number.
    """
    read = settings.get if isinstance(settings, dict) else lambda name: getattr(settings, name)
    found: dict[str, Any] = {}
    for name in (*EXPOSURES, *COUNTS):
        value = read(name)
        number = number_of(value)
        if value is None and name in EXPOSURES:
            found[name] = None
        elif number is None or not number >= 0:
            none = ", or None" if name in EXPOSURES else ""
            raise error(f"{owner}: {name}={shown(value)}: expected a number, 0 or more{none}")
        else:
            found[name] = number
    if type(read("multi_order_trades")).__name__ not in ("bool", "bool_"):
        raise error(f"{owner}: multi_order_trades={shown(read('multi_order_trades'))}: expected True or False")
    found["multi_order_trades"] = bool(read("multi_order_trades"))
    return found


def require_stream(stream_class: Any, owner: str, error: type[Exception]) -> None:
    """Refuse what is not a class of streams.

    Raises:
        error: names it.
    """
    if stream_class is not None and not isinstance(stream_class, type):
        raise error(f"{owner}: stream_class={shown(stream_class)}: expected a class, such as headrace.DataStream")


def require_callbacks(strategy: Strategy) -> None:
    """Refuse a strategy one of whose attributes stands where a method is called.

    Raises:
        RunError: names the attribute.
    """
    from .strategy import CALLED

    for name in CALLED & vars(strategy).keys():
        if not callable(vars(strategy)[name]):
            raise RunError(_shadowed(type(strategy).__name__, f"self.{name}", vars(strategy)[name], name))


def require_names(cls: type, base: type, called: frozenset[str]) -> None:
    """Refuse a class whose parameters or attributes stand where methods and properties of every strategy are.

    Raises:
        TypeError: names the attribute and the way out.
    """
    for name, annotation in inspect.get_annotations(cls).items():
        kind = None if "ClassVar" in str(annotation) else taken_by(name, base)
        if kind is not None:
            raise TypeError(
                f"{cls.__name__}.{name} is a parameter with the name of {kind} that every strategy has; "
                f"give it another name, such as {name}_value"
            )
    for name in called:
        value = inspect.getattr_static(cls, name)
        if not callable(value) and not hasattr(type(value), "__get__"):
            raise TypeError(_shadowed(cls.__name__, f"{cls.__name__}.{name}", value, name))


def taken_by(name: str, base: type) -> str | None:
    """What of every strategy has the name that a parameter is to have; None where the name is free."""
    if name.startswith("_") or name in _SETTINGS:
        return None
    kept = inspect.getattr_static(base, name, None)
    if kept is None:
        return None
    return "a property" if isinstance(kept, Offered) else "a callback or method"


#: What of every strategy is a setting: a class may give it another default, with an annotation or without.
_SETTINGS = frozenset(
    {"name", "context", "scope", "process_orders_scope", *EXPOSURES, *COUNTS, "multi_order_trades"}
    | {"market_filter", "market_data_filter", "sports_data_filter", "streaming_timeout", "conflate_ms", "stream_class"}
)


def _shadowed(owner: str, what: str, value: Any, name: str) -> str:
    return (
        f"{owner}: {what} = {shown(value)} stands where the method {name}() is called; "
        f"give it another name, such as {name}_value"
    )
