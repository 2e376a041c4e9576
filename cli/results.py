"""Commands that show or mend what a run has left: `report`, `explain` and `repair`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import click


@click.command(epilog="Example: headrace report results --market 1.204000000 --out report.html")
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
    from pathlib import Path

    from ..results.folders import Folder, not_written
    from ..results.result import Result
    from ..results.sweep_result import SweepResult, is_sweep
    from ..simulate.reading.locations import is_uri
    from ..strategies.errors import InputError

    if out is None and is_uri(result):
        raise InputError(f"{result}: say where the page is to be written, with --out FILE")
    target = out or Path(result) / "report.html"
    if is_sweep(Folder(result)):
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


@click.command(epilog="Example: headrace explain results 100000000001 --market 1.204000000")
@click.argument("result", type=click.Path(), metavar="RESULT")
@click.argument("bet_id", metavar="BET_ID")
@click.option("--market", "market_id", help="The market, where bets of several markets have the id.")
def explain(result: str, bet_id: str, market_id: str | None) -> None:
    """Tell the life of one bet, line by line.

    RESULT is a folder that `headrace backtest --out` wrote. BET_ID is the exchange's number, or the order's own id.
    """
    from ..results.display.explain import explain as lines_of
    from ..results.result import Result

    for line in lines_of(Result.load(result), bet_id, market_id):
        click.echo(line)


@click.command(epilog="Example: headrace repair results")
@click.argument("result", type=click.Path(), metavar="RESULT")
def repair(result: str) -> None:
    """Look for damage in a result, and drop the parts that have it, so that --resume does them again.

    RESULT is a folder that `headrace backtest --out` or `headrace sweep --out` wrote. Every table of every part
    is read. What is sound stays.
    """
    from ..results.repair import repair as drop_damaged

    dropped = drop_damaged(result)
    for each in dropped:
        units = "its inputs" if each.units is None else f"its {len(each.units)} input{'s' * (len(each.units) != 1)}"
        click.echo(f"dropped: {each.why}; {units} must be replayed")
    click.echo("the same run with --resume replays what was dropped" if dropped else "no damage")
