"""The `headrace` command. Exits 0, 1 where the work failed, 2 where it was asked wrongly, 130 on Ctrl-C."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .config import Config
    from .strategies.strategy import Strategy

_EPILOG = "The documentation is in docs/guide.md; start with `headrace backtest --help`."


class _Command(click.Group):
    """Turns errors into one line and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        from .actors.failures import users_frames
        from .config import ConfigError
        from .results.display.spoken import in_options, speaking
        from .strategies.errors import HeadraceError, InputError

        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal need not know every letter of a name
                stream.reconfigure(errors="backslashreplace")
        try:
            with speaking():
                return super().invoke(context)
        except click.exceptions.Exit:
            raise
        except KeyboardInterrupt:
            click.echo("headrace: stopped", err=True)
            context.exit(130)
        except Exception as error:
            asked_wrongly = isinstance(error, (InputError, ConfigError))
            if asked_wrongly or isinstance(error, HeadraceError):
                click.echo(f"headrace: {in_options(str(error))}", err=True)
            elif users_frames(error) or hasattr(error, "traceback_str"):
                _show_users_error(error)
            elif isinstance(error, OSError) and error.errno:
                why = os.strerror(error.errno)
                click.echo(f"headrace: {f'{error.filename}: ' if error.filename else ''}{why}", err=True)
            else:
                raise
            context.exit(2 if asked_wrongly else 1)


def _show_users_error(error: Exception) -> None:
    """An error of the user's code with the frames that are theirs; of a worker's error only its text is known."""
    import traceback

    from .actors.failures import users_frames

    click.echo("".join(traceback.format_list(users_frames(error))), err=True, nl=False)
    click.echo(f"headrace: the strategy failed: {type(error).__name__}: {error}", err=True)


