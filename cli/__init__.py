"""The `headrace` command. Exits with 0, 1 if the work failed, 2 if it was called wrongly, 130 on Ctrl-C."""

from __future__ import annotations

import click

from .authoring import check, new
from .calibrate import calibrate
from .exchange import exchange
from .group import CommandGroup
from .jobs import submit
from .journal import journal
from .live import live, paper
from .record import record
from .recordings import catalog, generate, pack, prices, unpack
from .results import explain, repair, report
from .runs import backtest, sweep

_EPILOG = "The documentation is in docs/guide.md; start with `headrace backtest --help`."


@click.group(cls=CommandGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headrace")
def main() -> None:
    """Simulate and trade betting-exchange strategies as actors on Ray."""


for _command in (
    backtest,
    sweep,
    live,
    paper,
    journal,
    record,
    exchange,
    new,
    check,
    generate,
    catalog,
    pack,
    unpack,
    prices,
    report,
    explain,
    repair,
    calibrate,
    submit,
):
    main.add_command(_command)
