"""What of a market a client wants, and a market's changes as messages have them.

Clients that want the same share a channel: a change is encoded once for all of them. Source: Betfair Exchange Stream
API, "Market Data Filter".
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import msgspec

from ..public_market import PublicMarket, PublicRunner, RunnerKey, Touched
from . import requests
from .best_offers import Ranked, Ranks, display, rolled_up

MARKET_DEFINITION = "EX_MARKET_DEF"
#: Field of the filter to the keys of a runner's changes.
FIELDS: dict[str, tuple[str, ...]] = {
    "EX_BEST_OFFERS_DISP": ("bdatb", "bdatl"),
    "EX_BEST_OFFERS": ("batb", "batl"),
    "EX_ALL_OFFERS": ("atb", "atl"),
    "EX_TRADED": ("trd",),
    "EX_TRADED_VOL": ("tv",),
    "EX_LTP": ("ltp",),
    MARKET_DEFINITION: (),
    "SP_TRADED": ("spb", "spl"),
    "SP_PROJECTED": ("spn", "spf"),
}
LEVELS = (1, 10)
DEFAULT_LEVELS = 3
#: Ladders by price, other values, and ladders by rank with what they are made from.
_LADDERS = frozenset(("atb", "atl", "trd", "spb", "spl"))
_VALUES = frozenset(("ltp", "tv", "spn", "spf"))
_RANKED = {
    "batb": ("atb", ("atb",)),
    "batl": ("atl", ("atl",)),
    "bdatb": ("atb", ("atb", "bdatb")),
    "bdatl": ("atl", ("atl", "bdatl")),
}
_encoder = msgspec.json.Encoder()


@dataclasses.dataclass(frozen=True)
class Projection:
    """What of a market a client wants.

    Attributes:
        keys: of runners' changes.
        definition: market definitions, too.
        levels: of ladders by rank.
    """

    keys: frozenset[str]
    definition: bool
    levels: int

    @classmethod
    def read(cls, request: dict[str, Any]) -> Projection:
        """What a request wants. Without fields it wants all of them.

        Raises:
            StreamError: INVALID_INPUT, for what is not a data filter.
        """
        values = requests.section(request, "marketDataFilter", ("fields", "ladderLevels"))
        fields = requests.texts(values, "fields") or frozenset(FIELDS)
        if unknown := sorted(fields - FIELDS.keys()):
            raise requests.invalid(f"marketDataFilter: {unknown[0]!r} is not a field, expected {', '.join(FIELDS)}")
        levels = requests.whole(values, "ladderLevels")
        if levels is None:
            levels = DEFAULT_LEVELS
        if not LEVELS[0] <= levels <= LEVELS[1]:
            raise requests.invalid(f"ladderLevels is {levels}, expected {LEVELS[0]} to {LEVELS[1]}")
        keys = frozenset(key for field in fields for key in FIELDS[field])
        ranked = any(key in _RANKED for key in keys)
        return cls(keys, MARKET_DEFINITION in fields, levels if ranked else 0)


class Watcher(Protocol):
    """A subscription, as a channel knows it.

    Attributes:
        collecting: it wants to be told what has changed, and not how it is sent.
        pending: what it is going to send.
    """

    collecting: bool
    pending: list[bytes]

    def collect(self, channel: Channel, touched: Touched) -> None:
        """Note what has changed, to send it later."""

    def remove(self, channel: Channel) -> None:
        """The market has vanished."""


class Definition:
    """A market's definition as it is sent, encoded when it changes."""

    __slots__ = ("_encoded", "_of")

    def __init__(self) -> None:
        self._of: dict[str, Any] | None = None
        self._encoded = msgspec.Raw(b"null")

    def encoded(self, public: PublicMarket) -> msgspec.Raw:
        """The definition of a market that has one."""
        if public.definition is not self._of:
            self._of = public.definition
            self._encoded = msgspec.Raw(_encoder.encode(public.definition))
        return self._encoded


