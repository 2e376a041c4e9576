"""Markets whose host has ended: nobody trades them any more, and what rests there is cancelled."""

from __future__ import annotations

from collections.abc import Sequence

from ...strategies.errors import RunError
from ..letters import Gone
from .alerts import Alerts
from .betting import Betting
from .host_watch import HostWatch
from .routes import Routes
from .seating import Place, Seating
from .setup import LiveSetup
from .stops import Stops


class Quarantine:
    """See the module. Strategies that have such a market at another host go on."""

    def __init__(
        self,
        setup: LiveSetup,
        seating: Seating,
        watch: HostWatch,
        routes: Routes,
        betting: Betting,
        stops: Stops,
        alerts: Alerts,
    ) -> None:
        self._setup, self._seating, self._watch, self._routes = setup, seating, watch, routes
        self._betting, self._stops, self._alerts = betting, stops, alerts

    def gone(self, letter: Gone) -> None:
        """A host has ended, and is not started again; while the system goes on nobody has asked it to."""
        self._watch.forget(letter.name)
        places = self._seating.lose(letter.name)
        markets = sorted({market_id for _, market_id in places})
        if self._stops.shutdown is None:
            text = f"host {letter.name} has ended{f': {letter.why}' if letter.why else ''}"
            self._tell(f"{text}; its markets are traded no more: {', '.join(markets) or 'none'}", places)
        for crew, market_id in places:
            self._routes.give_up(crew, market_id)
            self._note(crew, market_id)
        self._betting.leave(letter.name, markets)

    def give_up(self, crew: str, market_id: str, why: str) -> None:
        """A crew's market is traded no more, while its host goes on with others."""
        host = self._seating.host_of(crew, market_id)
        self._tell(f"market {market_id}: {why}; crew {crew} trades it no more", [(crew, market_id)])
        self._routes.give_up(crew, market_id)
        self._note(crew, market_id)
        if host is not None:
            self._betting.leave_market(host, crew, market_id)

    def recall(self, crew: str, market_id: str) -> None:
        """A former coordinator has given a market up: what may rest there is cancelled all the same."""
        self._routes.give_up(crew, market_id)
        self._abandon([(crew, market_id)])

    def _tell(self, text: str, places: Sequence[Place]) -> None:
        self._alerts.alert("QUARANTINE", text)
        self._betting.failed(RunError(f"{text}; their orders are not in the result"), None, None)
        self._abandon(places)

    def _abandon(self, places: Sequence[Place]) -> None:
        names = {crew: self._setup.crew(crew).strategies for crew, _ in places}
        self._stops.abandon(frozenset((market, name) for crew, market in places for name in names[crew]))

    def _note(self, crew: str, market_id: str) -> None:
        self._betting.journal.seat(crew, market_id, None, "")

    def killed(self, host: str) -> None:
        """A host does not end when the system does, and is about to be killed."""
        markets = ", ".join(sorted({market_id for _, market_id, name in self._seating if name == host})) or "none"
        text = f"host {host} does not end, and is killed; orders of its markets are not in the result: {markets}"
        self._betting.failed(RunError(text), None, None)
