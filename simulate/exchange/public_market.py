"""What the exchange publishes of a market: what was recorded, less what accounts took, with what they offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...strategies.changes import RunnerChange
from ..ledger import Ledger
from .feed_messages import FeedChange

RunnerKey = tuple[int, float]
#: Ladders by price. A back bet takes from `atb`, where lay bets rest; a lay bet from `atl`, where backs rest.
LADDERS = ("atb", "atl", "trd", "spb", "spl")
#: Ladders by rank, as some recordings have them.
RANKED = ("batb", "batl", "bdatb", "bdatl")
#: Other fields of a runner.
VALUES = ("ltp", "tv", "spn", "spf")
#: The recorded ranked ladders that stand for a ladder by price where the recording does not have that.
_INSTEAD = {"atb": ("batb", "bdatb"), "atl": ("batl", "bdatl")}


class Touched:
    """What one message changes of a market.

    Attributes:
        image: everything; what subscribers know is void.
        definition, volume: the definition, the market's traded volume.
        conflated: the recording says so.
        runners: by runner, which prices of which ladder (an empty set of a ranked one), and which values.
    """

    __slots__ = ("conflated", "definition", "image", "runners", "volume")

    def __init__(self) -> None:
        self.image = self.definition = self.volume = self.conflated = False
        self.runners: dict[PublicRunner, dict[str, set[float]]] = {}

    def __bool__(self) -> bool:
        return bool(self.runners) or self.image or self.definition or self.volume


class PublicRunner:
    """One runner as it is published.

    Attributes:
        recorded: sizes by price, for each ladder of `LADDERS`, as recorded.
        ranked: `(price, size)` by rank, for each ladder of `RANKED` that the recording has.
        values: the last of each of `VALUES`, as recorded.
        ledger: what accounts took of what is recorded; whoever matches their bets keeps it up to date.
        taken: the same of `atb` and `atl`, by price.
        resting: what accounts offer in `atb` and `atl`, by price.
        traded: what accounts traded here, both sides, by price: not in the recording.
        traded_here: its sum.
        last_price: of the accounts' last trade, if nothing was recorded after it.
        by_price: the recording has ladders by price; else what it has by rank stands for them.
    """

    __slots__ = (
        "by_price",
        "handicap",
        "key",
        "last_price",
        "ledger",
        "ranked",
        "recorded",
        "resting",
        "selection_id",
        "taken",
        "traded",
        "traded_here",
        "values",
    )

    def __init__(self, selection_id: int, handicap: float, by_price: bool = True) -> None:
        self.by_price = by_price
        self.selection_id = selection_id
        self.handicap = handicap
        self.key: RunnerKey = (selection_id, handicap)
        self.ledger = Ledger()
        self.taken: dict[str, Mapping[float, float]] = {"atb": self.ledger.taken(True), "atl": self.ledger.taken(False)}
        self.resting: dict[str, dict[float, float]] = {"atb": {}, "atl": {}}
        self.traded: dict[float, float] = {}
        self.traded_here = 0.0
        self.last_price: float | None = None
        self.restart()

    def restart(self) -> None:
        """Forget what was recorded: an image follows."""
        self.recorded: dict[str, dict[float, float]] = {name: {} for name in LADDERS}
        self.ranked: dict[str, dict[int, tuple[float, float]]] = {}
        self.values: dict[str, Any] = {}

    # -- reading -------------------------------------------------------------------------------------------------

    def size(self, ladder: str, price: float) -> float:
        """What is published at a price of a ladder by price; 0.0 for nothing."""
        size = self._offered(ladder).get(price, 0.0)
        if ladder == "trd":
            return round(size + self.traded.get(price, 0.0), 2) if self.traded else size
        if ladder in self.taken:
            taken, resting = self.taken[ladder].get(price, 0.0), self.resting[ladder].get(price, 0.0)
            if taken or resting:
                return round(max(size - taken, 0.0) + resting, 2)
        return size

    def ladder(self, name: str) -> dict[float, float]:
        """A ladder by price as it is published, without zeros, in no order."""
        recorded = self._offered(name)
        if name == "trd":
            extra: Iterable[float] = self.traded
        elif name in self.taken:
            extra = (*self.taken[name], *self.resting[name])
        else:
            extra = ()
        if not extra:
            return recorded
        found = {price: self.size(name, price) for price in (*recorded, *extra)}
        return {price: size for price, size in found.items() if size}

    def _offered(self, ladder: str) -> dict[float, float]:
        if not self.by_price and ladder in _INSTEAD:
            for name in _INSTEAD[ladder]:
                if name in self.ranked:
                    return dict(self.ranked[name].values())
        return self.recorded[ladder]

    def as_accounts_left(self, shown: dict[float, float], side: str) -> dict[float, float]:
        """Another ladder than `atb` or `atl` of that side, less what accounts took, with what they offer."""
        found = dict(shown)
        for price, size in self.taken[side].items():
            if price in found:
                found[price] = round(max(found[price] - size, 0.0), 2)
        for price, size in self.resting[side].items():
            found[price] = round(found.get(price, 0.0) + size, 2)
        return found

    def altered(self, ladder: str) -> bool:
        """Whether accounts' bets show in `atb` or `atl`."""
        return bool(self.taken[ladder] or self.resting[ladder])

    @property
    def last_price_traded(self) -> float | None:
        return self.last_price if self.last_price is not None else self.values.get("ltp")

    @property
    def volume(self) -> float | None:
        """Traded volume, both sides; None where the recording has none and accounts traded nothing."""
        recorded: float | None = self.values.get("tv")
        if not self.traded_here:
            return recorded
        return round((recorded or 0.0) + self.traded_here, 2)

    def available(self, ladder: str, price: float) -> float:
        """What is left at a price of `atb` or `atl` of what was recorded, without accounts' offers."""
        return max(round(self._offered(ladder).get(price, 0.0) - self.taken[ladder].get(price, 0.0), 2), 0.0)

    # -- what was recorded ---------------------------------------------------------------------------------------

    def record(self, change: RunnerChange, touched: dict[str, set[float]]) -> None:
        """Fold a recorded change in, and note what it touches."""
        for name in LADDERS:
            levels = getattr(change, name)
            if levels is None:
                continue
            ladder = self.recorded[name]
            prices = touched.setdefault(name, set())
            if not levels:
                prices.update(ladder)
                ladder.clear()
            for price, size in levels:
                if size:
                    ladder[price] = size
                else:
                    ladder.pop(price, None)
                prices.add(price)
        for name in RANKED:
            ranks = getattr(change, name)
            if ranks is not None:
                self._rank(name, ranks, touched)
                touched.setdefault(name, set())
        for name in VALUES:
            value = getattr(change, name)
            if value is not None:
                self.values[name] = value
                touched.setdefault(name, set())
                if name == "ltp":
                    self.last_price = None

    def _rank(self, name: str, ranks: list[tuple[int, float, float]], touched: dict[str, set[float]]) -> None:
        side = "atb" if name in _INSTEAD["atb"] else "atl"
        before = None if self.by_price else dict(self._offered(side))
        ladder = self.ranked.setdefault(name, {})
        if not ranks:
            ladder.clear()
        for rank, price, size in ranks:
            if size:
                ladder[rank] = (price, size)
            else:
                ladder.pop(rank, None)
        if before is not None:
            after = self._offered(side)
            prices = {price for price in {**before, **after} if before.get(price) != after.get(price)}
            if prices:
                touched.setdefault(side, set()).update(prices)

    # -- what accounts do ----------------------------------------------------------------------------------------

    def offer(self, side: str, price: float, change: float) -> None:
        """What accounts offer in `atb` or `atl` at a price changes by `change`."""
        size = round(self.resting[side].get(price, 0.0) + change, 2)
        if size > 0:
            self.resting[side][price] = size
        else:
            self.resting[side].pop(price, None)

    def trade(self, price: float, size: float) -> None:
        """An account's bet of `size` was matched by an offer: both sides count as traded."""
        self.traded[price] = round(self.traded.get(price, 0.0) + 2 * size, 2)
        self.traded_here = round(self.traded_here + 2 * size, 2)
        self.last_price = price


