"""Letters: what live actors send each other, beside the messages of `strategies.messages`.

Values only, as there. What is the user's own (payloads, rows) travels pickled. Times are milliseconds since the epoch;
`_ns` ones are nanoseconds of it.
"""

from __future__ import annotations

from typing import Any

from ..strategies.messages import (
    AccountFact,
    ClearedOrder,
    LogRow,
    MarketFact,
    MarketResult,
    Message,
    OrderFact,
    Reply,
    Request,
    StrategyFact,
    ViolationFact,
)

# -- of the life of actors -------------------------------------------------------------------------------------------


class Hello(Message, frozen=True):
    """An actor has started: to the coordinator.

    Attributes:
        kind: HOST, STREAM, PAGE or another word.
        url: of a page: where it is, without its token.
    """

    name: str
    kind: str
    address: str
    incarnation: int
    pid: int
    url: str = ""


class Introduce(Message, frozen=True):
    """Where another actor is; an empty address: it is gone."""

    name: str
    address: str


class Stop(Message, frozen=True):
    """The actor is to end. `why`: one sentence."""

    why: str = ""


class Gone(Message, frozen=True):
    """An actor has ended, as the engine or the actor itself tells the coordinator.

    Attributes:
        why: empty: it was asked to.
        incarnation: which one of this name: a later one may be running.
    """

    name: str
    why: str = ""
    incarnation: int = 0


# -- streams ---------------------------------------------------------------------------------------------------------


class MarketUpdate(Message, frozen=True, gc=False):
    """A change of a market: from its stream to a host.

    Attributes:
        crew: whose it is at the host (see `actors.live.crews`).
        pt: when the exchange published it.
        received_ns: when it was read here.
        change: one element of the message's `mc`, JSON as it came; of sports streams one of `rc` or `cc`.
        image: it replaces what was known.
        clk: the message's, for strategies that want raw data.
    """

    crew: str
    market_id: str
    pt: int
    received_ns: int
    change: bytes
    image: bool = False
    clk: str | None = None


class MarketSeen(Message, frozen=True):
    """A market is new on a stream, or there again: to the coordinator, which answers with a `Route` for each crew that
    wants it.

    Attributes:
        definition: the market's, JSON; for sports streams empty.
    """

    stream: str
    market_id: str
    definition: bytes
    at: int


class MarketGone(Message, frozen=True):
    """The exchange tells nothing more of a market, closed or not: from its stream to the coordinator."""

    stream: str
    market_id: str
    at: int


class Route(Message, frozen=True):
    """Send a crew's changes of a market to a host from now on, the market's image first: to a stream."""

    crew: str
    market_id: str
    host: str


class Unroute(Message, frozen=True):
    """A market is of no interest any more to a crew: to a stream."""

    crew: str
    market_id: str


class ImageWanted(Message, frozen=True):
    """A host has lost changes, or has started anew: to a stream. An empty id: all of its markets."""

    host: str
    market_id: str = ""


class StreamState(Message, frozen=True):
    """How a stream stands: to the coordinator, at each change of its state and every second.

    Attributes:
        state: CONNECTING, SUBSCRIBED, DOWN, REFUSED (the exchange will not have it: see `error`), STOPPED.
        error: the exchange's code, or what was wrong, in a sentence; empty where all is well.
        markets: that it knows.
        left_out: ids that could not be subscribed to.
        messages, changes: read so far.
        lag_ms: from publish time to reading, of the last message; below 0 where the clock here is behind.
        worst_ms: the same, the greatest since the state before; where nothing came that of the last message.
        least_ms: the same, the least of the last minute.
        reconnects: so far.
        silent_ms: since anything was read.
    """

    stream: str
    state: str
    at: int
    error: str = ""
    markets: int = 0
    left_out: int = 0
    messages: int = 0
    changes: int = 0
    lag_ms: float = 0.0
    worst_ms: float = 0.0
    least_ms: float = 0.0
    reconnects: int = 0
    silent_ms: int = 0


class MarketIds(Message, frozen=True):
    """The markets that a stream with a wide filter is to have: from the coordinator, which has looked them up."""

    stream: str
    market_ids: tuple[str, ...]