@click.group(cls=_Command, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headrace")
def main() -> None:
    """Simulate and trade betting-exchange strategies as actors on Ray."""


@main.command(
    epilog="Example: headrace backtest strategy.py:BackTheFavourite -m 'recordings/**/*.bz2' -p stake=5 --out results"
)
@click.argument("strategies", nargs=-1, required=True, metavar="STRATEGY...")
@click.option("--markets", "-m", multiple=True, required=True, metavar="PATH",
              help="A recording, a folder, or a quoted pattern such as 'recordings/**/*.bz2'. Repeatable.")  # fmt: skip
@click.option("--parameter", "-p", "parameters", multiple=True, metavar="NAME=VALUE",
              help="A parameter of the strategies, such as stake=5. Repeatable.")  # fmt: skip
@click.option("--out", "-o", type=click.Path(), metavar="FOLDER",
              help="A new folder or URI (s3://bucket/run) for the result: Parquet tables and a manifest.")  # fmt: skip
@click.option("--resume", is_flag=True,
              help="Go on with the run that --out holds; it must be there, and be the same.")  # fmt: skip
@click.option("--engine", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
              help="local: this process. ray: a Ray cluster. auto: Ray from 100 MB of recordings on.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), help="Processes on Ray; default: one a CPU.")
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Settings, as TOML.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="A setting, such as place_latency=0.2; goes before file and environment. Repeatable.")  # fmt: skip
@click.option("--compatibility", type=click.Choice(["flumine"]),
              help="flumine: give the results of flumine 3.3.2, to the penny.")  # fmt: skip
@click.option("--max-order-exposure", type=float, help="Most that one order may lose; default: the strategy's, 10.")
@click.option("--max-selection-exposure", type=float, help="Most that may be lost on a runner; default: 100.")
@click.option("--catalogues", type=click.Path(), metavar="FOLDER", help="Market catalogues, <market id>.json[.gz].")
@click.option("--sports-data", type=click.Path(), metavar="FOLDER", help="Recorded cricket or race data, by market id.")
@click.option("--custom-events", type=click.Path(), metavar="FILE", help="Recorded custom events, one JSON a line.")
@click.option("--file", "files", multiple=True, type=click.Path(), metavar="FILE",
              help="A file the strategies need; headrace.path(name) finds it. Repeatable.")  # fmt: skip
@click.option("--pdb", "debug", is_flag=True, help="Open the debugger at the first error of a strategy; implies local.")
@click.option("--raise-errors", is_flag=True, help="Stop at the first error of a strategy, and show where it was.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def backtest(
    strategies: tuple[str, ...],
    markets: tuple[str, ...],
    parameters: tuple[str, ...],
    out: str | None,
    resume: bool,
    engine: Any,
    workers: int | None,
    config_file: str | None,
    settings: tuple[str, ...],
    compatibility: str | None,
    max_order_exposure: float | None,
    max_selection_exposure: float | None,
    catalogues: str | None,
    sports_data: str | None,
    custom_events: str | None,
    files: tuple[str, ...],
    debug: bool,
    raise_errors: bool,
    quiet: bool,
) -> None:
    """Replay recorded markets through strategies and show what they would have won.

    STRATEGY is file.py:Class or package.module:Class; several may be given. Results are a table on the terminal and,
    with --out, Parquet files. Broken recordings and errors of strategies are listed; the exit code is then 1, and all
    else is still done.
    """
    from .actors.clients import SimulatedClient
    from .backtest import Simulation
    from .results.display.terminal import show_result

    config = _config(config_file, settings, compatibility, raise_errors)
    limits = {"max_order_exposure": max_order_exposure, "max_selection_exposure": max_selection_exposure}
    made = _strategies(strategies, parameters, {name: value for name, value in limits.items() if value is not None})
    command = shlex.join(["headrace", "backtest", *_words(main.commands["backtest"])])
    if resume and out is not None:
        resume = _resumes(out)
    simulation = Simulation(
        list(markets),
        config=config,
        engine=engine,
        out=out,
        resume=resume,
        progress=_progress(quiet),
        workers=workers,
        command=command,
        catalogues=catalogues,
        sports_data=sports_data,
        custom_events=custom_events,
        files=files,
        debug=debug,
    )
    simulation.add_client(SimulatedClient(currency_code=config.currency))
    for strategy in made:
        simulation.add_strategy(strategy)
    result = simulation.run()
    show_result(result, out)
    if result.failures.num_rows:
        sys.exit(1)


@main.command(
    epilog="Example: headrace sweep strategy.py:BackTheFavourite -m 'recordings/**/*.bz2' "
    "-p stake=2,5,10 -p seconds=30,60"
)
@click.argument("strategy", metavar="STRATEGY")
@click.option("--markets", "-m", multiple=True, required=True, metavar="PATH",
              help="A recording, a folder, or a quoted pattern such as 'recordings/**/*.bz2'. Repeatable.")  # fmt: skip
@click.option("--parameter", "-p", "parameters", multiple=True, required=True, metavar="NAME=VALUE,VALUE...",
              help="Values, such as stake=2,5; with --random or --search also a range, stake=2:10. "
                   "Repeatable.")  # fmt: skip
@click.option("--random", "samples", type=click.IntRange(min=1), metavar="N", help="Draw N sets instead of all.")
@click.option("--search", "trials", type=click.IntRange(min=1), metavar="N",
              help="Choose N sets, a batch at a time, by what those before came to in --by; with --split, in events "
              "in sample. Needs the extra tune.")  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), default=20, show_default=True, help="Sets at a time of --search.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw, or of the search.")
@click.option("--split", type=float, metavar="SHARE",
              help="Share of events that is in sample, such as 0.5; the profit is shown for both parts.")  # fmt: skip
@click.option("--by", metavar="COLUMN", help="The column that the best sets are chosen by; default: net_profit, "
              "with --split in_sample_net_profit.")  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="How many sets to show.")
