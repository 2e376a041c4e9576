"""What stands in a journal: messages of the core and letters, each with the market that it is about."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ...strategies.messages import (
    AccountFact,
    ClearedOrder,
    MarketFact,
    MarketResult,
    Message,
    OrderFact,
    Reply,
    Request,
    ViolationFact,
)
from ...strategies.order_rows import RunnerRow, TradeRow
from ..letters import ForeignBet, Hello


class Noted(Message, frozen=True, gc=False):
    """Something about the system itself: it has started, stopped, or an actor has died.

    Attributes:
        what: one word: STARTED, STOPPED, GONE, RESTORED, QUARANTINE, DIFFERENCE, UNCONFIRMED ...
        text: a sentence.
    """

    what: str
    text: str
    at: int


class Seated(Message, frozen=True, gc=False):
    """A crew's market has a host.

    Attributes:
        definition: the market's, JSON as it was last seen; empty: not known.
    """

    crew: str
    market_id: str
    event_id: str | None
    host: str
    at: int
    definition: bytes = b""


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a market actor hands over with a request, so that another can go on in its place.

    What is kept later replaces what is the same earlier: a trade, a runner, the snapshot (see `merged`).

    Attributes:
        trades: the trades of the request's orders, whole, as they stood when it was made.
        runners: what the strategy has done on their runners.
        snapshot: the strategy's, pickled (see `Strategy.snapshot`); empty: as at its last request.
    """

    trades: tuple[TradeRow, ...] = ()
    runners: tuple[RunnerRow, ...] = ()
    snapshot: bytes = b""


#: Everything that an entry may hold.
Written = (
    Request
    | Reply
    | OrderFact
    | ForeignBet
    | ClearedOrder
    | MarketFact
    | MarketResult
    | ViolationFact
    | AccountFact
    | Hello
    | Seated
    | Noted
)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry.

    Attributes:
        message: what was written.
        at: when, milliseconds since the epoch.
        market_id: the market that it is about; empty: none.
        actor: of a request: the market actor that made it, as the switchboard knows it ("h3.s1.market"). Of what
            accounts tell: venue and username with a space between.
        kept: of a request: a `Kept`, as MessagePack; empty: nothing.
        number: its place in the journal, given when it is written.
    """

    message: Written
    at: int
    market_id: str = ""
    actor: str = ""
    kept: bytes = b""
    number: int = 0


_ENCODER = msgspec.msgpack.Encoder()
_KEPT: msgspec.msgpack.Decoder[Kept] = msgspec.msgpack.Decoder(Kept)


def merged(several: Iterable[Kept]) -> Kept:
    """What several requests of one strategy have kept, in order, as one: the last of each trade and runner."""
    trades: dict[str, TradeRow] = {}
    runners: dict[tuple[str, str, int, float], RunnerRow] = {}
    snapshot = b""
    for kept in several:
        for trade in kept.trades:
            trades.pop(trade.trade_id, None)
            trades[trade.trade_id] = trade
        for runner in kept.runners:
            runners[runner.market_id, runner.strategy, runner.selection_id, runner.handicap] = runner
        snapshot = kept.snapshot or snapshot
    return Kept(tuple(trades.values()), tuple(runners.values()), snapshot)


def packed(kept: Kept) -> bytes:
    """What is kept, as the bytes of an entry."""
    return _ENCODER.encode(kept)


def unpacked(data: bytes) -> Kept:
    """What an entry keeps.

    Raises:
        msgspec.DecodeError: it is of another version.
    """
    return _KEPT.decode(data) if data else Kept()
