"""What user code hands over, as the values that everything behind it takes: plain numbers, texts, words of closed sets.

Scalars of numpy and pandas, `Decimal`, `Fraction` and members of enums are ordinary values: they are told by what they
can do, and neither library is imported. Anything else is refused by name where it is handed over; an error that comes
later, when results are written, would cost everybody's.
"""

from __future__ import annotations

import difflib
import enum
import functools
import math
import operator
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from .names import to_text

#: Whole numbers that a column of a table holds.
_LEAST, _MOST = -(2**63), 2**63 - 1
#: Words that others use for ours: of the exchange's own pages, of other libraries.
_ALSO = {
    "keep": "PERSIST",
    "takesp": "MARKET_ON_CLOSE",
    "sp": "MARKET_ON_CLOSE",
    "cancel": "LAPSE",
    "buy": "BACK",
    "sell": "LAY",
    "uk": "GB",
}
#: What msgspec raises for bytes that it cannot read; for text that is not UTF-8, and for what is nested too deep.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encode = msgspec.json.Encoder(decimal_format="number").encode


def unboxed(value: Any) -> Any:
    """A scalar of numpy or pandas as Python's own; a tuple with all of its own; anything else as it is."""
    kind = type(value)
    if kind is tuple:
        return tuple(unboxed(each) for each in value)
    if kind.__module__.partition(".")[0] != "numpy" or getattr(value, "ndim", None) != 0:
        return value
    dtype = getattr(value, "dtype", None)
    if dtype is None:  # a dtype itself has dimensions too
        return value
    if dtype.kind == "f" and dtype.itemsize < 8:
        return float(str(value))  # the number that was meant: 3.1, and not 3.0999999046
    plain = value.item()
    return str(value) if dtype.kind in "Mm" else plain


def number_of(value: Any) -> float | None:
    """What a value is as a number; None where it is not one. True and False are not numbers, and text is not."""
    if type(value) is float:
        return value
    if isinstance(value, enum.Enum) and not isinstance(value, (int, float)):
        return number_of(value.value)
    plain = unboxed(value)
    if isinstance(plain, (bool, str, bytes, bytearray, complex)) or getattr(plain, "ndim", None):
        return None
    try:
        whole = operator.index(plain)
    except TypeError:
        try:
            return float(plain)
        except (TypeError, ValueError, OverflowError, ArithmeticError):
            return None
    return whole if _LEAST <= whole <= _MOST else None


def number(value: Any, what: str, error: type[Exception] = TypeError) -> float:
    """A number: infinities and not-a-number are left to the rules of the caller.

    Args:
        what: names the value in the error, such as "LimitOrder price".

    Raises:
        error: it is not one.
    """
    found = number_of(value)
    if found is None:
        hint = "; float(...) makes one of a text" if isinstance(value, str) else ""
        raise error(f"{what}={shown(value)}: expected a number{hint}")
    return found


def finite(value: Any, what: str, error: type[Exception] = TypeError, least: float = -math.inf) -> float:
    """A number that is neither infinite nor not-a-number, `least` or more.

    Raises:
        error: it is not one.
    """
    found = number(value, what, error)
    if not (math.isfinite(found) and found >= least):
        raise error(f"{what}={shown(value)}: expected a number{'' if least == -math.inf else f', {least:g} or more'}")
    return found


def whole(value: Any, what: str, error: type[Exception] = TypeError) -> int:
    """A whole number, of a float too: columns of pandas with gaps hold their ids as floats.

    Raises:
        error: it is not one.
    """
    found = number_of(value)
    if found is None or not math.isfinite(found) or found != int(found):
        hint = "; int(...) makes one of a text" if isinstance(value, str) else ""
        raise error(f"{what}={shown(value)}: expected a whole number{hint}")
    return int(found)


def text(value: Any, what: str, error: type[Exception] = TypeError) -> str:
    """A text.

    Raises:
        error: it is not one.
    """
    plain = value.value if isinstance(value, enum.Enum) else value
    if not isinstance(plain, str):
        raise error(f"{what}={shown(value)}: expected a text")
    return plain if type(plain) is str else str(plain)


