"""The two ports of the rehearsal exchange, fed with bytes: nothing fails in it, and all answers can be read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

from aiohttp import web

from builders import MARKET, T0, priced
from exchange_builders import ALICE, exchange_of, faults_of, play
from headrace.simulate.exchange.betting.bank import Bank
from headrace.simulate.exchange.betting.betting import Betting
from headrace.simulate.exchange.betting.heartbeat_api import HeartbeatApi
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.http.http_server import HttpServer
from headrace.simulate.exchange.listings.catalogues import Catalogues
from headrace.simulate.exchange.listings.listings import Listings
from headrace.simulate.exchange.listings.lists import BetLists
from headrace.simulate.exchange.sessions import Sessions
from stream_in_process import InProcess

_TOKEN = b"TOKEN"


def _exchange() -> Exchange:
    return play(exchange_of(priced().touch(400).close(9000)), 100)


# -- the stream --------------------------------------------------------------------------------------------------------


def stream_port(data: bytes) -> None:
    """Lines of a client of the stream."""
    with InProcess(_exchange()) as stream:
        client = stream.connect()
        stream.turn()
        if data[:1] == b"\x01":
            client.log_in()
        answers = client.send_bytes(data[1:].replace(_TOKEN, stream.sessions.login(*_ALICE).encode()))
        for _ in range(20):
            if client.closed:
                break
            answers += client.read()
        play(stream.exchange)
        answers += client.read()
        stream.let_pass(6_000)
        answers += client.read()
        client.leave()
    for each in answers:
        assert each.get("errorCode") != "UNEXPECTED_ERROR", each


_ALICE = (ALICE.username, ALICE.password)


def _line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\r\n"


def lines_of_stream() -> Sequence[bytes]:
    log_in = _line(op="authentication", id=1, appKey=ALICE.app_key, session=_TOKEN.decode())
    markets = _line(
        op="marketSubscription", id=2, heartbeatMs=500, conflateMs=0, segmentationEnabled=True,
        marketFilter={"marketIds": [MARKET], "countryCodes": ["GB"], "bspMarket": False, "eventTypeIds": ["7"]},
        marketDataFilter={"fields": ["EX_BEST_OFFERS", "EX_ALL_OFFERS", "EX_TRADED", "SP_TRADED", "EX_MARKET_DEF"],
                          "ladderLevels": 3},
    )  # fmt: skip
    orders = _line(
        op="orderSubscription", id=3, orderFilter={"includeOverallPosition": True, "customerStrategyRefs": ["mine"],
                                                   "partitionMatchedByStrategyRef": False, "accountIds": [1]},
    )  # fmt: skip
    clocks = _line(op="marketSubscription", id=4, initialClk="a", clk="b", marketFilter={})
    beat = _line(op="heartbeat", id=5)
    return [b"\x01" + markets + orders + beat, b"\x00" + log_in + markets + clocks, b"\x01" + clocks + beat + log_in]


# -- HTTP --------------------------------------------------------------------------------------------------------------


class _Transport:
    """What a connection writes to."""

    def __init__(self) -> None:
        self.sent = b""
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 50_000) if name == "peername" else default

    def write(self, data: bytes) -> None:
        self.sent += bytes(data)

    def writelines(self, parts: Any) -> None:
        self.sent += b"".join(bytes(each) for each in parts)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """What a client sends comes all at once."""

    resume_reading = pause_reading


#: What an input begins with: the head of a call, but for its length.
_HEADS = (
    b"",
    b"POST /exchange/betting/json-rpc/v1 HTTP/1.1\r\nContent-Type: application/json\r\n",
    b"POST /exchange/account/json-rpc/v1 HTTP/1.1\r\nContent-Type: application/json\r\n",
    b"POST /exchange/betting/rest/v1.0/listMarketBook/ HTTP/1.1\r\nContent-Type: application/json\r\n",
    b"POST /exchange/betting/rest/v1.0/placeOrders/ HTTP/1.1\r\nContent-Type: application/json\r\n",
    b"POST /api/login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    b"POST /api/certlogin HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    b"POST /exchange/heartbeat/json-rpc/v1 HTTP/1.1\r\nContent-Type: application/json\r\n",
)


def http_port(data: bytes) -> None:
    """What a client sends on a connection: bytes as they are, or the body of a call."""
    exchange = _exchange()

    async def served() -> tuple[bytes, HttpServer]:
        faults = faults_of(exchange)
        sessions = Sessions(exchange.settings, faults, lambda: 0.0, lambda: T0)
        bank = Bank(exchange, faults)
        betting = Betting(exchange, bank, faults, lambda: 0.0)
        loop = asyncio.get_running_loop()
        beats = HeartbeatApi(exchange, betting, faults, cast(Any, loop.call_later))
        parts = (bank, betting, beats, BetLists(exchange, bank, faults), Listings(exchange, Catalogues(exchange)))
        operations = {name: call for part in parts for name, call in cast(Any, part).operations().items()}
        server = HttpServer(exchange, sessions, faults, operations)
        http = server._web = web.Server(server._handle)
        connection = server._connections.make(http)
        transport = _Transport()
        connection.connection_made(cast(Any, transport))
        head = _HEADS[data[0] % len(_HEADS)] if data else b""
        body = data[1:]
        token = sessions.login(*_ALICE).encode()
        if head:
            keys = b"X-Application: %b\r\nX-Authentication: %b\r\n" % (ALICE.app_key.encode(), token)
            body = b"%b%bContent-Length: %d\r\n\r\n%b" % (head, keys, len(body), body)
        connection.data_received(body.replace(_TOKEN, token))
        for _ in range(60):
            await asyncio.sleep(0)
        connection.connection_lost(None)
        for _ in range(10):
            await asyncio.sleep(0)
        await http.shutdown(0.0)
        server._web = None
        await server.stop()
        return transport.sent, server

    sent, _ = asyncio.run(served())
    if data and data[0] % len(_HEADS):
        assert sent.startswith(b"HTTP/1."), sent[:100]
    for entry in exchange.ledger.entries(0, "ERROR"):
        assert entry.values.get("what") == "HTTP", entry
        assert entry.values.get("status", 0) < 500, entry
    assert b"UNEXPECTED_ERROR" not in sent, sent
    assert b" 500 " not in sent[:16], sent


def _rpc(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": f"SportsAPING/v1.0/{method}", "params": params, "id": 1}).encode()


def calls_of_http() -> Sequence[bytes]:
    limit = {"size": 2.0, "price": 3.0, "persistenceType": "LAPSE", "timeInForce": "FILL_OR_KILL", "minFillSize": 1.0}
    order = {"selectionId": 1, "handicap": 0, "side": "BACK", "orderType": "LIMIT", "limitOrder": limit}
    at_sp = {"selectionId": 2, "side": "LAY", "orderType": "MARKET_ON_CLOSE", "marketOnCloseOrder": {"liability": 10}}
    place = {"marketId": MARKET, "instructions": [order, at_sp], "customerRef": "x", "customerStrategyRef": "mine"}
    book = {"marketIds": [MARKET], "priceProjection": {"priceData": ["EX_BEST_OFFERS"], "virtualise": True}}
    headers = "X-Application: alice-key\r\nX-Authentication: TOKEN\r\nContent-Type: application/json\r\n"
    plain = json.dumps({"marketId": MARKET, "instructions": [{"betId": "1", "sizeReduction": 1.5}]}).encode()
    raw = f"POST /exchange/betting/rest/v1.0/cancelOrders/ HTTP/1.1\r\n{headers}Content-Length: {len(plain)}\r\n\r\n"
    chunked = "POST /exchange/betting/json-rpc/v1 HTTP/1.1\r\n" + headers + "Transfer-Encoding: chunked\r\n\r\n"
    batch = b"[" + _rpc("listCurrentOrders", betIds=["1"], dateRange={"from": "2026-01-01T00:00:00Z"}) + b","
    batch += _rpc("listClearedOrders", betStatus="SETTLED", groupBy="BET", recordCount=5) + b"]"
    return [
        b"\x01" + _rpc("placeOrders", **place, **{"async": False}),
        b"\x01" + batch,
        b"\x01" + _rpc("replaceOrders", marketId=MARKET, instructions=[{"betId": "1", "newPrice": 3.5}]),
        b"\x01" + _rpc("listMarketCatalogue", filter={"marketIds": [MARKET], "textQuery": "x"}, maxResults=10),
        b"\x02" + _rpc("getAccountFunds").replace(b"SportsAPING", b"AccountAPING"),
        b"\x03" + json.dumps(book).encode(),
        b"\x04" + json.dumps(place).encode(),
        b"\x05username=alice&password=wonderland",
        b"\x07" + _rpc("heartbeat", preferredTimeoutSeconds=30).replace(b"SportsAPING", b"HeartbeatAPING"),
        b"\x00" + raw.encode() + plain,
        b"\x00" + chunked.encode() + b"2\r\n[]\r\n0\r\n\r\n",
        b"\x00GET /exchange/betting/rest/v1/en/navigation/menu.json HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
