"""Reading what a stream client asks: fields are checked for their type, and null means absent."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..errors import StreamError

#: Numbers are smaller than this.
LARGEST = 2**63


def invalid(message: str) -> StreamError:
    """The request is not what it should be."""
    return StreamError("INVALID_INPUT", message)


def section(request: dict[str, Any], name: str, known: Collection[str]) -> dict[str, Any]:
    """An object of a request, without nulls; {} if it is absent.

    Raises:
        StreamError: it is not an object, or has a field that the exchange does not know.
    """
    found = request.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise invalid(f"{name} is not an object")
    for each in found:
        if each not in known:
            raise invalid(f"{name}: {each!r} is not known, expected {', '.join(sorted(known))}")
    return {key: value for key, value in found.items() if value is not None}


def text(values: dict[str, Any], name: str) -> str | None:
    """A text; None if it is absent."""
    found = values.get(name)
    if found is None or isinstance(found, str):
        return found
    raise invalid(f"{name} is not a text")


def whole(values: dict[str, Any], name: str) -> int | None:
    """A whole number; None if it is absent."""
    found = values.get(name)
    if found is None or (isinstance(found, int) and not isinstance(found, bool) and abs(found) < LARGEST):
        return found
    raise invalid(f"{name} is not a whole number of up to 64 bits")


def flag(values: dict[str, Any], name: str) -> bool | None:
    """True or False; None if it is absent."""
    found = values.get(name)
    if found is None or isinstance(found, bool):
        return found
    raise invalid(f"{name} is not true or false")


def texts(values: dict[str, Any], name: str) -> frozenset[str] | None:
    """A list of texts, or of whole numbers, which stand for ids; None if it is absent or empty."""
    found = values.get(name)
    if found is None:
        return None
    if not isinstance(found, list):
        raise invalid(f"{name} is not a list")
    for each in found:
        if isinstance(each, bool) or not isinstance(each, (str, int)):
            raise invalid(f"{name} holds {each!r}, expected texts")
    return frozenset(str(each) for each in found) or None
