"""What strategies and other code of a run use of the script, or of the notebook, that started it."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .description import Described, described, digest_of
from .shipping import source_of_class


def used_of_script(objects: Iterable[Any]) -> dict[str, Described]:
    """The classes of `objects` that stand in the script, and the functions, classes and values there that these name.

    Of code its source is told, of values what they are. Not the whole script: who goes on with a run writes
    `resume=True` there.
    """
    waiting: list[tuple[str, Any]] = []
    for each in objects:
        if isinstance(each, FunctionType):
            waiting.append((each.__qualname__, each))
        else:
            waiting.extend((cls.__qualname__, cls) for cls in (each if isinstance(each, type) else type(each)).__mro__)
    space = vars(sys.modules["__main__"]) if "__main__" in sys.modules else {}
    found: dict[str, Described] = {}
    while waiting:
        name, value = waiting.pop()
        if name in found or isinstance(value, ModuleType):
            continue
        if not isinstance(value, (type, FunctionType)):
            found[name] = described(value)
        elif value.__module__ == "__main__":
            found[name] = _told(value)
            waiting.extend((each, space[each]) for each in _names_in(value) if each in space)
    return dict(sorted(found.items()))


def _told(code: type | FunctionType) -> Described:
    if isinstance(code, type):
        return {"class": "source", "sha256": digest_of(source_of_class(code))}
    return described(code)


def _names_in(value: type | FunctionType) -> set[str]:
    """The names that the code of a function, or of a class's methods and properties, looks up in its module."""
    if isinstance(value, FunctionType):
        return _globals_of(value.__code__)
    found: set[str] = set()
    for each in vars(value).values():
        for function in (getattr(each, "__func__", each), getattr(each, "fget", None), getattr(each, "fset", None)):
            if isinstance(function, FunctionType):
                found |= _globals_of(function.__code__)
    return found


def _globals_of(code: CodeType) -> set[str]:
    found = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return found.union(*(_globals_of(each) for each in code.co_consts if isinstance(each, CodeType)))
