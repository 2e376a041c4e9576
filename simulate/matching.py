"""What all matching of resting bets shares: who waits, what was taken, non-runners, starting prices.

Source: docs/fidelity.md. How bets wait and are served is for the subclasses to say.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, Mapping

from ..actors.exchange import Desk
from ..strategies.book import MarketBook
from ..strategies.changes import MarketChange, MarketDefinition
from ..strategies.ladder import PriceSize
from ..strategies.runner_book import RunnerBook
from .bets import Bet
from .ledger import Ledger
from .models import Models
from .starting_price import actual_sp, reconcile

logger = logging.getLogger("headrace")

RunnerKey = tuple[int, float]


class Matching(abc.ABC):
    """The resting bets of a market, and what each update does to them.

    Args:
        bets: all of the market by their orders, in order of arrival; its owner adds to it.
        tell: called with a bet that an update has changed.
    """

    #: Treat bets that have nothing left, and starting prices, as the peer does.
    peer = False

    def __init__(
        self, book: MarketBook, desk: Desk, models: Models, bets: Mapping[str, Bet], tell: Callable[[Bet], object]
    ) -> None:
        self._book = book
        self._desk = desk
        self._models = models
        self._bets = bets
        self._tell = tell
        self._isolated = desk.config.simulated_strategy_isolation
        assert models.liquidity is not None
        self._liquidity = models.liquidity
        self._finite = models.liquidity.finite
        self._ledgers: dict[RunnerKey, dict[str | None, Ledger]] = {}
        self._awaiting_sp: dict[Bet, None] = {}
        self._inplay = self._may_clear = False
        self._version: int | None = None

    # -- arriving ------------------------------------------------------------------------------------------------

    def enter(self, bet: Bet) -> None:
        """Follow the trades of the runner of a bet that is on its way."""
        if not self._bets:
            self._look_first()
        # While no bet waits, nobody looks at the book.
        self._inplay, self._version = self._book.inplay, self._book.version
        runner = self._book.runner(bet.selection_id, bet.handicap)
        if runner is not None:
            self._book.watch(runner)

    def _look_first(self) -> None:
        """Note the runners that are removed already: their removals do not concern the first bet."""
        self._note_removed(self._book)

    def adopt(self, definition: MarketDefinition) -> None:
        """A bet comes whose market is not shown yet: of removals in its definition the bet knows."""
        if not self._bets:
            known = MarketBook(self._book.market_id)
            known.apply(0, MarketChange(known.market_id, definition))
            self._note_removed(known)

    def _note_removed(self, book: MarketBook) -> None:
        removals = self._models.removals
        assert removals is not None
        removals.find(book)

    @abc.abstractmethod
    def add(self, bet: Bet) -> None:
        """Let the bet rest: each later update that can change it looks at it."""

    @abc.abstractmethod
    def remove(self, bet: Bet) -> None:
        """Let the bet rest no longer."""

    @abc.abstractmethod
    def update(self) -> None:
        """Bring all bets up to date with the book."""

    def queue_ahead(self, bet: Bet) -> float:
        """Size ahead of a bet, own bets included where they wait for each other."""
        return bet.queue_ahead

    # -- what can be taken ---------------------------------------------------------------------------------------

    @property
    def follows_offers(self) -> bool:
        """Whether something was taken that may be replenished: each change of the book matters."""
        return bool(self._ledgers)

    def offers(self, bet: Bet, runner: RunnerBook) -> list[PriceSize]:
        """Levels that an arriving bet can take, best first."""
        liquidity = self._liquidity
        levels = liquidity.to_back(runner) if bet.back else liquidity.to_lay(runner)
        ledger = self._ledger_of(bet)
        return levels if ledger is None else ledger.left(levels, bet.back)

    def took(self, bet: Bet, price: float, size: float) -> None:
        """A bet has taken `size` of what was offered at a price."""
        if self._finite:
            ledgers = self._ledgers.setdefault(bet.key, {})
            group = self.group(bet)
            ledger = ledgers.get(group)
            if ledger is None:
                ledger = ledgers[group] = Ledger()
            ledger.take(bet.back, price, size)

    def place_behind(self, bet: Bet, runner: RunnerBook, aggressive: bool) -> None:
        """Note the size that is ahead of a bet as it joins; `aggressive`: it has first taken what it could."""
        assert bet.price is not None
        assert self._models.queue is not None
        queue = runner.ex.available_to_lay if bet.back else runner.ex.available_to_back
        bet.queue_ahead = self._models.queue.ahead(queue, bet.price)

    def _ledger_of(self, bet: Bet) -> Ledger | None:
        ledgers = self._ledgers.get(bet.key)
        return None if ledgers is None else ledgers.get(self.group(bet))

    def group(self, bet: Bet) -> str | None:
        """The isolation domain of a bet: bets of one compete with each other, and with nobody else's."""
        return bet.strategy if self._isolated else None

    def _publish(
        self,
        key: RunnerKey,
        runner: RunnerBook,
        to_back: Mapping[float, float] | None = None,
        to_lay: Mapping[float, float] | None = None,
    ) -> None:
        """The offers of a runner have changed: what was taken is no more than is published.

        Args:
            to_back, to_lay: the prices that may have changed; None: any.
        """
        ledgers = self._ledgers[key]
        for group, ledger in list(ledgers.items()):
            for back, named in ((True, to_back), (False, to_lay)):
                taken = ledger.taken(back)
                prices = [price for price in taken if named is None or price in named]
                if prices:
                    shown = published(runner, back)
                    for price in prices:
                        ledger.publish(back, price, shown.get(price, 0.0))
            if not ledger:
                del ledgers[group]
        if not ledgers:
            del self._ledgers[key]

    # -- persistence ---------------------------------------------------------------------------------------------

    def _lapse_bets(self) -> None:
        """What is not to be kept lapses at the turn in play, and when the market is suspended in play anew."""
        book = self._book
        turned = book.inplay and not self._inplay
        suspended = book.inplay and book.status == "SUSPENDED" and book.version != self._version
        self._inplay, self._version = book.inplay, book.version
        self._may_clear = book.inplay and book.status == "SUSPENDED" and (suspended or self._may_clear)
        if turned or suspended:
            self._lapse_those(lambda bet: bet.persistence_type == "LAPSE")

    def _clear_bets(self) -> None:
        """Where a suspension in play leaves no offer at all, the exchange has cancelled everything: kept bets too."""
        if self._may_clear and not any(runner.offered for runner in self._book.runners):
            self._may_clear = False
            self._lapse_those(lambda bet: True)

    def _lapse_those(self, ends: Callable[[Bet], bool]) -> None:
        for bet in self.waiting():
            if bet.is_limit and not bet.ended and ends(bet):
                bet.lapse()
                self._tell(bet)

    # -- starting prices and the close ---------------------------------------------------------------------------

    @abc.abstractmethod
    def waiting(self) -> list[Bet]:
        """The bets that rest."""

    def close(self) -> None:
        """The closing book: bets that wait for a starting price get it, if it has one."""
        if not self._book.bsp_reconciled:
            return
        for bet in self.waiting():
            if not bet.bsp_reconciled and bet.takes_sp:
                self._reconcile_alone(bet)

    def _reconcile_alone(self, bet: Bet) -> None:
        """Match a bet at the starting price, if there is one; an error is a failure of that bet."""
        try:
            self._reconcile(self._book.runner(*bet.key), bet)
        except Exception as error:
            self._failed(error, bet)
        if bet.changed:
            self._tell(bet)

    def _reconcile(self, runner: RunnerBook | None, bet: Bet) -> None:
        sp = actual_sp(runner, self.peer)
        if sp is None:
            self._awaiting_sp[bet] = None
            logger.debug("Market %s: no starting price for %r yet", bet.market_id, bet)
            return
        self._awaiting_sp.pop(bet, None)
        reconcile(bet, sp, self._book.publish_time_epoch)

    def _failed(self, error: Exception, bet: Bet) -> None:
        self._desk.failed(error, bet.market_id, bet.strategy)

    # -- removals ------------------------------------------------------------------------------------------------

    def _remove_runners(self) -> None:
        removals = self._models.removals
        assert removals is not None
        for runner in removals.find(self._book):
            for bet in list(self._bets.values()):
                if not self._meets(bet, runner):
                    continue
                try:
                    removals.apply(bet, runner, self._book)
                except Exception as error:
                    self._failed(error, bet)
                if bet.changed:
                    self._tell(bet)

    def _meets(self, bet: Bet, removed: RunnerBook) -> bool:
        """Whether a removal concerns a bet: not one on its way, which is refused when it arrives, nor a refused one."""
        if bet.placed:
            return True
        return not bet.ended and bet.key != (removed.selection_id, removed.handicap)


def published(runner: RunnerBook, back: bool) -> Mapping[float, float]:
    """Published sizes by price that a back (else a lay) can take."""
    ex = runner.ex
    levels = (ex.back if back else ex.lay).levels
    if levels or not ex.best:
        return levels
    return dict(ex.available_to_back if back else ex.available_to_lay)
