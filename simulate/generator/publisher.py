"""Messages of one market in the form of Betfair's historical files, one JSON object a line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from ...strategies.prices import PRICES
from .order_book import OrderBook, Queues
from .starting_price import StartingPrice

# Ladders carry whole prices and sizes without a point, as Betfair's do; ltp, tv and starting prices carry
# one.
_LADDER = tuple(int(price) if price == int(price) else price for price in PRICES)


def to_pounds(pence: int) -> int | float:
    """Pounds for a ladder: an int if there are no pence."""
    pounds, left = divmod(pence, 100)
    return pence / 100 if left else pounds


class Publisher:
    """Collects the lines of a market until they are taken. Publish times never go back."""

    def __init__(self, market_id: str, selection_ids: Sequence[int], clock: int) -> None:
        self.time = 0
        self._lines: list[bytes] = []
        self._sent = 0
        self._market_id = market_id
        self._ids = selection_ids
        self._clock = clock
        self._volume = 0
        self._encode = msgspec.json.Encoder().encode

    def take(self) -> list[bytes]:
        """The lines published since it was last asked, without line ends, oldest first."""
        lines, self._lines = self._lines, []
        return lines

    def define(self, time: int, definition: dict[str, object]) -> None:
        """Publish a definition; the first is the market's image."""
        self._send(time, {"id": self._market_id, "marketDefinition": definition, "rc": []})

    def change(
        self,
        time: int,
        books: Sequence[OrderBook],
        starting: Sequence[StartingPrice] | None = None,
        touched: Iterable[int] | None = None,
    ) -> bool:
        """Publish what changed in the books, or in those `touched`. False if nothing did."""
        changes: list[dict[str, object]] = []
        volume = self._volume
        for n in range(len(books)) if touched is None else touched:
            book = books[n]
            selection_id = self._ids[n]
            if book.traded_changed:
                traded = book.traded
                assert book.last is not None
                changes.append(
                    {
                        "trd": [[_LADDER[tick], to_pounds(traded[tick])] for tick in sorted(book.traded_changed)],
                        "ltp": PRICES[book.last],
                        "tv": book.volume / 100,
                        "id": selection_id,
                    }
                )
                book.traded_changed.clear()
            if book.lays.changed:
                changes.append({"atb": _list_changes(book.lays), "id": selection_id})
            if book.backs.changed:
                changes.append({"atl": _list_changes(book.backs), "id": selection_id})
            if starting is not None and starting[n].changed:
                self._add_starting_bets(changes, starting[n], selection_id)
        if not changes:
            return False
        self._volume = sum(book.volume for book in books)
        change: dict[str, object] = {"id": self._market_id, "rc": changes}
        if self._volume != volume:
            change["tv"] = self._volume / 100
        self._send(time, change)
        return True

    def estimate(self, time: int, books: Sequence[OrderBook], starting: Sequence[StartingPrice]) -> None:
        """Publish the near and far starting prices of the runners for which either has changed."""
        changes: list[dict[str, object]] = []
        for n, bets in enumerate(starting):
            near, far = bets.get_near_price(books[n]), bets.get_far_price()
            if (near, far) != (bets.near_shown, bets.far_shown) and not math.isnan(near):
                bets.near_shown, bets.far_shown = near, far
                changes.append({"spn": _show(near), "spf": _show(far), "id": self._ids[n]})
        if changes:
            self._send(time, {"id": self._market_id, "rc": changes})

    def _add_starting_bets(self, changes: list[dict[str, object]], bets: StartingPrice, selection_id: int) -> None:
        bets.changed = False
        # Once reconciled the bets stand at the starting price itself, which is not on the ladder.
        for name, anywhere, pence in (("spl", 1.01, bets.stake), ("spb", 1000, bets.liability)):
            ladder: list[list[int | float]] = [[anywhere, to_pounds(pence if bets.price is None else 0)]]
            if bets.price is not None:
                ladder.append([bets.price, to_pounds(pence)])
            if pence or bets.voided:
                changes.append({name: ladder, "id": selection_id})

    def _send(self, time: int, change: dict[str, object]) -> None:
        self.time = max(time, self.time)
        self._clock += 7 + self._sent % 5
        change["con"] = True
        change["img"] = not self._sent
        self._sent += 1
        message = {"op": "mcm", "clk": str(self._clock), "pt": self.time, "mc": [change]}
        self._lines.append(self._encode(message))


def _list_changes(queues: Queues) -> list[list[int | float]]:
    sizes = queues.sizes
    changes = [[_LADDER[tick], to_pounds(sizes.get(tick, 0))] for tick in sorted(queues.changed)]
    queues.changed.clear()
    return changes


def _show(price: float) -> float | str:
    # The stream spells these two as strings (see any recording with starting prices).
    if math.isnan(price):
        return "NaN"
    if math.isinf(price):
        return "Infinity"
    return round(price, 2)
