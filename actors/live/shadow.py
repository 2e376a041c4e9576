"""Shadows: a paper twin beside each live strategy.

The twin is a copy of the strategy with a name of its own, in a crew of its own: it sees the same books, and it trades
with paper accounts that have the settings of the live ones. It sees the accounts under their own names; the
coordinator knows them by the names of the twins, and counts for each by itself.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping

from ...strategies.errors import InputError
from ...strategies.strategy import Strategy
from ..clients import BaseClient
from .crews import Crew
from .setup import LiveSetup

#: What the names of twins end with: of strategies and of accounts.
SUFFIX = " (paper)"
#: What the names of their crews end with.
CREW_SUFFIX = ".paper"

#: An account: venue and username.
Account = tuple[str, str]


def with_shadows(setup: LiveSetup) -> LiveSetup:
    """The system with a paper twin of each strategy that trades with a live account.

    There are none where no account is live, and of strategies on data streams.

    Raises:
        InputError: a strategy or an account has the name that a twin needs.
    """
    raw = {plan.name for plan in setup.streams if plan.raw}
    crews = [crew for crew in setup.crews if crew.stream not in raw]
    live = [client for client in setup.clients if not client.simulated]
    if not crews or not live:
        return setup
    shadowed = {name for crew in crews for name in crew.strategies}
    twins = [_twin(strategy) for strategy in setup.strategies if strategy.name in shadowed]
    accounts = [paper_copy(client, client.username + SUFFIX) for client in live]
    _require_free(twins, accounts, setup)
    shadows = [
        dataclasses.replace(
            crew,
            name=crew.name + CREW_SUFFIX,
            strategies=tuple([_named(each) for each in crew.strategies]),
            shadow=True,
        )
        for crew in crews
    ]
    return dataclasses.replace(
        setup,
        strategies=[*setup.strategies, *twins],
        clients=[*setup.clients, *accounts],
        crews=(*setup.crews, *shadows),
        shadows={(client.venue, client.username): twin.username for client, twin in zip(live, accounts, strict=True)},
    )


def _named(strategy: str) -> str:
    return strategy + SUFFIX


def live_name(strategy: str) -> str | None:
    """The name of the strategy that a twin shadows; None of one that is no twin."""
    return strategy.removesuffix(SUFFIX) if strategy.endswith(SUFFIX) else None


def _twin(strategy: Strategy) -> Strategy:
    twin = copy.deepcopy(strategy)
    vars(twin)["name"] = _named(strategy.name)
    return twin


def paper_copy(client: BaseClient, username: str) -> BaseClient:
    """An account with the settings of another, on paper: nothing is sent for it, so nobody logs in."""
    account = copy.copy(client)
    account.username, account.paper_trade, account.betting_client = username, True, None
    return account


def _require_free(twins: list[Strategy], accounts: list[BaseClient], setup: LiveSetup) -> None:
    names = {strategy.name for strategy in setup.strategies}
    for twin in twins:
        if twin.name in names:
            raise InputError(f"strategy {twin.name!r} has the name that the paper twin of another needs; rename it")
    known = {(client.venue, client.username) for client in setup.clients}
    for account in accounts:
        if (account.venue, account.username) in known:
            raise InputError(f"account {account.username!r} has the name that a paper twin needs; rename it")


def clients_of(setup: LiveSetup, crew: Crew) -> list[BaseClient]:
    """The accounts as the strategies of a crew see them: twins see paper copies under the names of the live ones."""
    twins = {(venue, twin) for (venue, _), twin in setup.shadows.items()}
    seen = [client for client in setup.clients if (client.venue, client.username) not in twins]
    if not crew.shadow:
        return seen
    return [client if client.simulated else paper_copy(client, client.username) for client in seen]


class Names:
    """How the accounts of a shadow are known at the coordinator.

    Args:
        shadows: the usernames of twins, by account.
    """

    def __init__(self, shadows: Mapping[Account, str]) -> None:
        self._there = dict(shadows)
        self._here = {(venue, twin): username for (venue, username), twin in shadows.items()}

    def there(self, venue: str, username: str) -> str:
        """The name at the coordinator."""
        return self._there.get((venue, username), username)

    def here(self, venue: str, username: str) -> str:
        """The name that the strategies know."""
        return self._here.get((venue, username), username)