class SessionWanted(Message, frozen=True):
    """A stream is about to connect, and needs a session. `refused`: the token that the exchange would not take."""

    stream: str
    venue: str
    username: str
    refused: str | None = None


class Session(Message, frozen=True):
    """A session, and leave to connect: one stream at a time. The token never reaches a log line."""

    venue: str
    username: str
    app_key: str
    token: str

    def __repr__(self) -> str:
        return f"Session(venue={self.venue!r}, username={self.username!r})"


# -- orders ----------------------------------------------------------------------------------------------------------


class OrdersImage(Message, frozen=True):
    """The order stream has sent the whole image of an account: its facts came before this. To the coordinator."""

    stream: str
    venue: str
    username: str
    at: int


class Position(Message, frozen=True):
    """An account's matched bets on a runner, wherever they were placed: to the coordinator.

    Attributes:
        backs, lays: price and size, all of them.
    """

    venue: str
    username: str
    market_id: str
    selection_id: int
    handicap: float
    backs: tuple[tuple[float, float], ...]
    lays: tuple[tuple[float, float], ...]


class ForeignBet(Message, frozen=True):
    """A bet of the account that was placed elsewhere, as seen: it is shown, and never touched.

    Attributes:
        fact: how it stands, whole: whoever finds that it was placed here has what an order needs.
        own: it has this instance's references. The order stream tells of each of those once, when it first sees it:
            it may be one of an earlier session.
    """

    venue: str
    username: str
    market_id: str
    bet_id: str
    selection_id: int
    handicap: float
    side: str
    price: float | None
    size: float
    matched: float
    remaining: float
    at: int
    strategy_ref: str = ""
    order_ref: str = ""
    fact: OrderFact | None = None
    own: bool = False


class OrdersClosed(Message, frozen=True):
    """The order stream says that a market in which the account has bets has closed, or is open again.

    To the coordinator.
    """

    venue: str
    username: str
    market_id: str
    closed: bool
    at: int


class Outcome(Message, frozen=True):
    """What came of an HTTP call: from a thread of the coordinator to its inbox.

    Attributes:
        call: the call's number.
    """

    call: int


# -- hosts -----------------------------------------------------------------------------------------------------------


class Catalogue(Message, frozen=True):
    """A market's catalogue: to its hosts. `data`: the exchange's, JSON."""

    market_id: str
    data: bytes


class UserEvent(Message, frozen=True):
    """A custom event: to every host that it is for, in the order of its changes.

    Attributes:
        data: it, pickled; empty where letters stay in one process.
        here: it, where letters stay in one process: a copy for each host.
        awaits: it comes to markets that open later as well; `market_ids`: to these; None: to all.
    """

    data: bytes = b""
    here: Any = None
    awaits: bool = False
    market_ids: tuple[str, ...] | None = None


class FreeMarket(Message, frozen=True):
    """A market is over and its results are known, or it is given up: to its hosts."""

    crew: str
    market_id: str


class Carried(Message, frozen=True):
    """A message between one market actor of a host and the coordinator, either way.

    Requests, their replies, facts that the coordinator has asked for, results, violations and log rows. The
    switchboard knows the actor as the host's name, a dot and the crew's.

    Attributes:
        kept: with a request, and with a `StrategyFact`, which is there for this alone: what the journal keeps, so that
            another host can go on (`actors.journal.entries.Kept`, as MessagePack); the coordinator does not look into
            it.
    """

    crew: str
    message: (
        Request | Reply | OrderFact | ClearedOrder | MarketFact | MarketResult | ViolationFact | LogRow | StrategyFact
    )
    kept: bytes = b""


class Hosting(Message, frozen=True):
    """What a host has, to a coordinator that has started anew: all of it, in one letter.

    It follows a `Hello`, which the host sends when the coordinator is introduced to it again. After it the host tells
    again of each market that it has opened or settled, and repeats each request that is not answered in full. Answers
    and facts that a former coordinator knew of may never have come: they are told to the host again.

    Attributes:
        places: crew, market and the market's event.
        incarnation: of the host: a later one may be running.
    """

    host: str
    places: tuple[tuple[str, str, str | None], ...]
    incarnation: int = 0


