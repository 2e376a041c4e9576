"""Parameters of calls, as clients send them: nulls mean absent, and numbers may come as text.

What a field is follows from its name, which means the same in every call ("Betting Type Definitions").
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import ParameterError


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NUMBERS = _names(
    "price size liability handicap minFillSize betTargetSize sizeReduction newPrice rollupLimit "
    "rollupLiabilityThreshold"
)
_WHOLE = _names(
    "selectionId version maxResults fromRecord recordCount bestPricesDepth rollupLiabilityFactor "
    "preferredTimeoutSeconds"
)
_FLAGS = _names(
    "async virtualise rolloverStakes bspOnly turnInPlayEnabled inPlayOnly includeItemDescription includeSourceId "
    "includeOverallPosition partitionMatchedByStrategyRef includeSettledBets includeBspBets netOfCommission"
)
_TEXTS = _names(
    "marketId betId customerRef customerStrategyRef customerOrderRef textQuery side orderType persistenceType "
    "newPersistenceType timeInForce betTargetType locale currencyCode fromCurrency wallet sort sortDir orderBy "
    "orderProjection matchProjection groupBy betStatus granularity matchedSince from to includeItem rollupModel"
)
_LISTS = _names(
    "marketIds betIds eventTypeIds eventIds competitionIds exchangeIds venues marketCountries marketTypeCodes "
    "marketBettingTypes withOrders raceTypes betDelayModels customerStrategyRefs customerOrderRefs priceData "
    "marketProjection"
)
_OBJECTS = _names(
    "filter limitOrder limitOnCloseOrder marketOnCloseOrder marketVersion priceProjection exBestOffersOverrides "
    "dateRange settledDateRange marketStartTime itemDateRange"
)
_LISTS_OF_OBJECTS = frozenset({"instructions", "runnerIds"})
_LARGEST = 2**63 - 1


def arguments_of(params: Any) -> dict[str, Any]:
    """The parameters of a call, without nulls, each of its kind; unknown ones as they are.

    Raises:
        ParameterError: one is of another kind.
    """
    if params is None:
        return {}
    try:
        return _fields("params", params)
    except RecursionError:
        raise ParameterError("params is nested too deeply") from None


def _fields(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ParameterError(f"{name} is {_shown(value)}, expected an object")
    return {key: _field(key, each) for key, each in value.items() if each is not None}


def _field(name: str, value: Any) -> Any:
    if name in _NUMBERS:
        return _number(name, value)
    if name in _WHOLE:
        return _whole(name, value)
    if name in _FLAGS:
        return _flag(name, value)
    if name in _TEXTS:
        return _text(name, value)
    if name in _OBJECTS:
        return _fields(name, value)
    if name in _LISTS:
        return [_text(name, each) for each in _list(name, value) if each is not None]
    if name in _LISTS_OF_OBJECTS:
        return [_fields(name, each) for each in _list(name, value) if each is not None]
    if isinstance(value, dict):
        return {key: _field("", each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_field("", each) for each in value if each is not None]
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ParameterError(f"{name} is {_shown(value)}, expected a number") from None
    if not _is_number(value):
        raise ParameterError(f"{name} is {_shown(value)}, expected a number")
    return float(value) + 0.0  # -0.0 is 0.0


def _whole(name: str, value: Any) -> int:
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            raise ParameterError(f"{name} is {_shown(value)}, expected a whole number") from None
    if not _is_number(value):
        raise ParameterError(f"{name} is {_shown(value)}, expected a whole number")
    if value != int(value) or abs(value) > _LARGEST:
        raise ParameterError(f"{name} is {_shown(value)}, expected a whole number of 64 bits")
    return int(value)


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float can be: JSON has larger ones."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ParameterError(f"{name} is {_shown(value)}, expected true or false")


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ParameterError(f"{name} is {_shown(value)}, expected a text")


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ParameterError(f"{name} is {_shown(value)}, expected a list")
    return value


def required(params: dict[str, Any], name: str) -> Any:
    """A parameter that must be there.

    Raises:
        ParameterError: it is missing.
    """
    if name not in params:
        raise ParameterError(f"{name} is missing")
    return params[name]


def chosen(params: dict[str, Any], name: str, values: frozenset[str], default: str | None = None) -> str | None:
    """A parameter that is one of some values.

    Raises:
        ParameterError: it is none of them.
    """
    value = params.get(name, default)
    if value is not None and value not in values:
        raise ParameterError(f"{name} is {_shown(value)}, expected one of {', '.join(sorted(values))}")
    return value


def chosen_of(params: dict[str, Any], name: str, values: frozenset[str]) -> frozenset[str]:
    """A parameter that is a set of some values; empty if it is missing.

    Raises:
        ParameterError: it has others.
    """
    found = frozenset(params.get(name, ()))
    if not found <= values:
        raise ParameterError(
            f"{name} has {', '.join(sorted(found - values))[:100]}, expected {', '.join(sorted(values))}"
        )
    return found


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = "a very large number"
    return text if len(text) <= 60 else f"{text[:57]}..."
