"""What in an object cannot be sent to another process, or cannot be copied, by the name its author knows it by."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

#: How deep is looked into an attribute: `self.context["store"].connection` is three steps.
_DEEP = 4
#: Entries of a dict or a list that are looked at.
_MOST = 1000


def why_not(owner: Any, attempt: Callable[[Any], object], what: str, code: bool = False) -> str | None:
    """What in `owner` does not survive `attempt`, by name, and why; None where all of it does.

    Args:
        owner: an object of the user's, a class or a function.
        attempt: what is tried with each part, such as `pickle.dumps`; it raises where that cannot be done.
        what: words for that, such as "cannot be sent to workers".
        code: its class, and what its methods use from outside, belong to it as well.
    """
    error = _failure(owner, attempt)
    if error is None:
        return None
    label = _label(owner)
    for name, value in _parts(owner, code):
        if _failure(value, attempt) is not None:
            path, culprit = _innermost(name, value, attempt)
            reason = _failure(culprit, attempt) or error
            return f"{label}: {path} ({_kind(culprit)}) {what}: {_said(reason)}"
    return f"{label} {what}: {_said(error)}"


def _failure(value: Any, attempt: Callable[[Any], object]) -> Exception | None:
    try:
        attempt(value)
    except Exception as error:
        return error
    return None


def _said(error: Exception) -> str:
    """An error in one line."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _label(owner: Any) -> str:
    if isinstance(owner, type) or hasattr(owner, "__code__"):
        return str(owner.__qualname__)
    name = getattr(owner, "name", None)
    return name if isinstance(name, str) and name else type(owner).__name__


def _parts(owner: Any, code: bool) -> Iterator[tuple[str, Any]]:
    """What an object is made of: its attributes, then what its class has and what its methods use from outside."""
    if not isinstance(owner, type) and not hasattr(owner, "__code__"):
        for name, value in getattr(owner, "__dict__", {}).items():
            yield f"attribute {name!r}", value
    if not code:
        return
    if hasattr(owner, "__code__"):
        yield from _used_by(owner)
        return
    for cls in owner.__mro__ if isinstance(owner, type) else type(owner).__mro__:
        if cls.__module__.startswith("headrace."):
            continue
        for name, value in vars(cls).items():
            function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
            if hasattr(function, "__code__"):
                yield from _used_by(function)
            elif not name.startswith("__"):
                yield f"attribute {name!r} of class {cls.__qualname__}", value


def _used_by(function: Any) -> Iterator[tuple[str, Any]]:
    """Variables from outside that a function uses."""
    try:
        used = inspect.getclosurevars(function)
    except (TypeError, ValueError):  # a variable that has no value yet
        return
    for name, value in (*used.nonlocals.items(), *used.globals.items()):
        yield f"the variable {name!r} that {function.__qualname__}() uses", value


def _innermost(name: str, value: Any, attempt: Callable[[Any], object]) -> tuple[str, Any]:
    """The smallest part of a value that fails, and how it is reached."""
    for _ in range(_DEEP):
        found = next(((step, part) for step, part in _steps(value) if _failure(part, attempt) is not None), None)
        if found is None:
            break
        name, value = f"{name}{found[0]}", found[1]
    return name, value


def _steps(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        entries = list(value.items())[:_MOST]
        yield from ((f"[{key!r}]", entry) for key, entry in entries)
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{at}]", entry) for at, entry in enumerate(value[:_MOST]))
    elif not isinstance(value, type) and not hasattr(value, "__code__"):
        yield from ((f".{key}", entry) for key, entry in getattr(value, "__dict__", {}).items())
