"""The `headrace` command. Exits 0, 1 where the work failed, or 2 where it was asked wrongly."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .cluster.result import Result
    from .config import Config
    from .strategies.strategy import Strategy

_EPILOG = "The documentation is in docs/guide.md; start with `headrace backtest --help`."


class _Command(click.Group):
    """Turns the package's errors into one line and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        from .config import ConfigError
        from .strategies.errors import HeadraceError, InputError

        try:
            return super().invoke(context)
        except (InputError, ConfigError) as error:
            click.echo(f"headrace: {error}", err=True)
            context.exit(2)
        except HeadraceError as error:
            click.echo(f"headrace: {error}", err=True)
            context.exit(1)


@click.group(cls=_Command, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headrace")
def main() -> None:
    """Simulate and trade betting-exchange strategies as actors on Ray."""


@main.command(
    epilog="Example: headrace backtest examples/lowest_layer.py:LowestLayer --markets 'recordings/**/*.bz2' -p stake=5"
)
@click.argument("strategies", nargs=-1, required=True, metavar="STRATEGY...")
@click.option("--markets", "-m", multiple=True, required=True, metavar="PATH",
              help="A recording, a folder, or a quoted pattern such as 'recordings/**/*.bz2'. Repeatable.")  # fmt: skip
@click.option("--parameter", "-p", "parameters", multiple=True, metavar="NAME=VALUE",
              help="A parameter of the strategies, such as stake=5. Repeatable.")  # fmt: skip
@click.option("--out", "-o", type=click.Path(), metavar="FOLDER",
              help="A new folder for the result: Parquet tables and a manifest.")  # fmt: skip
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

    config = _config(config_file, settings, compatibility, raise_errors)
    limits = {"max_order_exposure": max_order_exposure, "max_selection_exposure": max_selection_exposure}
    made = _strategies(strategies, parameters, {name: value for name, value in limits.items() if value is not None})
    command = shlex.join(
        ["headrace", "backtest", *strategies]
        + [word for parameter in parameters for word in ("-p", parameter)]
        + [word for setting in settings for word in ("--set", setting)]
        + (["--compatibility", compatibility] if compatibility else [])
        + (["--config", config_file] if config_file else [])
    )
    with _Progress(quiet) as progress:
        simulation = Simulation(
            list(markets),
            config=config,
            engine=engine,
            out=out,
            progress=progress,
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
        result = _run(simulation.run, raise_errors or debug)
    _show(result, out)
    if result.failures.num_rows:
        sys.exit(1)


@main.command(epilog="Example: headrace generate --markets 1000 --out markets/")
@click.option("--markets", "-n", type=click.IntRange(min=1), required=True, help="How many markets to write.")
@click.option("--out", "-o", type=click.Path(), required=True, metavar="FOLDER", help="A new folder for the files.")
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds write equal files.")
@click.option(
    "--sport", "sports", multiple=True, help="Only this sport: horse_racing, greyhounds, football, tennis. Repeatable."
)
@click.option("--changes", type=click.IntRange(min=50, max=200_000), default=1200, show_default=True,
              help="Stream messages a market, about.")  # fmt: skip
@click.option("--compression", type=click.Choice(["none", "gz", "bz2"]), default="bz2", show_default=True)
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
def generate(
    markets: int, out: str, seed: int, sports: tuple[str, ...], changes: int, compression: Any, quiet: bool
) -> None:
    """Write made-up markets as Betfair's own historical files, to try strategies on.

    Races with in-play turn, starting prices and non-runners, football and tennis matches: books of individual orders,
    matched first in, first out. No real data is needed for it, and none is in it.
    """
    from pathlib import Path

    from .simulate.generator import write_markets
    from .strategies.errors import InputError

    with _Bar(quiet, "generating", markets) as bar:
        try:
            paths = write_markets(
                Path(out),
                markets,
                seed=seed,
                sports=sports or None,
                changes=changes,
                compression=compression,
                progress=bar.to,
            )
        except (ValueError, OSError) as error:
            raise InputError(str(error)) from None
    click.echo(f"{len(paths)} markets in {out}")


@main.command(epilog="Example: headrace check examples/lowest_layer.py:LowestLayer -p stake=5")
@click.argument("strategies", nargs=-1, required=True, metavar="STRATEGY...")
@click.option("--parameter", "-p", "parameters", multiple=True, metavar="NAME=VALUE",
              help="A parameter of the strategies, such as stake=5. Repeatable.")  # fmt: skip
def check(strategies: tuple[str, ...], parameters: tuple[str, ...]) -> None:
    """Warn of what makes the results of strategies depend on the machine or on how they are run.

    STRATEGY is file.py:Class or package.module:Class; several may be given. A line that ends in "# headrace: ok" is not
    reported. The exit code is 1 where something is found.
    """
    import ray.cloudpickle

    from .backtest import load_strategy
    from .strategies.check import Finding, check_class, check_instance

    found: set[Finding] = set()
    files: dict[str, str | None] = {}
    for spec in strategies:
        place = spec.rpartition(":")[0]
        file = place if place.endswith(".py") else None
        cls = load_strategy(spec)
        found.update(check_class(cls, file))
        try:
            cls.parameters()
        except TypeError:  # a default that can change: the source has shown it, and no instance can be made
            continue
        files[spec] = file
    made = _strategies(tuple(files), parameters, {}) if files else []
    for strategy, file in zip(made, files.values(), strict=True):
        found.update(check_instance(strategy, ray.cloudpickle.dumps, file))
    for finding in sorted(found):
        click.echo(str(finding))
    if found:
        sys.exit(1)
    click.echo("no findings")


@main.command(epilog="Example: headrace explain results/ 100000000001 --market 1.170258213")
@click.argument("result", type=click.Path())
@click.argument("bet_id")
@click.option("--market", "market_id", help="The market, where bets of several markets have the id.")
def explain(result: str, bet_id: str, market_id: str | None) -> None:
    """Tell the life of one bet, line by line.

    RESULT is a folder that `headrace backtest --out` wrote. BET_ID is the exchange's number, or the order's own id.
    """
    from .cluster.explain import explain as lines_of
    from .cluster.result import Result

    for line in lines_of(Result.load(result), bet_id, market_id):
        click.echo(line)


@main.command(epilog="Example: headrace prices --markets 'recordings/**/*.bz2' --every 1s --out prices/")
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
    from .cluster.prices import write_prices
    from .simulate.price_table import parse_interval

    seconds = parse_interval(every)
    with _Progress(quiet) as progress:
        failures = write_prices(list(markets), out, seconds, engine, progress)
    for row in failures:
        click.echo(f"failed: {row[5]}", err=True)
    click.echo(f"prices in {out}")
    if failures:
        sys.exit(1)


# -- parts of commands ---------------------------------------------------------------------------------------------


def _pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    from .strategies.errors import InputError

    pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise InputError(f"{option} {value!r}: expected NAME=VALUE")
        pairs[name.strip()] = text
    return pairs


def _config(file: str | None, settings: tuple[str, ...], compatibility: str | None, raise_errors: bool) -> Config:
    import dataclasses

    from .config import Config

    config = Config.from_toml(file) if file else Config.from_environment()
    values: dict[str, Any] = {**_pairs(settings, "--set")}
    if compatibility:
        values["compatibility"] = compatibility
    if raise_errors:
        values["raise_errors"] = True
    chosen = Config.from_mapping(values)
    return dataclasses.replace(config, **{name: getattr(chosen, name) for name in values})


def _strategies(specs: tuple[str, ...], parameters: tuple[str, ...], limits: dict[str, float]) -> list[Strategy]:
    from .backtest import load_strategy
    from .strategies.errors import InputError
    from .strategies.parameters import check_names, from_text

    texts = _pairs(parameters, "-p")
    classes = [load_strategy(spec) for spec in specs]
    known = {name for cls in classes for name in cls.parameters()}
    owner = " and ".join(cls.__name__ for cls in classes)
    made = []
    try:
        check_names(texts, known, owner)
        for number, cls in enumerate(classes):
            declared = cls.parameters()
            values = {
                name: from_text(declared[name], text, cls.__name__) for name, text in texts.items() if name in declared
            }
            name = cls.__name__ if classes.count(cls) == 1 else f"{cls.__name__}-{number + 1}"
            made.append(cls(name=name, **values, **limits))
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None
    return made


def _run(run: Callable[[], Result], raise_errors: bool) -> Result:
    """Run; with `raise_errors` the first error of a strategy ends it, and is shown without our own frames."""
    import traceback

    from .config import ConfigError
    from .strategies.errors import HeadraceError

    try:
        return run()
    except (HeadraceError, ConfigError):
        raise
    except Exception as error:
        if not raise_errors:
            raise
        here = __file__.rsplit("/", 1)[0]
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(f"{here}/")
        ]
        click.echo("".join(traceback.format_list(frames)), err=True, nl=False)
        click.echo(f"headrace: the strategy failed: {type(error).__name__}: {error}", err=True)
        sys.exit(1)


class _Bar:
    """A progress bar on the terminal; nothing where output goes elsewhere."""

    def __init__(self, quiet: bool, label: str, total: int | None = None) -> None:
        self._quiet = quiet
        self._label = label
        self._total = total
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> _Bar:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=self._total, note="")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def to(self, done: int, total: int | None = None, note: str = "") -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total or self._total, note=note)


