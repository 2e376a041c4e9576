"""Asking a running system from the command line, and waiting for what was asked for."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import click

from ..actors.live.control import ask
from ..actors.live.instance import Instance, running_instances
from ..actors.live.reference import instance_folders
from ..actors.live.rows_file import under_way
from ..strategies.errors import InputError, RunError

#: Seconds between two looks.
_LOOK_S = 0.25
#: Orders that are listed.
_MOST_LISTED = 50


def found_instance(reference: str | None) -> Instance:
    """The running system that is meant: the one of a reference, or the only one.

    Raises:
        InputError: none of that reference runs; or none at all, or several, and none was named.
    """
    if reference is not None:
        instance = Instance(reference)
        if instance.running() is not None:
            return instance
    found = [each.reference for each in running_instances()]
    names = ", ".join(found) or "none"
    if reference is not None:
        cut = _cut_short(reference)
        raise InputError(f"no live system with the reference {reference!r} runs on this machine; running: {names}{cut}")
    if not found:
        raise InputError(f"no live system runs on this machine{_cut_short()}")
    if len(found) > 1:
        raise InputError(f"several live systems run on this machine; name one with --reference: {names}")
    return Instance(found[0])


def _cut_short(reference: str | None = None) -> str:
    """What is to be known of systems that do not run, though nobody has ended them; as the end of a sentence.

    Args:
        reference: of this one alone; None: of all.
    """
    known = [each for each, folder in instance_folders().items() if under_way(folder)]
    found = [each for each in known if reference in (None, each)]
    if not found:
        return ""
    return (
        f"; {', '.join(found)} was cut short, and its orders may rest at the exchange: start it again with the same "
        "command, and it goes on with them"
    )


def show_status(instance: Instance, as_json: bool, watch: bool) -> None:
    """Print the state, once or again and again.

    Raises:
        RunError: it does not answer.
    """
    if as_json:
        while True:
            click.echo(json.dumps(ask(instance, "STATE")))
            if not watch:
                return
            time.sleep(1.0)
    from rich.console import Console
    from rich.live import Live as Display

    from ..results.display.terminal import width
    from .live_view import live_view

    console = Console(width=width())
    running = instance.running()
    if running is not None and running.page:
        click.echo(f"page: {running.page}")
    if not watch or not console.is_terminal:
        console.print(live_view(ask(instance, "STATE"), console.width))
        return
    with Display(console=console, auto_refresh=False, screen=True) as display:
        while True:
            display.update(live_view(ask(instance, "STATE"), console.width, console.height), refresh=True)
            time.sleep(1.0)


def stop_system(instance: Instance, leave: bool, timeout: float) -> None:
    """Stop a system, and wait until it has ended.

    Raises:
        RunError: it has not ended in time, or has left bets that the exchange does not cancel.
    """
    until = time.monotonic() + timeout
    ask(instance, "STOP", {"why": "headrace live stop", **({"leave": True} if leave else {})})
    told: Mapping[str, Any] = {}
    while instance.running() is not None:
        if time.monotonic() > until:
            raise RunError(
                f"{instance.reference!r} has not ended within {timeout:g} seconds: {_open(told)}; it goes on stopping"
            )
        with contextlib.suppress(InputError, RunError):  # it ends
            told = ask(instance, "STATE", timeout=2.0).get("cancelling") or told
        time.sleep(_LOOK_S)
    list_left(told.get("left") or ())
    click.echo(f"{instance.reference}: stopped")


def cancel_orders(instance: Instance, whole_account: bool, timeout: float) -> None:
    """Have all orders cancelled, and wait until they are.

    Raises:
        RunError: some are not cancelled in time, or the exchange does not cancel them.
    """
    until = time.monotonic() + timeout
    ask(instance, "CANCEL_ALL", {"why": "headrace live cancel-all", "whole_account": whole_account})
    while True:
        told = ask(instance, "STATE").get("cancelling") or {}
        if told.get("done"):
            break
        if time.monotonic() > until:
            raise RunError(f"not all is cancelled within {timeout:g} seconds: {_open(told)}; it goes on cancelling")
        time.sleep(_LOOK_S)
    list_left(told.get("left") or ())
    click.echo("done: no order is open; none is placed any more until the system is started anew")


def list_left(orders: Iterable[Mapping[str, Any]]) -> None:
    """List orders that cannot be cancelled.

    Raises:
        RunError: there are some that could be, and that the exchange does not cancel.
    """
    orders = list(orders)
    if orders:
        click.echo(f"{len(orders)} cannot be cancelled:", err=True)
    for order in orders[:_MOST_LISTED]:
        words = (order.get(name) for name in ("market_id", "selection_id", "side", "order_type", "liability"))
        known = " ".join(str(word) for word in words if word is not None)
        why = f": {order['why']}" if order.get("why") else ""
        click.echo(f"  {known}, bet {order.get('bet_id')}{why}", err=True)
    if len(orders) > _MOST_LISTED:
        click.echo(f"  ... and {len(orders) - _MOST_LISTED:,} more", err=True)
    refused = sum(order.get("order_type") == "LIMIT" for order in orders)
    if refused:
        raise RunError(f"the exchange does not cancel {refused} bets: they rest there; look at the account")


def _open(told: Mapping[str, Any]) -> str:
    count = told.get("open")
    return "it has not said how many orders are open" if count is None else f"{count} orders are open"
