"""Clients that are not ours, live at a rehearsal exchange, unmodified but for addresses.

    python -m benchmarks.exchange_clients [flumine] [nautilus_trader] [--minutes N] [--speeds 1 20] [--recordings DIR]

flumine trades a recorded market at each speed for N minutes: places, takes, replaces, cancels; its blotter must then
agree with the exchange's ledger, bet by bet. nautilus_trader's adapter connects, streams, places and cancels. A line
per run; exits 1 if a client and the ledger differ, or a client did nothing, and 2 without recordings.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import headrace as hr

from . import peer
from .recordings import CHECKOUT, find, leave, recordings_folder

MARKET = "SELF-1.181223994"
#: Recorded seconds before the start at which the recording begins.
BEFORE = 600


def run(name: str, module: str, work: dict[str, Any], out: Path) -> dict[str, Any]:
    """Run a client's script in its environment; leaves with its errors where it fails."""
    command = [str(peer.python(name)), "-m", f"benchmarks.{module}", json.dumps(work), str(out)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode or not out.exists():
        leave(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def addresses(exchange: hr.RehearsalExchange, seconds: float, encrypted: bool) -> dict[str, Any]:
    """What a client's script needs to know."""
    told, account = exchange.addresses, exchange.settings.accounts[0]
    markets = [row["market_id"] for row in exchange.state()["markets"]]
    return {
        "identity": f"{told.url}api/",
        "api": f"{told.url}exchange/",
        "host": "127.0.0.1",
        "port": told.stream_tls if encrypted else told.stream,
        "username": account.username,
        "password": account.password,
        "app_key": account.app_key,
        "market_ids": markets,
        "seconds": seconds,
    }


def last_of_bets(exchange: hr.RehearsalExchange) -> dict[str, dict[str, Any]]:
    """Each bet as the ledger has it last."""
    found: dict[str, dict[str, Any]] = {}
    for entry in exchange.ledger(kind="BET"):
        found[entry.values["bet_id"]] = entry.values
    return found


def differences(orders: list[dict[str, Any]], bets: dict[str, dict[str, Any]]) -> list[str]:
    """How a blotter and the ledger differ, in words."""
    found = []
    ours = {order["bet_id"]: order for order in orders if order["bet_id"]}
    for bet_id in bets.keys() - ours.keys():
        found.append(f"bet {bet_id} is not in the blotter: {bets[bet_id]}")
    for bet_id, order in ours.items():
        bet = bets.get(bet_id)
        if bet is None:
            found.append(f"bet {bet_id} is not in the ledger")
            continue
        log = ", ".join(order["log"][-6:])
        for name in ("matched", "average", "remaining", "cancelled", "lapsed", "voided"):
            if abs(order[name] - bet[name]) > 0.005:
                found.append(f"bet {bet_id}: {name} is {order[name]}, and {bet[name]} in the ledger ({log})")
        if order["complete"] == bet["executable"]:
            found.append(f"bet {bet_id}: {order['status']}, and executable {bet['executable']} in the ledger")
    return found


def flumine(recording: Path, speed: float, minutes: float, folder: Path) -> bool:
    with hr.RehearsalExchange(str(recording), speed=speed, before_start=BEFORE * max(speed, 1)) as exchange:
        out = folder / f"flumine-{speed:g}.json"
        found = run("flumine", "run_flumine_live", addresses(exchange, minutes * 60, True), out)
        bets = last_of_bets(exchange)
        wrong = differences(found["orders"], bets)
    logs = [order["log"] for order in found["orders"]]
    replaced = sum("REPLACING" in log for log in logs)
    cancelled = sum("CANCELLING" in log for log in logs)
    matched = sum(order["matched"] > 0 for order in found["orders"])
    print(
        f"flumine at speed {speed:g}: {len(found['orders'])} orders, {len(bets)} bets, {matched} matched, {replaced} "
        f"replaced, {cancelled} cancelled; {len(wrong)} differ from the ledger",
        flush=True,
    )
    for line in wrong[:10]:
        print("   ", line)
    return not wrong and bool(matched and replaced and cancelled)


def nautilus(recording: Path, minutes: float, folder: Path) -> bool:
    with hr.RehearsalExchange(str(recording), before_start=BEFORE) as exchange:
        out = folder / "nautilus.json"
        found = run("nautilus_trader", "run_nautilus", addresses(exchange, minutes * 60, False), out)
        bets = last_of_bets(exchange)
    left = sum(bet["executable"] for bet in bets.values())
    print(f"nautilus_trader: {found}; {len(bets)} bets in the ledger, {left} still there", flush=True)
    done = found["accepted"] == len(bets) and found["canceled"] == found["accepted"] - found["filled"]
    return bool(found["deltas"] and bets and done and not left and not found["rejected"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clients", nargs="*", help="flumine, nautilus_trader; both if none is named")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0, 20.0])
    parser.add_argument("--recordings")
    options = parser.parse_args(arguments)
    known = ("flumine", "nautilus_trader")
    if unknown := set(options.clients) - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: not a client that is known here; expected {' or '.join(known)}")
    recording = find(recordings_folder(options.recordings), MARKET)
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not options.clients or "flumine" in options.clients:
            for speed in options.speeds:
                good = flumine(recording, speed, options.minutes, folder) and good
        if not options.clients or "nautilus_trader" in options.clients:
            good = nautilus(recording, options.minutes, folder) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
