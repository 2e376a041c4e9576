"""What a parameter may be: a range or some choices, which a sweep draws from and a search moves in."""

from __future__ import annotations

import dataclasses
import math
import random
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from ..strategies.errors import InputError
from ..strategies.parameters import Parameter

#: Digits that a number of a logarithmic range has at least.
_LOG_DIGITS = 3


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, ends included.

    Attributes:
        log: equal shares of the range are equal ratios, not equal differences.
        whole: whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, chance: random.Random) -> float:
        if self.log:
            return self.value(math.exp(chance.uniform(math.log(self.low), math.log(self.high))))
        return chance.randint(int(self.low), int(self.high)) if self.whole else self.value(
            chance.uniform(self.low, self.high)
        )  # fmt: skip

    def value(self, number: float) -> float:
        """The number of the range next to this one, as a parameter has it.

        To pence, for stakes have at most two decimals; finer where the range is narrower than a pound, or where the
        digits of a small number of a logarithmic range ask for it.
        """
        if self.whole:
            return min(max(round(number), int(self.low)), int(self.high))
        if self.log:
            decimals = _LOG_DIGITS - 1 - math.floor(math.log10(number))
        else:
            span = self.high - self.low
            decimals = math.ceil(2 - math.log10(span)) if span else 15
        return min(max(round(number, max(2, decimals)), self.low), self.high)

    @property
    def ends(self) -> list[float]:
        return [self.low, self.high]


@dataclasses.dataclass(frozen=True)
class Choice:
    """Some values."""

    values: tuple[Any, ...]

    def draw(self, chance: random.Random) -> Any:
        return chance.choice(self.values)

    @property
    def ordered(self) -> bool:
        """Whether they are numbers, so that some lie nearer to each other than others."""
        return all(map(_is_number, self.values))

    @property
    def ends(self) -> list[Any]:
        return list(self.values)


def log_range(low: float, high: float) -> Range:
    """A range for `sweep(random=N)` and `search` in which 1 to 10 counts for as much as 10 to 100.

    Args:
        low: above 0.
        high: `low` or more; both are included.

    Raises:
        InputError: they are not such numbers.
    """
    if not (_is_number(low) and _is_number(high) and 0 < low <= high):
        raise InputError(f"log_range({low!r}, {high!r}): expected two numbers above 0, the low one first")
    return Range(low, high, log=True)


def range_or_choice(name: str, values: Any, parameter: Parameter | None) -> Range | Choice:
    """What stands for a parameter: a `(low, high)` tuple or a `log_range` is a range, other values are a choice.

    Args:
        parameter: as it is declared; None: it is not.

    Raises:
        InputError: it is empty, or neither a range nor a list.
    """
    if isinstance(values, Range):
        return dataclasses.replace(values, whole=_whole(values.low, values.high, parameter))
    if isinstance(values, tuple) and len(values) == 2 and all(map(_is_number, values)):
        low, high = values
        if low > high:
            raise InputError(f"parameters[{name!r}] = {values!r}: expected (low, high), the low one first")
        return Range(low, high, whole=_whole(low, high, parameter))
    found = choices(name, values)
    if not found:
        raise InputError(f"parameters[{name!r}] is empty: expected a range (low, high) or a list of values")
    return Choice(tuple(found))


def choices(name: str, values: Any) -> list[Any]:
    """Values that are listed.

    Raises:
        InputError: it is not a list.
    """
    if isinstance(values, Range):
        raise InputError(f"parameters[{name!r}] is a range: give the sweep random=N to draw from it, or use search")
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"parameters[{name!r}] = {values!r}: expected a list of values, such as [{values!r}]")
    return list(values)


def _whole(low: float, high: float, parameter: Parameter | None) -> bool:
    """Whether a range is of whole numbers: its ends are, and no other numbers fit the parameter."""
    if not (isinstance(low, int) and isinstance(high, int)):
        return False
    if parameter is None:
        return True
    kinds = typing.get_args(parameter.annotation) or (parameter.annotation,)
    return int in kinds and float not in kinds


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
