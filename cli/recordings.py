"""Commands that make and rewrite recordings: `generate`, `catalog`, `pack`, `unpack` and `prices`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from .options import (
    engine_option,
    progress_of,
    quiet_option,
)


@click.command(epilog="Example: headrace generate --markets 20 --seed 7 --out markets")
@click.option("--markets", "-n", type=click.IntRange(min=1), required=True, help="How many markets to write.")
@click.option("--out", "-o", type=click.Path(), required=True, metavar="FOLDER", help="A new folder for the files.")
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds write equal files.")
@click.option(
    "--sport", "sports", multiple=True, help="Only this sport: horse_racing, greyhounds, football, tennis. Repeatable."
)
@click.option("--changes", type=click.IntRange(min=50, max=200_000), default=1200, show_default=True,
              help="Stream messages a market, about.")  # fmt: skip
@click.option("--minutes-before", type=click.FloatRange(min=1, max=1440), metavar="MINUTES",
              help="From the first message to the scheduled off; default: 10 to 30, drawn.")  # fmt: skip
@click.option("--compression", type=click.Choice(["none", "gz", "bz2"]), default="bz2", show_default=True)
@quiet_option
def generate(
    markets: int,
    out: str,
    seed: int,
    sports: tuple[str, ...],
    changes: int,
    minutes_before: float | None,
    compression: Any,
    quiet: bool,
) -> None:
    """Write made-up markets as Betfair's own historical files, to try strategies on.

    Races with in-play turn, starting prices and non-runners, football and tennis matches: books of individual orders,
    matched first in, first out. No real data is needed for it, and none is in it.
    """

    from ..cluster.progress import bar
    from ..results.folders import not_written
    from ..simulate.generator import write_markets
    from ..strategies.errors import InputError

    with bar(progress_of(quiet), "generating") as shown:
        try:
            paths = write_markets(
                Path(out),
                markets,
                seed=seed,
                sports=sports or None,
                changes=changes,
                minutes_before=minutes_before,
                compression=compression,
                progress=None if shown is None else lambda done: shown(done, markets),
            )
        except ValueError as error:
            raise InputError(str(error)) from None
        except OSError as error:
            raise not_written(out, error) from None
    click.echo(f"{len(paths)} markets in {out}")


@click.command(epilog="Example: headrace catalog recordings --out catalog.parquet")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE...")
@click.option("--out", "-o", type=click.Path(), required=True, metavar="FILE", help="The catalog; brought up to date.")
@engine_option
@quiet_option
def catalog(archives: tuple[str, ...], out: str, engine: Any, quiet: bool) -> None:
    """List the markets of an archive as Parquet, one row per market, to choose from without reading.

    ARCHIVE is a recording, a folder, a tar or zip, a URI, or a quoted pattern. Where FILE is a catalog already, only
    what is new or has changed is read. What is wrong with recordings is listed; the exit code is then 1.
    """
    from ..archive.catalog_writer import write_catalog

    written = write_catalog(list(archives), out, engine=engine, progress=progress_of(quiet))
    problems = written.problems.to_pylist()
    for row in problems[:10]:
        place = row["file"] if row["member"] is None else f"{row['file']}!{row['member']}"
        click.echo(f"problem: {' '.join(filter(None, (place, row['market_id'])))}: {row['problems']}", err=True)
    if len(problems) > 10:
        click.echo(f"... and {len(problems) - 10} more; see the column `problems`", err=True)
    click.echo(f"{len(written)} markets in {out}")
    if any(row["market_id"] is None for row in problems):
        sys.exit(1)


@click.command(epilog="Example: headrace pack recordings packed")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE...")
@click.argument("out", type=click.Path(), metavar="OUT")
@engine_option
@quiet_option
def pack(archives: tuple[str, ...], out: str, engine: Any, quiet: bool) -> None:
    """Rewrite recordings as few Parquet files, OUT/year=2024/month=07/part-*.parquet, which are read faster.

    `headrace backtest --markets OUT` gives the same result. Runs of strategies that look at a part of each market's
    life leave out what lies outside it. Broken recordings are listed; the exit code is then 1, and the others are
    packed.
    """
    from ..archive.pack import write_pack

    failures = write_pack(list(archives), out, engine=engine, progress=progress_of(quiet))
    _finish(f"packed in {out}", _messages(failures))


@click.command(epilog="Example: headrace unpack packed unpacked")
@click.argument("packed", type=click.Path(), metavar="PACKED")
@click.argument("folder", type=click.Path(), metavar="FOLDER")
@click.option("--compression", type=click.Choice(["none", "gz", "bz2"]), default="bz2", show_default=True)
@quiet_option
def unpack(packed: str, folder: str, compression: Any, quiet: bool) -> None:
    """Write packed recordings as files again, line for line as they were."""
    from ..archive.unpack import unpack as unpack_into

    problems = unpack_into(packed, folder, compression=compression, progress=progress_of(quiet))
    _finish(f"unpacked in {folder}", problems)


@click.command(epilog="Example: headrace prices --markets 'recordings/**/*.bz2' --every 1s --out prices")
@click.option("--markets", "-m", multiple=True, required=True, metavar="PATH",
              help="A recording, a folder, or a quoted pattern. Repeatable.")  # fmt: skip
@click.option("--every", default="1s", show_default=True, help="Time between rows, such as 500ms, 1s or 5m.")
@click.option("--out", "-o", type=click.Path(), required=True, metavar="FOLDER", help="A new folder for the files.")
@engine_option
@quiet_option
def prices(markets: tuple[str, ...], every: str, out: str, engine: str, quiet: bool) -> None:
    """Write prices at regular times as Parquet: best three levels, last traded price, volume, one row per runner.

    Times at which nothing changed are left out. Broken recordings are listed; the exit code is then 1, and the others
    are written.
    """
    from ..archive.price_tables import parse_interval, write_prices

    seconds = parse_interval(every)
    failures = write_prices(list(markets), out, seconds, engine, progress=progress_of(quiet))
    _finish(f"prices in {out}", _messages(failures))


def _messages(failures: Iterable[Sequence[Any]]) -> list[str]:
    """What rows of failures say."""
    from ..simulate.rows import FIELDS

    column = [name for name, _ in FIELDS["failures"]].index("message")
    return [row[column] for row in failures]


def _finish(done: str, problems: Sequence[str]) -> None:
    """Say what failed and what was done; exit with 1 where something failed."""
    for problem in problems:
        click.echo(f"failed: {problem}", err=True)
    click.echo(done)
    if problems:
        sys.exit(1)
