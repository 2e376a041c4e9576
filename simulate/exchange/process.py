"""The process of a rehearsal exchange that another one started.

On its standard input it is told what to play, once; the end of that input is the end of the exchange. On its standard
output it says where it listens, or why it does not, as one line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from ...strategies.errors import HeadraceError, InputError
from .faults import Fault
from .plan import Addresses, Played
from .settings import ExchangeSettings

#: Bytes of the number that says how long what follows is.
_HEAD = 8
#: Seconds between two looks at whether the parent is still there.
_LOOK_S = 1.0


@dataclasses.dataclass(frozen=True)
class Orders:
    """What a process is to do.

    Attributes:
        parent: the process that started it; None: nobody's end is its end.
    """

    played: Played
    settings: ExchangeSettings
    ledger: Path | None = None
    faults: tuple[Fault, ...] = ()
    certificates: Path | None = None
    parent: int | None = None


class Told(msgspec.Struct):
    """What a process says once: where it listens, or why not."""

    addresses: dict[str, int | str] | None = None
    error: str | None = None
    asked_wrongly: bool = False


def write_orders(orders: Orders, file: IO[bytes]) -> None:
    """Tell a process what to do."""
    data = pickle.dumps(orders)
    file.write(len(data).to_bytes(_HEAD, "big") + data)
    file.flush()


def read_orders(file: IO[bytes]) -> Orders:
    """What to do."""
    data = file.read(int.from_bytes(file.read(_HEAD), "big"))
    orders = pickle.loads(data)
    assert isinstance(orders, Orders)
    return orders


async def serve(
    orders: Orders, started: Callable[[Addresses, list[str]], object], ending: asyncio.Event | None = None
) -> bool:
    """Run an exchange until it is asked to stop.

    Args:
        started: told where it listens, and what is played, in words.
        ending: set it, and it stops; so does the end of the parent, SIGTERM, and a control call.

    Returns:
        Whether Ctrl-C has stopped it.

    Raises:
        InputError: what is to be played, or how, cannot be.
    """
    from .service import Service  # loads aiohttp

    service = Service(
        orders.played, orders.settings, ledger=orders.ledger, faults=orders.faults, certificates=orders.certificates
    )
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        service.stopping.set()

    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[object]] = []
    with contextlib.suppress(NotImplementedError):  # loops of Windows take no signal handlers
        loop.add_signal_handler(signal.SIGTERM, service.stopping.set)
        loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        started(await service.start(), service.playing())
        if ending is not None:
            tasks.append(asyncio.ensure_future(_follow(ending, service.stopping)))
        if orders.parent is not None:
            tasks.append(asyncio.ensure_future(_watch(orders.parent, service.stopping)))
        await service.run()
    finally:
        for task in tasks:
            task.cancel()
        await service.stop()
    return interrupted


async def _follow(ending: asyncio.Event, stopping: asyncio.Event) -> None:
    await ending.wait()
    stopping.set()


async def _watch(parent: int, stopping: asyncio.Event) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(_LOOK_S)
    stopping.set()


async def _child(orders: Orders, out: IO[bytes]) -> None:
    ending = asyncio.Event()

    class Input(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            ending.set()

    await asyncio.get_running_loop().connect_read_pipe(Input, sys.stdin.buffer)

    def started(addresses: Addresses, playing: list[str]) -> None:
        _say(Told(dataclasses.asdict(addresses)), out)

    await serve(orders, started, ending)


def _say(told: Told, out: IO[bytes]) -> None:
    out.write(msgspec.json.encode(told) + b"\n")
    out.flush()


def main() -> None:
    """Be the process."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    # Whatever prints must not be taken for what the process says.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        asyncio.run(_child(read_orders(sys.stdin.buffer), out))
    except HeadraceError as error:
        _say(Told(error=str(error), asked_wrongly=isinstance(error, InputError)), out)
        sys.exit(2)