@click.option("--orders", is_flag=True, help="Keep the orders of all sets; for --out.")
@click.option(
    "--out", "-o", type=click.Path(), metavar="FOLDER", help="A new folder or URI for the result, as Parquet."
)
@click.option("--engine", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
              help="local: this process. ray: a Ray cluster. auto: Ray where there is much to do.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), help="Processes on Ray; default: one a CPU.")
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Settings, as TOML.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="A setting, such as place_latency=0.2; goes before file and environment. Repeatable.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def sweep(
    strategy: str,
    markets: tuple[str, ...],
    parameters: tuple[str, ...],
    samples: int | None,
    trials: int | None,
    batch: int,
    seed: int,
    split: float | None,
    by: str | None,
    top: int,
    orders: bool,
    out: str | None,
    engine: Any,
    workers: int | None,
    config_file: str | None,
    settings: tuple[str, ...],
    quiet: bool,
) -> None:
    """Replay recorded markets through one strategy with many parameter sets and show the best.

    STRATEGY is file.py:Class or package.module:Class. All combinations of the values are run, or those that --random
    draws or --search chooses, each as if it were alone. The exit code is 1 where a recording is broken or a strategy
    failed; all else is still done.
    """
    from .backtest import load_strategy
    from .cluster.again import words_of_set
    from .cluster.parameter_sets import parse_values, sweepable
    from .results.display.terminal import show_sweep
    from .results.sweep_result import SCORE, require_measure
    from .search import search
    from .strategies.errors import InputError
    from .sweep import sweep as run_sweep

    kind = load_strategy(strategy)
    if by is not None:
        require_measure(by, split)
    if samples is not None and trials is not None:
        raise InputError("--random and --search: give one of them; the one draws sets, the other looks for the best")
    chosen: dict[str, Any] = {"random": samples}
    if trials is not None:
        chosen = {"trials": trials, "batch": batch, "by": by or "net_profit"}
    config = _config(config_file, settings, None, False)
    # What the one command has of the other's options; of the parameters the set's own.
    of_one = main.commands["backtest"].params
    rest = _words(main.commands["backtest"], ("strategies", "parameters"))

    def command(values: dict[str, Any]) -> str:
        words = words_of_set(kind, values, of_one)
        return "" if words is None else shlex.join(["headrace", "backtest", strategy, *words, *rest])

    with _asking():
        texts = _pairs(parameters, "-p")
        for name in texts:
            if name not in sweepable(kind):
                _belongs_elsewhere(name, "-p")
        values = parse_values(kind, texts, ranges=samples is not None or trials is not None)
    with _asking():
        result = (run_sweep if trials is None else search)(
            kind,
            values,
            list(markets),
            config=config,
            engine=engine,
            out=out,
            seed=seed,
            split=split,
            orders=orders,
            progress=_progress(quiet),
            workers=workers,
            command=command,
            **chosen,
        )
    show_sweep(result, (by or result.shown_by) if trials is None else SCORE, top, out)
    if result.failures.num_rows:
        sys.exit(1)


@main.command(epilog="Example: headrace generate --markets 20 --seed 7 --out markets")
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
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
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
    from pathlib import Path

    from .cluster.progress import bar
    from .results.places import not_written
    from .simulate.generator import write_markets
    from .strategies.errors import InputError

    with bar(_progress(quiet), "generating") as shown:
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


@main.command(epilog="Example: headrace new another_strategy.py")
@click.argument("file", type=click.Path(), metavar="FILE")
def new(file: str) -> None:
    """Write a first strategy, which runs as it is, to change into one of your own.

    FILE is a new Python file. What is there is never replaced.
    """
    from .cluster.first_strategy import CLASS, write_first_strategy

    write_first_strategy(file)
    click.echo(f"the strategy {CLASS} in {file}; next, with made-up markets:")
    click.echo("  headrace generate --markets 40 --out markets")
    click.echo(f"  {shlex.join(['headrace', 'backtest', f'{file}:{CLASS}', '--markets', 'markets'])}")


@main.command(epilog="Example: headrace check strategy.py:BackTheFavourite -p stake=5")
@click.argument("strategies", nargs=-1, required=True, metavar="STRATEGY...")
@click.option("--parameter", "-p", "parameters", multiple=True, metavar="NAME=VALUE",
              help="A parameter of the strategies, such as stake=5. Repeatable.")  # fmt: skip
