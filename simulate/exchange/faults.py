"""Faults on demand: what is to go wrong, where, how often; asked for at each place that can fail."""

from __future__ import annotations

import dataclasses
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .ledger import Ledger

#: Seconds after which bets of a call that was answered TIMEOUT no longer appear ("placeOrders").
LATEST_S = 15.0
#: Every kind of fault, and what it does. `seconds` and `value` are the fault's own.
KINDS: dict[str, str] = {
    # -- connections of streams
    "stream.slow_connect": "the connection line comes after `seconds`",
    "stream.throttle": "authentication is answered TOO_MANY_REQUESTS",
    "stream.connection_limit": "authentication is answered MAX_CONNECTION_LIMIT_EXCEEDED",
    "stream.not_authorized": "authentication is answered NOT_AUTHORIZED",
    "stream.no_session": "authentication is answered INVALID_SESSION_INFORMATION",
    "stream.unexpected": "a request is answered UNEXPECTED_ERROR, and the connection closed",
    "stream.refuse_clock": "a subscription with clocks is answered INVALID_CLOCK",
    "stream.subscription_limit": "a subscription is answered SUBSCRIPTION_LIMIT_EXCEEDED; the connection stays open",
    "stream.drop": "the connection is closed between two messages",
    "stream.reset": "the connection is reset in the middle of a line",
    "stream.half_line": "half a line is sent, then the connection is closed",
    "stream.half_close": "nothing more is sent, and the end is told, but the client is still read",
    "stream.fail_close": "a status FAILURE with connectionClosed is sent (`value`: its code), then the end",
    "stream.silence": "bytes are read and none are sent, for `seconds`; what was due then follows",
    "stream.no_subscription": "a subscription is taken, and nothing of it is ever sent but heartbeats",
    "stream.stale_changes": "changes of the former subscription go on, with its id, for `seconds`, before the "
    "new image",
    # -- messages of markets
    "market.status_503": "messages carry status 503, for `seconds`",
    "market.image": "a SUB_IMAGE is sent in mid-stream",
    "market.twice": "the image has a market twice, with different versions",
    "market.no_definition": "an image comes without its market definition",
    "market.strip": "optional fields are left out of a message; null if `value` is null",
    "market.behind": "publish times are `seconds` behind",
    "market.conflated": "a change says that it is conflated",
    # -- messages of orders
    "order.delay": "a change of an order is sent `seconds` late",
    "order.overtaken": "a change of an order is sent after the next one of another order, or `seconds` late",
    "order.delay_image": "the first image of orders is sent `seconds` late",
    "order.duplicate": "a change of an order is sent twice",
    "order.image": "a full image of a market's orders is sent in mid-stream",
    "order.before_reply": "the change of an order is sent `seconds` before the reply to its request",
    "order.after_reply": "the change of an order is sent `seconds` after the reply to its request",
    "order.status_503": "messages carry status 503, for `seconds`",
    "order.strip": "optional fields of an order are left out; null if `value` is null",
    "order.blank_refs": "references are left empty, as for a bet that was placed by hand",
    "order.lost": "a change of an order is not sent at all",
    # -- calls
    "http.slow": "a reply comes `seconds` late; what was asked for was done at once",
    "http.late": "a call is acted on `seconds` late, and then answered",
    "http.lost": "what was asked for is done, and the connection is cut without a reply",
    "http.refused": "the connection is cut before anything is done",
    "http.cut": "half of the reply is sent, then the connection is cut",
    "http.status": "HTTP status `value` (503); nothing is done",
    "http.status_done": "HTTP status `value` (503); what was asked for was done",
    "http.garbage": "the reply is not JSON; what was asked for was done",
    "http.timeout": "report TIMEOUT, without bet ids; what was asked for was done",
    "http.timeout_lost": "report TIMEOUT, without bet ids; nothing was done",
    "http.timeout_later": "report TIMEOUT, without bet ids; what was asked for is done `seconds` (0 to 15) later",
    "http.timeout_error": "APINGException TIMEOUT_ERROR; what was asked for was done",
    "http.duplicate": "what was asked for is done, its reply is lost on the way, and the call comes a second time: the "
    "client is told DUPLICATE_TRANSACTION; only of calls about bets that have a customerRef",
    "http.error": "APINGException with the code in `value`; nothing is done",
    "http.extra_fields": "reports have a field that no client knows",
    "http.idle_close": "an idle connection is closed after `seconds`",
    # -- sessions and accounts
    "session.expire": "every session of the account ends",
    "session.keep_alive_fail": "keepAlive is answered FAIL with the code in `value`, and the session goes on",
    "session.login_fail": "login is answered FAIL with the code in `value`",
    "session.token": "keepAlive answers with another token",
    "account.busy": "a call for funds is answered with an error: another is being worked out",
    "account.heartbeat": "a heartbeat is answered with the action in `value`",
    # -- bets
    "bet.fill_before_cancel": "the bet, or `value` of it, is matched after its cancel or replace came, before it is "
    "handled",
    "bet.void": "a bet that was matched is voided, after its end",
    "bet.lapse": "what remains of a bet lapses, for the reason in `value`",
    "bet.limit": "placings are refused for the code in `value`; those of a replace after its cancels",
    "bet.refuse": "a call about bets is refused for the code in `value`; nothing is done",
    "bet.replace_cut": "a replace ends between its cancels and its placings: the connection is cut, or the report is "
    "TIMEOUT if `value` is TIMEOUT; what it places is placed `seconds` (up to 15) later, without `seconds` never",
    # -- lists of bets
    "list.leave_out": "listCurrentOrders and listClearedOrders leave a bet out, once each time that it is asked for",
    # -- markets
    "event.reopen": "a closed market opens again and closes with another winner, `seconds` later each",
    "event.suspend": "an open market is suspended for `seconds`",
    "event.move_start": "a market's start moves by `seconds`; catalogues learn of it late",
    "event.remove_runner": "a runner is removed: the one whose selection id `value` is, or the last that is active",
}

