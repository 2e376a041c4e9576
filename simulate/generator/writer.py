"""Folders of generated markets, laid out as Betfair's archive is: year/month/day/event/market."""

from __future__ import annotations

import bz2
import gzip
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, cast

from .event import GeneratedMarket, generate_event
from .recipe import MAX_CHANGES, MIN_CHANGES, SPORTS, Recipe, Sport

Compression = Literal["none", "gz", "bz2"]

SUFFIXES: dict[Compression, str] = {"none": "", "gz": ".gz", "bz2": ".bz2"}

#: How often, in a mixture, a horse is withdrawn, a market suspended, and a further market offered.
NON_RUNNERS, SUSPENSIONS, FURTHER_MARKETS = 0.3, 0.2, 0.15


def write_markets(
    out: Path,
    markets: int,
    *,
    seed: int = 1,
    sports: Sequence[str] | None = None,
    changes: int = 1200,
    minutes_before: float | None = None,
    compression: Compression = "bz2",
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write so many markets below `out`, the sports in turn, some with non-runners and suspensions.

    Args:
        out: a folder that is empty or does not exist yet.
        markets: files to write, at least 1. The last event may lack some of its markets.
        seed: the same seed writes the same bytes.
        sports: names from `Recipe.sport`; None for all four.
        changes: stream messages a market, roughly (50 to 200 000).
        minutes_before: from the first message to the scheduled off (1 to 1 440); None: 10 to 30, drawn.
        compression: "none", "gz" or "bz2"; it gives files their suffix.
        progress: called after each file with the number written so far.

    Returns:
        The paths of the files, in the order of their events.

    Raises:
        ValueError: an argument is out of range or not known.
        FileExistsError: `out` is a file, or a folder with something in it.
    """
    if markets < 1:
        raise ValueError(f"markets is {markets}: expected at least 1")
    if compression not in SUFFIXES:
        raise ValueError(f"compression is {compression!r}: expected one of {', '.join(SUFFIXES)}")
    if not MIN_CHANGES <= changes <= MAX_CHANGES:
        raise ValueError(f"changes is {changes}: expected {MIN_CHANGES} to {MAX_CHANGES} a market")
    chosen = check_sports(sports)
    Recipe(minutes_before=minutes_before)  # refuses what is out of range before anything is written
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not an empty folder: name a new one, lest files mix")
    paths: list[Path] = []
    for market in _generate(markets, seed, chosen, changes, minutes_before):
        folder = out / market.folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (market.file_name + SUFFIXES[compression])
        path.write_bytes(_compress(b"\n".join(market.lines) + b"\n", compression))
        paths.append(path)
        if progress is not None:
            progress(len(paths))
    return paths


def check_sports(sports: Sequence[str] | None) -> tuple[Sport, ...]:
    """The sports as they were named; all for None.

    Raises:
        ValueError: a name is not known, or there is none.
    """
    if sports is None:
        return SPORTS
    if isinstance(sports, str):
        raise ValueError(f"sports is the string {sports!r}: expected a list of names, such as [{sports!r}]")
    unknown = [sport for sport in sports if sport not in SPORTS]
    if unknown or not sports:
        raise ValueError(f"sports is {list(sports)!r}: expected some of {', '.join(SPORTS)}")
    return cast(tuple[Sport, ...], tuple(sports))


def _generate(
    markets: int, seed: int, sports: tuple[Sport, ...], changes: int, minutes_before: float | None
) -> Iterator[GeneratedMarket]:
    left = markets
    for number in itertools.count():
        recipe = mixture(seed, number, sports, changes, minutes_before)
        for market in generate_event(seed, number, recipe)[:left]:
            left -= 1
            yield market
        if not left:
            return


def mixture(seed: int, number: int, sports: Sequence[Sport], changes: int, minutes_before: float | None) -> Recipe:
    """The recipe of event `number` of a mixture: the sports in turn, with now and then something out of the way."""
    sport = sports[number % len(sports)]
    chance = random.Random(f"{seed}:{number}:mixture")
    is_race = sport == "horse_racing"
    return Recipe(
        sport=sport,
        changes=changes,
        minutes_before=minutes_before,
        non_runner=chance.random() < NON_RUNNERS and is_race,
        suspension=chance.random() < SUSPENSIONS,
        each_way=chance.random() < FURTHER_MARKETS and is_race,
        both_teams=chance.random() < FURTHER_MARKETS and sport == "football",
    )


def _compress(data: bytes, compression: Compression) -> bytes:
    if compression == "bz2":
        return bz2.compress(data)
    # A time in the header would make two runs differ.
    return gzip.compress(data, mtime=0) if compression == "gz" else data
