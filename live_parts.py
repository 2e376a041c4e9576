"""The parts of a live system, checked as they are given, and what its actors are made of."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
from collections.abc import Sequence
from typing import Any

from .actors.clients import BaseClient
from .actors.coordinator import Coordinator
from .actors.live.accounts import connecting
from .actors.live.crews import StreamPlan, plan_streams
from .actors.live.instance import Instance
from .actors.live.setup import LiveSetup, RiskLimits
from .actors.market import MarketActor
from .actors.run_files import read_files
from .assembly import Assembly
from .cluster.identity import session_identity
from .config import Config, instance_id_of
from .results.recording_store import recording_place
from .results.result import Result
from .simulate.models import Models
from .simulate.session_rows import CoordinatorRows, FailureRows, rows_of_market, rows_so_far
from .simulate.simulated_exchange import paper_exchange
from .strategies import errors
from .strategies.errors import ClientError, HeadraceError, InputError, RunError
from .values import word

#: Market actors at once for each CPU, unless it is configured.
_PER_CPU = 4


class LiveParts(Assembly):
    """What `Live` starts. Its arguments are those of `Live`.

    Raises:
        InputError: an argument cannot be used.
    """

    SIMULATED = False

    def __init__(
        self,
        config: Config,
        *,
        engine: str,
        market_actor: type[MarketActor],
        coordinator: type[Coordinator],
        risk: RiskLimits | None,
        on_stop: str,
        on_restart: str,
        shadow: bool,
        record: str | os.PathLike[str] | None,
        webhook: str | None,
        files: Sequence[str | os.PathLike[str]],
    ) -> None:
        super().__init__(config)
        if config.compatibility is not None:
            raise InputError("compatibility='flumine' is a simulation's: live, orders are kept by headrace's rules")
        self._engine_name = word(engine, "engine", ("ray", "local"), InputError)
        self._on_stop = word(on_stop, "on_stop", ("cancel", "leave"), InputError)
        self._on_restart = word(on_restart, "on_restart", ("carry_on", "cancel"), InputError)
        self._market_actor, self._coordinator = market_actor, coordinator
        self._risk = risk or RiskLimits()
        self._shadow, self._webhook = shadow, webhook
        self._record = None if record is None else os.fspath(record)
        self._files = read_files(files)

    def _setup(self, instance: Instance) -> LiveSetup:
        streams, crews = plan_streams(self.strategies)
        clients: list[BaseClient] = list(self.clients)
        if connecting(clients, "", "") is None:
            raise ClientError("no account connects to an exchange: add_client(BetfairClient(api_client)) first")
        orders = [
            StreamPlan(
                f"o{number}",
                "orderSubscription",
                conflate_ms=client.order_stream_conflate_ms,
                streaming_timeout=client.order_streaming_timeout,
                venue=client.venue,
                username=client.username,
            )
            for number, client in enumerate(clients, 1)
            if client.order_stream and not client.simulated
        ]
        record, deliver = recording_place(self._record, instance.folder)
        return LiveSetup(
            strategies=self.strategies,
            clients=clients,
            config=dataclasses.replace(self.config, customer_strategy_ref=instance.reference),
            instance=os.fspath(instance.folder),
            reference=instance.reference,
            streams=(*streams, *orders),
            crews=crews,
            make_exchange=functools.partial(paper_exchange, Models().prepared(self.config)),
            rows_of=rows_of_market,
            rows_so_far=rows_so_far,
            rows_of_failures=FailureRows,
            rows_of_coordinator=CoordinatorRows,
            max_hosts=self.config.max_market_actors or _PER_CPU * (os.cpu_count() or 1),
            risk=self._risk,
            on_stop=self._on_stop,
            on_restart=self._on_restart,
            record=record,
            deliver=deliver,
            webhook=self._webhook,
            middleware=self._middleware,
            trading_controls=self._trading_controls,
            client_controls=self._client_controls,
            workers=self._background,
            logging_controls=self._logging_controls,
            custom_streams=list(self.streams),
            files=self._files,
            market_actor=self._market_actor,
            coordinator=self._coordinator,
        )

    def _identity(self, setup: LiveSetup) -> dict[str, Any]:
        """What the manifest says of the session."""
        rest = [*setup.middleware, setup.market_actor, setup.coordinator]
        rest += [control for control, _ in setup.trading_controls]
        rest += [control for _, control, _ in setup.client_controls]
        told = session_identity(self.strategies, self.clients, self.config, rest)
        where = {"engine": self._engine_name, "reference": setup.reference, "instance_id": instance_id_of(self.config)}
        return {**where, **told}

    @property
    def info(self) -> dict[str, Any]:
        """What a log line tells of the run."""
        return {**super().info, "engine": self._engine_name}


def users_objects(setup: LiveSetup) -> list[Any]:
    """What of a system is the user's own code, or made of it."""
    return [
        *setup.strategies,
        *setup.clients,
        *setup.middleware,
        *setup.logging_controls,
        *setup.custom_streams,
        *(control for control, _ in setup.trading_controls),
        *(control for _, control, _ in setup.client_controls),
        *(worker.function for worker in setup.workers),
        *(kind for each in setup.clients for kind in (each.execution_cls, each.order_stream_cls) if kind),
        setup.market_actor,
        setup.coordinator,
    ]


def without_errors(result: Result) -> Result:
    """A result none of whose failures is an error of the user's code.

    Raises:
        RunError: there is one: which, and where. Errors of headrace itself, such as an order used wrongly, pass.
    """
    for row in result.failures.to_pylist():
        kind = getattr(errors, row["error_type"], object)
        if not issubclass(kind, HeadraceError):
            who = f"strategy {row['strategy']!r} has failed" if row["strategy"] else "the user's code has failed"
            at = f" ({row['line']})" if row["line"] else ""
            raise RunError(f"{who}: {row['error_type']}: {row['message']}{at}; with raise_errors=True that is the end")
    return result


def ends_at(until: str | datetime.datetime | None) -> float | None:
    """When a system is to end, seconds since the epoch; None: never by itself.

    Raises:
        InputError: it is neither a time of day, such as "23:30", nor a datetime.
    """
    if until is None:
        return None
    if isinstance(until, datetime.datetime):
        return until.timestamp()
    try:
        at = datetime.time.fromisoformat(until)
    except (TypeError, ValueError):
        raise InputError(f"until={until!r}: expected a time of day, such as '23:30', or a datetime") from None
    now = datetime.datetime.now(at.tzinfo)
    moment = datetime.datetime.combine(now.date(), at)
    return (moment if moment > now else moment + datetime.timedelta(days=1)).timestamp()
