"""Accounts, faults and schedules of faults as people write them: words, and files of JSON."""

from __future__ import annotations

import dataclasses
import os
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ...strategies.errors import InputError
from ...values import UNREADABLE, did_you_mean, shown
from .faults import KINDS, NEED_SECONDS, Fault
from .settings import AccountSettings, ExchangeSettings, Limits, Timers

#: Most faults that a schedule may draw.
_MOST_DRAWN = 10_000
_SCHEDULE = '{"seed": 7, "minutes": 10, "per_minute": 2, "faults": ["stream.drop"]}'
#: What msgspec says of a value of another kind, and how people say it.
_OF_ANOTHER_KIND = re.compile(r"Expected `(\w+)[^`]*`(?:, got `[^`]*`)?(?: - at `\$\.(\w+)`)$")
_WORDS = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "a text"}


def accounts_of(asked: Iterable[AccountSettings | Mapping[str, Any] | str]) -> tuple[AccountSettings, ...]:
    """Accounts as they were asked for: settings, fields of them, or words such as "alice" or "alice,currency=EUR".

    The password is "rehearsal" and the application key "<username>-key" where none is given.

    Raises:
        InputError: a field is unknown, or says nothing.
    """
    several = _several(asked, AccountSettings, "accounts", "alice,currency=EUR")
    return tuple(each if isinstance(each, AccountSettings) else _account(each) for each in several)


def _several(asked: Any, kind: type, what: str, example: str) -> list[Any]:
    """What was asked for, as a list of what can be read: one alone is a list of one."""
    one = isinstance(asked, (str, Mapping, kind))
    if not one and not isinstance(asked, Iterable):
        raise InputError(f"{what} is {shown(asked)}; expected a list, such as [{example!r}]")
    several = [asked] if one else list(asked)
    odd = next((each for each in several if not isinstance(each, (str, Mapping, kind))), None)
    if odd is not None or None in several:
        raise InputError(f"{what}: found {shown(odd)}; expected words such as {example!r}, or their fields")
    return several


def _account(asked: Mapping[str, Any] | str) -> AccountSettings:
    values = dict(_fields(asked, "username", f"account {asked!r}") if isinstance(asked, str) else asked)
    if values.get("username") == "" or asked == "":
        raise InputError(f"account {asked!r}: the username is missing; expected words such as 'alice,currency=EUR'")
    shown = asked if isinstance(asked, str) else ",".join(f"{name}={value}" for name, value in values.items())
    if "username" in values:
        values.setdefault("app_key", f"{values['username']}-key")
    account: AccountSettings = _made(AccountSettings, values, f"account {shown!r}")
    return account


def faults_of(asked: Iterable[Fault | Mapping[str, Any] | str]) -> list[Fault]:
    """Faults as they were asked for: faults, fields of them, or words such as "stream.drop:after=30,times=3".

    `times=always` is whenever it can.

    Raises:
        InputError: a field is unknown, or says nothing.
    """
    several = _several(asked, Fault, "faults", "stream.drop:after=30")
    return [each if isinstance(each, Fault) else _fault(each) for each in several]


def _fault(asked: Mapping[str, Any] | str) -> Fault:
    if isinstance(asked, str):
        kind, _, rest = asked.partition(":")
        values = {"kind": kind, **_fields(rest, "", f"fault {asked!r}")}
    else:
        values = dict(asked)
    if values.get("times") == "always":
        values["times"] = None
    if "done" in values:
        raise InputError(f"fault {values.get('kind')!r}: done is counted, and not given")
    what = f"fault {asked if isinstance(asked, str) else values.get('kind')!r}"
    fault: Fault = _made(Fault, values, what)
    takes = KINDS[fault.kind]
    if fault.kind in NEED_SECONDS and not fault.seconds:
        raise InputError(f"{what}: seconds is missing: {takes}; expected for example {fault.kind}:seconds=3")
    for name in ("seconds", "value"):
        if getattr(fault, name) and f"`{name}`" not in takes:
            raise InputError(f"{what}: {fault.kind} takes no {name}: {takes}")
    return fault


def _fields(text: str, first: str, what: str) -> dict[str, Any]:
    """`first,name=value,...` as fields."""
    values: dict[str, Any] = {}
    for place, part in enumerate(text.split(",") if text else ()):
        name, equals, value = part.partition("=")
        if not equals and place == 0 and first:
            name, value = first, part
        elif not equals:
            raise InputError(f"{what}: expected name=value, found {part!r}")
        if name.strip() in values:
            raise InputError(f"{what}: {name.strip()} is given twice")
        values[name.strip()] = value.strip()
    return values


