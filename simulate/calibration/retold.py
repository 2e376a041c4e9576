"""The requests of a recorded session, retold to the simulated exchange: strategies are not asked again."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

from ...actors.exchange import AccountTerms, Answer
from ...actors.session_lines import ASKED, CHANGE, SessionLine
from ...config import Config
from ...strategies.book import MarketBook
from ...strategies.clock import Clock
from ...strategies.messages import PLACE, SUCCESS, OrderFact, Reply
from ...strategies.rules import Rules
from ..accounts.funds import Purses
from ..models import Models
from ..reading.recordings import Recording
from ..session_exchange import SessionMarket
from ..session_script import SessionScript, session_lines
from ..simulated_exchange import FIRST_BET_ID


@dataclasses.dataclass
class Retold:
    """An order in the simulation.

    Attributes:
        ahead: size ahead of it once it was placed; None where it did not wait.
        best: best price that it could have taken, by the book that it met; None where there was none.
        at_once: size matched as it was placed.
        fills: time in milliseconds since the epoch, price and size of each, in order.
    """

    ahead: float | None = None
    best: float | None = None
    at_once: float = 0.0
    fills: tuple[tuple[float, float, float], ...] = ()


class _Desk:
    """Stands where the market actor would: it has the clock, and nobody to tell."""

    def __init__(self, config: Config) -> None:
        self.clock = Clock()
        self.config = config
        self.rules = Rules.named(None)
        self.errors: list[Exception] = []

    def answer(self, message: Answer) -> None:
        """Nobody waits for it."""

    def failed(self, error: Exception, market_id: str, strategy: str | None) -> None:
        self.errors.append(error)

    def account(self, venue: str, username: str) -> AccountTerms:
        return AccountTerms()

    def call_at(self, at_ms: int, market_id: str, function: Callable[..., object], *arguments: Any) -> None:
        # What a request waits for is held by the market; what is due is done.
        if at_ms <= self.clock.now_ms:
            function(*arguments)
        else:
            self.clock.call_at(at_ms, function, *arguments)

    def orders(self, market_id: str) -> Any:
        raise NotImplementedError("only under compatibility")


class _Ids:
    def __init__(self) -> None:
        self._numbers = itertools.count(FIRST_BET_ID)

    def next_bet_id(self) -> str:
        return str(next(self._numbers))

    def return_bet_id(self) -> None:
        """Numbers are not scarce."""

    def gone(self, market_id: str) -> None:
        """There is one market."""


class _Market(SessionMarket):
    """Notes what becomes of each order; nothing is held for strategies."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.retold: dict[str, Retold] = {}

    def _hold(self, message: Answer) -> None:
        if isinstance(message, OrderFact) and message.order_id is not None and message.fills is not None:
            found = self.retold.setdefault(message.order_id, Retold())
            found.fills = tuple((fill[0], fill[1], fill[2]) for fill in message.fills)
        elif isinstance(message, Reply):
            for report in message.reports:
                if report.operation == PLACE and report.status == SUCCESS:
                    self._placed(report.order_id, report.size or 0.0)

    def _placed(self, order_id: str, at_once: float) -> None:
        found, bet = self.retold.setdefault(order_id, Retold()), self.bet(order_id)
        found.at_once = at_once
        if bet is None:
            return
        if bet.live and bet.is_limit:
            found.ahead = self.queue_ahead(order_id)
        runner = self._book.runner(bet.selection_id, bet.handicap)
        levels = [] if runner is None else runner.ex.available_to_back if bet.back else runner.ex.available_to_lay
        found.best = levels[0].price if levels else None


def retold(recording: Recording, models: Models, config: Config) -> dict[str, Retold]:
    """Replay one market of a session with its own requests, each when it reached the exchange then.

    Args:
        models: complete ones.

    Returns:
        What became of its orders, by their ids.

    Raises:
        RecordingError: it cannot be read.
        Exception: of a model of the user's own.
    """
    return _Retelling(recording, models, config).run()


class _Retelling:
    def __init__(self, recording: Recording, models: Models, config: Config) -> None:
        self._recording = recording
        self._script = SessionScript(recording)
        self._live = {asked.line for asked in self._script.live}
        self._models = models
        self._desk = _Desk(config)
        self._market: _Market | None = None
        self._book: MarketBook | None = None

    def run(self) -> dict[str, Retold]:
        clock = self._desk.clock
        for number, line in session_lines(self._recording):
            self._arrive(line.pt if line.op == CHANGE else None, number)
            clock.now_ms = max(clock.now_ms, line.at)
            if line.op == ASKED and line.request is not None and self._market is not None and number in self._live:
                self._market.send(line.request)
            elif line.op == CHANGE and not self._take(line):
                break
            if self._desk.errors:
                raise self._desk.errors[0]
        return {} if self._market is None else self._market.retold

    def _arrive(self, published_ms: int | None, number: int) -> None:
        """Let the requests arrive that did so before a change, or of which a line tells."""
        market, clock = self._market, self._desk.clock
        while market is not None:
            due = market.next_answered(number) if published_ms is None else market.next_before(published_ms)
            if due is None:
                return
            clock.now_ms = max(clock.now_ms, due)
            market.arrive()

    def _take(self, line: SessionLine) -> bool:
        """Fold a change in; False once the market is closed."""
        for change in line.mc:
            if self._book is None:
                if change.market_definition is None or change.id is None:
                    continue
                book = self._book = MarketBook(change.id)
                book.market_definition = change.market_definition
                desk: Any = self._desk
                self._market = _Market(change.id, book, desk, self._models, _Ids(), Purses(), self._script)
                book.watch_all()
            assert self._market is not None
            self._book.apply(line.pt, change)
            if self._book.status == "CLOSED":
                return False
            self._market.changed()
        return True
