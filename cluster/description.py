"""Describes any value as JSON, so that two runs can be compared by what they were made of, in any process.

Equal values have equal descriptions, with their attributes and those of what they hold: there is no list to maintain.
What is long is told by its length and a hash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import enum
import functools
import hashlib
import inspect
import json
import math
import os
import re
import sys
import types
from collections.abc import Collection, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from ..actors.failures import installed_folders
from ..names import to_text
from ..strategies.resource import Resource
from ..values import unboxed

#: Characters of a text, and of the JSON of a list or a dict, and of an object, beyond which it is told by a hash.
_LONG_TEXT, _LONG = 200, 2_000
#: Texts under these names are secret; they do not make it a different run.
_SECRET = re.compile(r"passw|secret|api_?key|app_?key|credential|(?:^|_)token$", re.IGNORECASE)
_HIDDEN = {"class": "str", "hidden": True}

Described = Any


def described(value: Any, most: float = math.inf) -> Described:
    """A value as JSON holds it: numbers, texts, lists, and dicts; objects are dicts of `class` and attributes.

    Passwords and keys, by the names of attributes and of entries, are left out. What cannot be told, such as a lock or
    an open file, is told by its class.

    Raises:
        TooMuchError: it holds more than `most` objects.
    """
    return _Describer(most).tell(value)


def attributes_of(owner: Any, left_out: Collection[str] = (), most: float = math.inf) -> dict[str, Described]:
    """The attributes of an object by name, each described.

    Raises:
        TooMuchError: they hold more than `most` objects.
    """
    describer = _Describer(most)
    return {name: describer._named(name, value) for name, value in fields_of(owner).items() if name not in left_out}


def digest_of(text: str | bytes) -> str:
    """The first 16 hexadecimal digits of a SHA-256."""
    content = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(content).hexdigest()[:16]


def class_name(cls: type) -> str:
    """The full name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}" if cls.__module__ != "builtins" else cls.__qualname__


def fields_of(owner: Any) -> dict[str, Any]:
    """The attributes of an object: its own, and what its class, where that is the user's, has beside methods."""
    found: dict[str, Any] = {}
    for cls in reversed(type(owner).__mro__):
        if _of_the_user(cls):
            found.update((name, value) for name, value in vars(cls).items() if _is_data(name, value))
    if dataclasses.is_dataclass(owner):
        own = {
            field.name: getattr(owner, field.name) for field in dataclasses.fields(owner) if hasattr(owner, field.name)
        }
        return found | own | getattr(owner, "__dict__", {})
    return found | _state_of(owner)


def _state_of(owner: Any) -> dict[str, Any]:
    """What an object would be made of elsewhere."""
    try:
        how = owner.__reduce_ex__(4)
    except Exception:  # it cannot be sent: what it shows is all there is
        return dict(getattr(owner, "__dict__", {}))
    if isinstance(how, str):
        return {"is": how}
    make, arguments, state, items, entries = (*how, None, None, None)[:5]
    found: dict[str, Any] = {}
    if getattr(make, "__name__", "") == "__newobj__":
        arguments = arguments[1:]
    else:
        found["make"] = make
    if arguments:
        found["arguments"] = arguments
    if items is not None and (listed := list(items)):
        found["items"] = listed
    if entries is not None and (mapped := dict(entries)):
        found["entries"] = mapped
    # The second of two is that of slots.
    for each in state if isinstance(state, tuple) and len(state) == 2 else (state,):
        if isinstance(each, dict):
            found.update((str(name), value) for name, value in each.items())
        elif each is not None:
            found["state"] = state
    return found


class TooMuchError(Exception):
    """There is more to describe than was asked for."""