#: Kinds of faults that do nothing without `seconds`.
NEED_SECONDS = frozenset(
    {
        "stream.slow_connect",
        "stream.silence",
        "stream.stale_changes",
        "market.behind",
        "order.delay",
        "order.overtaken",
        "order.delay_image",
        "http.slow",
        "http.late",
        "event.suspend",
        "event.move_start",
    }
)


#: By kind, or by its first word: which of a fault's `WHERE` the place knows that asks for it.
_KNOWN_THERE: dict[str, tuple[str, ...]] = {
    "stream": ("username", "operation"),
    "stream.slow_connect": (),
    "market": ("username", "operation"),
    "market.twice": ("username", "operation", "market_id"),
    "market.no_definition": ("username", "operation", "market_id"),
    "market.strip": ("username", "operation", "market_id"),
    "market.conflated": ("username", "operation", "market_id"),
    "order": ("username", "operation", "market_id", "bet_id"),
    "order.delay_image": ("username", "operation"),
    "order.before_reply": ("username", "operation", "market_id"),
    "order.status_503": ("username", "operation"),
    "http": ("username", "operation", "market_id"),
    "session": ("username",),
    "account": ("username", "operation"),
    "bet": ("username", "operation", "market_id"),
    "bet.fill_before_cancel": ("username", "operation", "market_id", "bet_id"),
    "bet.void": ("username", "market_id", "bet_id"),
    "bet.lapse": ("username", "market_id", "bet_id"),
    "bet.replace_cut": ("username", "market_id"),
    "list": ("username", "operation", "market_id", "bet_id"),
    "event": ("market_id",),
}
WHERE = ("username", "operation", "market_id", "bet_id")


class FaultError(ValueError):
    """A fault cannot be set up so."""


def _is_size(value: str | None) -> bool:
    try:
        return value is None or 0 < float(value) < math.inf
    except ValueError:
        return False


def _is_status(value: str | None) -> bool:
    return value is None or (value.isdecimal() and 400 <= int(value) <= 599)


