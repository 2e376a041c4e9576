"""The page of the rehearsal exchange, in a real browser, while clients bet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from betfairlightweight import filters
from betfairlightweight.exceptions import APIError

import headrace as hr
from browser import Tab, browser, showing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason="no Chromium or Chrome on this machine; install one to run this"),
]


@pytest.fixture(scope="module")
def exchange() -> Iterator[hr.RehearsalExchange]:
    accounts = ["alice", "bob,currency=EUR,balance=500"]
    with hr.RehearsalExchange(generate=2, speed="step", seed=3, accounts=accounts) as exchange:
        exchange.step(400)
        yield exchange


def bet(exchange: hr.RehearsalExchange, client: Any, price: float, size: float) -> str:
    """Back the first runner of the first market; the bet's number."""
    market_id = sorted(row["market_id"] for row in exchange.state()["markets"])[0]
    (book,) = client.betting.list_market_book([market_id])
    instruction = filters.place_instruction(
        "LIMIT",
        book.runners[0].selection_id,
        "BACK",
        limit_order=filters.limit_order(size=size, price=price, persistence_type="LAPSE"),
    )
    report = client.betting.place_orders(market_id, [instruction])
    assert report.status == "SUCCESS", report.error_code
    number: str = report.place_instruction_reports[0].bet_id
    return number


async def rows(tab: Tab, table: str) -> list[list[str]]:
    found: list[list[str]] = await tab.value(
        f"[...document.querySelectorAll('#{table} tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return found


def test_a_bet_shows_on_an_open_page_without_reloading(exchange: hr.RehearsalExchange) -> None:
    async def watch() -> None:
        async with showing(exchange.addresses.url) as tab:
            await tab.until("document.querySelectorAll('#markets tbody tr:not(.none)').length >= 2")
            client = exchange.client("alice")
            await asyncio.to_thread(client.login_interactive)
            number = await asyncio.to_thread(bet, exchange, client, 1000.0, 3.0)
            await tab.until(f"document.getElementById('bets').textContent.includes('{number}')")
            (shown,) = [row for row in await rows(tab, "bets") if row[1] == number]
            assert shown[2] == "alice"
            assert shown[5:9] == ["BACK", "1000", "3.00", "can match"]
            accounts = {row[0]: row for row in await rows(tab, "accounts")}
            assert accounts["alice"][1:4] == ["GBP", "9,997.00", "-3.00"]
            assert accounts["bob"][1:4] == ["EUR", "500.00", "0.00"]

    asyncio.run(watch())


def test_it_shows_connections_and_faults_and_fetches_nothing_from_elsewhere(exchange: hr.RehearsalExchange) -> None:
    async def watch() -> None:
        async with showing(exchange.addresses.url) as tab:
            await tab.until("document.getElementById('link').textContent === 'live'")
            exchange.fault("http.slow", seconds=0.01, operation="getAccountFunds")
            await tab.until("document.getElementById('faults').textContent.includes('http.slow')")
            assert [row[2:] for row in await rows(tab, "faults") if row[0] == "http.slow"] == [["0", "1"]]
            client = exchange.client("bob")
            await asyncio.to_thread(client.login_interactive)
            await asyncio.to_thread(client.account.get_account_funds)
            await tab.until("document.querySelector('#faults tbody tr').cells[2].textContent === '1'")
            fetched = await tab.value("performance.getEntriesByType('resource').map(each => each.name)")
            assert all(name.startswith(exchange.addresses.url) for name in fetched)

    asyncio.run(watch())


def test_what_was_refused_is_there_with_why(exchange: hr.RehearsalExchange) -> None:
    async def watch() -> None:
        async with showing(exchange.addresses.url) as tab:
            await tab.until("document.getElementById('link').textContent === 'live'")
            client = exchange.client("bob")
            await asyncio.to_thread(client.login_interactive)
            with pytest.raises(APIError, match="DSC-0018"):
                await asyncio.to_thread(client.betting.list_event_types, {"eventIds": 7})
            await tab.until("document.getElementById('refusals').textContent.includes('DSC-0018')")
            (shown, *_) = await rows(tab, "refusals")
            assert shown[1:] == ["bob", "listEventTypes", "DSC-0018", "eventIds is 7, expected a list"]

    asyncio.run(watch())


@pytest.mark.parametrize("table", ["markets", "bets"])
def test_the_tables_of_markets_and_bets_are_seen_whole_on_a_laptop(exchange: hr.RehearsalExchange, table: str) -> None:
    async def watch() -> None:
        client = exchange.client("alice")
        await asyncio.to_thread(client.login_interactive)
        number = await asyncio.to_thread(bet, exchange, client, 1000.0, 3.0)
        async with showing(exchange.addresses.url, 1280) as tab:
            await tab.until(f"document.getElementById('bets').textContent.includes('{number}')")
            scroll = f"document.querySelector('#{table} .scroll')"
            assert await tab.value(f"{scroll}.scrollWidth - {scroll}.clientWidth") == 0

    asyncio.run(watch())


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_width_of_a_screen(exchange: hr.RehearsalExchange, width: int) -> None:
    async def watch() -> None:
        async with showing(exchange.addresses.url, width) as tab:
            await tab.until("document.querySelectorAll('#markets tbody tr:not(.none)').length >= 2")
            assert await tab.value("document.documentElement.scrollWidth") <= width

    asyncio.run(watch())


def test_a_page_says_when_the_exchange_has_gone() -> None:
    async def watch() -> None:
        exchange = hr.RehearsalExchange(generate=1, speed="step")
        await asyncio.to_thread(exchange.start)
        try:
            async with showing(exchange.addresses.url) as tab:
                await tab.until("document.getElementById('link').textContent === 'live'")
                await asyncio.to_thread(exchange.stop)
                await tab.until("document.getElementById('link').textContent === 'connection lost'")
        finally:
            await asyncio.to_thread(exchange.stop)

    asyncio.run(watch())
