"""A strategy's parameters: its annotated class attributes, typed, overridable and sweepable."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal, NamedTuple

from ..values import did_you_mean, number_of, shown, unboxed
from .resource import Resource

_MUTABLE = (list, dict, set, bytearray)
_REQUIRED: Any = object()

#: The values of a parameter set, by name.
Values = dict[str, Any]


class Parameter(NamedTuple):
    """One parameter: its name, declared type and default."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is _REQUIRED


def declared_parameters(strategy_class: type, base: type) -> dict[str, Parameter]:
    """The parameters that `strategy_class` and its parents below `base` declare, parents first.

    Raises:
        TypeError: a default is mutable: all markets would share it.
    """
    found: dict[str, Parameter] = {}
    for cls in reversed(strategy_class.__mro__):
        if cls is base or not issubclass(cls, base):
            continue
        for name, annotation in _hints(cls).items():
            if name.startswith("_") or _is_class_var(annotation) or isinstance(cls.__dict__.get(name), Resource):
                continue
            default = cls.__dict__.get(name, _REQUIRED)
            field = cls.__dict__.get("__dataclass_fields__", {}).get(name)
            if field is not None:
                if not field.init:
                    continue
                default = _REQUIRED if field.default is dataclasses.MISSING else field.default
            if isinstance(default, _MUTABLE):
                raise TypeError(
                    f"{cls.__name__}.{name} = {default!r}: a default that can change is shared by all markets; "
                    f"use a tuple or a frozenset, or set it in __init__"
                )
            found[name] = Parameter(name, annotation, default)
        for name, value in cls.__dict__.items():
            if name in found and name not in _hints(cls) and not callable(value):
                found[name] = found[name]._replace(default=value)
    return found


def _hints(cls: type) -> dict[str, Any]:
    annotations = inspect.get_annotations(cls)
    if not any(isinstance(annotation, str) for annotation in annotations.values()):
        return annotations
    try:
        return inspect.get_annotations(cls, eval_str=True)
    except Exception:  # names of typing.TYPE_CHECKING blocks and the like: the text is all there is
        return annotations


def _is_class_var(annotation: Any) -> bool:
    """Whether an attribute is the class's own, or only passed to the `__init__` of a dataclass."""
    if isinstance(annotation, str):
        return annotation.startswith(("ClassVar", "typing.ClassVar", "InitVar", "dataclasses.InitVar"))
    if annotation is dataclasses.InitVar or isinstance(annotation, dataclasses.InitVar):
        return True
    return annotation is ClassVar or typing.get_origin(annotation) is ClassVar


def check_names(names: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Refuse unknown keywords.

    Raises:
        TypeError: names the keyword and the nearest known one.
    """
    known = list(known)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"; it has {', '.join(sorted(known)) or 'none'}"
            raise TypeError(f"{owner} has no parameter {name!r}{hint}")


def _members(annotation: Any) -> tuple[Any, ...]:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return typing.get_args(annotation)
    return (annotation,)


def _described(annotation: Any) -> str:
    if typing.get_origin(annotation) is Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(annotation))
    if isinstance(annotation, type):
        if issubclass(annotation, enum.Enum):
            return f"{annotation.__name__} ({', '.join(member.name for member in annotation)})"
        return {"float": "a number", "int": "a whole number", "str": "a text", "bool": "True or False"}.get(
            annotation.__name__, annotation.__name__
        )
    return str(annotation)


def checked(parameter: Parameter, value: Any, owner: str) -> Any:
    """`value` if it fits the declared type (a whole number fits a float). Scalars of numpy become Python's own.

    Raises:
        TypeError: it does not.
    """
    value = unboxed(value)
    members = _members(parameter.annotation)
    for member in members:
        origin = typing.get_origin(member)
        if member is Any or isinstance(member, (str, typing.TypeVar)):
            return value
        if member is None or member is type(None):
            if value is None:
                return None
        elif origin is Literal:
            if value in typing.get_args(member):
                return value
        elif member is float:
            number = number_of(value)
            if number is not None:
                return float(number)
        elif member is int:
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        else:
            kind = origin or member
            if kind is str and isinstance(value, str):
                return str(value) if not isinstance(value, enum.Enum) else value
            if not isinstance(kind, type) or isinstance(value, kind):
                return value
    expected = " or ".join("None" if m is type(None) else _described(m) for m in members)
    words = [each for each in _choices(members) if isinstance(each, str)]
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    raise TypeError(f"{owner}.{parameter.name} = {shown(value)}: expected {expected}{hint}")


def _choices(members: Iterable[Any]) -> Iterator[Any]:
    """The words of a closed set."""
    for member in members:
        if typing.get_origin(member) is Literal:
            yield from typing.get_args(member)
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            yield from (each.name for each in member)


def from_text(parameter: Parameter, text: str, owner: str) -> Any:
    """The value that `text` means on a command line.

    Raises:
        TypeError: the text does not fit the declared type.
    """
    for member in _members(parameter.annotation):
        if member is type(None) and text.lower() in ("none", "null", ""):
            return None
        if typing.get_origin(member) is Literal:
            for choice in typing.get_args(member):
                if str(choice) == text:
                    return choice
        elif member is bool:
            if text.lower() in ("true", "yes", "1", "false", "no", "0"):
                return text.lower() in ("true", "yes", "1")
        elif member in (int, float):
            try:
                return member(text)
            except ValueError:
                continue
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            for choice in member:
                if text in (choice.name, str(choice.value)):
                    return choice
        elif member is str or member is Any or isinstance(member, str):
            return text
        elif (typing.get_origin(member) or member) is tuple:
            return _tuple(member, parameter, text, owner)
    expected = " or ".join("None" if m is type(None) else _described(m) for m in _members(parameter.annotation))
    raise TypeError(f"{owner}.{parameter.name} = {text!r}: expected {expected}")


def _tuple(member: Any, parameter: Parameter, text: str, owner: str) -> tuple[Any, ...]:
    kinds = [kind for kind in typing.get_args(member) if kind is not Ellipsis] or [str]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(
        from_text(parameter._replace(annotation=kinds[min(at, len(kinds) - 1)]), part, owner)
        for at, part in enumerate(parts)
    )


def column_value(value: Any) -> Any:
    """A value as a column of a table holds it."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(getattr(value, "name", value))
