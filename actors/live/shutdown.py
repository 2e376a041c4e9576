"""The end of a live system, in order: placing has stopped; what rests is cancelled, or left; the user's threads stop;
hosts hand over what they have; accounts log out; then the coordinator ends, and its engine ends the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from .stopping import Cancelling

logger = logging.getLogger("headrace")

#: Milliseconds that hosts may take to end, and accounts to log out; that requests under way are waited for where what
#: rests is left: as long as one may be in doubt.
_HOSTS_MS, _LOGOUT_MS, _UNDER_WAY_MS = 15_000, 5_000, 30_000
#: Milliseconds after which it is said again that something still rests.
_TOLD_EVERY_MS = 30_000


class Ending(Protocol):
    """What is ended."""

    def stop_user_threads(self) -> None: ...

    def stop_hosts(self) -> None: ...

    @property
    def hosts_left(self) -> list[str]: ...

    @property
    def under_way(self) -> int: ...

    @property
    def resting(self) -> list[str]: ...

    def kill_hosts(self) -> None: ...

    def log_out(self, then: Callable[[], object]) -> None: ...

    def end(self) -> None: ...


class Shutdown:
    """Goes through it step by step: `look` does what can be done now.

    Args:
        cancelling: what cancels; None: what rests is left.
        report: takes what people should know: a kind, a sentence.
    """

    def __init__(self, ending: Ending, cancelling: Cancelling | None, report: Callable[[str, str], object]) -> None:
        self._ending, self._cancelling, self._report = ending, cancelling, report
        self._step: Callable[[int], bool] = self._cancel
        self._since: int | None = None
        self._told_ms = 0
        self._out = False

    def look(self, at_ms: int) -> None:
        """Go on as far as possible."""
        if self._since is None:
            self._since = self._told_ms = at_ms
        while self._step(at_ms):
            self._since = at_ms

    def give_up(self) -> None:
        """Wait no more for what cannot be cancelled."""
        if self._cancelling is not None and not self._cancelling.done:
            self._report("LEFT", f"not cancelled, for the exchange does not do it: {self._cancelling.open} orders rest")
            self._cancelling = None

    def _cancel(self, at_ms: int) -> bool:
        cancelling = self._cancelling
        if cancelling is not None:
            cancelling.look(at_ms)
            if not cancelling.done:
                if at_ms - self._told_ms >= _TOLD_EVERY_MS:
                    self._told_ms = at_ms
                    self._report("STOP", f"still to be cancelled: {cancelling.open} orders")
                return False
            self._report("STOP", "nothing else rests" if cancelling.left else "nothing rests any more")
        elif not self._may_leave(at_ms):
            return False
        self._ending.stop_user_threads()
        self._ending.stop_hosts()
        self._step = self._wait_for_hosts
        return True

    def _may_leave(self, at_ms: int) -> bool:
        """Whether it is known what rests, so that it can be left; if it takes too long, that is said."""
        under_way = self._ending.under_way
        if under_way and at_ms - self._told_ms < _UNDER_WAY_MS:
            return False
        if under_way:
            self._report("LEFT", f"it is not known what became of {under_way} orders")
        if resting := self._ending.resting:
            self._report("LEFT", f"{len(resting)} bets rest at the exchange: {', '.join(resting)}")
        return True

    def _wait_for_hosts(self, at_ms: int) -> bool:
        left = self._ending.hosts_left
        assert self._since is not None
        if left and at_ms - self._since < _HOSTS_MS:
            return False
        if left:
            logger.error("Hosts that do not end are ended: %s", ", ".join(left))
            self._ending.kill_hosts()
        self._ending.log_out(self._logged_out)
        self._step = self._wait_for_logout
        return True

    def _logged_out(self) -> None:
        self._out = True

    def _wait_for_logout(self, at_ms: int) -> bool:
        assert self._since is not None
        if not self._out and at_ms - self._since < _LOGOUT_MS:
            return False
        self._ending.end()
        self._step = lambda at_ms: False
        return False
