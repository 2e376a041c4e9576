"""What the page of the exchange shows: markets, accounts, bets, connections, faults and refusals, as they are now."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from importlib import resources
from typing import Any

from ....actors.page.frame import page_of
from ..account_bet import AccountBet
from ..exchange import Exchange, ExchangeMarket, Listener
from ..faults import KINDS, Faults
from ..public_market import Touched
from ..refusals import Refusals

#: Rows of a table that are shown; counts are of all.
ROWS = 200


@functools.cache
def page() -> str:
    """The page, which asks for `rehearsal/events` and nothing else."""
    script = resources.files(__package__).joinpath("page.js").read_text(encoding="utf-8")
    return page_of("Rehearsal exchange", script, style="#bets th, #bets td { padding: .35rem .4rem; }")


class PageState(Listener):
    """Works out the state that the page shows. It listens to the exchange, to count.

    Args:
        money: an account's available balance and exposure, in its currency.
        connections: one row per open stream connection.
        behind: seconds by which the exchange is behind its schedule.

    It reads the exchange's ledger as well, for what is refused.
    """

    def __init__(
        self,
        exchange: Exchange,
        faults: Faults,
        money: Callable[[str], tuple[float, float]],
        connections: Callable[[], list[dict[str, Any]]],
        behind: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._money = money
        self._connections = connections
        self._behind = behind
        self._changes: Counter[str] = Counter()
        exchange.listeners.append(self)
        self._refusals = Refusals()
        exchange.ledger.watchers.append(self._refusals.note)

    # -- listening -----------------------------------------------------------------------------------------------

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        self._changes[market.market_id] += 1

    def market_gone(self, market: ExchangeMarket) -> None:
        del self._changes[market.market_id]

    # -- showing -------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What the page shows now, ready for JSON."""
        exchange = self._exchange
        markets, connections = list(exchange.markets.values()), self._connections()
        bets = list(exchange.bets.values())
        shown = bets[: -ROWS - 1 : -1]
        faults = self._fault_rows()
        return {
            "now": exchange.timeline.now_ms(),
            "speed": exchange.timeline.speed,
            "behind": self._behind(),
            "tiles": [
                ["markets", len(markets)],
                ["changes", sum(self._changes.values())],
                ["bets", len(bets)],
                ["bets that can match", sum(bet.executable for bet in bets)],
                ["connections", len(connections)],
                ["faults that happened", sum(self._faults.counts.values())],
                ["refused", self._refusals.count],
            ],
            "counts": {
                "markets": len(markets),
                "bets": len(bets),
                "connections": len(connections),
                "refusals": self._refusals.count,
            },
            "markets": [self._market(market) for market in _by_start(markets)[:ROWS]],
            "accounts": [self._account(name) for name in exchange.accounts],
            "bets": [_bet(bet) for bet in shown],
            "connections": connections[:ROWS],
            "refusals": self._refusals.rows(),
            "faults": faults,
        }

    def _market(self, market: ExchangeMarket) -> dict[str, Any]:
        definition, bets = market.definition, list(market.bets.values())
        start, name = definition.market_time, definition.name or definition.market_type
        now = self._exchange.timeline.now_ms()
        return {
            "market_id": market.market_id,
            "name": " · ".join(each for each in (definition.event_name, name) if each),
            "status": "gone" if market.gone and market.closed_at is None else definition.status,
            "in_play": definition.in_play,
            "seconds_to_start": None if start is None else round(start.timestamp() - now / 1000),
            "runners": definition.number_of_active_runners,
            "changes": self._changes[market.market_id],
            "volume": market.public.volume,
            "bets": len(bets),
            "live": sum(bet.executable for bet in bets),
            "matched": round(sum(bet.matched for bet in bets), 2),
        }

    def _account(self, username: str) -> dict[str, Any]:
        own = list(self._exchange.bets_of(username))
        available, exposure = self._money(username)
        results = [bet.result.profit for bet in own if bet.result is not None and bet.settled_ms is not None]
        return {
            "username": username,
            "currency": self._exchange.accounts[username].currency,
            "available": available,
            "exposure": exposure,
            "bets": len(own),
            "live": sum(bet.executable for bet in own),
            "matched": round(sum(bet.matched for bet in own), 2),
            "profit": round(sum(results), 2),
        }

    def _fault_rows(self) -> list[dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        for kind, done in self._faults.counts.items():
            rows[kind] = {"kind": kind, "does": KINDS[kind], "done": done, "left": 0}
        for fault in self._faults.pending:
            row = rows.setdefault(fault.kind, {"kind": fault.kind, "does": KINDS[fault.kind], "done": 0, "left": 0})
            if fault.times is None:
                row["left"] = "always"
            elif row["left"] != "always":
                row["left"] += fault.times - fault.done
        return [rows[kind] for kind in KINDS if kind in rows]


def _by_start(markets: list[ExchangeMarket]) -> list[ExchangeMarket]:
    """Open markets before closed ones, by their start."""

    def key(market: ExchangeMarket) -> tuple[bool, float]:
        start = market.definition.market_time
        return (market.closed_at is not None or market.gone, 0.0 if start is None else start.timestamp())

    return sorted(markets, key=key)


def _bet(bet: AccountBet) -> dict[str, Any]:
    return {
        "placed": bet.placed_ms,
        "bet_id": bet.bet_id,
        "username": bet.username,
        "market_id": bet.market_id,
        "selection_id": str(bet.selection_id) + (f" ({bet.handicap:+g})" if bet.handicap else ""),
        "side": bet.asked.side,
        "price": bet.price,
        "size": bet.size or bet.liability,
        "matched": bet.matched,
        "average": bet.average or None,
        "remaining": bet.remaining,
        "cancelled": bet.cancelled,
        "lapsed": bet.lapsed,
        "voided": bet.voided,
        "status": "can match" if bet.executable else "settled" if bet.settled_ms is not None else "complete",
        "profit": bet.result.profit if bet.result is not None and bet.settled_ms is not None else None,
    }
