"""Differences between what is known here and the exchange's record: told when they are seen, and when they last.

A first difference may be a list that is late, or a stream. It is looked into by another reading, and nothing that adds
to the risk is placed in its market meanwhile. One that the next reading shows again lasts: placing stays stopped there
until a reading shows it no more.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Mapping

logger = logging.getLogger("headrace")


@dataclasses.dataclass(slots=True)
class Difference:
    """One difference. `readings`: how many have shown it, one after another."""

    market_id: str
    text: str
    since: int
    readings: int = 1

    @property
    def lasts(self) -> bool:
        return self.readings > 1


class Differences:
    """The differences of one account.

    Args:
        report: takes what is to be known of by people: a word, a market's id, a sentence.

    Attributes:
        count: how many there were so far.
    """

    def __init__(self, report: Callable[[str, str, str], object]) -> None:
        self._report = report
        self._open: dict[str, Difference] = {}
        self.count = 0

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def tell(self, market_id: str, text: str) -> None:
        """A difference was seen, and is over: what the exchange's record says is taken on."""
        self.count += 1
        logger.error("Market %s: %s", market_id, text)
        self._report("difference", market_id, text)

    def read(self, found: Mapping[str, tuple[str, str]], uncompared: Collection[str], at_ms: int) -> None:
        """A reading was compared.

        Args:
            found: differences, by a name of each that stays: market and sentence.
            uncompared: markets of which this reading says nothing, for they have changed meanwhile.
        """
        for name, (market_id, text) in found.items():
            known = self._open.get(name)
            if known is None:
                self._open[name] = Difference(market_id, text, at_ms)
                self.tell(market_id, text)
                continue
            known.text = text
            known.readings += 1
            if known.readings == 2:
                self._report("difference_lasts", market_id, f"{text}; a second reading says so: placing stops there")
        gone = [name for name in self._open if name not in found and self._open[name].market_id not in uncompared]
        lasted = {self._open[name].market_id for name in gone if self._open[name].lasts}
        for name in gone:
            del self._open[name]
        for market_id in sorted(lasted):
            if not any(each.lasts for each in self._open.values() if each.market_id == market_id):
                self._report("agrees", market_id, "agrees with the exchange again: placing goes on there")

    def why_held(self, market_id: str) -> str:
        """Why nothing is to be placed in a market; empty: nothing stands against it."""
        for each in self._open.values():
            if each.market_id == market_id:
                state = "the exchange's record differs" if each.lasts else "a difference is being looked into"
                return f"{state}: {each.text}"
        return ""

    @property
    def lasting(self) -> dict[str, str]:
        """Markets in which placing is stopped, and why."""
        return {each.market_id: each.text for each in self._open.values() if each.lasts}

    def forget(self, market_ids: Collection[str]) -> None:
        """Forget markets that are over."""
        self._open = {name: each for name, each in self._open.items() if each.market_id not in market_ids}
