"""Commands that run strategies: `backtest` and `sweep`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from .options import (
    asking,
    band_option,
    config_of,
    config_option,
    engine_option,
    markets_option,
    pairs,
    progress_of,
    quiet_option,
    refuse_misplaced,
    settings_option,
    words_given,
    workers_option,
)

if TYPE_CHECKING:
    from ..strategies.strategy import Strategy


@click.command(
    epilog="Example: headrace backtest strategy.py:BackTheFavourite -m 'recordings/**/*.bz2' -p stake=5 --out results"
)
@click.argument("strategies", nargs=-1, required=True, metavar="STRATEGY...")
@markets_option
@click.option("--parameter", "-p", "parameters", multiple=True, metavar="NAME=VALUE",
              help="A parameter of the strategies, such as stake=5. Repeatable.")  # fmt: skip
@click.option("--out", "-o", type=click.Path(), metavar="FOLDER",
              help="A new folder or URI (s3://bucket/run) for the result: Parquet tables and a manifest.")  # fmt: skip
@click.option("--resume", is_flag=True,
              help="Go on with the run that --out holds; it must be there, and be the same.")  # fmt: skip
@band_option
@engine_option
@workers_option
@config_option
@settings_option
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
@quiet_option
def backtest(
    strategies: tuple[str, ...],
    markets: tuple[str, ...],
    parameters: tuple[str, ...],
    out: str | None,
    resume: bool,
    band: bool,
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
    from ..actors.clients import SimulatedClient
    from ..backtest import Simulation
    from ..results.display.terminal import show_result

    config = config_of(config_file, settings, compatibility, raise_errors)
    limits = {"max_order_exposure": max_order_exposure, "max_selection_exposure": max_selection_exposure}
    made = strategies_of(strategies, parameters, {name: value for name, value in limits.items() if value is not None})
    command = shlex.join(["headrace", "backtest", *words_given(backtest)])
    if resume and out is not None:
        resume = _resumes(out)
    simulation = Simulation(
        list(markets),
        config=config,
        engine=engine,
        out=out,
        resume=resume,
        progress=progress_of(quiet),
        workers=workers,
        command=command,
        catalogues=catalogues,
        sports_data=sports_data,
        custom_events=custom_events,
        files=files,
        debug=debug,
        band=band,
    )
    simulation.add_client(SimulatedClient(currency_code=config.currency))
    for strategy in made:
        simulation.add_strategy(strategy)
    result = simulation.run()
    show_result(result, out)
    if result.failures.num_rows:
        sys.exit(1)


@click.command(
    epilog="Example: headrace sweep strategy.py:BackTheFavourite -m 'recordings/**/*.bz2' "
    "-p stake=2,5,10 -p seconds=30,60"
)
@click.argument("strategy", metavar="STRATEGY")
@markets_option
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
@click.option("--resume", is_flag=True,
              help="Go on with the sweep that --out holds; it must be there, and be the same.")  # fmt: skip
@band_option
@click.option("--engine", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
              help="local: this process. ray: a Ray cluster. auto: Ray where there is much to do.")  # fmt: skip
@workers_option
@config_option
@settings_option
@quiet_option
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
    resume: bool,
    band: bool,
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
    from ..cluster.reproduction import words_of_set
    from ..loading import load_strategy
    from ..results.display.terminal import show_sweep
    from ..results.sweep_measures import SCORE, require_measure
    from ..search import search
    from ..strategies.errors import InputError
    from ..sweep import sweep as run_sweep
    from ..tuning.parameter_sets import parse_values, sweepable

    kind = load_strategy(strategy)
    if by is not None:
        require_measure(by, split)
    if samples is not None and trials is not None:
        raise InputError("--random and --search: give one of them; the one draws sets, the other looks for the best")
    if resume and trials is not None:
        raise InputError("--resume and --search: give one of them; a search cannot be resumed")
    if resume and out is not None:
        resume = _resumes(out)
    chosen: dict[str, Any] = {"random": samples, "resume": resume}
    if trials is not None:
        chosen = {"trials": trials, "batch": batch, "by": by or "net_profit"}
    config = config_of(config_file, settings, None, False)
    # The options given here that `backtest` has too; the parameters are those of the set.
    of_one = backtest.params
    rest = words_given(backtest, ("strategies", "parameters"))

    def command(values: dict[str, Any]) -> str:
        words = words_of_set(kind, values, of_one)
        return "" if words is None else shlex.join(["headrace", "backtest", strategy, *words, *rest])

    with asking():
        texts = pairs(parameters, "-p")
        for name in texts:
            if name not in sweepable(kind):
                refuse_misplaced(name, "-p")
        values = parse_values(kind, texts, ranges=samples is not None or trials is not None)
    with asking():
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
            progress=progress_of(quiet),
            workers=workers,
            command=command,
            band=band,
            **chosen,
        )
    show_sweep(result, (by or result.shown_by) if trials is None else SCORE, top, out)
    if any(result.pieces("failures")):
        sys.exit(1)


def strategies_of(specs: tuple[str, ...], parameters: tuple[str, ...], limits: dict[str, float]) -> list[Strategy]:
    """Strategies as they are named on a command line, made with the parameters that each of them has.

    Raises:
        InputError: there is no such class or parameter, or a value does not fit.
    """
    from ..loading import load_strategy, make_strategy
    from ..strategies.errors import InputError
    from ..strategies.parameters import check_names, from_text
    from ..tuning.parameter_sets import settable

    texts = pairs(parameters, "-p")
    classes = [load_strategy(spec) for spec in specs]
    names = [cls.__name__ for cls in classes]
    made = []
    with asking():
        declared = [settable(cls) for cls in classes]
        own = {name for each in declared for name in each}
        for name in texts:
            if name in limits:
                raise InputError(f"-p {name} is given twice: as --{name.replace('_', '-')} too")
            if name not in own:
                refuse_misplaced(name, "-p")
        check_names(texts, own, " and ".join(names))
        for number, (cls, known) in enumerate(zip(classes, declared, strict=True)):
            values: dict[str, Any] = {
                name: from_text(known[name], text, cls.__name__) for name, text in texts.items() if name in known
            }
            if names.count(cls.__name__) > 1:
                values["name"] = f"{cls.__name__}-{number + 1}"
            made.append(make_strategy(cls, {**values, **limits}))
    return made


def _resumes(out: str) -> bool:
    """Whether to go on: where there is no run, and somebody sits at the terminal, they are asked for a fresh one."""
    from ..results.folders import Folder

    if Folder(out).taken() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return not click.confirm(f"{out}: there is no run to resume. Begin a fresh one there?", err=True)
