"""The command `calibrate`: a recorded session beside its simulation."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .options import config_of, config_option, settings_option

if TYPE_CHECKING:
    from ..calibrate import Calibration

#: Columns of shares of a size, and of shares of a price.
_SHARE, _PRICE = "{:.1%}", "{:+.2%}"


@click.command(epilog="Example: headrace calibrate session --out measured.toml")
@click.argument("session", type=click.Path(), metavar="SESSION")
@config_option
@settings_option
@click.option("--json", "as_json", is_flag=True, help="Print it all as JSON.")
@click.option("--out", "-o", type=click.Path(), metavar="FILE",
              help="A new TOML file for the settings that fit best; --config reads it.")  # fmt: skip
def calibrate(session: str, config_file: str | None, settings: tuple[str, ...], as_json: bool, out: str | None) -> None:
    """Compare a recorded session with its simulation, and find the settings that fit best.

    SESSION is a folder that `headrace live --record` kept, of a live session or of a rehearsal. Its requests are retold
    to the simulated exchange; strategies are not needed. Shown are what was matched by the place in the queue, the time
    to the first match, how matched prices compare with those asked, and measured latencies. The exit code is 1 where a
    file of the session is damaged; the others still count.
    """
    from ..calibrate import calibrate as compare

    found = compare(session, config=config_of(config_file, settings, None, False))
    written = None if out is None else found.to_toml(out)
    if as_json:
        import json

        click.echo(json.dumps(found.as_dict(), indent=1))
    else:
        _show(found)
    for line in found.damaged:
        click.echo(f"left out: {line}", err=as_json)
    if written is not None:
        click.echo(f"settings in {written}", err=as_json)
    if found.damaged:
        sys.exit(1)


def _show(found: Calibration) -> None:
    from rich.console import Console

    from ..results.display.terminal import side_by_side, width

    console = Console(width=max(width(), 32))

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    whose = [each["of"] for each in found.slippage]
    say(f"{_counted(found.orders, 'limit order')} in {_counted(found.markets, 'market')}")
    say("\nShare matched, by the size ahead when the order was placed (by its own size):")
    console.print(
        side_by_side(["ahead", "orders", "size", *whose], _texts(found.fill_rates, dict.fromkeys(whose, _SHARE)))
    )
    say("\nSeconds to the first match, of orders that waited:")
    seconds = dict.fromkeys(("quarter", "median", "three_quarters"), "{:,.3f}")
    console.print(
        side_by_side(["of", "orders", "quarter", "median", "three_quarters"], _texts(found.times_to_fill, seconds))
    )
    say("\nMatched prices against the price asked, and against the best to take at placement (+ is better):")
    prices = {"asked": _PRICE, "best": _PRICE}
    console.print(side_by_side(["of", "matched", "asked", "best"], _texts(found.slippage, prices)))
    if found.latencies:
        rows = [{"operation": kind.lower(), **each} for kind, each in found.latencies.items()]
        say("\nSeconds from a request to the exchange:")
        console.print(side_by_side(["operation", "requests", "median"], _texts(rows, {"median": "{:,.4f}"})))
    say("\n" + _best(found))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _best(found: Calibration) -> str:
    """Which queue fits best, as a sentence."""
    if found.queue is None:
        return "All queues give the same orders: this session does not tell which fits best."
    tried = ", ".join(f"{queue} {found.errors[queue]:,.2f}" for queue in list(found.errors)[:3])
    return (
        f"The queue that fits best: {found.queue}; it matches {found.errors[found.queue]:,.2f} of size otherwise than "
        f"the exchange did ({tried})."
    )


def _texts(rows: Sequence[Mapping[str, Any]], shapes: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows with some of their columns as texts; nothing for None."""
    return [
        {
            name: shapes[name].format(value) if name in shapes and value is not None else value
            for name, value in row.items()
        }
        for row in rows
    ]