class Restore(Message, frozen=True):
    """A host is to go on with a market whose former host has died: to the new one, before the market is routed to it.

    It comes for each market that the former host had, whether strategies have asked for anything there or not, and for
    all of them before any is routed: a strategy that has several markets goes on once all are there.

    Attributes:
        kept: what was kept with each request of the crew in this market, and with each `StrategyFact`, in the order in
            which they came.
        messages: what is known of the market's orders: requests as they were sent, replies, facts, results, in the
            order in which they came. Those that are known already do no harm.
        definition: the market's, JSON, as it was last seen; empty: not known.
        event_id: the market's event, where its definition is not known.
        why: why the former host ended.
    """

    crew: str
    market_id: str
    kept: tuple[bytes, ...] = ()
    messages: tuple[Request | Reply | OrderFact | ClearedOrder, ...] = ()
    definition: bytes = b""
    event_id: str | None = None
    why: str = ""


class Restored(Message, frozen=True):
    """A host will go on with a market as soon as its image comes: to the coordinator.

    Attributes:
        orders: how many of its orders it has made again.
        error: why it cannot go on, in a sentence; empty: it can.
        incarnation: of the host: a later one may be running.
    """

    host: str
    crew: str
    market_id: str
    orders: int = 0
    error: str = ""
    incarnation: int = 0


class Rows(Message, frozen=True):
    """Rows of the session's result, pickled: from a host. It sends them again until it is told that they are written.

    Attributes:
        source: the sender, as no other is called, before or after.
        number: from 1 on, without a gap.
        first: the least number that it has not been told of.
    """

    host: str
    data: bytes
    source: str = ""
    number: int = 0
    first: int = 0


class RowsTaken(Message, frozen=True):
    """Rows are written, up to a number: to the host that sent them."""

    source: str
    number: int


class HostState(Message, frozen=True):
    """How a host stands, every second: to the coordinator, and from there to whoever shows it.

    Attributes:
        behind: changes that were folded without strategies being called, so far.
        depth: letters that wait.
        lost: letters lost so far; each time its markets asked for images.
        busy_ms: for how long the callback under way has been running; 0: none is.
        busy_in: where it stands: strategy, market, file and line.
        markets: JSON: a list of rows, one for each market and strategy: market_id, crew, event, name, status, inplay,
            strategy, orders, live, matched, exposure, profit, changes, pt.
        tick_ms: JSON: from reading a change to the end of its callbacks, milliseconds: count, median, p99, worst, and
            recent, the worst since the state before.
    """

    host: str
    at: int
    behind: int
    depth: int
    lost: int
    busy_ms: int
    markets: bytes
    tick_ms: bytes
    busy_in: str = ""


# -- asking a running system -----------------------------------------------------------------------------------------


class Ask(Message, frozen=True):
    """A question from outside, from the page, or from a host: STATE, STOP, CANCEL_ALL.

    Attributes:
        reply_to: where the answer goes: a name with `address`; empty: none is wanted.
        values: JSON, what else it takes.
    """

    what: str
    reply_to: str
    address: str
    values: bytes = b"{}"


class Told(Message, frozen=True):
    """The answer: JSON."""

    what: str
    values: bytes


#: Everything that an inbox may hold.
Letter = (
    Request
    | Reply
    | OrderFact
    | ClearedOrder
    | MarketFact
    | MarketResult
    | ViolationFact
    | LogRow
    | AccountFact
    | Hello
    | Introduce
    | Stop
    | Gone
    | MarketUpdate
    | MarketSeen
    | MarketGone
    | Route
    | Unroute
    | ImageWanted
    | StreamState
    | MarketIds
    | SessionWanted
    | Session
    | OrdersImage
    | Position
    | ForeignBet
    | OrdersClosed
    | Outcome
    | Catalogue
    | UserEvent
    | FreeMarket
    | Carried
    | Hosting
    | Restore
    | Restored
    | Rows
    | RowsTaken
    | HostState
    | Ask
    | Told
)
