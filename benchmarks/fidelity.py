"""The reference strategies on all recordings: flumine's figures beside those of headrace's default and its band.

    python -m benchmarks.fidelity [RECORDING ...] [--bets N] [--recordings DIR] [--reference DIR]

Flumine's are the known orders of the reference, which headrace gives under compatibility in the same run, order by
order. First a table by strategy: bets that were matched, matched size and profit.

A strategy acts on what was matched, and soon asks for other orders. So the peer's very requests are made again, at the
same changes of the market, by default, with the queues of the band, and with the peer's models in turn
(fidelity_bets.py): what differs then is one bet beside the same bet, and is put down to a model. The rest of a
difference is what strategies asked for otherwise. Then the three differences of a strategy at a market that are largest
by profit, and the three that are largest by matched size, are told bet by bet.

A bet is an order with those that replaced it. The last line counts. The exit status is 1 where headrace differs from
flumine under compatibility, where the same requests made again come to something else there, or where the band does not
hold a bet of the default's; 2 where recordings or reference are absent.
"""

import argparse
import logging
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from time import perf_counter
from typing import Any

from . import parity
from .fidelity_bets import (
    PENNY,
    SWITCHES,
    Difference,
    Sum,
    alike,
    attribute,
    beside,
    by_reason,
    out_of_order,
    sums,
)
from .fidelity_requests import Bet, Kept, ask_again, bets, noting, simulate
from .recordings import recordings_folder
from .run_headrace import API
from .work import load

LARGEST = 3
#: What the peer takes of the profit of a market, whatever its rate.
PEERS_COMMISSION = 0.05
#: Runs whose totals are in the table.
LANES = ("peer", "default", "pessimistic", "optimistic")

Place = tuple[str, str]  # strategy, market


@dataclass
class Found:
    """What the runs over some recordings came to.

    Attributes:
        free: sums of each of `LANES`, where strategies ask for what they will, by strategy and market.
        commission: of the same, where they are known: the peer's and the default's.
        peer, ours: bets of the peer's run, and of the default's own.
        again: the peer's requests, made again by default.
        differences: of these bets.
        disordered: bets of which a more careful queue matched more.
        unlike: bets of the peer's requests that came to something else when they were made again under compatibility.
        wrong: orders that are not flumine's under compatibility; `orders`: how many there are.
    """

    free: dict[str, dict[Place, Sum]] = field(default_factory=lambda: {name: {} for name in LANES})
    commission: dict[str, float] = field(default_factory=lambda: {"peer": 0.0, "default": 0.0})
    peer: list[Bet] = field(default_factory=list)
    ours: list[Bet] = field(default_factory=list)
    again: list[Bet] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    disordered: list[Bet] = field(default_factory=list)
    unlike: list[Bet] = field(default_factory=list)
    wrong: int = 0
    orders: int = 0

    def add(self, other: "Found") -> None:
        """Put what was found on another recording beside it."""
        for name in LANES:
            self.free[name].update(other.free[name])
        for name, paid in other.commission.items():
            self.commission[name] += paid
        for name in ("peer", "ours", "again", "differences", "disordered", "unlike"):
            getattr(self, name).extend(getattr(other, name))
        self.wrong += other.wrong
        self.orders += other.orders


def examine(
    files: Sequence[str], strategies: Mapping[str, type], expected: Mapping[parity.Key, parity.Row] | None = None
) -> Found:
    """All runs over one recording.

    Args:
        strategies: classes by name.
        expected: flumine's orders, as headrace's are to be under compatibility; None: not compared.
    """
    found, kept = Found(), Kept()
    noted = {name: noting(strategy, kept) for name, strategy in strategies.items()}
    result = simulate(files, noted, compatibility="flumine")
    found.peer = bets(kept, kept.trades)
    found.orders = result.orders.num_rows
    if expected is not None:
        found.wrong = differing(expected, parity.by_place(result.orders.to_pylist()))
    again = ask_again(files, kept, strategies, compatibility="flumine")
    found.unlike = [bet for bet, same in zip(found.peer, again, strict=True) if not alike(bet, same)]
    _run_free(found, files, strategies, result)
    found.again = ask_again(files, kept, strategies)
    least, most = (ask_again(files, kept, strategies, queue=queue) for queue in ("pessimistic", "optimistic"))
    found.disordered = out_of_order(least, found.again, most)
    if not all(alike(bet, same) for bet, same in zip(found.peer, found.again, strict=True)):
        switched = {name: ask_again(files, kept, strategies, **models) for name, models in SWITCHES.items()}
        found.differences = attribute(found.peer, found.again, switched)
    return found