class Channel:
    """One market as one projection shows it.

    Args:
        born: number of the change with which the market appeared.

    Attributes:
        subscriptions: who wants it.
    """

    def __init__(self, public: PublicMarket, projection: Projection, definition: Definition, born: int) -> None:
        self.public = public
        self.market_id = public.market_id
        self.projection = projection
        self.born = born
        self.subscriptions: dict[Watcher, None] = {}
        keys = projection.keys
        self._definition = definition
        self._ladders = keys & _LADDERS
        self._values = keys & _VALUES
        self._plain = self._ladders | self._values
        self._ranked = tuple(key for key in _RANKED if key in keys)
        self._ranks: dict[tuple[RunnerKey, str], Ranks] = {}
        self._whole: tuple[int, bytes] | None = None
        if self._ranked:
            for runner in public.runners.values():
                for key in self._ranked:
                    self._rank(runner, key).settle()

    # -- what is sent --------------------------------------------------------------------------------------------

    def changed(self, touched: Touched) -> bytes | None:
        """The change that has just been made, for who knows all before; None if it does not show here."""
        if touched.image:
            self._ranks.clear()
            return self.whole(touched.conflated)
        runners: dict[PublicRunner, dict[str, Any]] = {}
        sequence = self.public.sequence
        for runner, fields in touched.runners.items():
            found = self._fields(runner, fields)
            for key in self._ranked:
                if _concerns(key, fields) and (levels := self._rank(runner, key).update(sequence)):
                    found[key] = levels
            if found:
                runners[runner] = found
        return self._encode(touched, runners, touched.conflated)

    def catch_up(self, touched: Touched, since: int) -> bytes | None:
        """What was touched after change number `since`, as it is now."""
        if touched.image or since < self.born:
            return self.whole()
        runners: dict[PublicRunner, dict[str, Any]] = {}
        for runner, fields in touched.runners.items():
            found = self._fields(runner, fields)
            for key in self._ranked:
                if _concerns(key, fields) and (levels := self._rank(runner, key).since(since)):
                    found[key] = levels
            if found:
                runners[runner] = found
        return self._encode(touched, runners, True)

    def whole(self, conflated: bool = False) -> bytes:
        """All of the market, as an image."""
        public = self.public
        if self._whole is not None and self._whole[0] == public.sequence and not conflated:
            return self._whole[1]
        body: dict[str, Any] = {"id": self.market_id}
        if self.projection.definition and public.definition is not None:
            body["marketDefinition"] = self._definition.encoded(public)
        changes = []
        for runner in public.runners.values():
            found: dict[str, Any] = {}
            for key in self._ladders:
                if ladder := runner.ladder(key):
                    found[key] = list(ladder.items())
            for key in self._values:
                if (value := _value(runner, key)) is not None:
                    found[key] = value
            for key in self._ranked:
                ranks = self._rank(runner, key)
                ranks.settle()
                if levels := ranks.whole():
                    found[key] = levels
            if found:
                changes.append(_runner(runner, found))
        body["rc"] = changes
        body["img"] = True
        if "tv" in self._values and public.volume is not None:
            body["tv"] = public.volume
        if conflated:
            body["con"] = True
        data = _encoder.encode(body)
        if not conflated:
            self._whole = (public.sequence, data)
        return data

    def _encode(self, touched: Touched, runners: dict[PublicRunner, dict[str, Any]], conflated: bool) -> bytes | None:
        definition = touched.definition and self.projection.definition and self.public.definition is not None
        volume = self.public.volume if touched.volume and "tv" in self._values else None
        if not runners and not definition and volume is None:
            return None
        body: dict[str, Any] = {"id": self.market_id}
        if definition:
            body["marketDefinition"] = self._definition.encoded(self.public)
        if runners:
            body["rc"] = [_runner(runner, found) for runner, found in runners.items()]
        if conflated:
            body["con"] = True
        if volume is not None:
            body["tv"] = volume
        return _encoder.encode(body)

    def _fields(self, runner: PublicRunner, fields: dict[str, set[float]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, prices in fields.items():
            if key not in self._plain:
                continue
            if key in _LADDERS:
                if prices:
                    found[key] = [(price, runner.size(key, price)) for price in prices]
            elif (value := _value(runner, key)) is not None:
                found[key] = value
        return found

    # -- ladders by rank -----------------------------------------------------------------------------------------

    def _rank(self, runner: PublicRunner, key: str) -> Ranks:
        """The ladder by rank as it is now; what changed of it is not noted before its `update`."""
        ranks = self._ranks.get((runner.key, key))
        if ranks is None:
            ranks = self._ranks[runner.key, key] = Ranks(self.projection.levels, self.public.sequence)
        ranks.now = self._best(runner, key)
        return ranks

    def _best(self, runner: PublicRunner, key: str) -> Ranked:
        side = _RANKED[key][0]
        if key in ("bdatb", "bdatl") and key in runner.ranked:
            return display(runner, key, side, self.projection.levels)
        return rolled_up(runner.ladder(side), side == "atb", self.projection.levels)


def _concerns(key: str, fields: dict[str, set[float]]) -> bool:
    return any(each in fields for each in _RANKED[key][1])


def _value(runner: PublicRunner, key: str) -> Any:
    if key == "ltp":
        return runner.last_price_traded
    if key == "tv":
        return runner.volume
    return runner.values.get(key)


def _runner(runner: PublicRunner, found: dict[str, Any]) -> dict[str, Any]:
    found["id"] = runner.selection_id
    if runner.handicap:
        found["hc"] = runner.handicap
    return found