def check(strategies: tuple[str, ...], parameters: tuple[str, ...]) -> None:
    """Warn of what makes the results of strategies depend on the machine or on how they are run.

    STRATEGY is file.py:Class or package.module:Class; several may be given. A line that ends in "# headrace: ok" is not
    reported. The exit code is 1 where something is found.
    """
    import ray.cloudpickle

    from .cluster.loading import load_strategy, make_strategy
    from .cluster.parameter_sets import settable
    from .strategies.check import Finding, check_class, check_file, check_instance
    from .strategies.errors import InputError
    from .strategies.parameters import check_names, from_text

    found: set[Finding] = set()
    classes: list[tuple[type[Strategy], str | None, dict[str, Any]]] = []
    for spec in strategies:
        place, _, name = spec.rpartition(":")
        file = place if place.endswith(".py") else None
        try:
            cls = load_strategy(spec)
        except InputError:
            shown = check_file(place, name) if file else []
            if not any(finding.code == "parameter" for finding in shown):
                raise
            found.update(shown)  # why the class cannot be made
            continue
        found.update(check_class(cls, file))
        try:
            classes.append((cls, file, settable(cls)))
        except TypeError:  # a default that can change: the source has shown it, and no instance can be made
            continue
    texts = _pairs(parameters, "-p")
    owners = " and ".join(cls.__name__ for cls, _, _ in classes)
    with _asking():
        if classes:
            check_names(texts, {name for _, _, known in classes for name in known}, owners)
        for cls, file, known in classes:
            given = {name: from_text(known[name], text, cls.__name__) for name, text in texts.items() if name in known}
            try:
                strategy = make_strategy(cls, given)
            except (InputError, TypeError) as error:
                message = f"headrace: {error}; so it was not seen which of its attributes cannot be sent to workers"
                click.echo(message, err=True)
                continue
            found.update(check_instance(strategy, ray.cloudpickle.dumps, file))
    for finding in sorted(found):
        click.echo(str(finding))
    if found:
        sys.exit(1)
    click.echo("no findings")


@main.command(epilog="Example: headrace explain results 100000000001 --market 1.204000000")
@click.argument("result", type=click.Path(), metavar="RESULT")
@click.argument("bet_id", metavar="BET_ID")
@click.option("--market", "market_id", help="The market, where bets of several markets have the id.")
def explain(result: str, bet_id: str, market_id: str | None) -> None:
    """Tell the life of one bet, line by line.

    RESULT is a folder that `headrace backtest --out` wrote. BET_ID is the exchange's number, or the order's own id.
    """
    from .results.display.explain import explain as lines_of
    from .results.result import Result

    for line in lines_of(Result.load(result), bet_id, market_id):
        click.echo(line)


@main.command(epilog="Example: headrace repair results")
@click.argument("result", type=click.Path(), metavar="RESULT")
def repair(result: str) -> None:
    """Look for damage in a result, and drop the parts that have it, so that --resume does them again.

    RESULT is a folder that `headrace backtest --out` wrote. Every table of every part is read. What is sound stays.
    """
    from .results.repair import repair as drop_damaged

    dropped = drop_damaged(result)
    for each in dropped:
        units = "its inputs" if each.units is None else f"its {len(each.units)} input{'s' * (len(each.units) != 1)}"
        click.echo(f"dropped: {each.why}; {units} must be replayed")
    click.echo("the same run with --resume replays what was dropped" if dropped else "no damage")


@main.command(epilog="Example: headrace report results --market 1.204000000 --out report.html")
@click.argument("result", type=click.Path(), metavar="RESULT")
@click.option("--out", "-o", type=click.Path(), metavar="FILE", help="The page; default: report.html in the folder.")
@click.option("--market", "shown", multiple=True, metavar="ID",
              help="Show this market's prices with its orders; the recording is read again. Repeatable.")  # fmt: skip
@click.option("--markets", "-m", multiple=True, metavar="PATH",
              help="Where the recordings are now; default: where the run found them. Repeatable.")  # fmt: skip
def report(result: str, out: str | None, shown: tuple[str, ...], markets: tuple[str, ...]) -> None:
    """Write a page that shows a result or a sweep: profit, drawdown, sets, markets, violations, failures, what was run.

    RESULT is a folder that `headrace backtest --out` or `headrace sweep --out` wrote. The page is one file. It fetches
    nothing, and is made for browsers, phones and paper. A page that is there is replaced.
    """
    import functools
    from pathlib import Path

    from .results.places import Place, not_written
    from .results.result import Result
    from .results.sweep_result import SweepResult, is_sweep
    from .simulate.reading.locations import is_uri
    from .strategies.errors import InputError

    if out is None and is_uri(result):
        raise InputError(f"{result}: say where the page is to be written, with --out FILE")
    target = out or Path(result) / "report.html"
    if is_sweep(Place(result)):
        if shown or markets:
            raise InputError(f"{result} is a sweep: --market and --markets are for results of `headrace backtest`")
        write: Callable[[str | Path], Path] = SweepResult.load(result).to_html
    else:
        write = functools.partial(Result.load(result).to_html, show=shown, markets=list(markets) or None)
    try:
        page = write(target)
    except OSError as error:
        raise not_written(f"{target}: the page cannot be written here", error) from None
    click.echo(f"report in {page}")


