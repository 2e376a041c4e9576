"""Which journal a live system has: money, paper and rehearsals do not know of each other's bets."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import headrace as hr
from headrace.actors.clients import BaseClient
from headrace.actors.journal.entries import Entry, Seated
from headrace.actors.journal.reader import JournalReader
from headrace.actors.live.journal_place import opened_journal

NOW = 1_774_699_200_000
BETFAIR = "https://api.betfair.com/exchange/"


def account(uri: str = BETFAIR, **settings: Any) -> BaseClient:
    return hr.BetfairClient(SimpleNamespace(username="anna", api_uri=uri), **settings)


def seats(folder: Path, *accounts: BaseClient, market_id: str = "") -> tuple[str, list[str]]:
    """A system with these accounts starts, and seats a market: its journal, and the markets that it knew before."""
    with contextlib.closing(opened_journal(folder, accounts, hr.Config(), lambda: NOW)) as journal:
        known = sorted(journal.open_markets)
        if market_id:
            journal.add([Entry(Seated("s1.market", market_id, None, "h1", NOW), NOW, market_id)])
        return journal.folder.name, known


def test_money_paper_and_rehearsals_have_journals_of_their_own(tmp_path: Path) -> None:
    paper, rehearsed = account(paper_trade=True), account("http://localhost:8800/")
    assert seats(tmp_path, account(), market_id="1.1") == ("journal", [])
    assert seats(tmp_path, paper, market_id="1.2") == ("journal-paper", [])
    assert seats(tmp_path, rehearsed, market_id="1.3") == ("journal-rehearsal", [])
    assert seats(tmp_path, account(), paper) == ("journal", ["1.1"])
    assert seats(tmp_path, paper) == ("journal-paper", ["1.2"])
    assert seats(tmp_path, rehearsed) == ("journal-rehearsal", ["1.3"])


def test_what_was_rehearsed_at_another_exchange_is_over(tmp_path: Path) -> None:
    first, second = account("http://localhost:8800/"), account("http://localhost:8900/")
    seats(tmp_path, first, market_id="1.1")
    assert seats(tmp_path, first)[1] == ["1.1"]
    assert seats(tmp_path, second, market_id="1.2")[1] == []
    assert seats(tmp_path, second)[1] == ["1.2"]
    assert seats(tmp_path, first)[1] == []


def test_of_a_market_that_is_rehearsed_again_only_what_is_of_this_exchange_is_told(tmp_path: Path) -> None:
    """Bets have the same numbers there: those of the other exchange would be taken for them."""
    for uri, host in (("http://localhost:8800/", "h1"), ("http://localhost:8900/", "h2")):
        with contextlib.closing(opened_journal(tmp_path, [account(uri)], hr.Config(), lambda: NOW)) as journal:
            journal.add([Entry(Seated("s1.market", "1.1", None, host, NOW), NOW, "1.1")])
    with contextlib.closing(opened_journal(tmp_path, [account(uri)], hr.Config(), lambda: NOW)) as journal:
        told = [list(journal), list(journal.of_markets(["1.1"])), list(journal.since(NOW))]
        assert [[entry.message.host for entry in each] for each in told] == [["h2"]] * 3
    whole = JournalReader(tmp_path / "journal-rehearsal").entries()
    assert [entry.message.host for entry in whole] == ["h1", "h2"], "it can be read all the same"
