"""Made-up markets that change at a given rate, and a client that folds what a stream sends: both know no headrace.

Used by `python -m benchmarks.exchange`.
"""

import json
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

RUNNERS = 8
#: Changes in one message.
TOGETHER = 10
_START_MS = 1_750_000_000_000
_PRICES = [round(1.01 + step / 100, 2) for step in range(99)] + [round(2 + step / 50, 2) for step in range(50)]


def _definition(number: int) -> dict[str, Any]:
    runners = [
        {"id": 1000 * number + each, "status": "ACTIVE", "sortPriority": each, "name": f"Runner {each}"}
        for each in range(1, RUNNERS + 1)
    ]
    return {
        "bspMarket": False,
        "turnInPlayEnabled": True,
        "persistenceEnabled": True,
        "marketBaseRate": 5.0,
        "eventId": f"{30_000_000 + number}",
        "eventTypeId": "7",
        "numberOfWinners": 1,
        "bettingType": "ODDS",
        "marketType": "WIN",
        "marketTime": "2025-06-15T18:00:00.000Z",
        "suspendTime": "2025-06-15T18:00:00.000Z",
        "bspReconciled": False,
        "complete": True,
        "inPlay": False,
        "crossMatching": False,
        "runnersVoidable": False,
        "numberOfActiveRunners": RUNNERS,
        "betDelay": 0,
        "status": "OPEN",
        "runners": runners,
        "regulators": ["MR_INT"],
        "countryCode": "GB",
        "discountAllowed": True,
        "timezone": "Europe/London",
        "openDate": "2025-06-15T12:00:00.000Z",
        "version": 1,
        "priceLadderDefinition": {"type": "CLASSIC"},
    }


def market_ids(markets: int) -> list[str]:
    """The ids of made-up markets."""
    return [f"1.{200_000_000 + number}" for number in range(1, markets + 1)]


def write_recording(path: Path, markets: int, seconds: float, per_second: int, seed: int) -> int:
    """Write a recording of `markets` markets with `per_second` changes in all; returns how many there are.

    Each market begins with an image. Changes come ten to a message.
    """
    rng = random.Random(seed)
    ids = market_ids(markets)
    changes = 0
    with path.open("w") as file:
        for first in range(0, markets, TOGETHER):
            images = []
            for place in range(first, min(first + TOGETHER, markets)):
                rc = [
                    {
                        "id": 1000 * (place + 1) + each,
                        "atb": [[_PRICES[60 - step], 10.0 + step] for step in range(10)],
                        "atl": [[_PRICES[62 + step], 10.0 + step] for step in range(10)],
                        "trd": [[_PRICES[60], 100.0]],
                        "ltp": _PRICES[60],
                        "tv": 100.0,
                    }
                    for each in range(1, RUNNERS + 1)
                ]
                images.append(
                    {"id": ids[place], "img": True, "marketDefinition": _definition(place + 1), "rc": rc, "tv": 800.0}
                )
            file.write(_line(_START_MS, images))
            changes += len(images)
        messages = round(seconds * per_second / TOGETHER)
        for number in range(messages):
            # The first second is for subscribing.
            pt = _START_MS + 1_000 + round(number * 1000 * seconds / messages)
            body = []
            for place in rng.sample(range(markets), TOGETHER):
                runner = 1000 * (place + 1) + rng.randint(1, RUNNERS)
                side, low = ("atb", 40) if rng.random() < 0.5 else ("atl", 62)
                levels = [
                    [_PRICES[low + rng.randrange(21)], 0 if rng.random() < 0.3 else round(rng.uniform(2, 500), 2)]
                    for _ in range(rng.randint(1, 3))
                ]
                # A price twice in one change would have no order.
                body.append({"id": ids[place], "rc": [{"id": runner, side: [*dict(map(tuple, levels)).items()]}]})
            file.write(_line(pt, body))
            changes += len(body)
    return changes


