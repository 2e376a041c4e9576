"""What to generate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Sport = Literal["horse_racing", "greyhounds", "football", "tennis"]

#: How long orders of a crowd wait until their owners cancel them: "even", any of them as likely as any other; "hasty",
#: most of them soon, so that those who came last leave first; "weary", all after about as long, so that those who came
#: first do; "lasting", hardly ever.
Patience = Literal["even", "hasty", "weary", "lasting"]

SPORTS: tuple[Sport, ...] = get_args(Sport)

#: The fewest and most runners of a generated event.
RUNNERS: dict[Sport, tuple[int, int]] = {
    "horse_racing": (5, 24),
    "greyhounds": (4, 8),
    "football": (3, 3),
    "tennis": (2, 2),
}
#: The options of one sport.
ONLY_FOR: dict[str, Sport] = {
    "non_runner": "horse_racing",
    "each_way": "horse_racing",
    "both_teams": "football",
}
MIN_CHANGES, MAX_CHANGES = 50, 200_000
MOST_NEWS = 20


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What an event and its markets shall be like.

    Raises ValueError, naming the field, for a value that makes no market.
    """

    #: "horse_racing" (WIN and PLACE), "greyhounds" (WIN), "football" (MATCH_ODDS and OVER_UNDER_25) or
    #: "tennis" (MATCH_ODDS).
    sport: Sport = "horse_racing"
    #: Stream messages a market, roughly (50 to 200 000). A football market that is decided early has fewer.
    changes: int = 1200
    #: Minutes from the first message to the scheduled off (1 to 1 440). None draws 10 to 30.
    minutes_before: float | None = None
    #: Runners of a race (horses 5 to 24, greyhounds 4 to 8). None draws.
    runners: int | None = None
    #: A horse is withdrawn before the off.
    non_runner: bool = False
    #: The market is suspended for some seconds before the off.
    suspension: bool = False
    #: A third market on a horse race: EACH_WAY.
    each_way: bool = False
    #: A third market on a football match: BOTH_TEAMS_TO_SCORE.
    both_teams: bool = False
    #: How much prices move before the off, as a multiple of what is usual (0 to 20).
    news: float = 1.0
    #: Bettors who never look at the book, and how long their orders wait. None: bettors who look before they act.
    crowd: Patience | None = None

    def __post_init__(self) -> None:
        if self.sport not in SPORTS:
            raise ValueError(f"sport is {self.sport!r}: expected one of {', '.join(SPORTS)}")
        if self.crowd is not None and self.crowd not in get_args(Patience):
            raise ValueError(f"crowd is {self.crowd!r}: expected one of {', '.join(get_args(Patience))}, or None")
        if not MIN_CHANGES <= self.changes <= MAX_CHANGES:
            raise ValueError(f"changes is {self.changes}: expected {MIN_CHANGES} to {MAX_CHANGES} a market")
        if self.minutes_before is not None and not 1 <= self.minutes_before <= 1440:
            raise ValueError(f"minutes_before is {self.minutes_before}: expected 1 to 1440, or None to draw")
        if not 0 <= self.news <= MOST_NEWS:
            raise ValueError(f"news is {self.news}: expected 0 to {MOST_NEWS}, where 1 is usual")
        fewest, most = RUNNERS[self.sport]
        if self.runners is not None and not fewest <= self.runners <= most:
            raise ValueError(f"runners is {self.runners}: {self.sport} has {fewest} to {most} runners")
        for name, sport in ONLY_FOR.items():
            if getattr(self, name) and self.sport != sport:
                raise ValueError(f"{name} is for {sport} only: leave it False for {self.sport}")