def word(value: Any, what: str, known: Collection[str], error: type[Exception] = TypeError) -> str:
    """One of the words that are known; a member of an enum stands for its value or its name.

    Raises:
        error: it is another; names the nearest.
    """
    names = [value.value, value.name] if isinstance(value, enum.Enum) else [value]
    for name in names:
        for each in known:
            if isinstance(name, str) and name == each:
                return each
    raise error(f"{what}={shown(value)}: expected {either(known)}{did_you_mean(value, known)}")


def mapping(value: Any, what: str, error: type[Exception] = TypeError) -> Any:
    """A dict, or what is read like one.

    Raises:
        error: it is not one.
    """
    if not isinstance(value, Mapping):
        raise error(f"{what}={shown(value)}: expected a dict")
    return value


def either(known: Collection[str]) -> str:
    """The words as a sentence has them: A, B or C."""
    *others, last = known
    return f"{', '.join(others)} or {last}" if others else last


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a sentence that names the known word nearest to `name`; empty where none is near."""
    plain = {each.replace("_", "").replace(" ", "").lower(): each for each in known}
    key = str(name).replace("_", "").replace("-", "").replace(" ", "").lower()
    initials = {"".join(part[:1] for part in each.split("_")).lower(): each for each in plain.values() if "_" in each}
    also = _ALSO.get(key)
    near = also if also in plain.values() else initials.get(key)
    if near is None:
        found = difflib.get_close_matches(key, plain, 1)
        near = plain[found[0]] if found else None
    return "" if near is None or near == name else f"; did you mean {near!r}?"


def shown(value: Any) -> str:
    """A value in an error's message: never an error itself, and no longer than a line."""
    try:
        found = repr(value)
    except Exception as error:  # of the user's own
        found = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    if "\n" in found:
        found = " ".join(found.split())
    return found if len(found) <= 120 else f"{found[:117]}..."


def legible(value: Any) -> str:
    """The text of any value, as a table or a file can hold it; never an error."""
    try:
        found = str(value)
    except Exception as error:  # of the user's own
        found = f"<{type(value).__name__}, whose str raises {type(error).__name__}>"
    return to_text(found)


def note(value: Any) -> str:
    """A note as the result has it. Whole numbers have no decimal point, as prices of the stream have none."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and -1e15 < value < 1e15 else str(float(value))
    return legible(value)


#: `note` of a price of a book, or of none: there are few, and many orders.
note_of_price = functools.lru_cache(4096, typed=True)(note)


def to_json(fields: Mapping[str, Any]) -> str:
    """Fields of a record as a JSON object; not-a-number and infinities are null.

    Raises:
        TypeError: names the field that cannot be written.
    """
    try:
        found = _encode(fields)
    except (TypeError, ValueError, RecursionError):
        pass
    else:
        if b"NaN" not in found and b"Infinity" not in found:  # of a Decimal they would be written
            return found.decode()
    plain = {}
    for name, value in fields.items():
        try:
            plain[name] = _plain(value)
            _encode(plain[name])
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"{name}={shown(value)} cannot be written as JSON: {error}") from None
    return _encode(plain).decode()


def _plain(value: Any) -> Any:
    """A value with everything in it as JSON knows it."""
    if isinstance(value, Mapping):
        return {_key(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, (str, bytes, bool, type(None))):
        return str(value) if isinstance(value, str) else value
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas' gaps
        return None
    plain = unboxed(value)
    for name in ("to_pydatetime", "to_pytimedelta", "tolist"):
        convert = getattr(plain, name, None)
        if convert is not None:
            return _plain(convert())
    found = number_of(plain)
    return plain if found is None else found


def _key(key: Any) -> str:
    plain = unboxed(key.value if isinstance(key, enum.Enum) else key)
    return plain if isinstance(plain, str) else str(plain)