def _run_free(found: Found, files: Sequence[str], strategies: Mapping[str, type], peer: Any) -> None:
    """The strategies as they are: the peer's run and the default's, with its band."""
    banded = simulate(files, strategies, band=True)
    kept = Kept()
    simulate(files, {name: noting(strategy, kept) for name, strategy in strategies.items()})
    found.ours = bets(kept, kept.trades)
    for name, result in (("peer", peer), ("default", banded)):
        found.commission[name] += sum(row["commission"] or 0.0 for row in result.markets.to_pylist())
    found.free["peer"] = sums(found.peer, place)
    found.free["default"] = sums(found.ours, place)
    for row in banded.markets.to_pylist():
        for name in LANES[2:]:
            sum_ = Sum(0, row[f"{name}_matched"] or 0.0, row[f"{name}_profit"] or 0.0)
            found.free[name][row["strategy"], row["market_id"]] = sum_
        own = found.free["default"].get((row["strategy"], row["market_id"]), Sum())
        if abs(own.matched - (row["matched"] or 0.0)) > 0.01:
            raise RuntimeError(f"{row['strategy']} {row['market_id']}: {own.matched} matched, {row['matched']} banded")


def place(bet: Bet) -> Place:
    return bet.strategy, bet.market_id


def differing(expected: Mapping[parity.Key, parity.Row], actual: Mapping[parity.Key, parity.Row]) -> int:
    """Orders that are not as expected, or on one side only."""
    wrong = len(expected.keys() ^ actual.keys())
    for key in expected.keys() & actual.keys():
        one, other = expected[key], actual[key]
        columns = [name for name in one if name not in parity.NOT_COMPARED]
        wrong += not all(parity.same(name, one[name], other[name]) for name in columns)
    return wrong


# -- what is printed -------------------------------------------------------------------------------------------------


def table(found: Found, names: Iterable[str]) -> list[str]:
    """A line for each strategy, and one for all."""
    lanes = {name: _by_strategy(found.free[name]) for name in LANES}
    head = f"{'':14}{'bets matched':^15}{'matched size':^40}{'profit':^40}"
    columns = f"{'strategy':14}{'peer':>7}{'default':>8}" + 2 * "".join(f"{name:>12}"[:12] for name in LANES_SHORT)
    lines = [head, columns]
    for name in (*names, "all"):
        row = [lane.get(name, Sum()) for lane in lanes.values()]
        cells = "".join(f"{each.matched:12.2f}" for each in row) + "".join(f"{each.profit:12.2f}" for each in row)
        lines.append(f"{name:14}{row[0].bets:7}{row[1].bets:8}{cells}")
    return lines


LANES_SHORT = ("peer", "default", "pessim.", "optim.")


def _by_strategy(lane: Mapping[Place, Sum]) -> dict[str, Sum]:
    found: dict[str, Sum] = defaultdict(Sum)
    for (strategy, _), each in lane.items():
        for name in (strategy, "all"):
            whole = found[name]
            whole.bets += each.bets
            whole.matched += each.matched
            whole.profit += each.profit
    return found