class _Progress(_Bar):
    """The progress of a run, with its orders and failures so far."""

    def __init__(self, quiet: bool) -> None:
        super().__init__(quiet, "replaying")
        self._orders = self._failures = 0

    def __enter__(self) -> _Progress:
        super().__enter__()
        return self

    def __call__(self, done: int, total: int, part: Any) -> None:
        self._orders += len(part.rows["orders"])
        self._failures += len(part.rows["failures"])
        failed = f", {self._failures} failures" if self._failures else ""
        self.to(done, total, f"{self._orders} orders{failed}")


def _show(result: Result, out: str | None) -> None:
    """The result on the terminal: a row a strategy, then what went wrong."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    rows = result.summary().to_pylist()
    if len(rows) <= _MOST_COLUMNS:
        table = Table("", *(row["strategy"] for row in rows))
        for name in rows[0] if rows else ():
            if name != "strategy":
                table.add_row(name.replace("_", " "), *(_cell(name, row[name]) for row in rows))
    else:
        table = Table(*(name.replace("_", " ") for name in _WIDE))
        for row in rows:
            table.add_row(*(_cell(name, row[name]) for name in _WIDE))
    for column in table.columns[1:]:
        column.justify = "right"
    console.print(table)
    console = Console(soft_wrap=True)
    failures = result.failures
    for row in failures.slice(0, 10).to_pylist():
        who = " ".join(part for part in (row["strategy"], row["market_id"]) if part)
        times = f" ({row['count']} times)" if row["count"] > 1 else ""
        line = row["line"] or row["unit"]
        console.print(
            f"failed: {who}: {row['error_type']}: {row['message']}{times}, at {line}", markup=False, highlight=False
        )
        if row["command"]:
            console.print(f"  again: {row['command']} --raise-errors", markup=False, highlight=False)
    if failures.num_rows > 10:
        console.print(f"... and {failures.num_rows - 10} more failures; see the table `failures`")
    console.print(f"digest {result.digest}", highlight=False)
    if out:
        console.print(f"tables in {out}", highlight=False)


#: Strategies that stand side by side on the terminal; more of them stand one below the other, with these fields.
_MOST_COLUMNS = 4
_WIDE = ("strategy", "markets", "orders", "matched", "net_profit", "return_on_matched", "violations", "failures")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "return_on_matched":
        return f"{value:.2%}"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