def _made(kind: Any, values: dict[str, Any], what: str) -> Any:
    known = [each.name for each in dataclasses.fields(kind) if each.name != "done"]
    unknown = next((name for name in values if name not in known), None)
    if unknown is not None:
        near = did_you_mean(unknown, known) or f"; expected some of {', '.join(known)}"
        raise InputError(f"{what}: there is no {unknown!r}{near}")
    if "kind" in known and (asked := values.get("kind")) not in KINDS:
        raise InputError(f"{what}: not a kind of fault{_kinds_near(asked)}")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"{what}: {_in_words(error, values)}") from None


def _kinds_near(asked: object) -> str:
    """The kinds of faults that may be meant, to end a sentence with: the nearest, those of its group, or all."""
    if near := did_you_mean(asked, KINDS):
        return near
    group = [kind for kind in KINDS if kind.startswith(f"{str(asked).partition('.')[0]}.")]
    return f"; expected one of {', '.join(group or KINDS)}"


def _in_words(error: msgspec.ValidationError, values: Mapping[str, Any]) -> str:
    found = _OF_ANOTHER_KIND.search(str(error))
    if found is None or found[1] not in _WORDS or found[2] not in values:
        return str(error)
    return f"{found[2]} is {shown(values[found[2]])}; expected {_WORDS[found[1]]}"


def with_settings(settings: ExchangeSettings, asked: Mapping[str, str]) -> ExchangeSettings:
    """Settings with limits, timers and switches as they were asked for in words: `{"connections": "2"}`.

    Raises:
        InputError: there is no such limit, timer or switch, or the value says nothing.
    """
    limits = {each.name for each in dataclasses.fields(Limits)}
    timers = {each.name for each in dataclasses.fields(Timers)}
    chosen: dict[str, dict[str, Any]] = {"limits": {}, "timers": {}, "switches": {}}
    for name, text in asked.items():
        value: Any = None if text == "none" else text
        if name in limits:
            chosen["limits"][name] = value
        elif name in timers:
            chosen["timers"][name] = value
        elif name in SWITCHES:
            chosen["switches"][name] = value
        else:
            known = sorted({*limits, *timers, *SWITCHES})
            near = did_you_mean(name, known) or f"; expected one of {', '.join(known)}"
            raise InputError(f"--set {name}: there is no such limit, timer or switch{near}")
    parts = {
        "limits": _made(Limits, {**dataclasses.asdict(settings.limits), **chosen["limits"]}, "--set"),
        "timers": _made(Timers, {**dataclasses.asdict(settings.timers), **chosen["timers"]}, "--set"),
    }
    switches = _made(_Switches, chosen["switches"], "--set")
    given = {name: getattr(switches, name) for name in chosen["switches"]}
    return dataclasses.replace(settings, **parts, **given)


@dataclasses.dataclass(frozen=True)
class _Switches:
    """The settings of an exchange that are on or off."""

    settle_twice: bool = False
    token_changes: bool = False


#: Their names.
SWITCHES = tuple(each.name for each in dataclasses.fields(_Switches))


def read_faults(path: str | os.PathLike[str]) -> list[Fault]:
    """The faults of a file of JSON: a list of them, or a schedule that is drawn.

    A schedule is `{"seed": 7, "minutes": 10, "per_minute": 2, "faults": [...]}`: for so many minutes of real time, so
    often by chance, one of the faults, each as likely as the others; equal seeds draw equal faults at equal times.

    Raises:
        InputError: there is no such file, or it is something else.
    """
    try:
        with open(path, "rb") as file:
            found = msgspec.json.decode(file.read())
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: {error.strerror}") from None
    except UNREADABLE as error:
        raise InputError(f"{os.fspath(path)}: is not JSON: {error}") from None
    try:
        if isinstance(found, list):
            return faults_of(found)
        return _drawn(found)
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from None


class _Schedule(msgspec.Struct, forbid_unknown_fields=True):
    minutes: float
    per_minute: float
    faults: list[dict[str, Any] | str]
    seed: int = 0


def _drawn(found: Any) -> list[Fault]:
    try:
        schedule = msgspec.convert(found, _Schedule)
    except msgspec.ValidationError as error:
        raise InputError(
            f'is not a list of faults, and not a schedule: {error}; expected such as ["stream.drop"] or {_SCHEDULE}'
        ) from None
    if not schedule.faults or not 0 < schedule.minutes * schedule.per_minute <= _MOST_DRAWN:
        raise InputError(f"a schedule has faults, and minutes times per_minute is more than 0, at most {_MOST_DRAWN}")
    return draw(faults_of(schedule.faults), schedule.minutes, schedule.per_minute, schedule.seed)


def draw(faults: Sequence[Fault], minutes: float, per_minute: float, seed: int) -> list[Fault]:
    """Faults by chance: `per_minute` on average, for some minutes, each one of `faults`."""
    dice, drawn = random.Random(seed), []
    at = dice.expovariate(per_minute / 60)
    while at < minutes * 60:
        drawn.append(dataclasses.replace(dice.choice(faults), after=round(at, 3)))
        at += dice.expovariate(per_minute / 60)
    return drawn
