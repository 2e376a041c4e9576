"""The frame of a self-contained page: style, script, tables, and the escaping of text that came from elsewhere."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from . import charts

_MOST_TEXT = 400
_MOST_TRACEBACK = 4000
#: Fields of a row that a phone shows before it is tapped.
MAIN_FIELDS = 3

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        key: what links name; letters only.
        inside: markup.
        bad: it tells what went wrong.
    """

    key: str
    title: str
    inside: str
    bad: bool = False

    @property
    def markup(self) -> str:
        kind = ' class="bad"' if self.bad else ""
        return f'<section id="{self.key}"><h2{kind}>{escape(self.title)}</h2>{self.inside}</section>'


def document(
    title: str, head: str, sections: Sequence[Section], digest: str, data: Mapping[str, Any] | None = None
) -> str:
    """A page of HTML that fetches nothing; the one script that may run in it is our own.

    Args:
        head: markup under the title.
        digest: stands last.
        data: what the script draws from; texts in it are shown as texts.
    """
    script = _script()
    links = "".join(
        f'<a href="#{each.key}"{" class=bad" if each.bad else ""}>{escape(each.title)}</a>' for each in sections
    )
    body = (
        f"<header><h1>{escape(title)}</h1>{head}<nav>{links}</nav></header>"
        f"<main>{''.join(each.markup for each in sections)}</main>"
        f'<footer><p class="soft">digest <code>{escape(digest)}</code></p></footer>'
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        # Whatever a name holds, the page cannot fetch it, and runs no script but the one with this digest.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        f"img-src data:; script-src 'sha256-{_digest(script)}'\">"
        '<link rel="icon" href="data:,"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_style()}</style></head><body>{body}"
        f'<script type="application/json" id="data">{_json(data or {})}</script>'
        f"<script>{script}</script></body></html>\n"
    )


@functools.cache
def _style() -> str:
    return charts.COLOURS + _beside("page.css")


@functools.cache
def _script() -> str:
    return _beside("page.js")


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


# -- parts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tile:
    """A figure at the top. `tone` is "", "warn" or "bad"; `link` the key of a section."""

    name: str
    value: str
    tone: str = ""
    link: str = ""

    @property
    def markup(self) -> str:
        value = f'<a href="#{self.link}">{escape(self.value)}</a>' if self.link else escape(self.value)
        kind = f' class="{self.tone}"' if self.tone else ""
        return f"<div{kind}><dt>{escape(self.name)}</dt><dd>{value}</dd></div>"


def tiles(found: Sequence[Tile]) -> str:
    return f'<dl class="tiles">{"".join(each.markup for each in found)}</dl>'


def fields(pairs: Sequence[tuple[str, Any]]) -> str:
    """Names with their values, several in a line; long ones have a line of their own."""
    parts = []
    for name, value in pairs:
        shown = charts.shortened("" if value is None else str(value), 2 * _MOST_TEXT)
        kind = ' class="long"' if len(shown) > 60 else ""
        parts.append(f"<div{kind}><dt>{escape(name)}</dt><dd>{escape(shown)}</dd></div>")
    return f'<dl class="fields">{"".join(parts)}</dl>'


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: the heading.
        field: the key of the row.
        shape: the value as markup.
        text: it is text: to the left, and it may wrap.
        main: shown on a phone before the row is tapped.
        long: has a line of its own on a phone.
    """

    name: str
    field: str
    shape: Callable[[Any], str]
    text: bool = False
    main: bool = False
    long: bool = False


def table(columns: Sequence[Column], rows: Sequence[Row], best: int | None = None, kind: str = "rows") -> str:
    """A table; on a phone each row shows its main fields, and the others where it is tapped.

    Args:
        rows: one that has a `market` (its place in the data of the page) leads to the market's orders.
        best: the row that is marked.
    """
    mains = [column.name for column in columns if column.main] or [column.name for column in columns[:MAIN_FIELDS]]
    head = "".join(f'<th scope="col" class="{"t" if one.text else "n"}">{escape(one.name)}</th>' for one in columns)
    lines = []
    for place, row in enumerate(rows):
        cells = "".join(
            f'<td data-name="{escape(one.name)}" class="{classes(one, mains)}">'
            f"<span>{one.shape(row.get(one.field))}</span></td>"
            for one in columns
        )
        market = "" if row.get("market") is None else f' data-market="{row["market"]}"'
        lines.append(f"<tr{market}{' class=best' if place == best else ''}>{cells}</tr>")
    whole = " whole" if len(mains) == len(columns) else ""
    return (
        f'<div class="wide"><table class="{kind}{whole}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def classes(column: Column, mains: Sequence[str]) -> str:
    """The classes of a column's cells; `mains` are the names of those that a phone shows at first."""
    main = column.name in mains
    kinds = ["t" if column.text else "n", "" if main else "more", "long" if column.long else ""]
    return " ".join(filter(None, (*kinds, "lead" if column.name == mains[0] else "")))


def left_out(shown: int, there: int, what: str, which: str) -> str:
    """What a table or a chart does not show."""
    return f'<p class="soft">{shown:,} of {there:,} {what}: {which}.</p>' if shown < there else ""


# -- values as markup ----------------------------------------------------------------------------------------------


def text(value: Any) -> str:
    return escape(charts.shortened("" if value is None else str(value), _MOST_TEXT))


def place(value: Any) -> str:
    return f"<code>{text(value)}</code>" if value else ""


def traceback(value: str | None) -> str:
    """A traceback that unfolds; of a long one the end."""
    if not value:
        return ""
    return f"<details><summary>traceback</summary><pre>{escape(value[-_MOST_TRACEBACK:])}</pre></details>"


def money(value: Any) -> str:
    return "" if value is None else f"{round(value, 2) + 0.0:,.2f}"


def whole(value: Any) -> str:
    return "" if value is None else f"{value:,}"


def fraction(value: Any) -> str:
    return "" if value is None else f"{value:.2%}"


def time(value: Any) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M}"
