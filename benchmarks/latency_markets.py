"""Made-up markets whose changes ask for orders: what a client does about each can be read off the exchange's ledger.

A change that asks for something raises the traded volume of a market's first runner to a number of its own. Clients
place orders whose size carries that number (see `latency_strategy`). Used by `python -m benchmarks.latency`.
"""

import json
import random
from pathlib import Path
from typing import Any

from .exchange_load import _definition, _line, market_ids
from .latency_strategy import PRICE

START_MS = 1_750_000_000_000
#: The best offers: orders at PRICE, between them, rest until the recording trades there.
BEST_BACK, BEST_LAY = 3.8, 4.2
#: Milliseconds from asking for an order that is to be filled to the trade that fills it.
FILLED_AFTER_MS = 150


def first_runner(market: int) -> int:
    """The runner that asks for orders. `market`: its number, from 1."""
    return 1000 * market + 1


def write_asking(path: Path, markets: int, seconds: float, per_second: float, asking: float, kind: str) -> int:
    """Write a recording.

    Args:
        per_second: changes in all, one to a message.
        asking: how many of them a second ask for an order.
        kind: "place" (orders that rest), "hedge" (each is filled soon after) or "open" (all markets open at once, in
            the middle of the recording, and nothing else happens).

    Returns:
        How many changes ask for an order.
    """
    rng = random.Random(7)
    ids = market_ids(markets)
    opened = round(seconds * 500) if kind == "open" else 0
    lines: list[tuple[int, list[dict[str, Any]]]] = []
    for first in range(0, markets, 10):
        body = [_image(ids[place], place + 1) for place in range(first, min(first + 10, markets))]
        lines.append((START_MS + opened, body))
    if kind == "open":
        # Something is open before: clients are up, and wait.
        lines.insert(0, (START_MS, [_image("1.190000000", markets + 1)]))
        _write(path, lines)
        return markets
    volumes = dict.fromkeys(range(markets), 100.0)
    number, due = 0, 0.0
    for step in range(round(seconds * per_second)):
        at = START_MS + 1_000 + round(step * 1000 / per_second)
        place = rng.randrange(markets)
        due += asking / per_second
        if due >= 1:
            due -= 1
            number += 1
            rc: dict[str, Any] = {"id": first_runner(place + 1), "tv": 1_000.0 + number}
            if kind == "hedge":
                volumes[place] += 1_000.0
                trade = {"id": first_runner(place + 1), "trd": [[PRICE, volumes[place]]], "ltp": PRICE}
                lines.append((at + FILLED_AFTER_MS, [{"id": ids[place], "rc": [trade]}]))
        else:
            level = [round(4.4 + rng.randrange(8) / 10, 2), round(rng.uniform(2, 500), 2)]
            rc = {"id": 1000 * (place + 1) + rng.randint(2, 8), "atl": [level]}
        lines.append((at, [{"id": ids[place], "rc": [rc]}]))
    _write(path, sorted(lines, key=lambda line: line[0]))
    return number


def _image(market_id: str, number: int) -> dict[str, Any]:
    rc = [
        {
            "id": 1000 * number + each,
            "atb": [[BEST_BACK, 500.0], [3.7, 500.0]],
            "atl": [[BEST_LAY, 500.0], [4.3, 500.0]],
            "trd": [[PRICE, 100.0]],
            "ltp": PRICE,
            "tv": 100.0,
        }
        for each in range(1, 9)
    ]
    return {"id": market_id, "img": True, "marketDefinition": _definition(number), "rc": rc, "tv": 800.0}


def _write(path: Path, lines: list[tuple[int, list[dict[str, Any]]]]) -> None:
    with path.open("w") as file:
        for at, body in lines:
            file.write(_line(at, body))


def asked_of(message: str) -> list[tuple[str, int]]:
    """What a message of the stream asks for: markets and numbers; 0 is the image of a market."""
    found = []
    for change in json.loads(message).get("mc", ()):
        if change.get("img"):
            found.append((change["id"], 0))
            continue
        for rc in change.get("rc", ()):
            if rc.get("tv", 0) > 1_000:
                found.append((change["id"], round(rc["tv"]) - 1_000))
    return found
