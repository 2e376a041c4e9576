"""Requests on their way through matching: what was asked, and who waits for the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...strategies.messages import PlaceInstruction, Reply, Report, Request
from ..accounts.conversion import unit_of

#: What a bet was asked with: the instruction, the reference of the strategy, the account, and its currency's unit.
Asked = tuple[PlaceInstruction, str, str, float]


class Submission:
    """A request under way: how many answers are missing, and who waits for them."""

    __slots__ = ("answered", "missing", "reports", "request")

    def __init__(self, request: Request, answered: Callable[[list[Report]], object]) -> None:
        self.request = request
        self.answered = answered
        self.missing = len(request.instructions)
        self.reports: list[Report] = []


class Submissions:
    """The requests of all markets that are not answered yet."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}
        self._pending: dict[str, Submission] = {}

    def add(
        self,
        request: Request,
        converted: Request,
        units: float,
        answered: Callable[[list[Report]], object],
        strategy_refs: Mapping[str, str],
    ) -> Submission:
        """A request goes to matching, which knows it as `converted`; see `Exchange.submit`."""
        submission = self._pending[request.request_id] = Submission(request, answered)
        for each, engine in zip(request.instructions, converted.instructions, strict=True):
            if isinstance(each, PlaceInstruction) and isinstance(engine, PlaceInstruction):
                unit = units if units == 1.0 else unit_of(each, engine)
                strategy_ref = strategy_refs.get(each.order_id) or request.customer_strategy_ref or ""
                self._asked[each.order_id] = (each, strategy_ref, request.username, unit)
        return submission

    def placed(self, order_id: str) -> Asked:
        """A bet was placed: what it was asked with, which is forgotten here."""
        return self._asked.pop(order_id)

    def take(self, reply: Reply) -> None:
        """Matching answers."""
        pending = self._pending.get(reply.request_id)
        for report in reply.reports:
            if pending is None:
                continue
            pending.reports.append(report)
            pending.missing -= 1
        if pending is not None and pending.missing <= 0:
            del self._pending[reply.request_id]
            self._answered(pending)

    def give_up_all(self, market_id: str) -> None:
        """A market has ended."""
        for pending in [each for each in self._pending.values() if each.request.market_id == market_id]:
            self.give_up(pending)

    def give_up(self, pending: Submission) -> None:
        """The market has ended: what was not answered never will be."""
        if self._pending.pop(pending.request.request_id, None) is not None:
            self._answered(pending)

    def _answered(self, pending: Submission) -> None:
        for each in pending.request.instructions:
            self._asked.pop(each.order_id, None)
        pending.answered(pending.reports)