def reasons(found: Iterable[Difference]) -> list[str]:
    """A line for each reason of the differences, and one for all."""
    found = list(found)
    whole = Sum(len(found), sum(each.matched for each in found), sum(each.profit for each in found))
    rows = {**by_reason(found), "all": whole}
    lines = [f"  {'reason':34}{'bets':>6}{'matched':>11}{'profit':>11}"]
    return lines + [f"  {name:34}{row.bets:6}{row.matched:+11.2f}{row.profit:+11.2f}" for name, row in rows.items()]


def largest(found: Found) -> dict[Place, list[str]]:
    """Strategies at markets whose own runs differ most, by profit and by matched size; and by which of these."""
    peer, ours = found.free["peer"], found.free["default"]
    most: dict[Place, list[str]] = defaultdict(list)
    for measure, of in (("profit", attrgetter("profit")), ("matched size", attrgetter("matched"))):
        apart = {at: abs(of(ours.get(at, Sum())) - of(peer.get(at, Sum()))) for at in {*peer, *ours}}
        for at in sorted((at for at in apart if apart[at] > PENNY), key=lambda at: (-apart[at], at))[:LARGEST]:
            most[at].append(measure)
    return dict(most)


def explain(found: Found, at: Place, shown: int) -> list[str]:
    """One of the largest differences, bet by bet."""
    peer, ours = found.free["peer"].get(at, Sum()), found.free["default"].get(at, Sum())
    here = [bet for bet in found.peer if place(bet) == at]
    again = sums((bet for bet in found.again if place(bet) == at), place).get(at, Sum())
    pairs, theirs, own = beside(here, [bet for bet in found.ours if place(bet) == at])
    lines = [
        f"{at[0]} at {at[1]}",
        f"  {'':34}{'bets':>6}{'matched':>11}{'profit':>11}",
        _sums("the peer", len(here), peer.matched, peer.profit),
        _sums("default, the same requests", len(here), again.matched, again.profit),
        _sums("default, requests of its own", len(pairs) + len(own), ours.matched, ours.profit),
        f"  {_asked(pairs, theirs, own)}",
        "",
    ]
    differences = sorted((each for each in found.differences if place(each.peer) == at), key=lambda each: -each.size)
    alone = [line for title, bets_ in (("peer", theirs), ("default", own)) for line in _alone(title, bets_, shown // 2)]
    if not differences:
        return [*lines, "  Of the same requests no bet differs.", "", *alone]
    lines += [f"  {'time':12} {'selection':>10} {'bet':22}{'the peer':^26}{'default':^26}reason"]
    lines += [_bet(each) for each in differences[:shown]]
    rest = differences[shown:]
    if rest:
        peers, ours_ = [sum(bet.matched for bet in side) for side in _sides(rest)]
        won, ours_won = [sum(bet.profit for bet in side) for side in _sides(rest)]
        lines.append(f"  {f'{len(rest)} more bets':46}{peers:8.2f}{'':8}{won:+9.2f} {ours_:8.2f}{'':8}{ours_won:+9.2f}")
    return [*lines, "", *reasons(differences), "", *alone]


def _asked(pairs: Sequence[Any], theirs: Sequence[Bet], own: Sequence[Bet]) -> str:
    both = f"Asked for by both runs: {len(pairs)} bets."
    return f"{both} By the peer's alone: {_whole(theirs)}. By the default's: {_whole(own)}."


def _alone(title: str, found: Sequence[Bet], shown: int) -> list[str]:
    """The bets of one run alone that came to most."""
    if not found:
        return []
    most = sorted(found, key=lambda bet: -max(bet.matched, abs(bet.profit)))[:shown]
    lines = [f"  {_time(bet)} {bet.selection_id:10} {_told(bet):22}{_fate(bet)}" for bet in most]
    return [f"  Of {len(found)} bets of the {title}'s run alone those that came to most:", *lines, ""]


def _sides(found: Iterable[Difference]) -> tuple[list[Bet], list[Bet]]:
    found = list(found)
    return [each.peer for each in found], [each.ours for each in found]


def _sums(title: str, count: int, matched: float, profit: float) -> str:
    return f"  {title:34}{count:6}{matched:11.2f}{profit:+11.2f}"


def _whole(several: Sequence[Bet]) -> str:
    matched, profit = sum(bet.matched for bet in several), sum(bet.profit for bet in several)
    return f"{len(several)}, {matched:.2f} matched, profit {profit:+.2f}"


def _bet(each: Difference) -> str:
    bet = each.peer
    why = ", ".join(part.reason for part in each.parts)
    return f"  {_time(bet)} {bet.selection_id:10} {_told(bet):22}{_fate(bet)} {_fate(each.ours)}  {why}"


def _time(bet: Bet) -> str:
    return datetime.fromtimestamp(bet.asked / 1000, UTC).strftime("%H:%M:%S.%f")[:12]


def _told(bet: Bet) -> str:
    price = "SP" if bet.price is None else f"{bet.price:g}"
    on_close = " on close" if bet.kind == "LIMIT_ON_CLOSE" else ""
    return f"{bet.side.lower()} {price}{on_close}"


def _fate(bet: Bet) -> str:
    at = f" @{bet.average:<7.4g}" if bet.matched else f"{'':9}"
    return f"{bet.matched:7.2f}{at}{bet.profit:+9.2f}"


def report(found: Found, names: Sequence[str], shown: int) -> bool:
    """Prints all; whether what was to hold does."""
    print("\n".join(table(found, names)))
    paid = found.commission
    flat = sum(round(PEERS_COMMISSION * max(each.profit, 0.0), 2) for each in found.free["default"].values())
    told = f"peer {paid['peer']:.2f}, default {paid['default']:.2f}; by the peer's model {flat:.2f}"
    print(f"commission, each strategy and market by itself: {told}\n")
    print("The peer's requests by default, less the peer:")
    print("\n".join(reasons(found.differences)))
    print(f"\n{_asked(*beside(found.peer, found.ours))}\n")
    for at, measures in largest(found).items():
        print(f"Among the {LARGEST} largest by {' and by '.join(measures)}:")
        print("\n".join(explain(found, at, shown)))
    for bet in found.disordered[:shown]:
        print(f"not within the band: {bet}")
    for bet in found.unlike[:shown]:
        print(f"not the same when it is asked for again: {bet}")
    print(
        f"{found.orders - found.wrong}/{found.orders} orders are flumine's under compatibility; of {len(found.peer)} "
        f"bets {len(found.unlike)} differ when they are asked for again, {len(found.differences)} differ by default, "
        f"{len(found.disordered)} are not within the band"
    )
    return not (found.wrong or found.unlike or found.disordered)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="*", metavar="RECORDING", help="default: all of the reference")
    parser.add_argument("--bets", type=int, default=10, help="how many of each of the largest differences are shown")
    parser.add_argument("--recordings", help="default: HEADRACE_RECORDINGS, else ../shared/recordings")
    parser.add_argument("--reference", help="default: HEADRACE_REFERENCE, else ../shared/reference")
    options = parser.parse_args(arguments)
    folder = recordings_folder(options.recordings)
    known = [
        name for name, variant in parity.cases(False, options.recordings, options.reference) if variant == "default"
    ]
    unknown = set(options.files) - set(known)
    if unknown:
        parser.error(f"{sorted(unknown)[0]}: not a recording of the reference; one of {', '.join(known)}")
    logging.disable(logging.CRITICAL)
    strategies = load(str(parity.reference_folder(options.reference) / "reference_strategies.py"))(API)
    whole = Found()
    for name in options.files or known:
        began = perf_counter()
        found = examine([str(folder / name)], strategies, parity.expected(name, "default", options.reference))
        whole.add(found)
        seconds = perf_counter() - began
        print(f"{name}: {len(found.differences)} of {len(found.peer)} bets differ, {seconds:.0f} s", file=sys.stderr)
    return 0 if report(whole, list(strategies), options.bets) else 1


if __name__ == "__main__":
    sys.exit(main())
