"""Running a live system from the command line: what it says, its view on the terminal, and its end."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ..strategies.errors import HeadraceError
from .live_plan import LivePlan

if TYPE_CHECKING:
    from rich.console import Console

    from ..actors.clients import BaseClient
    from ..live import Live
    from ..results.result import Result
    from .supervised import Line

#: Why a system stops whose supervisor has died.
_LEFT_ALONE = "the process that looks after it has died"
#: Seconds between two looks of the view.
_LOOK_S = 0.5


def supervise(
    make_plan: Callable[[float], LivePlan],
    quiet: bool,
    show: Callable[[Result, str | None], object] | None = None,
) -> None:
    """Run a system until it ends, show it, and show what came of it.

    This process starts another one that does so, with the same command, and starts it anew if it dies.

    Args:
        make_plan: what is to run, as the command was given at a time, seconds since the epoch.
        show: shows the result, which lies in a folder, or does not; None: as `backtest` shows it.

    Exits with 1 where something failed, with 130 on Ctrl-C.

    Raises:
        InputError: it cannot be run as it was asked for.
        RunError: it could not go on.
    """
    from .supervised import Line

    line = Line.here()
    if line is not None:
        with line.reporting():
            _run(make_plan(line.began_at), line, quiet, show)
        return
    from ..actors.page.port import require_free
    from .supervisor import Supervisor

    plan = make_plan(time.time())  # what is wrong with it is said before anything begins
    if plan.options.get("page", True):
        require_free(plan.options.get("page_port") or 0)
    with Supervisor(plan.instance, sys.argv[1:], plan.exchange) as supervisor:
        plan.clients()
        code = supervisor.run()
    if code:
        sys.exit(code)


def _run(plan: LivePlan, line: Line, quiet: bool, show: Callable[[Result, str | None], object] | None) -> None:
    from ..actors.betfair.entrance import check_accounts
    from ..results.display.terminal import show_result

    again = line.supervision.again
    with _logging(quiet) as console:
        if plan.exchange is not None:
            plan.exchange.join(line.exchange())
        system = _made(plan)
        system.supervision = line.supervision
        if not again:  # the exchange may be down when it is started anew
            check_accounts(system.clients)
        with _signals(system) as interrupted:
            try:
                system.start()
                line.running(lambda: system.stop(_LEFT_ALONE))
                if not quiet and not again:
                    _tell(plan, system.clients)
                with _shown(system, console):
                    system.wait()
                    line.stopping()
                    if plan.exchange is not None and system.why == _LEFT_ALONE:
                        click.echo(f"headrace: {_LEFT_ALONE}, and the rehearsal exchange with it: all ends", err=True)
                        raise KeyboardInterrupt  # the exchange has died with it: there is nothing to be cancelled at
                    result = system.end()
            except KeyboardInterrupt:
                system.kill()
                raise
    (show or show_result)(result, plan.options.get("out"))
    if interrupted.is_set():
        click.echo("headrace: stopped", err=True)
        sys.exit(130)
    if result.failures.num_rows:
        sys.exit(1)


def _made(plan: LivePlan) -> Live:
    clients = plan.clients()  # credentials that are not there are told first

    from ..live import Live

    system = Live(config=plan.config, risk=plan.risk, **plan.options)
    for client in clients:
        system.add_client(client)
    for strategy in plan.strategies:
        system.add_strategy(strategy)
    return system


def _tell(plan: LivePlan, clients: Iterable[BaseClient]) -> None:
    """What runs, and how to reach it."""
    from ..actors.betfair.places import rehearses

    if plan.exchange is not None:
        click.echo(f"rehearsal exchange at {plan.exchange.addresses.url}")
    running = plan.instance.running()
    if running is not None and running.page:
        click.echo(f"page at {running.page}")
    rehearsal = plan.exchange is not None or all(rehearses(each.betting_client) for each in clients)
    kind = "on paper" if plan.paper else "in rehearsal" if rehearsal else "LIVE"
    names = ", ".join(strategy.name for strategy in plan.strategies)
    click.echo(f"{plan.instance.reference} {plan.does or f'trades {kind}: {names}'}")
    commands = "status or stop" if plan.does else "status, stop or cancel-all"
    click.echo(f"in another shell: headrace live {commands}; Ctrl-C stops it")
    sys.stdout.flush()


# -- its end ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _signals(system: Live) -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM stop the system in order; a second Ctrl-C does not wait for that. Set: it was Ctrl-C."""
    interrupted = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if interrupted.is_set():
                raise KeyboardInterrupt
            interrupted.set()
            click.echo("stopping; Ctrl-C once more leaves orders where they are", err=True)
        system.stop("Ctrl-C" if number == signal.SIGINT else "SIGTERM")

    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # the terminal's own group of processes is the supervisor's
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- its view --------------------------------------------------------------------------------------------------------


class _ToConsole(logging.Handler):
    """Log lines above the view."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)
        except Exception:
            self.handleError(record)


@contextlib.contextmanager
def _logging(quiet: bool) -> Iterator[Console | None]:
    """Have log lines shown: warnings above the view, where there is one; all that tells of the system, where there is
    none. Nothing is set up where the user's program has done it.

    Yields:
        The console of the view; None: standard output is not a terminal, or no view is wanted.
    """
    from rich.console import Console

    console = Console() if sys.stdout.isatty() and not quiet else None
    root = logging.getLogger()
    if root.handlers:
        yield console
        return
    handler = logging.StreamHandler() if console is None else _ToConsole(console)
    handler.setLevel(logging.WARNING if console is not None or quiet else logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s headrace: %(message)s", "%H:%M:%S"))
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.partition(".")[0] == "headrace")
    logger = logging.getLogger("headrace")
    level = logger.level
    root.addHandler(handler)
    logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
    try:
        yield console
    finally:
        logger.setLevel(level)
        root.removeHandler(handler)


@contextlib.contextmanager
def _shown(system: Live, console: Console | None) -> Iterator[None]:
    """Show the system on the terminal while the block waits for it."""
    if console is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(system.state, console, ended), name="view", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(2.0)


def _show(state: Callable[[], dict[str, Any]], console: Console, ended: threading.Event) -> None:
    from rich.live import Live as Display

    from .live_view import live_view

    with Display(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as display:
        while not ended.wait(_LOOK_S):
            try:
                found = state()
            except HeadraceError:  # it is starting, or ending
                continue
            display.update(live_view(found, console.width, console.height - 1), refresh=True)
