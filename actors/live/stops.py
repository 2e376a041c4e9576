"""What is stopped, and how far that is: placing, what rests, the system, and what nobody looks after any more."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable

from ...strategies.errors import RunError
from ..betfair.known_bet import KnownBet
from ..journal.entries import Noted
from .alerts import Alerts
from .betting import Betting
from .shutdown import Ending, Shutdown
from .stopping import Cancelling

#: Milliseconds between two looks while something is being cancelled, or the system ends.
_EVERY_MS = 100
#: Words of the journal (`Noted.what`): a session begins, or goes on.
STARTED = "STARTED"
#: The server it is at: `instance_id` of the settings.
INSTANCE = "INSTANCE"
#: Placing has stopped; all is cancelled; the system ends; what a former session has left is cancelled.
_HALTED, _CANCELLING, _STOPPING, _FORMER = "HALTED", "CANCELLING", "STOPPING", "CANCEL_FORMER"
SAID = (_HALTED, _CANCELLING, _STOPPING, _FORMER)


class Stops:
    """See the module.

    Args:
        ending: what is ended, step by step.
        leave: what rests at the exchange stays there when the system stops, unless it is asked otherwise.
        clock_ms: now, milliseconds since the epoch.

    Attributes:
        cancelling: how far it is to cancel all that rests; None: nobody has asked for it.
        shutdown: how far it is to end; None: the system goes on.
        said: what was asked for in this session, as it stands in the journal.
    """

    def __init__(
        self, betting: Betting, alerts: Alerts, ending: Ending, leave: bool, clock_ms: Callable[[], int]
    ) -> None:
        self._betting, self._alerts, self._ending = betting, alerts, ending
        self._leave, self._clock_ms = leave, clock_ms
        self.cancelling: Cancelling | None = None
        self.shutdown: Shutdown | None = None
        self.said: list[Noted] = []
        self._orphaned: list[Cancelling] = []
        self._looked_ms = 0

    # -- asking for it -------------------------------------------------------------------------------------------

    def _report(self, kind: str, text: str) -> None:
        """What the end has to say: what is left at the exchange, people have to know."""
        (self._alerts.alert if kind == "LEFT" else self._alerts.note)(kind, text)

    def halt(self, why: str) -> None:
        """Place nothing any more."""
        gate = self._betting.gate
        if not gate.stopping:
            gate.stopping = why
            self._say(_HALTED, why)
            self._alerts.alert("STOP", f"placing has stopped: {why}")

    def cancel_all(self, why: str, whole_account: bool = False) -> None:
        """Halt placing, and cancel what rests; the system goes on. One that ends does it anyway, or leaves it."""
        if self.shutdown is None:
            self.halt(why)
            self._say(_CANCELLING, json.dumps([why, whole_account]))
            self._cancel(whole_account)

    def stop_system(self, why: str, leave: bool | None = None) -> None:
        """Halt placing, cancel what rests or leave it, and end.

        Args:
            leave: None: as it is configured.
        """
        if self.shutdown is not None:
            return
        self.halt(why)
        self._say(_STOPPING, json.dumps([why, leave]))
        cancelling: Cancelling | None = None
        if not (self._leave if leave is None else leave):
            under_way = self.cancelling is not None and not self.cancelling.done
            cancelling = self._cancel(under_way and self.cancelling is not None and self.cancelling.whole_account)
        self.shutdown = Shutdown(self._ending, cancelling, self._report)
        self.shutdown.look(self._clock_ms())

    def abandon(self, gone: frozenset[tuple[str, str]]) -> None:
        """Nobody looks after what strategies have in these markets: cancel it, unless it is left at a stop as well.

        Args:
            gone: markets, each with a strategy's name: another strategy may have the market at another host.
        """
        self.abandon_all(lambda bet: (bet.market_id, bet.strategy) in gone)

    def abandon_all(self, meant: Callable[[KnownBet], bool]) -> None:
        """The same, of bets."""
        if not self._leave:
            self._orphaned.append(self._made(meant=meant))

    def cancel_former(self, before_ms: int) -> None:
        """Cancel what was asked for before, and what only the exchange knows of: a former session has left it."""
        self._say(_FORMER, str(before_ms))
        made = self._made(meant=lambda bet: bet.asked_at < before_ms or bet.order_id is None)
        made.waits = True
        self._orphaned.append(made)

    def recall(self, said: Iterable[Noted]) -> None:
        """Do what a former coordinator of this session was asked for."""
        for each in said:
            if each.what == _HALTED:
                self.halt(each.text)
            elif each.what == _CANCELLING:
                self.cancel_all(*json.loads(each.text))
            elif each.what == _STOPPING:
                self.stop_system(*json.loads(each.text))
            elif each.what == _FORMER:
                self.cancel_former(int(each.text))

    def _say(self, what: str, text: str) -> None:
        """Write down what is asked for: a coordinator that ends is followed by one that has to do it."""
        if not any((each.what, each.text) == (what, text) for each in self.said):
            self.said.append(Noted(what, text, self._clock_ms()))
            self._betting.journal.note(self.said[-1])

    def _cancel(self, whole_account: bool) -> Cancelling:
        made = self.cancelling = self._made(whole_account)
        made.look(self._clock_ms())
        return made

    def _made(self, whole_account: bool = False, meant: Callable[[KnownBet], bool] | None = None) -> Cancelling:
        betting = self._betting
        return Cancelling(betting.accounts, betting.ask_host, self._alerts.alert, whole_account, meant, self._given_up)

    def _given_up(self, market_id: str, text: str) -> None:
        """The exchange does not cancel something: the end waits for it no longer, and is a failure."""
        self._alerts.alert("LEFT", text)
        self._betting.failed(RunError(text), market_id or None, None)

    # -- doing it ------------------------------------------------------------------------------------------------

    @property
    def next_ms(self) -> float:
        """When `look` is wanted, beside whenever something has come."""
        cancelling = self._orphaned or (self.cancelling is not None and not self.cancelling.done)
        return self._looked_ms + _EVERY_MS if cancelling or self.shutdown is not None else math.inf

    def look(self, at_ms: int) -> None:
        """Go on as far as possible."""
        self._looked_ms = at_ms
        if self.cancelling is not None:
            self.cancelling.look(at_ms)
        if self._orphaned:
            for each in self._orphaned:
                each.look(at_ms)
            self._orphaned = [each for each in self._orphaned if not each.done]
        if self.shutdown is not None:
            self.shutdown.look(at_ms)
