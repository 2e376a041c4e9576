"""What the coordinator answers when it is asked: from the command line, by the page, by the process that started it."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from ...strategies.errors import HeadraceError, InputError
from ...values import UNREADABLE, did_you_mean, legible
from ..letters import Ask, Told
from ..mailboxes.mail import Mail
from .alerts import Alerts
from .betting import Betting
from .directory import Directory
from .event_desk import EventDesk
from .host_pool import HostPool
from .host_watch import HostWatch
from .live_workers import LiveWorkers
from .market_ends import MarketEnds
from .routes import Routes
from .seating import Seating
from .setup import LiveSetup
from .state import (
    AccountExposures,
    client_rows,
    event_rows,
    foreign_rows,
    held_rows,
    lag_figures,
    live_bets,
    order_figures,
    order_rows,
    stream_rows,
    tick_figures,
)
from .stops import Stops
from .stream_desk import StreamDesk
from .wards import Wards
from .watchdogs import Watchdogs

STATE, STOP, CANCEL_ALL = "STATE", "STOP", "CANCEL_ALL"
#: Of the process that has started the system.
EVENT, PREPARE = "EVENT", "PREPARE"


class System(Protocol):
    """A live system, as its coordinator has it."""

    setup: LiveSetup
    mail: Mail
    alerts: Alerts
    betting: Betting
    directory: Directory
    page: str
    pool: HostPool
    ends: MarketEnds
    events: EventDesk
    routes: Routes
    seating: Seating
    stops: Stops
    stream_desk: StreamDesk
    watch: HostWatch
    watchdogs: Watchdogs
    workers: LiveWorkers
    wards: Wards

    def fill_hosts(self) -> None:
        """Start all hosts that may be needed."""


class Answers:
    """Answers for a coordinator. All of it in the coordinator's thread."""

    def __init__(self, role: System) -> None:
        self._role = role
        self._exposures = AccountExposures(role.routes.definition_of)

    def answer(self, what: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a question.

        Args:
            what: STATE; STOP (`why`, `leave`); CANCEL_ALL (`why`, `whole_account`); EVENT (`data`: a custom event,
                pickled, as base64: from the process that has started the system).

        Raises:
            InputError: it is not a question, or has a value that does not fit.
        """
        if what == STATE:
            return self.state()
        if what == STOP:
            leave = values.get("leave")
            if leave is not None and not isinstance(leave, bool):
                raise InputError(f"leave={leave!r}: expected true or false")
            self._role.stops.stop_system(_why(values), leave)
            return {}
        if what == CANCEL_ALL:
            whole = values.get("whole_account", False)
            if not isinstance(whole, bool):
                raise InputError(f"whole_account={whole!r}: expected true or false")
            self._role.stops.cancel_all(_why(values), whole)
            return {}
        if what == EVENT:
            self._role.events.take(pickle.loads(base64.b64decode(str(values.get("data", "")))))
            return {}
        if what == PREPARE:
            self._role.fill_hosts()
            return {}
        names = (STATE, STOP, CANCEL_ALL, EVENT, PREPARE)
        raise InputError(f"{what!r} is not a question; expected {', '.join(names)}{did_you_mean(what, names)}")

    def ask(self, letter: Ask) -> None:
        """Answer a letter, if it wants to be; an error is answered as such: `error`."""
        try:
            found = self.answer(letter.what, msgspec.json.decode(letter.values, type=dict[str, Any]))
        except (HeadraceError, *UNREADABLE) as error:
            found = {"error": legible(error)}
        if letter.address:
            self._role.mail.know(letter.reply_to, letter.address)
        if letter.reply_to:
            self._role.mail.send(letter.reply_to, Told(letter.what, msgspec.json.encode(found)))

    def state(self) -> dict[str, Any]:
        """The state of the system: see `actors.live.state`."""
        role = self._role
        betting = role.betting
        accounts, gate, now = betting.accounts, betting.gate, betting.accounts.now_ms
        states = list(role.watch.states.values())
        streams = list(role.stream_desk.states.values())
        live = live_bets(accounts)
        pids = {entry.name: entry.pid for entry in role.directory.entries.values()}
        hosts = [{**row, "pid": pids.get(row["name"], 0)} for row in role.watch.rows()]
        return {
            "at": now,
            "instance": role.setup.instance,
            "reference": role.setup.reference,
            "pid": os.getpid(),
            "page": role.page,
            "page_pid": pids.get("page", 0),
            "on_stop": role.setup.on_stop,
            "stopping": gate.stopping,
            "stopped": role.mail.stopped,
            "placing_allowed": not (gate.stopping or gate.unwritten)
            and any(desk.owner not in gate.unready for desk in accounts),
            "idle": self._idle(),
            "cancelling": None if role.stops.cancelling is None else role.stops.cancelling.standing(),
            "markets": role.watch.market_rows(),
            "orders": order_rows(live, now),
            "live_orders": len(live),
            "held": held_rows(accounts),
            "foreign": foreign_rows(accounts),
            "clients": client_rows(accounts, gate.unready, role.workers.funds_at, self._exposures, now),
            "streams": [{**row, "pid": pids.get(row["stream"], 0)} for row in stream_rows(streams)],
            "hosts": hosts,
            "hosts_coming": role.pool.coming,
            "latency": {
                "tick_ms": tick_figures(states),
                "order_ms": order_figures(accounts),
                "stream_lag_ms": lag_figures(streams),
            },
            "risk": betting.risk.standing(),
            "watchdogs": role.watchdogs.rows(),
            "events": event_rows(role.alerts.events),
            "restarts": role.wards.restarts,
            "restoring": len(role.wards.successors),
            "in_doubt": sum(len(desk.orders.doubts) for desk in accounts if desk.orders is not None),
            "journal": {"bytes": betting.journal.journal.size, "unwritten": gate.unwritten},
            "counts": {
                **role.mail.counts,
                "depth": role.mail.depth,
                "markets": len(role.routes.markets),
                "failures": sum(failure.count for failure in betting.failures),
                "violations": sum(each.count for each in betting.coordinator.violations.values()),
                "requests": len(betting.coordinator.requests),
                "unposted": role.alerts.unposted,
                "custom_events": role.events.taken,
            },
        }

    def _idle(self) -> bool:
        """There were markets, all are over with their results, and nothing is open."""
        role = self._role
        seated = {market_id for _, market_id, _ in role.seating}
        over = all(role.ends.settled(market_id) for market_id in seated)
        return bool(role.routes.ever) and over and not any(desk.bets.live for desk in role.betting.accounts)


def _why(values: Mapping[str, Any]) -> str:
    why = values.get("why") or "somebody has asked for it"
    if not isinstance(why, str):
        raise InputError(f"why={why!r}: expected a sentence")
    return why
