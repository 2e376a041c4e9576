"""Sections that pages of results and of sweeps share: what was run, what failed, what controls refused."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ...actors.violations import kind_of_reason
from ..chosen_models import chosen_models
from ..violations import advice, reason_of
from . import page
from .formats import readable_size
from .page import Column, Section

if TYPE_CHECKING:
    import pyarrow as pa

#: Places of failures, broken recordings and reasons of violations that a page shows.
MOST_PLACES = 30
MOST_RECORDINGS = 50
MOST_REASONS = 30
#: Kinds of messages that are shown of a recording, and how a message begins.
_MOST_KINDS = 5
_PLACE = re.compile(r"[^\n]+?(?:, (line \d+))?(?:, (market [\d.]+))?: (.*)", re.DOTALL)
#: Strategies whose parameters are shown.
_MOST_STRATEGIES = 12


def about(manifest: Mapping[str, Any]) -> str:
    """When it was run, with what; and whether the run came to its end."""
    started, versions = manifest.get("started"), manifest.get("versions")
    parts = [
        f"started {started}" if started else "",
        f"{manifest['changes']:,} changes replayed" if isinstance(manifest.get("changes"), int) else "",
        f"headrace {versions['headrace']}" if isinstance(versions, Mapping) and versions.get("headrace") else "",
    ]
    told = "; ".join(part for part in parts if part)
    open_ = '<p class="notice">The run did not come to its end: the page shows what was done until then.</p>'
    return f'<p class="soft">{escape(told)}</p>{open_ if manifest.get("finished") is False else ""}'


# -- what was run --------------------------------------------------------------------------------------------------


def run_section(manifest: Mapping[str, Any], markets: pa.Table, more: Sequence[tuple[str, Any]] = ()) -> Section:
    """Strategies with their parameters and settings, inputs, the window of time, settings, versions.

    Args:
        more: further facts, before the inputs.
    """
    strategies = manifest.get("strategies") or []
    inside = "".join(_strategy(each) for each in strategies[:_MOST_STRATEGIES])
    inside += page.left_out(min(len(strategies), _MOST_STRATEGIES), len(strategies), "strategies", "the first")
    facts = [*more, *_inputs(manifest), *_window(markets), *_machine(manifest)]
    if facts:
        inside += f"<h3>Inputs and run</h3>{page.fields(facts)}"
    models = chosen_models(manifest)
    if models:
        inside += f"<h3>Models of the simulated exchange</h3>{page.fields(list(models.items()))}"
    config = manifest.get("config") or {}
    if config:
        inside += f"<h3>Settings</h3>{_settings(config)}"
    versions = manifest.get("versions") or {}
    if versions:
        inside += f"<h3>Versions</h3>{page.fields(list(versions.items()))}"
    return Section("run", "What was run", inside or "<p>The result does not say.</p>")


def _strategy(told: Mapping[str, Any]) -> str:
    kind = told.get("class")
    name = str(told.get("name")) + (f" ({kind})" if kind and kind != told.get("name") else "")
    parameters = [(key, shown_value(value)) for key, value in (told.get("parameters") or {}).items()]
    settings = [(key, shown_value(value)) for key, value in (told.get("settings") or {}).items()]
    inside = page.fields(parameters) if parameters else '<p class="soft">No parameters.</p>'
    return f'<div class="card"><h3>{page.text(name)}</h3>{inside}{page.fields(settings)}</div>'


def shown_value(value: Any) -> str:
    """A value of the manifest as text."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _inputs(manifest: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    inputs = manifest.get("inputs")
    if isinstance(inputs, int):
        yield "recordings", f"{inputs:,}"
        yield from _first_and_last(*(manifest.get("input_ends") or ("", "")))
    elif inputs:
        yield "recordings", f"{sum(each.get('files', 1) for each in inputs):,}"
        yield "of", readable_size(sum(each.get("bytes") or 0 for each in inputs))
        yield from _first_and_last(inputs[0]["unit"], inputs[-1]["unit"])
    if manifest.get("folder"):
        yield "run in the folder", manifest["folder"]


def _first_and_last(first: str, last: str) -> Iterable[tuple[str, Any]]:
    if first and first != last:
        yield "first input", first
        yield "last input", last
    elif first:
        yield "input", first


