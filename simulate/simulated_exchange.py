"""The simulated exchange: one per unit of replay, with a `SimulatedMarket` per market. Source: docs/fidelity.md."""

from __future__ import annotations

import secrets

from ..actors.exchange import Desk
from ..strategies.book import MarketBook
from ..strategies.errors import OrderError
from ..strategies.messages import Request
from .models import Models
from .peer_market import PeerMarket
from .simulated_market import SimulatedMarket

#: Bet ids count up from here.
FIRST_BET_ID = 100_000_000_000
#: Of live exchanges from a place up to here: all ids have twelve digits.
_LAST_PLACE = 990_000_000_000


class SimulatedExchange:
    """The exchange of one actor: bet ids count over all its markets.

    Args:
        models: those left out follow the settings.
        after_bet_id: bet ids count up from here; live, where several exchanges give them, each from a place of its own.
    """

    def __init__(self, models: Models | None = None, after_bet_id: int = FIRST_BET_ID) -> None:
        self._models = models or Models()
        self._last_bet_id = after_bet_id
        self._completed: Models | None = None
        self._markets: dict[str, SimulatedMarket] = {}

    def open(self, market_id: str, book: MarketBook, desk: Desk) -> SimulatedMarket:
        """Open its side of a new market; under compatibility, the peer's."""
        kind = PeerMarket if desk.config.compatibility == "flumine" else SimulatedMarket
        market = self._markets[market_id] = kind(market_id, book, desk, self._complete(desk), self)
        return market

    def _complete(self, desk: Desk) -> Models:
        """The models, those of the settings included."""
        if self._completed is None:
            self._completed = self._models.completed(desk.config)
        return self._completed

    def send(self, request: Request) -> None:
        """Take a request for one of its markets.

        Raises:
            OrderError: the market has not begun here, or was given up.
        """
        market = self._markets.get(request.market_id)
        if market is None:
            raise OrderError(
                f"market {request.market_id} is not at the exchange: it has not begun, or has ended; request "
                f"{request.request_id} is not taken"
            )
        market.send(request)

    def gone(self, market_id: str) -> None:
        """A market was freed."""
        self._markets.pop(market_id, None)

    def next_bet_id(self) -> str:
        """The next number of a bet."""
        self._last_bet_id += 1
        return str(self._last_bet_id)

    def return_bet_id(self) -> None:
        """The bet has to wait: the next bet gets its number."""
        self._last_bet_id -= 1


def paper_exchange(models: Models | None = None) -> SimulatedExchange:
    """An exchange for paper accounts of a live market actor, of which there are several.

    Its bet ids count up from a place that is drawn by chance, so that two exchanges of a system, and those of another
    day, do not give the same ones.
    """
    return SimulatedExchange(models, after_bet_id=FIRST_BET_ID + secrets.randbelow(_LAST_PLACE - FIRST_BET_ID))
