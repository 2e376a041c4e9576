"""Violations: what controls have refused, counted."""

from __future__ import annotations

import dataclasses
import re

from ..strategies.errors import ControlError
from ..strategies.messages import ViolationFact
from ..values import legible

_FIGURE = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


@dataclasses.dataclass
class Violation:
    """Refusals by one control in one market."""

    strategy: str
    market_id: str
    control: str
    request: str
    reason: str
    count: int = 1


def kind_of_reason(reason: str) -> str:
    """A reason without its figures: those that differ in nothing else are of one kind."""
    return _FIGURE.sub("#", reason)


def violation_of(strategy: str, market_id: str, kind: str, refusal: ControlError, at: int) -> ViolationFact:
    """A refusal as a message."""
    reason = legible(refusal).split("Error: ", 1)[-1]
    return ViolationFact(strategy, market_id, refusal.control, kind, reason, at)
