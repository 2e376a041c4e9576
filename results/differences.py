"""How a run differs from the run that a folder holds, as a clause of a sentence: what differs, and both values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..values import shown

#: Stands for what one of two runs does not have.
_NOTHING = object()

#: Kinds of values that are described by their names.
_NAMED = ("type", "module", "function")
#: The keys in the description of a long value.
_HASHED = {"class", "length", "sha256"}


def difference(name: str, known: Any, wanted: Any) -> str:
    """A clause that says what differs in a run's identity.

    Args:
        name: the entry of the identity.
        known, wanted: of the run that is there, and of the one that is asked for; they are not equal.
    """
    if name == "sources":
        return "the source of its strategies, or of other code that it was given, has changed since"
    if name == "format":
        return f"another version of headrace wrote it (format {known}; this one writes {wanted})"
    if known is None and wanted is not None and name in ("clients", "strategies", "inputs", "config"):
        return f"another version of headrace wrote it, which did not tell its {name}"
    if name == "headrace":
        return f"it was run by headrace {known}, and this is headrace {wanted}"
    if name == "config":
        key, old, new = _first_entry(known, wanted)
        return f"the setting {key} was {told(old)} and is {told(new)}"
    if name == "strategies":
        return _strategies_differ(known, wanted)
    if name == "clients":
        return _clients_differ(known, wanted)
    if name == "script":
        return _script_differs(known or {}, wanted)
    if name == "files":
        return _files_differ(known, wanted)
    if name == "inputs":
        return _inputs_differ(known, wanted)
    if _is_folder(known) and _is_folder(wanted):
        if told(known) == told(wanted):
            return f"the files of {name} have been written again since"
        return f"{name} had {told(known)} and has {told(wanted)}"
    path, old, new = _first(name, known, wanted)
    return f"{path} was {told(old)} and is {told(new)}"


def told(value: Any) -> str:
    """A described value in a sentence, no longer than a line."""
    if value is _NOTHING:
        return "not there"
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, list):
        return _line(f"[{', '.join(map(told, value))}]") if value else "none"
    return shown(value)


def _object(value: Mapping[str, Any]) -> str:
    if _is_folder(value):
        return f"{value['files']} file{'' if value['files'] == 1 else 's'} of {value['bytes']} bytes"
    kind = value.get("class")
    if "hidden" in value:
        return "hidden"
    if "sha256" in value and value.keys() <= _HASHED:
        length = f" of length {value['length']}" if "length" in value else ""
        return f"a {kind or 'value'}{length} with hash {value['sha256']}"
    if kind is None:
        return _line("{" + ", ".join(f"{name!r}: {told(each)}" for name, each in value.items()) + "}")
    if kind == "source":
        return "a class"
    if kind in _NAMED:
        return str(value.get("name"))
    if "is" in value:
        return told(value["is"]) if kind in ("float", "set") else f"{kind}({told(value['is'])})"
    inside = ", ".join(f"{name}={told(each)}" for name, each in value.items() if name != "class")
    return _line(f"{kind}({inside})")


def _line(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."


def _is_folder(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() >= {"files", "bytes", "listing"}


def _first_entry(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """The first entry that differs, with both values."""
    for key in (*wanted, *known):
        old, new = known.get(key, _NOTHING), wanted.get(key, _NOTHING)
        if old != new:
            return key, old, new
    raise AssertionError("they are equal")


def _first(path: str, known: Any, wanted: Any) -> tuple[str, Any, Any]:
    """The place of the first difference between two descriptions, and both values there."""
    if isinstance(known, Mapping) and isinstance(wanted, Mapping):
        alike = known.get("class") == wanted.get("class") and known.get("class") not in _NAMED
        if alike and not known.keys() | wanted.keys() <= _HASHED:
            key, old, new = _first_entry(known, wanted)
            return _first(f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]", old, new)
    if isinstance(known, list) and isinstance(wanted, list) and len(known) == len(wanted):
        at = next(at for at, (old, new) in enumerate(zip(known, wanted, strict=True)) if old != new)
        return _first(f"{path}[{at}]", known[at], wanted[at])
    return path, known, wanted


def _strategies_differ(known: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> str:
    before = {each["name"]: each for each in known}
    now = {each["name"]: each for each in wanted}
    if list(before) != list(now):
        return f"its strategies were {_listed(before)} and are {_listed(now)}"
    kinds = (("parameters", "the parameter"), ("settings", "the setting"), ("attributes", "the attribute"))
    for name, each in now.items():
        if before[name].get("class") != each.get("class"):
            return f"strategy {name!r} was a {before[name].get('class')} and is a {each.get('class')}"
        for part, what in kinds:
            if before[name].get(part) != each.get(part):
                path, old, new = _inside(before[name].get(part) or {}, each.get(part) or {})
                return f"{what} {path} of strategy {name!r} was {told(old)} and is {told(new)}"
    return "its strategies have changed"


def _clients_differ(known: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> str:
    before = {each["username"]: each for each in known}
    now = {each["username"]: each for each in wanted}
    if list(before) != list(now):
        return f"its clients were {_listed(before)} and are {_listed(now)}"
    for name, each in now.items():
        if before[name] != each:
            path, old, new = _inside(before[name], each)
            return f"the setting {path} of client {name!r} was {told(old)} and is {told(new)}"
    return "its clients have changed"


def _inside(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, Any, Any]:
    key, old, new = _first_entry(known, wanted)
    return _first(key, old, new)


def _script_differs(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    path, old, new = _first_entry(known, wanted)
    if _is_code(old) and _is_code(new):
        return f"the source of {path} in the script has changed since"
    path, old, new = _first(path, old, new)
    return f"{path} in the script was {told(old)} and is {told(new)}"


def _is_code(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class") in ("source", "function")


def _files_differ(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if list(known) != list(wanted):
        return f"its files were {_listed(known)} and are {_listed(wanted)}"
    key, old, new = _first_entry(known, wanted)
    if old["bytes"] != new["bytes"]:
        return f"the file {key} had {old['bytes']} bytes and has {new['bytes']}"
    return f"the file {key} has another content: its hash was {old['sha256']} and is {new['sha256']}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _inputs_differ(known: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> str:
    before, now = {each["unit"]: each for each in known}, {each["unit"]: each for each in wanted}
    numbers = f"it had {len(before)} input{'' if len(before) == 1 else 's'} and now has {len(now)}"
    for unit in now:
        if unit not in before:
            return f"{unit} is not among its inputs ({numbers})"
    for unit in before:
        if unit not in now:
            return f"its input {unit} is not there any more ({numbers})"
    for unit, each in now.items():
        old = before[unit]
        if old.get("bytes") != each.get("bytes"):
            return f"its input {unit} has changed: it had {old.get('bytes')} bytes and has {each.get('bytes')}"
        if old != each:
            return f"its input {unit} has been written again since"
    return "its inputs come in another order"