@main.command(epilog="Example: headrace prices --markets 'recordings/**/*.bz2' --every 1s --out prices")
@click.option("--markets", "-m", multiple=True, required=True, metavar="PATH",
              help="A recording, a folder, or a quoted pattern. Repeatable.")  # fmt: skip
@click.option("--every", default="1s", show_default=True, help="Time between rows, such as 500ms, 1s or 5m.")
@click.option("--out", "-o", type=click.Path(), required=True, metavar="FOLDER", help="A new folder for the files.")
@click.option("--engine", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
              help="local: this process. ray: a Ray cluster. auto: Ray from 100 MB of recordings on.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def prices(markets: tuple[str, ...], every: str, out: str, engine: str, quiet: bool) -> None:
    """Write prices at regular times as Parquet: best three levels, last traded price, volume, a row a runner.

    Times at which nothing changed are left out. Broken recordings are listed; the exit code is then 1, and the others
    are written.
    """
    from .archive.prices import write_prices
    from .simulate.reading.price_table import parse_interval

    seconds = parse_interval(every)
    failures = write_prices(list(markets), out, seconds, engine, progress=_progress(quiet))
    for row in failures:
        click.echo(f"failed: {row[5]}", err=True)
    click.echo(f"prices in {out}")
    if failures:
        sys.exit(1)


@main.command(epilog="Example: headrace catalog recordings --out catalog.parquet")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE...")
@click.option("--out", "-o", type=click.Path(), required=True, metavar="FILE", help="The catalog; brought up to date.")
@click.option("--engine", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
              help="local: this process. ray: a Ray cluster. auto: Ray from 100 MB of recordings on.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def catalog(archives: tuple[str, ...], out: str, engine: Any, quiet: bool) -> None:
    """List the markets of an archive as Parquet, a row a market, to choose from without reading.

    ARCHIVE is a recording, a folder, a tar or zip, a URI, or a quoted pattern. Where FILE is a catalog already, only
    what is new or has changed is read. What is wrong with recordings is listed; the exit code is then 1.
    """
    from .archive.catalog import write_catalog

    written = write_catalog(list(archives), out, engine=engine, progress=_progress(quiet))
    problems = written.problems.to_pylist()
    for row in problems[:10]:
        place = row["file"] if row["member"] is None else f"{row['file']}!{row['member']}"
        click.echo(f"problem: {' '.join(filter(None, (place, row['market_id'])))}: {row['problems']}", err=True)
    if len(problems) > 10:
        click.echo(f"... and {len(problems) - 10} more; see the column `problems`", err=True)
    click.echo(f"{len(written)} markets in {out}")
    if any(row["market_id"] is None for row in problems):
        sys.exit(1)


@main.command(epilog="Example: headrace pack recordings packed")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE...")
@click.argument("out", type=click.Path(), metavar="OUT")
@click.option("--engine", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
              help="local: this process. ray: a Ray cluster. auto: Ray from 100 MB of recordings on.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def pack(archives: tuple[str, ...], out: str, engine: Any, quiet: bool) -> None:
    """Rewrite recordings as few Parquet files, OUT/year=2024/month=07/part-*.parquet, which are read faster.

    `headrace backtest --markets OUT` gives the same result. Runs of strategies that look at a part of each market's
    life leave out what lies outside it. Broken recordings are listed; the exit code is then 1, and the others are
    packed.
    """
    from .archive.pack import write_pack

    failures = write_pack(list(archives), out, engine=engine, progress=_progress(quiet))
    for row in failures:
        click.echo(f"failed: {row[5]}", err=True)
    click.echo(f"packed in {out}")
    if failures:
        sys.exit(1)


@main.command(epilog="Example: headrace unpack packed unpacked")
@click.argument("packed", type=click.Path(), metavar="PACKED")
@click.argument("folder", type=click.Path(), metavar="FOLDER")
@click.option("--compression", type=click.Choice(["none", "gz", "bz2"]), default="bz2", show_default=True)
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def unpack(packed: str, folder: str, compression: Any, quiet: bool) -> None:
    """Write packed recordings as files again, line for line as they were."""
    from .archive.pack import unpack as unpack_into

    problems = unpack_into(packed, folder, compression=compression, progress=_progress(quiet))
    for problem in problems:
        click.echo(f"failed: {problem}", err=True)
    click.echo(f"unpacked in {folder}")
    if problems:
        sys.exit(1)


@main.command(
    epilog="Example: headrace submit my_backtest.py --address http://head:8265",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("script", type=click.Path(), metavar="SCRIPT")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENT...]")
@click.option("--address", envvar="RAY_API_SERVER_ADDRESS", show_envvar=True, required=True, metavar="URL",
              help="The cluster's dashboard, such as http://head:8265.")  # fmt: skip
@click.option("--working-dir", type=click.Path(), metavar="FOLDER",
              help="The folder that travels with the script; default: the script's own.")  # fmt: skip
@click.option("--exclude", multiple=True, metavar="NAME",
              help="A file or folder that stays here, or a pattern of such. Repeatable.")  # fmt: skip
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE",
              help="An environment variable of the job. Repeatable.")  # fmt: skip
@click.option("--token-file", type=click.Path(), metavar="FILE",
              help="The cluster's token; default: where Ray looks, RAY_AUTH_TOKEN first.")  # fmt: skip
@click.option("--wheel", type=click.Path(), metavar="FILE",
              help="A wheel of headrace to run; default: the code installed here.")  # fmt: skip
@click.option("--install-dependencies", "dependencies", is_flag=True,
              help="Install what headrace needs on the cluster too, for clusters made without it.")  # fmt: skip
@click.option("--entrypoint-cpus", type=click.FloatRange(min=0), default=0, metavar="N",
              help="CPUs kept for the script itself, on any node; default: none, and it runs on the head.")  # fmt: skip
@click.option("--entrypoint-resource", "resources", multiple=True, metavar="NAME=AMOUNT",
              help="A resource of the node that is to run the script itself. Repeatable.")  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Send the job, print its id, and leave.")
def submit(
    script: str,
    arguments: tuple[str, ...],
    address: str,
    working_dir: str | None,
    exclude: tuple[str, ...],
    environment: tuple[str, ...],
    token_file: str | None,
    wheel: str | None,
    dependencies: bool,
    entrypoint_cpus: float,
    resources: tuple[str, ...],
    no_wait: bool,
) -> None:
    """Run a script on a Ray cluster as a job, and show its log.

    SCRIPT is what runs locally too; put -- before arguments of its own that are named like the options below. Its
    folder and this version of headrace travel with it. The exit code is the script's: 0, 1 where it failed, 2 where it
    was asked wrongly; 2 as well where there is no such script or cluster, and nothing was sent.
    """
    from .cluster.submission import Submission, find_token, follow, write_out
    from .cluster.submission import submit as send
    from .strategies.errors import InputError

    try:
        amounts = {name: float(text) for name, text in _pairs(resources, "--entrypoint-resource").items()}
    except ValueError as error:
        raise InputError(f"--entrypoint-resource: {error}") from None

    def say(line: str) -> None:
        click.echo(f"headrace: {line}", err=True)

    submission = Submission(
        script=script,
        arguments=arguments,
        address=address,
        working_dir=working_dir,
        environment=_pairs(environment, "--env"),
        token=find_token(token_file),
        wheel=wheel,
        entrypoint_cpus=entrypoint_cpus,
        entrypoint_resources=amounts,
        dependencies=dependencies,
        exclude=exclude,
    )
    job = send(submission, say)
    if no_wait:
        click.echo(job.job_id)
        say(f"its log: {job.command('logs')}")
        return
    sys.exit(follow(job, write_out, say))


# -- parts of commands ---------------------------------------------------------------------------------------------


def _words(command: click.Command, left_out: tuple[str, ...] = ()) -> list[str]:
    """The words that give a command what the present one was given, but for what is not repeated."""
    from click.core import ParameterSource

    from .cluster.again import NOT_REPEATED, words_of

    context = click.get_current_context()
    unset = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    defaults = {name for name in context.params if context.get_parameter_source(name) in unset}
    return words_of(command.params, context.params, defaults, {*NOT_REPEATED, *left_out})


def _progress(quiet: bool) -> bool | None:
    """A bar on a terminal, unless it is not wanted."""
    return False if quiet else None


def _resumes(out: str) -> bool:
    """Whether to go on: where there is no run, and somebody sits at the terminal, they are asked for a fresh one."""
    from .results.places import Place

    if Place(out).taken() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return not click.confirm(f"{out}: there is no run to resume. Begin a fresh one there?", err=True)


def _pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    from .strategies.errors import InputError

    pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise InputError(f"{option} {value!r}: expected NAME=VALUE")
        if name.strip() in pairs:
            raise InputError(f"{option} {name.strip()} is given twice")
        pairs[name.strip()] = text
    return pairs


def _belongs_elsewhere(name: str, option: str) -> None:
    """Refuse a name given to `option` that belongs to another one.

    Raises:
        InputError: says where it belongs.
    """
    import dataclasses

    from .config import Config
    from .strategies.errors import InputError

    options = {each for found in click.get_current_context().command.params for each in found.opts}
    own = f"--{name.replace('_', '-')}"
    if own in options:
        raise InputError(f"{option} {name}: that is an option: {own}")
    if option != "--set" and "--set" in options and name in {field.name for field in dataclasses.fields(Config)}:
        raise InputError(f"{option} {name}: that is a setting: --set {name}=...")
    if name in ("name", "context", "market_filter", "market_data_filter", "stream", "streams"):
        raise InputError(f"{option} {name}: that is given in Python, where the strategy is made, or in its __init__")


def _config(file: str | None, settings: tuple[str, ...], compatibility: str | None, raise_errors: bool) -> Config:
    import dataclasses

    from .config import Config

    config = Config.from_toml(file) if file else Config.from_environment()
    values: dict[str, Any] = {**_pairs(settings, "--set")}
    if compatibility:
        values["compatibility"] = compatibility
    if raise_errors:
        values["raise_errors"] = True
    for name in values:
        if name not in {field.name for field in dataclasses.fields(Config)}:
            _belongs_elsewhere(name, "--set")
    chosen = Config.from_mapping(values)
    return dataclasses.replace(config, **{name: getattr(chosen, name) for name in values})


def _strategies(specs: tuple[str, ...], parameters: tuple[str, ...], limits: dict[str, float]) -> list[Strategy]:
    from .cluster.loading import load_strategy, make_strategy
    from .cluster.parameter_sets import settable
    from .strategies.errors import InputError
    from .strategies.parameters import check_names, from_text

    texts = _pairs(parameters, "-p")
    classes = [load_strategy(spec) for spec in specs]
    names = [cls.__name__ for cls in classes]
    made = []
    with _asking():
        declared = [settable(cls) for cls in classes]
        own = {name for each in declared for name in each}
        for name in texts:
            if name in limits:
                raise InputError(f"-p {name} is given twice: as --{name.replace('_', '-')} too")
            if name not in own:
                _belongs_elsewhere(name, "-p")
        check_names(texts, own, " and ".join(names))
        for number, (cls, known) in enumerate(zip(classes, declared, strict=True)):
            values: dict[str, Any] = {
                name: from_text(known[name], text, cls.__name__) for name, text in texts.items() if name in known
            }
            if names.count(cls.__name__) > 1:
                values["name"] = f"{cls.__name__}-{number + 1}"
            made.append(make_strategy(cls, {**values, **limits}))
    return made


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """Where what the command line says meets the package: what does not fit was asked wrongly."""
    from .actors.failures import users_frames
    from .strategies.errors import InputError

    try:
        yield
    except (TypeError, ValueError) as error:
        if users_frames(error):
            raise
        raise InputError(str(error)) from None