def _line(pt: int, mc: list[dict[str, Any]]) -> str:
    return json.dumps({"op": "mcm", "clk": "AAAA", "pt": pt, "mc": mc}, separators=(",", ":")) + "\n"


Ladders = dict[str, dict[tuple[str, int, str], dict[float, float]]]


def fold(ladders: Ladders, change: dict[str, Any]) -> None:
    """Fold one change of a market in."""
    market_id = change["id"]
    if change.get("img"):
        ladders[market_id] = {}
    known = ladders.setdefault(market_id, {})
    for rc in change.get("rc", ()):
        for side in ("atb", "atl", "trd"):
            levels = rc.get(side)
            if levels is None:
                continue
            ladder = known.setdefault((market_id, rc["id"], side), {})
            if not levels:
                ladder.clear()
            for price, size in levels:
                if size:
                    ladder[price] = size
                else:
                    ladder.pop(price, None)


def recorded_ladders(path: Path) -> Ladders:
    """What a recording comes to."""
    ladders: Ladders = {}
    with path.open() as file:
        for line in file:
            for change in json.loads(line)["mc"]:
                fold(ladders, change)
    return ladders


def shown(ladders: Ladders) -> dict[tuple[str, int, str], dict[float, float]]:
    """Ladders that are not empty, of all markets."""
    return {key: ladder for market in ladders.values() for key, ladder in market.items() if ladder}


class StreamClient:
    """A client of a stream over a plain socket.

    Attributes:
        changes: how many changes have come, images apart.
        most: most changes in one message.
        disorder: what came out of order, in words.
    """

    def __init__(self, address: tuple[str, int], app_key: str, token: str) -> None:
        self._socket = socket.create_connection(address, timeout=20)
        self._rest = b""
        self.ladders: Ladders = {}
        self.changes = 0
        self.most = 0
        self.disorder: list[str] = []
        self.last_pt = 0
        self._clks: set[str] = set()
        self.late_ms: list[int] = []
        next(self._lines())
        self._send({"op": "authentication", "id": 1, "appKey": app_key, "session": token})
        status = json.loads(next(self._lines()))
        if status.get("statusCode") != "SUCCESS":
            raise RuntimeError(f"authentication: {status}")

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\r\n")

    def subscribe(self, fields: list[str]) -> None:
        """Subscribe to all markets."""
        self._send(
            {
                "op": "marketSubscription",
                "id": 2,
                "marketFilter": {},
                "marketDataFilter": {"fields": fields},
                "segmentationEnabled": True,
                "conflateMs": 0,
            }
        )

    def _lines(self) -> Iterator[bytes]:
        while True:
            end = self._rest.find(b"\r\n")
            if end >= 0:
                line, self._rest = self._rest[:end], self._rest[end + 2 :]
                yield line
                continue
            data = self._socket.recv(1 << 18)
            if not data:
                raise RuntimeError("the exchange closed a connection")
            self._rest += data

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> None:
        """Take what has come."""
        data = self._socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the exchange closed a connection")
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        for line in lines:
            self._take(msgspec.json.decode(line))

    def _take(self, message: dict[str, Any]) -> None:
        if message["op"] != "mcm":
            if message.get("statusCode", "SUCCESS") != "SUCCESS":
                raise RuntimeError(f"subscription: {message}")
            return
        if message.get("ct") == "HEARTBEAT":
            return
        pt, clk = message["pt"], message.get("clk")
        if pt < self.last_pt:
            self.disorder.append(f"pt {pt} after {self.last_pt}")
        self.last_pt = pt
        if clk is not None:
            if clk in self._clks:
                self.disorder.append(f"clk {clk} twice")
            self._clks.add(clk)
        body = message.get("mc", ())
        if message.get("ct") is None:
            self.most = max(self.most, len(body))
            self.late_ms.append(time.time_ns() // 1_000_000 - pt)
        for change in body:
            if change.get("con"):
                self.disorder.append(f"market {change['id']} was conflated")
            if not change.get("img"):
                self.changes += 1
            fold(self.ladders, change)

    def close(self) -> None:
        self._socket.close()
