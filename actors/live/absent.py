"""Markets that were asked for and are not there: nobody is told of them by the exchange, which sends nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Protocol

from ..letters import StreamState
from .crews import StreamPlan

#: Milliseconds after a subscription in which its markets are shown, if they are there.
_PATIENCE_MS = 5_000
#: Ids that are named.
_MOST_NAMED = 10


class Seen(Protocol):
    """A market that was seen."""

    @property
    def streams(self) -> Container[str]:
        """The streams that have shown it."""


class AbsentMarkets:
    """Says once of each stream which of its markets are not there.

    Args:
        streams: of the system.
        note: takes what is to be told: a kind, a sentence, a level of the log.
    """

    def __init__(self, streams: Iterable[StreamPlan], note: Callable[[str, str, int], object]) -> None:
        self._note = note
        self._left = {plan.name: plan for plan in streams if plan.operation == "marketSubscription"}
        self._since: dict[str, int] = {}

    def look(self, states: Mapping[str, StreamState], markets: Mapping[str, Seen], at_ms: int) -> None:
        """See which streams have been subscribed for long enough."""
        for name, plan in list(self._left.items()):
            state = states.get(name)
            if state is None or state.state != "SUBSCRIBED":
                self._since.pop(name, None)
            elif at_ms - self._since.setdefault(name, at_ms) >= _PATIENCE_MS:
                del self._left[name]
                self._tell(plan, state, markets)

    def _tell(self, plan: StreamPlan, state: StreamState, markets: Mapping[str, Seen]) -> None:
        wanted = [market_id for each in plan.filters for market_id in each.get("market_ids") or ()]
        if state.markets < len(wanted):
            absent = [each for each in wanted if each not in markets or plan.name not in markets[each].streams]
            if absent:
                more = f" and {len(absent) - _MOST_NAMED} more" if len(absent) > _MOST_NAMED else ""
                which = f"market{'s' if len(absent) > 1 else ''} {', '.join(absent[:_MOST_NAMED])}{more}"
                self._note(
                    "STREAM",
                    f"stream {plan.name}: the exchange does not show {which}: over, not there yet, or no such market",
                    logging.WARNING,
                )
        elif not state.markets and not wanted:
            asked = json.dumps(plan.filters[0] if len(plan.filters) == 1 else plan.filters)
            self._note(
                "STREAM",
                f"stream {plan.name}: no market passes its filter at the moment: {asked}; those that come are taken",
                logging.WARNING,
            )
