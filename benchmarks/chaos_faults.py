"""What goes wrong at the exchange in `benchmarks.chaos`: every kind of fault that it has, drawn by a seed."""

import random
from typing import Any

from headrace.simulate.exchange.faults import KINDS

from .chaos_oracle import REFUSALS

_CALLS = ("placeOrders", "cancelOrders", "replaceOrders", "updateOrders", "listCurrentOrders", "listClearedOrders")
_STREAMS = ("marketSubscription", "orderSubscription")
#: Fields of a fault by its kind, each as a choice; kinds that are not here take none.
_FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "stream.slow_connect": {"seconds": (0.2, 1.0)},
    "stream.unexpected": {"operation": _STREAMS},
    "stream.drop": {"operation": _STREAMS},
    "stream.reset": {"operation": _STREAMS},
    "stream.half_line": {"operation": _STREAMS},
    "stream.half_close": {"operation": _STREAMS},
    "stream.fail_close": {"operation": _STREAMS},
    "stream.silence": {"operation": _STREAMS, "seconds": (0.5, 3.0)},
    "stream.stale_changes": {"seconds": (0.2, 1.0)},
    "market.status_503": {"seconds": (0.5, 2.0)},
    "market.behind": {"seconds": (0.5, 3.0)},
    "market.strip": {"value": (None, "null")},
    "order.delay": {"seconds": (0.1, 1.0, 3.0)},
    "order.overtaken": {"seconds": (0.1, 0.5)},
    "order.delay_image": {"seconds": (0.5, 2.0)},
    "order.before_reply": {"seconds": (0.05, 0.3)},
    "order.after_reply": {"seconds": (0.05, 0.3)},
    "order.status_503": {"seconds": (0.5, 2.0)},
    "order.strip": {"value": (None, "null")},
    "http.slow": {"operation": _CALLS, "seconds": (0.2, 1.0, 3.0)},
    "http.late": {"operation": _CALLS, "seconds": (0.2, 1.0, 3.0)},
    "http.lost": {"operation": _CALLS},
    "http.refused": {"operation": _CALLS},
    "http.cut": {"operation": _CALLS},
    "http.status": {"operation": _CALLS},
    "http.status_done": {"operation": _CALLS},
    "http.garbage": {"operation": _CALLS},
    "http.timeout": {"operation": _CALLS[:4]},
    "http.timeout_lost": {"operation": _CALLS[:4]},
    "http.timeout_later": {"operation": _CALLS[:4], "seconds": (0.5, 3.0, 8.0)},
    "http.timeout_error": {"operation": _CALLS[:4]},
    "http.error": {"operation": _CALLS, "value": ("TOO_MANY_REQUESTS", "SERVICE_BUSY", "UNEXPECTED_ERROR")},
    "http.idle_close": {"seconds": (0.5,)},
    "session.keep_alive_fail": {"value": ("INTERNAL_ERROR",)},
    "session.login_fail": {"value": ("INTERNAL_ERROR",)},
    "account.heartbeat": {"value": ("ALL_BETS_CANCELLED",)},
    "bet.fill_before_cancel": {"operation": ("cancelOrders", "replaceOrders"), "value": (None, "1")},
    "bet.lapse": {"value": (None, "MKT_UNKNOWN")},
    "bet.limit": {"value": ("LOSS_LIMIT_EXCEEDED", "INSUFFICIENT_FUNDS")},
    "bet.replace_cut": {"seconds": (0.0, 0.5, 3.0), "value": (None, "TIMEOUT")},
    "bet.refuse": {"value": ("SERVICE_UNAVAILABLE", "ERROR_IN_MATCHER", "REGULATOR_IS_NOT_AVAILABLE")},
    "list.leave_out": {"operation": _CALLS[4:]},
    "event.reopen": {"seconds": (1.0,)},
    "event.suspend": {"seconds": (0.5, 2.0)},
    "event.move_start": {"seconds": (60.0, 300.0)},
}
#: How much likelier than the others what concerns orders is.
_LIKELIER = {"http": 3, "order": 2, "bet": 2}


def drawn(rng: random.Random) -> dict[str, Any]:
    """A fault, as `RehearsalExchange.fault` takes it."""
    weights = [0.2 if kind in REFUSALS else float(_LIKELIER.get(kind.partition(".")[0], 1)) for kind in KINDS]
    (kind,) = rng.choices(list(KINDS), weights)
    fields = {name: rng.choice(values) for name, values in _FIELDS.get(kind, {}).items()}
    return {"kind": kind, **{name: value for name, value in fields.items() if value is not None}}
