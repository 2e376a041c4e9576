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
    StrategyFact,
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
    """What a market actor hands over with a strategy's request, so that another can go on in its place.

    What is kept later replaces what is the same earlier: a trade, a runner, the snapshot (see `merged`).

    Attributes:
        trades: trades with orders that are in the request, or have entered the blotter or come to their end since the
            last time, as they stand. Their orders are left out that had ended then already.
        runners: what strategies have done on runners, as far as it has changed; of their trades the new ones.
        snapshot: the strategy's, pickled (see `Strategy.snapshot`); empty: as it was the last time in this market.
        strategy: its name.
        number: grows from one to the next, whatever the market: of several the last one's snapshot counts.
        current: ids of the orders that `process_orders` was still to show to the strategy.
        known: ids of the markets that the strategy had been told of, where it has several.
        context: what JSON keeps of the market's context; empty: as it was the last time.
        inplay_since_ms: when the market turned in play; None: it has not.
    """

    trades: tuple[TradeRow, ...] = ()
    runners: tuple[RunnerRow, ...] = ()
    snapshot: bytes = b""
    strategy: str = ""
    number: int = 0
    current: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    context: str = ""
    inplay_since_ms: int | None = None


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
    | StrategyFact
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
        kept: of a request, and of a `StrategyFact`: a `Kept`, as MessagePack; empty: nothing.
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
    """What was kept for one strategy in one market, in order, as one: the last of each order, trade and runner.

    Raises:
        ValueError: there is none.
    """
    trades: dict[str, TradeRow] = {}
    runners: dict[tuple[str, str, int, float], RunnerRow] = {}
    snapshot, context = b"", ""
    last: Kept | None = None
    for last in several:
        for trade in last.trades:
            before = trades.get(trade.trade_id)
            trades[trade.trade_id] = trade if before is None else _with_orders_of(trade, before)
        for runner in last.runners:
            key = (runner.market_id, runner.strategy, runner.selection_id, runner.handicap)
            runners[key] = with_trades_of(runner, runners.get(key))
        snapshot, context = last.snapshot or snapshot, last.context or context
    if last is None:
        raise ValueError("there is nothing to merge")
    return msgspec.structs.replace(
        last, trades=tuple(trades.values()), runners=tuple(runners.values()), snapshot=snapshot, context=context
    )


def _with_orders_of(trade: TradeRow, before: TradeRow) -> TradeRow:
    """A trade, with the orders that an earlier row of it has and this one leaves out: they had ended."""
    orders = {order.order_id: order for order in (*before.orders, *trade.orders)}
    return msgspec.structs.replace(trade, orders=tuple(orders.values()))


def with_trades_of(runner: RunnerRow, before: RunnerRow | None) -> RunnerRow:
    """A row of a runner, with the trades that an earlier one has told of."""
    if before is None:
        return runner
    return msgspec.structs.replace(runner, trades=tuple(dict.fromkeys((*before.trades, *runner.trades))))


def packed(kept: Kept) -> bytes:
    """What is kept, as the bytes of an entry."""
    return _ENCODER.encode(kept)


def unpacked(data: bytes) -> Kept:
    """What an entry keeps.

    Raises:
        msgspec.DecodeError: it is of another version.
    """
    return _KEPT.decode(data) if data else Kept()
