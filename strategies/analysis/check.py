"""What makes a strategy's results depend on the machine, or on how it is run: found by reading its source.

Only what the callbacks reach is read: methods, helper functions and classes of the same file, parents, and modules that
lie beside the file. Precision goes before completeness: what cannot be followed is not reported. A line that ends in
`# headrace: ok`, or `# headrace: ok wall-clock`, is not reported either.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import math
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import InputError
from ..hosting import scope_of
from ..strategy import Strategy
from .findings import Finding
from .source_code import (
    Family,
    Module,
)
from .strategy_check import StrategyCheck

#: Codes that a run does not warn of: hints for those who ask.
_QUIET = ("parameter", "scope")
#: Characters of source that `warnings_of` reads, about 15 ms.
_QUICK = 40_000


def check_source(source: str, filename: str, class_name: str, scope: str | None = None) -> list[Finding]:
    """What is found in the source of a strategy.

    Args:
        filename: where findings are said to be; modules that lie beside it are followed.
        class_name: of the strategy; qualified where it is not at the top level.
        scope: of the instance; None: as the source has it.

    Raises:
        InputError: the source is not Python, or has no such class; names the nearest.
    """
    try:
        module = Module(source, filename, Family())
    except SyntaxError as error:
        raise InputError(f"{filename}:{error.lineno}: {error.msg}") from None
    return StrategyCheck(module, class_name).findings(scope)


def check_file(path: str, class_name: str) -> list[Finding]:
    """`check_source` of a file that need not be importable; nothing where it cannot be read.

    Args:
        path: of the file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return check_source(file.read(), path, class_name)
    except (OSError, UnicodeDecodeError, InputError):
        return []


def check_class(cls: type[Strategy], filename: str | None = None, scope: str | None = None) -> list[Finding]:
    """What is found in the source of a class; nothing where there is no source.

    Args:
        filename: the source file, where it is known; else the class is asked.
        scope: as in `check_source`.
    """
    checked = _check_of(cls, filename, {})
    return checked.findings(scope) if checked else []


def check_instance(strategy: Strategy, dumps: Callable[[Any], bytes], filename: str | None = None) -> list[Finding]:
    """The attributes of an instance, and of its classes, that cannot be sent to other processes.

    Args:
        dumps: pickles as the engine would: cloudpickle's `dumps`.
        filename: the source file, where it is known; else the class is asked.
    """
    cls = type(strategy)
    checked = _check_of(cls, filename, {})
    held = {name: value for name, value in vars(strategy).items() if name != "_headrace"}
    for parent in cls.__mro__[: cls.__mro__.index(Strategy)]:
        for name, value in vars(parent).items():
            if not name.startswith("__") and name != "_abc_impl" and not _is_code(value):
                held.setdefault(name, value)
    found = []
    for name, value in held.items():
        reason = _refusal(value, dumps)
        if reason:
            kind = type(value)
            label = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
            found.append((name, f"self.{name} holds a {label}, which cannot be sent to other processes ({reason})"))
    reason = None if found else _refusal(strategy, dumps)
    if reason:
        found.append(("", f"{cls.__name__} cannot be sent to other processes ({reason})"))
    advice = "make it with hr.resource(loader), which loads it once in each process"
    if checked is None:
        place = filename or getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__
        return [Finding(place, 1, "unpicklable", message, advice) for _, message in found]
    for name, message in found:
        checked.report(*checked.assignment(name), "unpicklable", message, advice)
    return sorted(checked.reported)


def warnings_of(strategies: Iterable[Strategy]) -> list[str]:
    """What is found in the sources of strategies, one line each; silent where there is no source.

    Made to be quick: hints on parameters and on scopes are left out, pickling is not tried, and no more than 40,000
    characters of source are read. `headrace check` does all.
    """
    found: set[Finding] = set()
    modules: dict[str, Module] = {}
    for cls, scope in {(type(strategy), scope_of(strategy)): None for strategy in strategies}:
        try:
            checked = _check_of(cls, None, modules, _QUICK)
            if checked:
                found.update(finding for finding in checked.findings(scope) if finding.code not in _QUIET)
        except RecursionError:  # nested deeper than can be read
            continue
    return [str(finding) for finding in sorted(found)]


def _refusal(value: Any, dumps: Callable[[Any], bytes]) -> str | None:
    try:
        dumps(value)
    except Exception as error:  # a user's object may raise anything
        return (str(error) or type(error).__name__).splitlines()[0]
    return None


def _is_code(value: Any) -> bool:
    kinds = (staticmethod, classmethod, property, functools.cached_property)
    return isinstance(value, kinds) or inspect.isroutine(value)


def _check_of(
    cls: type, filename: str | None, modules: dict[str, Module], left: float = math.inf
) -> StrategyCheck | None:
    """The check of a class, in the first file that has its source.

    Args:
        modules: those read before, by file.
        left: how many characters may be read in all.
    """
    functions = [value for value in vars(cls).values() if inspect.isfunction(value)]
    files = [filename] if filename else [function.__code__.co_filename for function in functions]
    if not filename:
        files.append(getattr(sys.modules.get(cls.__module__), "__file__", None) or "")
    for file in dict.fromkeys(files):
        try:
            if file not in modules:
                linecache.checkcache(file)
                source = "".join(linecache.getlines(file))
                family = Family(left=left - sum(len(known.source) for known in modules.values()))
                if not family.takes(len(source)):
                    continue
                modules[file] = Module(source, _shown(file), family)
            return StrategyCheck(modules[file], cls.__qualname__)
        except (SyntaxError, InputError):
            continue
    return None


def _shown(file: str) -> str:
    """A path as a reader would write it: relative, where it lies under the present folder."""
    here = os.path.join(os.getcwd(), "")
    return file[len(here) :] if file.startswith(here) else file