@dataclasses.dataclass
class Fault:
    """Something that is to go wrong.

    Attributes:
        kind: one of `KINDS`.
        times: how often; None: whenever it can.
        seconds, value: what the kind takes.
        after: seconds of real time from the start, or from its setting up, before which it does not happen.
        every: of how many chances one is taken, by chance; 1: each.
        username, operation, market_id, bet_id: only there, as far as the kind knows; None: anywhere. `operation` is a
            call's name, or what a stream is asked.
        done: how often it has happened.
    """

    kind: str
    times: int | None = 1
    seconds: float = 0.0
    value: str | None = None
    after: float = 0.0
    every: int = 1
    username: str | None = None
    operation: str | None = None
    market_id: str | None = None
    bet_id: str | None = None
    done: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultError(f"{self.kind!r} is not a kind of fault; expected one of {', '.join(KINDS)}")
        if self.times is not None and self.times < 1:
            raise FaultError(f"{self.kind}: times is {self.times}, expected 1 or more, or always")
        if self.kind == "bet.fill_before_cancel" and not _is_size(self.value):
            raise FaultError(f"{self.kind}: value is {self.value!r}, expected a size, or none for all of the bet")
        if self.kind in ("http.status", "http.status_done") and not _is_status(self.value):
            raise FaultError(f"{self.kind}: value is {self.value!r}, expected an HTTP status, 400 to 599")
        if self.kind == "bet.replace_cut" and self.value not in (None, "TIMEOUT"):
            raise FaultError(f"{self.kind}: value is {self.value!r}, expected TIMEOUT, or none for a cut connection")
        if self.kind in ("http.timeout_later", "bet.replace_cut") and self.seconds > LATEST_S:
            raise FaultError(f"{self.kind}: seconds is {self.seconds:g}, expected {LATEST_S:g} at most")
        known = _KNOWN_THERE.get(self.kind, _KNOWN_THERE[self.kind.partition(".")[0]])
        for name in WHERE:
            if getattr(self, name) is not None and name not in known:
                expected = f"expected {' or '.join(known)}" if known else "it happens to whoever comes"
                raise FaultError(f"{self.kind}: {name} is not known where it happens; {expected}")
        if not 0 <= self.seconds < math.inf or not 0 <= self.after < math.inf or self.every < 1:
            raise FaultError(f"{self.kind}: seconds and after are 0 or more, every is 1 or more")

    @property
    def spent(self) -> bool:
        return self.times is not None and self.done >= self.times


class Faults:
    """The faults that are set up. Each place that can fail asks `take`.

    Args:
        now: seconds of real time.
        ledger: each fault that happens is written there.
        seed: of the draws of `Fault.every`.

    Attributes:
        counts: how often each kind has happened.
        watchers: called with each fault that is set up: some kinds act at once, and not at the next chance.
    """

    def __init__(self, now: Callable[[], float], ledger: Ledger, seed: int = 0, faults: Sequence[Fault] = ()) -> None:
        self._now = now
        self._ledger = ledger
        self._random = random.Random(seed)
        self._faults: list[tuple[Fault, float]] = []
        self.counts: Counter[str] = Counter()
        self.watchers: list[Callable[[Fault], object]] = []
        for fault in faults:
            self.add(fault)

    @property
    def armed(self) -> bool:
        """Something may still go wrong."""
        return bool(self._faults)

    @property
    def pending(self) -> list[Fault]:
        """Those that may still happen."""
        return [fault for fault, _ in self._faults]

    def add(self, fault: Fault) -> None:
        """Set one up."""
        self._faults.append((fault, self._now() + fault.after))
        for watcher in self.watchers:
            watcher(fault)

    def clear(self) -> None:
        """Nothing more goes wrong."""
        self._faults.clear()

    def take(self, kind: str, at: int = 0, **where: Any) -> Fault | None:
        """The fault of a kind that happens here and now, which is counted; None if all goes well.

        Args:
            at: exchange time, for the ledger.
            where: username, operation, market_id, bet_id, as far as they are known.
        """
        if not self._faults:
            return None
        assert kind in KINDS, kind
        for place, (fault, since) in enumerate(self._faults):
            if fault.kind != kind or self._now() < since:
                continue
            asked = (fault.username, fault.operation, fault.market_id, fault.bet_id)
            found = (where.get("username"), where.get("operation"), where.get("market_id"), where.get("bet_id"))
            if any(want is not None and want != have for want, have in zip(asked, found, strict=True)):
                continue
            if fault.every > 1 and self._random.randrange(fault.every):
                continue
            fault.done += 1
            self.counts[kind] += 1
            if fault.spent:
                del self._faults[place]
            self._ledger.write("FAULT", at, fault=kind, seconds=fault.seconds, value=fault.value, **where)
            return fault
        return None