class PublicMarket:
    """A market as it is published.

    Attributes:
        definition: as it is sent; None until the recording has one.
        runners: by selection and handicap, in order of appearance.
        recorded_volume: of the market, as recorded.
        publish_time: of the last change, exchange time in milliseconds.
        sequence: number of the last change, counted by the exchange over all markets.
        stamps: number of the last change of each thing: (runner, field, price), a field of ranks or values with None
            for the price, ("definition",) and ("tv",).
        image_at: number of the last change after which nothing known before holds.
        by_price: the recording has ladders by price: of recordings by rank only, none has.
    """

    def __init__(self, market_id: str) -> None:
        self.market_id = market_id
        self.definition: dict[str, Any] | None = None
        self.runners: dict[RunnerKey, PublicRunner] = {}
        self.recorded_volume: float | None = None
        self.publish_time = 0
        self.sequence = 0
        self.image_at = 0
        self.by_price = False
        self.stamps: dict[tuple[Any, ...], int] = {}

    def runner(self, selection_id: int, handicap: float) -> PublicRunner:
        """The runner; a new one if it was not known."""
        key = (selection_id, handicap)
        found = self.runners.get(key)
        if found is None:
            found = self.runners[key] = PublicRunner(selection_id, handicap, self.by_price)
        return found

    @property
    def volume(self) -> float | None:
        """Traded volume of the market, both sides; None where the recording has none and accounts traded nothing."""
        here = sum(runner.traded_here for runner in self.runners.values())
        return self.recorded_volume if not here else round((self.recorded_volume or 0.0) + here, 2)

    @property
    def available(self) -> float:
        """What is offered, of all runners and on both sides, in pounds."""
        return sum(sum(runner.ladder(side).values()) for runner in self.runners.values() for side in ("atb", "atl"))

    def record(self, played: FeedChange) -> Touched:
        """Fold a recorded change in."""
        change, touched = played.change, Touched()
        touched.conflated = played.conflated
        if not self.by_price and any(rc.atb is not None or rc.atl is not None for rc in change.rc):
            self.by_price = True
            for runner in self.runners.values():
                touched.image |= bool(runner.ranked)  # what stood for ladders does so no longer
                runner.by_price = True
        if change.img:
            touched.image = True
            for runner in self.runners.values():
                runner.restart()
            named = {(rc.id, rc.hc or 0.0) for rc in change.rc}
            named |= (
                {(each.id, each.hc) for each in change.market_definition.runners} if change.market_definition else set()
            )
            self.runners = {
                key: runner
                for key, runner in self.runners.items()
                if key in named or runner.traded_here or runner.altered("atb") or runner.altered("atl")
            }
            self.recorded_volume = None
        if played.definition is not None and change.market_definition is not None:
            self.definition = played.definition
            touched.definition = True
            for each in change.market_definition.runners:
                self.runner(each.id, each.hc)
        if change.tv is not None:
            self.recorded_volume = change.tv
            touched.volume = True
        for rc in change.rc:
            runner = self.runner(rc.id, rc.hc or 0.0)
            runner.record(rc, touched.runners.setdefault(runner, {}))
        return touched

    def stamp(self, touched: Touched, sequence: int, publish_time: int) -> None:
        """Note that what was touched is of change number `sequence`."""
        self.sequence, self.publish_time = sequence, max(publish_time, self.publish_time)
        stamps = self.stamps
        if touched.image:
            stamps.clear()
            self.image_at = sequence
        if touched.definition:
            stamps["definition",] = sequence
        if touched.volume:
            stamps["tv",] = sequence
        for runner, fields in touched.runners.items():
            key = runner.key
            for name, prices in fields.items():
                if prices:
                    for price in prices:
                        stamps[key, name, price] = sequence
                else:
                    stamps[key, name, None] = sequence

    def since(self, sequence: int) -> Touched:
        """What has changed after change number `sequence`; everything if an image came since."""
        touched = Touched()
        touched.conflated = True
        touched.image = sequence < self.image_at
        for key, stamp in self.stamps.items():
            if stamp <= sequence:
                continue
            if key == ("definition",):
                touched.definition = True
            elif key == ("tv",):
                touched.volume = True
            else:
                runner = self.runners.get(key[0])
                if runner is not None:
                    prices = touched.runners.setdefault(runner, {}).setdefault(key[1], set())
                    if key[2] is not None:
                        prices.add(key[2])
        return touched
