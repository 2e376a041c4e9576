"""A market at the rehearsal exchange, and whoever hears what happens to it."""

from __future__ import annotations

from typing import Any, Protocol

from ...strategies.book import MarketBook
from ...strategies.changes import MarketDefinition, RunnerDefinition
from ..removals import GONE
from .account_bet import AccountBet
from .public_market import PublicMarket, Touched
from .venue_market import VenueMarket


class Listener(Protocol):
    """Hears what happens, in order. A subclass hears what it defines, and nothing else."""

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        """Something of what is published of a market has changed; the first time, it is new."""
        return

    def message_ended(self, at: int) -> None:
        """All changes of one moment have been told: they belong into one message of a stream."""
        return

    def market_gone(self, market: ExchangeMarket) -> None:
        """A market has vanished from all lists."""
        return

    def bet_changed(self, bet: AccountBet) -> None:
        """A bet is new, or another than before."""
        return

    def market_settled(self, market: ExchangeMarket) -> None:
        """The results of a market's bets are known to accounts; again where it is settled a second time."""
        return

    def sports(self, at: int, operation: str, change: dict[str, Any]) -> None:
        """A change of a race ("rcm") or a cricket match ("ccm")."""
        return


class ExchangeMarket:
    """One market.

    Attributes:
        book: as recorded, in exchange time.
        public: as it is published.
        venue: the engine's side.
        bets: of all accounts, by number, in order of placing.
        closed_at: exchange time of the close; None while it is not closed.
        settled_at: exchange time at which accounts learn results; None before.
        gone: nothing more comes of it.
        closing: counts its closings and openings: what was planned for an earlier one is void.
        results: of runners, as the last closing definition had them.
    """

    def __init__(self, market_id: str, book: MarketBook, public: PublicMarket, venue: VenueMarket) -> None:
        self.market_id = market_id
        self.book = book
        self.public = public
        self.venue = venue
        self.bets: dict[str, AccountBet] = {}
        self.closed_at: int | None = None
        self.settled_at: int | None = None
        self.gone = False
        self.closing = 0
        self.results: tuple[object, ...] = ()
        self._removed: set[tuple[int, float]] = set()

    @property
    def definition(self) -> MarketDefinition:
        definition = self.book.market_definition
        assert definition is not None
        return definition

    def newly_removed(self) -> list[RunnerDefinition]:
        """Runners that have been removed since the last call."""
        gone = {(each.id, each.hc): each for each in self.definition.runners if each.status in GONE}
        found = [each for runner, each in gone.items() if runner not in self._removed]
        self._removed.update(gone)
        return found


def results_of(definition: MarketDefinition) -> tuple[object, ...]:
    """What a closing definition says of its runners."""
    return tuple((each.id, each.hc, each.status, each.bsp) for each in definition.runners)
