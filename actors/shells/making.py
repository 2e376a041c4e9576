"""Making the roles of a live system, where they run: each maker can be pickled."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...strategies.errors import ClientError
from ...values import shown
from ..betfair.betfair_client import BetfairClient
from ..betfair.live_account import LiveAccounts
from ..clients import BaseClient
from ..live.accounts import connecting
from ..live.coordinator_role import CoordinatorRole
from ..live.crews import StreamPlan
from ..live.host import HostRole
from ..live.hosts import Hosts
from ..live.setup import LiveSetup
from ..page.page_role import PageRole
from ..recorder import Deliver, Recorder
from ..role import Role
from ..run_files import laid_out, unpack_files
from ..streaming import stream_kinds
from ..streaming.order_stream import OrderStreamRole
from ..streaming.stream_place import StreamPlace

#: Below the instance's folder: what hosts lay out of the files of a run.
FILES = "files"
_ORDERS, _MARKETS = "orderSubscription", "marketSubscription"


def for_hosts(setup: LiveSetup) -> LiveSetup:
    """A setup for the processes of markets: without credentials, and without what is the coordinator's."""
    clients = [each.without_credentials() if isinstance(each, BetfairClient) else each for each in setup.clients]
    return dataclasses.replace(
        setup, clients=clients, workers=[], logging_controls=[], custom_streams=[], heard=setup.listens
    )


def host_of(setup: LiveSetup) -> Callable[[str], Role]:
    """Makes hosts by name."""
    return functools.partial(_host, for_hosts(setup))


def _host(setup: LiveSetup, name: str) -> Role:
    role = HostRole(name, setup)
    # Where it is a process of its own, files of the run are laid out for it, and go with it.
    if setup.files and not laid_out():
        place = Path(setup.instance, FILES)
        place.mkdir(mode=0o700, exist_ok=True)
        role.files = unpack_files(setup.files, place)
    return role


def coordinator_of(
    setup: LiveSetup,
    engine: Hosts,
    dumps: Callable[[Any], bytes] | None = None,
) -> Callable[[], Role]:
    """Makes the coordinator.

    Args:
        dumps: makes bytes of events for other processes; None: there are none.
    """
    return functools.partial(_coordinator, setup, engine, dumps)


def _coordinator(setup: LiveSetup, engine: Hosts, dumps: Any) -> Role:
    accounts = LiveAccounts(setup.config, setup.reference, _now_ms)
    role = CoordinatorRole(setup, engine, host_of(setup), accounts, dumps, functools.partial(_stream_named, setup))
    role.watched = True
    return role


def _stream_named(setup: LiveSetup, name: str) -> Callable[[], Role]:
    return stream_of(next(plan for plan in setup.streams if plan.name == name), setup)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def page_of(port: int | None, token: str, metrics: bool) -> Callable[[], Role]:
    """Makes the page.

    Args:
        port: where it listens; None: there is no page, but metrics.
        metrics: its process is one of Ray's, whose metrics are to have the figures of the system.
    """
    return functools.partial(PageRole, port, token, _ray_metrics if metrics else None)


def _ray_metrics() -> Callable[[dict[str, Any]], object]:
    from .ray_metrics import RayMetrics

    return RayMetrics()


def stream_of(plan: StreamPlan, setup: LiveSetup) -> Callable[[], Role]:
    """Makes a stream.

    Raises:
        ClientError: no account connects to an exchange, or its `order_stream_cls` is not an order stream.
    """
    place = place_of(plan, setup.clients)
    if plan.operation == _ORDERS and not plan.raw:
        return functools.partial(_order_stream_of(plan, setup), plan, place, setup.reference)
    return functools.partial(_stream, plan, place, setup.record, setup.deliver)


def _order_stream_of(plan: StreamPlan, setup: LiveSetup) -> type[OrderStreamRole]:
    client = connecting(setup.clients, plan.venue, plan.username)
    kind = None if client is None else client.order_stream_cls
    if kind is None:
        return OrderStreamRole
    if not (isinstance(kind, type) and issubclass(kind, OrderStreamRole)):
        known = f"{OrderStreamRole.__module__}.{OrderStreamRole.__name__}"
        raise ClientError(f"order_stream_cls={shown(kind)}: expected a subclass of {known}")
    return kind


def place_of(plan: StreamPlan, clients: list[BaseClient]) -> StreamPlace:
    """Where the exchange of a stream is.

    Raises:
        ClientError: no account connects to an exchange.
    """
    client: Any = connecting(clients, plan.venue, plan.username)
    places = client.places
    host, port = places.stream if plan.operation in (_MARKETS, _ORDERS) else places.sports_stream
    return StreamPlace(host, port, ca_file=places.certificate)


def _stream(
    plan: StreamPlan,
    place: StreamPlace,
    record: str | None,
    deliver: Deliver | None,
) -> Role:
    recorder = None if record is None else Recorder(record, plan.name, deliver=deliver)
    return stream_kinds.stream_of(plan, place, recorder=recorder)