def _window(markets: pa.Table) -> Iterable[tuple[str, Any]]:
    import pyarrow.compute as pc

    yield "markets", f"{len(markets['market_id'].unique()):,}"
    ends = pc.min_max(markets["start"]).as_py()
    if ends["min"] is not None:
        yield "first start (UTC)", page.time(ends["min"])
        yield "last start (UTC)", page.time(ends["max"])


def _machine(manifest: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, name in (("engine", "engine"), ("started", "started"), ("sources", "source of the strategies, hash")):
        if manifest.get(key):
            yield name, manifest[key]
    for key, name in (("seconds", "seconds in all"), ("replay_seconds", "seconds of replay, all workers")):
        if manifest.get(key) is not None:
            yield name, f"{manifest[key]:,}"
    if isinstance(manifest.get("changes"), int):
        yield "changes", f"{manifest['changes']:,}"


def _settings(config: Mapping[str, Any]) -> str:
    """Those that differ from the defaults first; the others fold."""
    from ...config import Config

    usual = Config().as_dict()
    other = [(key, shown_value(value)) for key, value in config.items() if key not in usual or usual[key] != value]
    same = [(key, shown_value(value)) for key, value in config.items() if key in usual and usual[key] == value]
    changed = page.fields(other) if other else '<p class="soft">All are the defaults.</p>'
    return f"{changed}<details><summary>{len(same)} at their defaults</summary>{page.fields(same)}</details>"


# -- failures ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class _FailedAt:
    """Failures of strategies of one type at one line.

    Attributes:
        first: the first of them, a row of `failures`.
        messages, markets, who: each once, in order; of a sweep `who` are numbers of sets, else names of strategies.
    """

    first: Mapping[str, Any]
    times: int = 0
    messages: dict[str, None] = dataclasses.field(default_factory=dict)
    markets: dict[str, None] = dataclasses.field(default_factory=dict)
    who: dict[str, None] = dataclasses.field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        self.times += row["count"] or 0
        self.messages[str(row["message"])] = None
        if row["market_id"]:
            self.markets[row["market_id"]] = None
        who = row.get("set", row["strategy"])
        if who is not None:
            self.who[str(who)] = None


def failures_section(failures: Iterable[Mapping[str, Any]]) -> Section:
    """What went wrong: errors of strategies by their place, then broken recordings.

    Args:
        failures: rows of the table.
    """
    places: dict[tuple[str, str], _FailedAt] = {}
    broken = []
    for row in failures:
        if row["strategy"] is None:
            broken.append(row)
        else:
            places.setdefault((row["line"] or row["unit"] or "", row["error_type"] or ""), _FailedAt(row)).add(row)
    if not places and not broken:
        return Section("failures", "Failures", "<p>None.</p>")
    ranked = sorted(places.items(), key=lambda each: -each[1].times)
    links = ""
    if len(ranked) > 1:
        entries = (
            f'<li><a class="bad" href="#failure-{number}">{page.text(place)}</a> {escape(kind)}, '
            f"{found.times:,} times</li>"
            for number, ((place, kind), found) in enumerate(ranked[:MOST_PLACES])
        )
        links = f"<ul>{''.join(entries)}</ul>"
    inside = links + "".join(
        _place(number, place, kind, found) for number, ((place, kind), found) in enumerate(ranked[:MOST_PLACES])
    )
    inside += page.left_out(min(len(ranked), MOST_PLACES), len(ranked), "places", "those that failed most often")
    if broken:
        inside += _recordings(broken)
    return Section("failures", "Failures", inside, bad=True)


def _place(number: int, place: str, kind: str, found: _FailedAt) -> str:
    first, messages = found.first, list(found.messages)
    other = f" (and {len(messages) - 1:,} other messages)" if messages[1:] else ""
    who = _named("set" if "set" in first else "by", found.who)
    where = _named("market", sorted(found.markets)) if len(found.markets) < 4 else f"in {len(found.markets):,} markets"
    again = f"<p>again: {page.place(first['command'])}</p>" if first["command"] else ""
    return (
        f'<div class="failure" id="failure-{number}"><h3>{page.place(place)} {escape(kind)}</h3>'
        f"<p>{page.text(messages[0])}{other}</p>"
        f'<p class="soft">{found.times:,} times, {escape(where)}, {escape(who)}</p>'
        f"{again}{page.traceback(first['traceback'])}</div>"
    )


def _named(what: str, names: Iterable[Any]) -> str:
    known = list(dict.fromkeys(str(name) for name in names if name is not None))
    shown = ", ".join(known[:5]) + (f" and {len(known) - 5:,} more" if known[5:] else "")
    return f"{what} {shown}" if shown else ""


def _recordings(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with recordings, by file."""
    units: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        units.setdefault(row["unit"] or row["line"] or "", []).append(row)
    shown = list(units.items())[:MOST_RECORDINGS]
    inside = "".join(_recording(unit, found) for unit, found in shown)
    return inside + page.left_out(len(shown), len(units), "recordings with failures", "the first")


def _recording(unit: str, rows: Sequence[Mapping[str, Any]]) -> str:
    kinds: dict[str, list[str]] = {}
    for row in rows:
        place, message = _split(str(row["message"]))
        kinds.setdefault(message, []).append(place)
    told = "".join(
        f"<p>{page.text(message)}"
        + (f' <span class="soft">({escape(_named("", places).strip())})</span>' if any(places) else "")
        + "</p>"
        for message, places in list(kinds.items())[:_MOST_KINDS]
    )
    told += page.left_out(min(len(kinds), _MOST_KINDS), len(kinds), "messages", "the first")
    command = rows[0]["command"]
    again = f"<p>again: {page.place(command)}</p>" if command else ""
    kind = escape(str(rows[0]["error_type"]))
    return f'<div class="failure"><h3>{page.place(unit)} {kind}</h3>{told}{again}</div>'


def _split(message: str) -> tuple[str, str]:
    """Where in a recording it is, and what is wrong there: the file is told once for all."""
    found = _PLACE.match(message)
    if found is None:
        return "", message
    return ", ".join(part for part in found.groups()[:2] if part), found[3]


# -- violations ----------------------------------------------------------------------------------------------------


def violations_section(violations: Iterable[pa.Table]) -> Section:
    """What controls refused, by reason.

    Args:
        violations: the table, in one piece or in several.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for piece in violations:
        for row in piece.to_pylist():
            key = (row["control"] or "", kind_of_reason(row["reason"] or ""))
            each = found.get(key)
            if each is None:
                each = found[key] = {"reason": row["reason"], "control": key[0], "count": 0}
                each.update(requests={}, by={}, where=set())
            each["count"] += row["count"] or 0
            each["requests"][row["request"]] = None
            each["by"][f"set {row['set']}" if row.get("set") is not None else row["strategy"]] = None
            each["where"].add(row["market_id"])
    if not found:
        return Section("violations", "Violations", "<p>None: no control refused anything.</p>")
    rows = sorted(found.values(), key=lambda each: -each["count"])
    for each in rows:
        each["request"] = _named("", each["requests"]).strip()
        each["strategies"] = _named("", each["by"]).strip()
        each["markets"] = len(each["where"])
    shown = rows[:MOST_REASONS]
    most = found[min(found, key=lambda key: (-found[key]["count"], key))]
    how = advice([reason_of(most["control"], most["reason"], most["count"])], shell=True)
    stop = "" if how.endswith(".") else "."
    told = f" {how[0].upper()}{how[1:]}{stop}" if how else ""
    inside = (
        f"<p>Requests that controls refused; they never reached the exchange.{page.text(told)} Reasons that differ in "
        "their figures only are one, with the figures of the first.</p>" + page.table(_VIOLATIONS, shown)
    )
    inside += page.left_out(len(shown), len(rows), "reasons", "the most frequent")
    return Section("violations", "Violations", inside)


_VIOLATIONS = (
    Column("reason", "reason", page.text, text=True, main=True, long=True),
    Column("times", "count", page.whole, main=True),
    Column("control", "control", page.text, text=True, main=True),
    Column("request", "request", page.text, text=True, main=True),
    Column("markets", "markets", page.whole),
    Column("by", "strategies", page.text, text=True),
)
