"""Strategies by name: the class that `file.py:Class` or `package.module:Class` means, and instances of it."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from .actors.failures import installed_folders, told, users_code
from .strategies.errors import HeadraceError, InputError
from .strategies.hosting import instance_of
from .strategies.strategy import Strategy


class _Uncached(importlib.machinery.SourceFileLoader):
    """Compiles a file each time: cached bytecode would hide an edit of the same length within a second."""

    def path_stats(self, path: str) -> Any:
        raise OSError


def load_strategy(spec: str) -> type[Strategy]:
    """The strategy class that `file.py:Class` or `package.module:Class` names.

    Raises:
        InputError: there is no such file, module or class, or it is not a strategy; names the nearest.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise InputError(f"{spec!r}: expected file.py:Class or package.module:Class")
    try:
        with users_code(f"{place} cannot be loaded", InputError):
            module = _module_of_file(place) if place.endswith(".py") else importlib.import_module(place)
    except SystemExit:
        raise InputError(
            f"{place} cannot be loaded: it ends the program; what is to run when the file is called as a script goes "
            "below `if __name__ == '__main__':`"
        ) from None
    found = getattr(module, name, None)
    classes = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, Strategy)]
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        near = difflib.get_close_matches(name, classes, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(classes) or 'none'}"
        raise InputError(f"{place} has no strategy {name!r}{hint}")
    return found


def make_strategy(cls: type[Strategy], keywords: Mapping[str, Any]) -> Strategy:
    """An instance of a class of the user's.

    Raises:
        TypeError, ValueError: a keyword is not known or does not fit, as `Strategy` has it.
        InputError: the class's own `__init__` failed, or does not take keywords.
    """
    try:
        return instance_of(cls, keywords)
    except HeadraceError:
        raise
    except Exception as error:
        if isinstance(error, TypeError) and _innermost(error) is instance_of.__code__:
            raise InputError(
                f"{cls.__name__} cannot be made: {error}; its __init__ must take keywords and pass them on: "
                "super().__init__(**keywords)"
            ) from None
        if _is_refusal(error):
            raise
        raise InputError(f"{cls.__name__} cannot be made: its __init__ failed: {told(error)}") from error


def _innermost(error: Exception) -> CodeType:
    """The code that an error was raised in."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_code


def _is_refusal(error: Exception) -> bool:
    """Whether it was `Strategy` that refused the keywords, and not code of the user's that failed."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    codes = [frame.f_code for frame in frames]
    if Strategy.__init__.__code__ not in codes:
        return False
    below = frames[codes.index(Strategy.__init__.__code__) :]
    return all(str(frame.f_globals.get("__name__")).partition(".")[0] == "headrace" for frame in below)


def _module_of_file(place: str) -> ModuleType:
    path = Path(place).expanduser().resolve()
    if not path.is_file():
        raise InputError(f"{place}: no such file")
    folder = str(path.parent)
    if folder not in sys.path:
        # What lies beside the file is the user's to import. But a file named like a module of Python, of Ray or of
        # headrace must not be taken for it.
        if any(map(_is_needed, _names_in(path.parent))):
            sys.path.append(folder)
        else:
            sys.path.insert(0, folder)
    name = f"strategies_in_{path.stem}" if _is_needed(path.stem) else path.stem
    loaded = importlib.util.spec_from_file_location(name, path, loader=_Uncached(name, str(path)))
    assert loaded is not None
    assert loaded.loader is not None
    module = importlib.util.module_from_spec(loaded)
    sys.modules[name] = module
    loaded.loader.exec_module(module)
    return module


def _names_in(folder: Path) -> set[str]:
    """Names of the modules and packages that a folder would give."""
    found = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, ending = os.path.splitext(entry.name)
            if ending == ".py" or (not ending and os.path.isfile(os.path.join(entry.path, "__init__.py"))):
                found.add(stem)
    return found


def _is_needed(name: str) -> bool:
    """Whether a name is that of a module of Python, of headrace, or of what headrace needs."""
    if name == "headrace" or name in sys.stdlib_module_names:
        return True
    if importlib.machinery.PathFinder.find_spec(name, list(installed_folders())) is None:
        return False
    return not set(_distributions().get(name, ())).isdisjoint(_requirements())


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """The distributions that bring each installed module."""
    found = importlib.metadata.packages_distributions()
    return {module: [_plain(name) for name in names] for module, names in found.items()}


@functools.cache
def _requirements() -> frozenset[str]:
    """The distributions that headrace needs, with its extras, and what these need."""
    found: set[str] = set()
    waiting = ["headrace"]
    while waiting:
        name = waiting.pop()
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for each in needed:
            match = re.match(r"[\w.-]+", each)
            if match and _plain(match[0]) not in found:
                found.add(_plain(match[0]))
                waiting.append(match[0])
    return frozenset(found)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
