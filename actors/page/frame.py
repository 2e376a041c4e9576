"""Pages of tables that change while they are looked at: one frame of HTML, style and script; nothing is fetched."""

from __future__ import annotations

import functools
from importlib import resources

#: What a browser lets these pages do: show themselves, and ask where they come from.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page_of(title: str, script: str, head: str = "", style: str = "") -> str:
    """A page.

    Args:
        script: says what its tables are (`layTables`) and follows an address (`follow`); see `frame.html`.
        head: HTML between the header and the tiles.
        style: further rules of CSS.
    """
    page = _frame()
    for name, text in (("title", title), ("style", style), ("head", head), ("script", script)):
        page = page.replace("{{" + name + "}}", text)
    return page


@functools.cache
def _frame() -> str:
    return resources.files(__package__).joinpath("frame.html").read_text(encoding="utf-8")
