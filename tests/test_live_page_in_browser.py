"""The page of a live system in a real browser: it changes by itself, fits a phone, and asks before it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from browser import Tab, browser, showing
from live_states import market, order, state
from test_live_page import TOKEN, Running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason="no Chromium or Chrome on this machine; install one to run this"),
]


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.close()


def address(running: Running) -> str:
    return f"{running.url}?token={TOKEN}"


async def rows(tab: Tab, table: str) -> list[list[str]]:
    found: list[list[str]] = await tab.value(
        f"[...document.querySelectorAll('#{table} tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return found


async def text(tab: Tab, element: str) -> str:
    found: str = await tab.value(f"document.getElementById('{element}').innerText")
    return found


def test_it_shows_everything_and_changes_without_reloading(running: Running) -> None:
    async def watch() -> None:
        async with showing(address(running)) as tab:
            await tab.until("document.querySelectorAll('#markets tbody tr:not(.none)').length === 4")
            assert [row[:2] for row in await rows(tab, "strategies")] == [
                ["BackTheFavourite", "3"],
                ["LayTheField", "1"],
            ]
            assert (await rows(tab, "strategies"))[0][4:] == ["16.00", "14.50", "2.25"]
            first = (await rows(tab, "markets"))[0]
            assert first[:5] == ["1.200000001", "14:30 Ascot · 2m Hcap Hrd", "OPEN", "yes", "BackTheFavourite"]
            assert first[5:10] == ["3", "2", "14.00", "14.00", "-1.25"]
            assert [row[6] for row in await rows(tab, "orders")] == ["3.45", "SP", "3.45"]
            assert (await rows(tab, "latency"))[1][1:] == ["5", "12.5", "121", "121"]
            assert await rows(tab, "risk") == [
                ["exposure, GBP", "100.00", "14.50"],
                ["loss since 00:00 Europe/London, GBP", "", "12.25"],
                ["settled today, GBP", "", "2.25"],
                ["orders in the last second", "20", "3"],
            ]
            assert (await rows(tab, "events"))[0] == ["22:13:18", "ORDER", "order 1 was placed at 1.200000001"]
            assert await tab.value("document.getElementById('notices').hidden") is True
            running.coordinator.state = state(
                markets=[market(1, orders=4, live=0, matched=24.0, profit=7.75)],
                orders=[order(5, in_doubt=True)],
                placing_allowed=False,
            )
            await tab.until("document.querySelectorAll('#markets tbody tr').length === 1")
            assert (await rows(tab, "markets"))[0][5:10] == ["4", "0", "24.00", "0.00", "7.75"]
            assert (await text(tab, "notices")).splitlines() == [
                "No orders are placed now",
                "1 order is in doubt: it is not known whether the exchange has it",
            ]
            running.coordinator.state = state(markets=[], orders=[], streams=[], hosts=[])
            await tab.until("!!document.querySelector('#markets tbody tr.none')")
            assert await rows(tab, "orders") == [["none"]]

    asyncio.run(watch())


def test_nothing_of_the_users_runs_as_markup_and_nothing_is_fetched_from_elsewhere(running: Running) -> None:
    nasty = "<img src=x onerror=\"document.title='gotcha'\"><script>document.title='gotcha'</script>"
    running.coordinator.state = state(
        markets=[market(1, strategy=nasty, event=nasty, name=None)],
        events=[{"at": 1, "kind": nasty, "text": nasty}],
        stopping=nasty,
    )

    async def watch() -> None:
        async with showing(address(running)) as tab:
            await tab.until("!!document.querySelector('#notices li')")
            assert (await rows(tab, "markets"))[0][4] == nasty
            assert await tab.value("document.title") == "Headrace"
            assert await tab.value("document.querySelectorAll('img, main script, #notices script').length") == 0
            fetched = await tab.value(
                "performance.getEntriesByType('resource').map(each => new URL(each.name).pathname)"
            )
            assert set(fetched) <= {"/events"}

    asyncio.run(watch())


def test_stopping_is_asked_for_and_can_be_declined(running: Running) -> None:
    async def press(tab: Tab, button: str) -> None:
        await tab.value(f"document.getElementById('{button}').click()")

    async def watch() -> None:
        async with showing(address(running)) as tab:
            await tab.until("!document.getElementById('stop').disabled")
            await press(tab, "stop")
            await tab.until("document.getElementById('confirm').open")
            assert "orders at the exchange are cancelled (3 are live now)" in await text(tab, "what")
            await press(tab, "keep")
            assert await tab.value("document.getElementById('confirm').open") is False
            await asyncio.sleep(0.3)
            assert running.coordinator.stops == []
            await press(tab, "stop")
            await press(tab, "really")
            await tab.until("!document.getElementById('confirm').open")
            assert running.coordinator.stops == ["STOP: the stop switch of the page"]
            running.coordinator.state = state(stopping="the stop switch of the page", placing_allowed=False)
            await tab.until("document.getElementById('stop').disabled")
            assert await text(tab, "notices") == "Stopping: the stop switch of the page"

    asyncio.run(watch())


def test_a_stop_that_does_not_arrive_says_so(running: Running) -> None:
    async def watch() -> None:
        async with showing(address(running)) as tab:
            await tab.until("!document.getElementById('stop').disabled")
            await tab.value("document.getElementById('stop').click()")
            await asyncio.to_thread(running.close)
            await tab.value("document.getElementById('really').click()")
            await tab.until("!document.getElementById('refused').hidden")
            assert "It was not stopped" in await text(tab, "refused")
            assert await tab.value("document.getElementById('confirm').open") is True
            assert await text(tab, "link") == "connection lost"

    asyncio.run(watch())


def test_a_coordinator_that_tells_nothing_is_shown_as_silent(running: Running) -> None:
    async def watch() -> None:
        async with showing(address(running)) as tab:
            await tab.until("document.getElementById('link').textContent === 'live'")
            running.coordinator.state = None
            await tab.until("document.getElementById('link').textContent.startsWith('no news for')")

    asyncio.run(watch())


def test_a_word_finds_markets_strategies_and_orders(running: Running) -> None:
    async def watch() -> None:
        async with showing(address(running)) as tab:
            await tab.until("document.querySelectorAll('#markets tbody tr:not(.none)').length === 4")
            find = (
                "const find = document.getElementById('find'); find.value = %r; find.dispatchEvent(new Event('input'))"
            )
            await tab.value(find % "laythe")
            await tab.until("document.querySelectorAll('#markets tbody tr').length === 1")
            assert [row[3] for row in await rows(tab, "orders")] == ["LayTheField"]
            await asyncio.sleep(1.0)  # the next states keep to it
            assert len(await rows(tab, "markets")) == 1

    asyncio.run(watch())


class Resting(hr.Strategy):
    """Backs the first runner of each market far above what anybody offers."""

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.status == "OPEN" and not market.blotter.strategy_orders(self)

    def process_market_book(self, market: Any, book: Any) -> None:
        trade = hr.Trade(market.market_id, book.runners[0].selection_id, book.runners[0].handicap, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(990.0, 2.0)))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_system_at_the_rehearsal_exchange_is_watched_and_stopped(tmp_path: Path, width: int) -> None:
    async def watch(live: hr.Live) -> None:
        async with showing(live.page_url, width=width) as tab:
            bets = "[...document.querySelectorAll('#orders tbody tr')].filter(row => row.cells[1]?.textContent)"
            await tab.until(f"{bets}.length === 2")
            assert {row[6] for row in await rows(tab, "orders")} == {"990"}
            # Hosts tell of their markets each second.
            await tab.until("document.querySelector('#strategies tbody tr').cells[3]?.textContent === '2'")
            changes = "[...document.querySelectorAll('#streams tbody tr')].map(row => Number(row.cells[6].textContent))"
            await tab.until(f"Math.max(...{changes}) > 5")
            assert await tab.value("document.documentElement.scrollWidth") <= width
            assert (await rows(tab, "clients"))[0][:4] == ["alice", "Betfair", "live", "open"]
            await tab.screenshot(tmp_path / "page.png")
            await tab.value("document.getElementById('stop').click()")
            assert "(2 are live now)" in await text(tab, "what")
            await tab.value("document.getElementById('really').click()")
            assert await asyncio.to_thread(live.wait, 30)

    with hr.RehearsalExchange(generate=2, speed=5, seed=3, accounts=["alice"]) as exchange:
        live = hr.Live(engine="local", instance=tmp_path / "instance")
        live.add_client(hr.BetfairClient(exchange.client("alice")))
        live.add_strategy(Resting())
        live.start()
        try:
            asyncio.run(watch(live))
        finally:
            result = live.end()
        assert [row["size_cancelled"] for row in result.orders.to_pylist()] == [2.0, 2.0]
        assert live.page_url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen_with_many_markets(running: Running, width: int, tmp_path: Any) -> None:
    running.coordinator.state = state(
        markets=[
            market(n, orders=n % 3, live=n % 2, matched=123_456.78, exposure=9_999.5, profit=(-1) ** n * 12.5)
            for n in range(250)
        ],
        events=[{"at": 1_700_000_000_000 + n, "kind": "ORDER", "text": "a long line " * 12} for n in range(200)],
        placing_allowed=False,
    )

    async def watch() -> None:
        async with showing(address(running), width=width) as tab:
            await tab.until("document.querySelectorAll('#markets tbody tr').length === 200")
            assert await tab.value("document.documentElement.scrollWidth") <= width
            assert (await text(tab, "markets")).startswith("Markets 200 of 250")
            right = "Math.max(...[...document.querySelectorAll('button:not(dialog *), input, .tile, h2, #notices, td')]"
            outside = "filter(each => each.getClientRects().length && !each.closest('.scroll')?.matches(':hover'))"
            assert (
                await tab.value(
                    f"{right}.{outside}.map(each => each.tagName === 'TD' && innerWidth > 640 ? 0 : "
                    "each.getBoundingClientRect().right))"
                )
                <= width
            )
            await tab.screenshot(tmp_path / "page.png")
            assert (tmp_path / "page.png").stat().st_size > 10_000

    asyncio.run(watch())
