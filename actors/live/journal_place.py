"""Where a live system has its journal. Money, paper and rehearsals each have their own: their bets are not the same.

What stands in the journal of a rehearsal is of the exchange that it was rehearsed at. Where that is another one now, it
is over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from ...config import Config
from ..betfair.places import rehearses
from ..clients import BaseClient
from ..journal.journal import Journal
from .instance import write_private

#: Below the folder of an instance: for money, on paper, in rehearsal.
JOURNAL = "journal"
PAPER_KIND, REHEARSAL_KIND = "-paper", "-rehearsal"
PAPER, REHEARSAL = f"{JOURNAL}{PAPER_KIND}", f"{JOURNAL}{REHEARSAL_KIND}"
JOURNALS = (JOURNAL, PAPER, REHEARSAL)
#: In the journal of a rehearsal: the addresses of its exchange, and the number of the last entry about another one.
_EXCHANGE = "exchange.json"


def kind_of(clients: Iterable[BaseClient]) -> str:
    """What the names of files end with that are of a rehearsal alone, or of paper trading; empty: money is at stake."""
    accounts = list(clients)
    if _rehearsal_exchanges(accounts):
        return REHEARSAL_KIND
    return PAPER_KIND if accounts and all(each.simulated for each in accounts) else ""


def _rehearsal_exchanges(accounts: Iterable[BaseClient]) -> list[str]:
    return sorted(
        {str(getattr(each.betting_client, "api_uri", "")) for each in accounts if rehearses(each.betting_client)}
    )


def opened_journal(
    instance: Path,
    clients: Iterable[BaseClient],
    config: Config,
    clock: Callable[[], int],
    must_write: bool = True,
) -> Journal:
    """The journal of a system with these accounts, held.

    Args:
        instance: the folder of the instance.
        clock: milliseconds since the epoch.
        must_write: see `Journal`. A system that was trading goes on where it cannot: what rests can be cancelled.

    Raises:
        JournalError: another process holds it, or it cannot be opened, or written.
    """
    accounts = list(clients)
    rehearsed = _rehearsal_exchanges(accounts)
    folder = instance / f"{JOURNAL}{kind_of(accounts)}"
    days, megabytes = config.journal_days, config.journal_mb
    journal = Journal(folder, days=days, megabytes=megabytes, clock=clock, must_write=must_write)
    if rehearsed:
        try:
            _at(journal, rehearsed)
        except BaseException:
            journal.close()
            raise
    return journal


def _at(journal: Journal, exchange: list[str]) -> None:
    """Be the journal of a rehearsal exchange: what another one knew is over, and its numbers of bets come again."""
    note = journal.folder / _EXCHANGE
    try:
        known = json.loads(note.read_bytes())
        if known["exchange"] == exchange:
            journal.forgotten = min(int(known["after"]), journal.last)
            return
    except (OSError, ValueError, TypeError, LookupError):
        pass
    journal.forget()
    write_private(note, json.dumps({"exchange": exchange, "after": journal.forgotten}).encode())