class _Describer:
    """Describes values that may refer to each other and to themselves, each object once."""

    def __init__(self, most: float = math.inf) -> None:
        self._left = most
        #: What has been told, by the ids of the objects, which are kept so that no other gets an id of theirs.
        self._told: dict[int, Described] = {}
        self._kept: list[Any] = []

    def tell(self, value: Any) -> Described:
        value = value if isinstance(value, tuple) else unboxed(value)
        if value is None or isinstance(value, (bool, int, float, str, bytes, bytearray, enum.Enum)):
            return _plain(value)
        if isinstance(value, type):
            return {"class": "type", "name": class_name(value)}
        if isinstance(value, types.ModuleType):
            return {"class": "module", "name": value.__name__}
        if isinstance(value, Resource):
            return {"class": "resource"}
        if _is_framework(value):
            return {"class": "framework"}
        key = id(value)
        known = self._told.get(key)
        if known is not None:
            return known
        self._left -= 1
        if self._left < 0:
            raise TooMuchError
        self._kept.append(value)
        self._told[key] = {"class": class_name(type(value)), "again": True}  # within itself
        try:
            found = self._inside(value)
        except TooMuchError:
            raise
        except Exception as error:  # of the user's own; what cannot be told is told by its class
            found = {"class": class_name(type(value)), "untold": type(error).__name__}
        self._told[key] = found
        return found

    def _inside(self, value: Any) -> Described:
        if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            return {"class": type(value).__name__, "is": value.isoformat()}
        if isinstance(value, (Decimal, Fraction, PurePath, datetime.timedelta, re.Pattern, range)):
            return {"class": type(value).__name__, "is": _plain(str(value))}
        if isinstance(value, Mapping) and type(value).__module__ in ("builtins", "collections", "types"):
            return self._mapping(value)
        if type(value) in (list, tuple):
            return _short([self.tell(each) for each in value], len(value))
        if type(value) in (set, frozenset):
            told = sorted(json.dumps(self.tell(each), sort_keys=True) for each in value)
            return {"class": "set", "is": _short([json.loads(each) for each in told], len(value))}
        if isinstance(value, functools.partial):
            parts = {"function": value.func, "arguments": value.args, "keywords": value.keywords}
            return self._object("functools.partial", parts)
        if isinstance(value, types.MethodType):
            return self._object("method", {"function": value.__func__, "of": value.__self__})
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if callable(value) and isinstance(value, (types.BuiltinFunctionType, types.MethodDescriptorType)):
            return {"class": "function", "name": value.__qualname__}
        return self._object(class_name(type(value)), fields_of(value))

    def _mapping(self, value: Mapping[Any, Any]) -> Described:
        told = {}
        for key, each in value.items():
            plain = unboxed(key)
            name = to_text(plain) if isinstance(plain, str) else f"({json.dumps(self.tell(key), sort_keys=True)})"
            told[name] = self._named(name, each)
        return _short(told, len(value))

    def _object(self, name: str, fields: Mapping[str, Any]) -> Described:
        told: dict[str, Any] = {"class": name}
        told.update((key, self._named(key, each)) for key, each in fields.items())
        return _short(told, None)

    def _named(self, name: str, value: Any) -> Described:
        if _SECRET.search(name) and isinstance(value, (str, bytes)):
            return _HIDDEN
        return self.tell(value)

    def _function(self, function: types.FunctionType) -> Described:
        name = f"{function.__module__}.{function.__qualname__}"
        if _is_foreign(function.__module__):
            return {"class": "function", "name": name}
        held = {"defaults": function.__defaults__, "keywords": function.__kwdefaults__, "closure": _held_by(function)}
        told = self._object("function", {key: each for key, each in held.items() if each})
        return {**told, "name": name, "source": digest_of(_source_of(function))}


def _plain(value: Any) -> Described:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (bytes, bytearray)):
        return {"class": "bytes", "length": len(value), "sha256": digest_of(bytes(value))}
    if isinstance(value, str):
        text = to_text(str(value))
        if len(text) <= _LONG_TEXT:
            return text
        return {"class": "str", "length": len(text), "sha256": digest_of(text)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"class": "float", "is": str(float(value))}  # JSON has none of these, and one is not equal to itself
    if isinstance(value, (bool, type(None))):
        return value
    return float(value) if isinstance(value, float) else int(value)


def _short(told: Any, length: int | None) -> Described:
    """A description, or a hash of one that is long."""
    text = json.dumps(told, sort_keys=True)
    if len(text) <= _LONG:
        return told
    kind = told.get("class", "dict") if isinstance(told, dict) else "list"
    return {"class": kind, "sha256": digest_of(text)} | ({} if length is None else {"length": length})


def _of_the_user(cls: type) -> bool:
    """Whether a class is neither headrace's nor a library's."""
    return cls.__module__.split(".")[0] != "headrace" and not _is_foreign(cls.__module__)


def _is_foreign(module: str) -> bool:
    """Whether a module is a library's: what is defined there is not part of a run."""
    name = module.split(".")[0]
    if name in ("headrace", "__main__"):
        return False
    if name in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and _is_installed(file)


@functools.lru_cache(4096)
def _is_installed(file: str) -> bool:
    return os.path.realpath(file).startswith(installed_folders())


def _is_framework(value: Any) -> bool:
    """Whether a value is the system around strategies, which an object may have kept from `add` or `start`."""
    kinds = (cls.__module__.split(".")[0] for cls in type(value).__mro__)
    return "headrace" in kinds and hasattr(value, "strategies") and hasattr(value, "clients")


def _is_data(name: str, value: Any) -> bool:
    """Whether an attribute of a class is a value, and not code."""
    if name.startswith("__") or name == "_abc_impl" or callable(value) or isinstance(value, Resource):
        return False
    return not hasattr(type(value), "__get__")


def _held_by(function: types.FunctionType) -> list[Any]:
    """What a function has taken from around it."""
    found = []
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # it is not there yet
            found.append(cell.cell_contents)
    return found


def _source_of(function: types.FunctionType) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError, SyntaxError):
        return _code_of(function.__code__)


def _code_of(code: types.CodeType) -> str:
    inner = [_code_of(each) for each in code.co_consts if isinstance(each, types.CodeType)]
    plain = [each for each in code.co_consts if isinstance(each, (str, bytes, int, float, tuple))]
    return f"{code.co_code.hex()} {code.co_names} {plain} {inner}"
