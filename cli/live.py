"""Commands of live trading: `live`, `paper`, and those that ask a running system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from .options import settings_option

#: Options of the commands that run a system, in the order of the help.
_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--parameter",
        "-p",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        help="A parameter of strategies that are named here, such as stake=5. Repeatable.",
    ),
    click.option(
        "--rehearse",
        "-m",
        "rehearse",
        multiple=True,
        metavar="PATH",
        help="Recordings: a rehearsal exchange that plays them is started, and all accounts are accounts "
        "there. No money, and no credentials. Repeatable.",
    ),
    click.option(
        "--speed",
        type=float,
        default=1.0,
        show_default=True,
        metavar="NUMBER",
        help="Of --rehearse: recorded seconds per second.",
    ),
    click.option(
        "--before-start",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Of --rehearse: begin so many recorded seconds before the scheduled start.",
    ),
    click.option(
        "--reference",
        metavar="NAME",
        help="customer_strategy_ref, at most 15 characters: its orders, and the system on this machine, are "
        "known by it. Default: the machine's name.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["ray", "local"]),
        help="ray: markets in processes of their own. local: threads of this one. Default: ray.",
    ),
    click.option(
        "--on-stop",
        type=click.Choice(["cancel", "leave"]),
        help="What becomes of open orders at the end. Default: cancel.",
    ),
    click.option(
        "--on-restart",
        type=click.Choice(["carry_on", "cancel"]),
        help="What becomes of orders that a former session has left. Default: carry_on.",
    ),
    click.option("--shadow", is_flag=True, default=None, help="Run a paper twin beside each live strategy."),
    click.option(
        "--record",
        type=click.Path(),
        metavar="FOLDER",
        help="Record the session: streams, orders, custom events, latencies.",
    ),
    click.option(
        "--out",
        "-o",
        type=click.Path(),
        metavar="FOLDER",
        help="A new folder for the result: Parquet tables and a manifest.",
    ),
    click.option("--until", metavar="TIME", help="Stop then: 23:30 of this machine's time, or a date and time."),
    click.option("--stop-when-idle", is_flag=True, default=None, help="Stop once all markets are over."),
    click.option("--page/--no-page", default=None, help="Serve a web page on this machine. Default: it is served."),
    click.option("--page-port", type=click.IntRange(0, 65_535), help="Of the page; default: any that is free."),
    click.option("--webhook", metavar="URL", help="Post alerts there."),
    click.option(
        "--file",
        "files",
        multiple=True,
        type=click.Path(),
        metavar="FILE",
        help="A file the strategies need; headrace.path(name) finds it. Repeatable.",
    ),
    settings_option,
    click.option("--quiet", "-q", is_flag=True, help="No view of the system, and no lines but warnings."),
)
_reference_option = click.option(
    "--reference", metavar="NAME", help="The system's customer_strategy_ref; not needed where one runs."
)


def _runs(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command what all that run a system take."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return click.argument("words", nargs=-1, metavar="[FILE.toml] [STRATEGY]...")(function)


class LiveGroup(click.Group):
    """`headrace live live.toml` runs a system; `headrace live status` and the like ask one that runs."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in context.help_option_names:
            args = ["run", *args]
        return super().parse_args(context, args)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(context, args)
        return "" if name == "run" else name, command, rest

    def format_help(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        run = self.commands["run"]
        run.format_usage(context, formatter)
        run.format_help_text(context, formatter)
        run.format_options(context, formatter)
        self.format_commands(context, formatter)
        run.format_epilog(context, formatter)


@click.group(cls=LiveGroup)
def live() -> None:
    """Trade live, or ask a system that does."""


@live.command(
    hidden=True,
    epilog="Example: headrace live strategy.py:BackTheFavourite --rehearse 'recordings/**/*.bz2'",
)
@_runs
def run(words: tuple[str, ...], **options: Any) -> None:
    """Trade live: a system of accounts and strategies, until it is stopped (Ctrl-C, SIGTERM, `headrace live stop`).

    FILE.toml has settings, limits, accounts and strategies; see docs/live.md. Or strategies are named here, as in
    `backtest`: STRATEGY is file.py:Class or package.module:Class; the account's credentials are then in the
    environment: BETFAIR_USERNAME, BETFAIR_PASSWORD, BETFAIR_APP_KEY.
    """
    _start(words, options)


@click.command(epilog="Example: headrace paper live.toml --until 23:30")
@_runs
def paper(words: tuple[str, ...], **options: Any) -> None:
    """Trade on paper: as `headrace live`, but no order reaches the exchange; all are matched here at its prices.

    The accounts are needed all the same: prices come over their streams.
    """
    _start(words, options, paper=True)


def _start(words: tuple[str, ...], options: dict[str, Any], paper: bool = False) -> None:
    from .live_plan import plan_of
    from .live_run import supervise

    quiet = options.pop("quiet")
    supervise(lambda given_at: plan_of(words, options, paper, given_at=given_at), quiet)


@live.command(epilog="Example: headrace live status")
@_reference_option
@click.option("--json", "as_json", is_flag=True, help="The whole state, as JSON.")
@click.option("--watch", is_flag=True, help="Show it anew each second, until Ctrl-C.")
def status(reference: str | None, as_json: bool, watch: bool) -> None:
    """Show markets, orders, accounts, streams, hosts and latencies of a running system."""
    from .live_questions import found_instance, show_status

    show_status(found_instance(reference), as_json, watch)


@live.command(epilog="Example: headrace live stop")
@_reference_option
@click.option("--leave", is_flag=True, help="Leave open orders at the exchange, whatever on_stop says.")
@click.option("--timeout", type=click.FloatRange(min=0), default=120.0, show_default=True, metavar="SECONDS",
              help="How long to wait until it has ended.")  # fmt: skip
def stop(reference: str | None, leave: bool, timeout: float) -> None:
    """Stop a running system: no order is placed any more, its open ones are cancelled, then it ends.

    It is waited for; the exit code is 1 where it has not ended in time. Orders that cannot be cancelled, those at the
    starting price, are listed.
    """
    from .live_questions import found_instance, stop_system

    stop_system(found_instance(reference), leave, timeout)


@live.command("cancel-all", epilog="Example: headrace live cancel-all")
@_reference_option
@click.option("--whole-account", is_flag=True,
              help="Every order of the accounts, whoever has placed it; it is asked for once more.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="SECONDS",
              help="How long to wait until all are cancelled.")  # fmt: skip
def cancel_all(reference: str | None, whole_account: bool, yes: bool, timeout: float) -> None:
    """Cancel all open orders of a running system, which goes on, but places no more.

    It says "done" once none is open. Orders that cannot be cancelled, those at the starting price, are listed.
    """
    from .live_questions import cancel_orders, found_instance

    instance = found_instance(reference)
    if whole_account and not yes:
        click.confirm(
            "Cancel every order of the accounts, also those placed elsewhere or by hand?", abort=True, err=True
        )
    cancel_orders(instance, whole_account, timeout)
