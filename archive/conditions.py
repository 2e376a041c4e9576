"""Conditions on the columns of a catalog: a value, a list of values, or a pair of limits."""

from __future__ import annotations

import datetime
from typing import Any

from ..strategies.errors import InputError
from .catalog_columns import KINDS


def meets(column: Any, name: str, condition: Any) -> Any:
    """Which values of a column meet a condition: an array of flags.

    Raises:
        InputError: the condition, or a value in it, is not of the column's kind.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = KINDS[name]
    limits = isinstance(condition, tuple) and kind in ("time", "number", "whole")
    if limits:
        if len(condition) != 2:
            raise InputError(f"{name}={condition!r}: expected (from, before)")
        low, high = (None if each is None else _value(name, kind, each) for each in condition)
        met = pc.is_valid(column)
        if low is not None:
            met = pc.and_(met, pc.greater_equal(column, pa.scalar(low, column.type)))
        if high is not None:
            met = pc.and_(met, pc.less(column, pa.scalar(high, column.type)))
    elif condition is None:
        met = pc.is_null(column)
    else:
        several = isinstance(condition, (list, tuple, set, frozenset))
        values = [_value(name, kind, each) for each in (condition if several else [condition])]
        met = pc.is_in(column, value_set=pa.array(values, column.type))
    return pc.fill_null(met, False)


def _value(name: str, kind: str, value: Any) -> Any:
    """A condition's value as the column has it."""
    try:
        if kind == "time":
            if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
                value = value.isoformat()
            found = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(value)
            return found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found
        if kind == "flag" and isinstance(value, bool):
            return value
        if kind == "text" and isinstance(value, (str, int)) and not isinstance(value, bool):
            return str(value)
        if kind in ("number", "whole") and isinstance(value, (int, float)) and not isinstance(value, bool):
            return value if kind == "number" else int(value)
    except (TypeError, ValueError):
        pass
    expected = {"time": "a date such as '2024-07-01'", "flag": "True or False", "text": "a text"}.get(kind, "a number")
    raise InputError(f"{name}={value!r}: expected {expected}")
