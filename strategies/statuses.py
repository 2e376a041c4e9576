"""Closed sets whose members strategies compare at every change.

They read as an `enum.Enum` does (`.name`, `.value`, iteration, look-up by name and value), and stand in the class as
plain attributes: up to Python 3.11 the look-up of an enum's member goes through a hook that costs several times as
much.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, NoReturn

from ..values import did_you_mean, either, shown


class _Members(type):
    """The class as a collection of its members.

    No `__getattr__`, though it could name the nearest member: with it Python looks up every member through a hook that
    takes several times as long, and strategies compare statuses of all orders at every change.
    """

    _members: dict[str, Any]

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls._members.values())

    def __len__(cls) -> int:
        return len(cls._members)

    def __getitem__(cls, name: str) -> Any:
        found = cls._members.get(name)
        if found is None:
            raise KeyError(_unknown(cls, name, list(cls._members)))
        return found


def _unknown(cls: type, name: object, known: list[str]) -> str:
    return f"{shown(name)} is not a member of {cls.__name__}: expected {either(known)}{did_you_mean(name, known)}"


class Status(metaclass=_Members):
    """Subclass it with `NAME = "value"` members, annotated `ClassVar[Any]`."""

    __slots__ = ("name", "value")

    name: str
    value: str

    def __init_subclass__(cls) -> None:
        values = {name: value for name, value in vars(cls).items() if name.isupper()}
        cls._members = {}
        for name, value in values.items():
            member = object.__new__(cls)
            member.name, member.value = name, value
            setattr(cls, name, member)
            cls._members[name] = member

    def __new__(cls, value: str) -> Any:
        for member in cls:
            if value in (member.value, member):
                return member
        raise ValueError(_unknown(cls, value, [each.value for each in cls]))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


class Words(Enum):
    """A closed set that is compared rarely; an unknown word is refused with the nearest."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(_unknown(cls, value, [each.value for each in cls]))
