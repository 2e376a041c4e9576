"""The rehearsal exchange as it runs: its loop, its control calls, its start and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from builders import Stream, priced
from headrace.simulate.exchange.faults import Fault
from headrace.simulate.exchange.plan import TOKEN_HEADER, Played
from headrace.simulate.exchange.service import Service
from headrace.simulate.exchange.settings import AccountSettings, ExchangeSettings, Timers
from headrace.strategies.errors import InputError

#: Seconds that anything may take here.
LONGEST = 20.0


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making them takes a while: all tests share them."""
    return tmp_path_factory.mktemp("certificates")


@contextlib.asynccontextmanager
async def serving(
    played: Played, certificates: Path, *, faults: tuple[Fault, ...] = (), ledger: Path | None = None, **settings: Any
) -> AsyncIterator[Service]:
    service = Service(played, ExchangeSettings(**settings), faults=faults, ledger=ledger, certificates=certificates)
    await service.start()
    running = asyncio.create_task(service.run())
    try:
        async with asyncio.timeout(LONGEST):
            yield service
            service.stopping.set()
            await running
    finally:
        running.cancel()
        await service.stop()


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.005)


class Client:
    """A client of the stream that reads what it is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def subscribed(cls, service: Service, buffer: int = 1 << 22, **request: Any) -> Client:
        """Connected, authenticated and subscribed to all markets."""
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        opened.connect(("127.0.0.1", service.addresses.stream))
        opened.setblocking(False)
        client = cls(*await asyncio.open_connection(sock=opened, limit=buffer))
        await client.read()
        account = service.settings.accounts[0]
        token = service.sessions.login(account.username, account.password)
        await client.ask(op="authentication", id=1, appKey=account.app_key, session=token)
        await client.ask(op="marketSubscription", id=2, **{"marketFilter": {}, "marketDataFilter": {}, **request})
        return client

    async def ask(self, **message: Any) -> dict[str, Any]:
        self._writer.write(msgspec.json.encode(message) + b"\r\n")
        answer = await self.read()
        assert answer["statusCode"] == "SUCCESS"
        return answer

    async def read(self) -> dict[str, Any]:
        return dict(json.loads(await self._reader.readline()))

    async def changes(self, number: int) -> list[dict[str, Any]]:
        """The next so many messages that hold changes."""
        found: list[dict[str, Any]] = []
        while len(found) < number:
            message = await self.read()
            if message.get("mc"):
                found.append(message)
        return found

    def close(self) -> None:
        self._writer.close()


async def call(service: Service, method: str, name: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
    headers = {TOKEN_HEADER: service.addresses.token if token is None else token}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, service.addresses.url + "rehearsal/" + name, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


# -- the loop --------------------------------------------------------------------------------------------------------


def test_messages_are_played_when_they_are_due(tmp_path: Path, certificates: Path) -> None:
    market = Stream("1.1")
    for at in range(1_000, 120_000, 1_000):
        market.prices(at, {1: {"ltp": at / 100}})
    path = market.write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, speed=20.0) as service:
            client = await Client.subscribed(service)
            for message in await client.changes(15):
                late = time.time() * 1000 - message["pt"]
                assert -5 <= late < 2_000
            client.close()

    run(test)


def test_time_goes_on_between_messages_and_after_the_last(tmp_path: Path, certificates: Path) -> None:
    path = Stream("1.1").close(50).write(tmp_path / "1.1")

    async def test() -> None:
        timers = Timers(settle=0.1, vanish=0.2, vanish_least=0.2)
        async with serving(Played(path), certificates, timers=timers) as service:
            await until(lambda: service.exchange.finished and not service.exchange.markets)
            assert [each.values["what"] for each in service.ledger.entries(kind="MARKET")] == [
                "OPENED", "CLOSED", "SETTLED", "VANISHED",
            ]  # fmt: skip
            _, state = await call(service, "GET", "state")
            assert state["finished"] is True

    run(test)


def test_what_a_request_makes_due_sooner_wakes_the_loop(tmp_path: Path, certificates: Path) -> None:
    path = Stream("1.1").touch(3_600_000).write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates) as service:
            await until(lambda: service.exchange.markets)
            await asyncio.sleep(0.05)
            service.exchange.tick()
            done: list[float] = []
            service.exchange.call_later(50, lambda: done.append(time.monotonic()))
            asked = time.monotonic()
            await until(lambda: done)
            assert 0.04 <= done[0] - asked < 5

    run(test)


def test_at_max_nothing_is_played_before_a_client_reads_and_then_all_of_it(tmp_path: Path, certificates: Path) -> None:
    market = Stream("1.1")
    for at in range(1, 3_001):
        market.prices(at * 100, {1: {"atb": [[2.0, at]]}})
    path = market.close(400_000).write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, speed="max") as service:
            await until(lambda: service.exchange.markets)
            await asyncio.sleep(0.1)
            assert service.exchange.next_message_at == service.timeline.start_ms + 100
            client = await Client.subscribed(service)
            sizes: list[float] = []
            while not sizes or sizes[-1] != 3_000:
                for message in await client.changes(1):
                    for change in message["mc"]:
                        sizes += [level[1] for rc in change.get("rc", ()) for level in rc.get("atb", ())]
            assert sizes == [float(size) for size in range(1, 3_001)]
            assert not service.timeline.stepped or not service.exchange.finished
            await until(lambda: service.exchange.finished and not service.timeline.stepped)
            client.close()

    run(test)


def test_at_max_a_client_that_does_not_read_is_waited_for(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.simulate.exchange.running.PATIENCE_S", 0.5)
    prices = [round(1.01 + step / 100, 2) for step in range(99)]
    market = Stream("1.1")
    for at in range(1, 4_001):
        market.prices(at, {1: {"atb": [[price, at] for price in prices]}})
    path = market.write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, speed="max") as service:
            fields = {"fields": ["EX_ALL_OFFERS"]}
            client = await Client.subscribed(service, buffer=1 << 14, marketDataFilter=fields)
            await until(lambda: any(each.unsent_bytes > 256_000 for each in service.stream.connections.values()))
            stood = service.exchange.next_message_at
            await asyncio.sleep(0.2)
            assert service.exchange.next_message_at == stood
            await until(lambda: service.exchange.next_message_at != stood)  # it is not waited for for ever
            client.close()

    run(test)


def test_behind_its_schedule_the_exchange_catches_up_and_serves_meanwhile(tmp_path: Path, certificates: Path) -> None:
    market = Stream("1.1")
    for at in range(1, 1_001):
        market.prices(1_000 + at, {1: {"atb": [[2.0, at]]}})
    path = market.touch(36_000_000).write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, speed=10_000.0) as service:
            play = service.exchange.play_next

            def play_slowly() -> bool:
                time.sleep(0.001)
                return play()

            service.exchange.play_next = play_slowly  # type: ignore[method-assign]
            seen = []
            while (due := service.exchange.next_message_at) is not None and due < service.timeline.start_ms + 3_000:
                _, state = await call(service, "GET", "state")
                seen.append(state["behind"])
            assert max(seen) > 0
            await until(lambda: service.runner.behind == 0.0)

    run(test)


def test_by_steps_so_many_messages_are_played_as_are_asked_for(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").touch(500).close(9_000).write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, speed="step", timers=Timers(settle=60.0)) as service:
            assert not service.exchange.markets
            assert await call(service, "POST", "step") == (200, {"played": 1})
            assert list(service.exchange.markets) == ["1.1"]
            assert await call(service, "POST", "step", {"messages": 2}) == (200, {"played": 2})
            assert service.exchange.next_message_at == service.timeline.start_ms + 9_000
            assert await call(service, "POST", "step", {"messages": 1}) == (200, {"played": 1})
            assert service.exchange.markets["1.1"].settled_at is None
            assert await call(service, "POST", "step", {"messages": 1}) == (200, {"played": 1})
            assert service.exchange.markets["1.1"].settled_at == service.timeline.start_ms + 69_000
            assert await call(service, "POST", "step", {"messages": 9}) == (200, {"played": 1})
            assert not service.exchange.markets

    run(test)


def test_a_message_that_cannot_be_played_does_not_stop_the_others(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = priced(market_id="1.1").touch(500).close(900).write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, speed="step") as service:
            played = service.exchange._play

            def fail_once(*values: Any) -> None:
                monkeypatch.setattr(service.exchange, "_play", played)
                raise ZeroDivisionError("a defect")

            await service.runner.step(1)
            monkeypatch.setattr(service.exchange, "_play", fail_once)
            await service.runner.step(3)
            assert service.exchange.markets["1.1"].closed_at is not None
            assert service.runner.failures == 1
            (entry,) = service.ledger.entries(kind="ERROR")
            assert "a defect" in entry.values["error"]

    run(test)


def test_what_is_due_and_fails_stops_nothing_else(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").touch(3_600_000).write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates) as service:
            done: list[bool] = []
            service.exchange.call_later(0, lambda: 1 / 0)
            service.exchange.call_later(20, lambda: done.append(True))
            await until(lambda: done)
            (entry,) = service.ledger.entries(kind="ERROR")
            assert "division by zero" in entry.values["error"]

    run(test)


# -- control ---------------------------------------------------------------------------------------------------------


def test_control_calls_need_the_token(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, speed="step") as service:
            for method, name in (("GET", "state"), ("POST", "step"), ("POST", "stop"), ("DELETE", "faults")):
                status, answer = await call(service, method, name, token="guessed")
                assert (status, "token" in answer["error"]) == (403, True)
            assert not service.exchange.markets
            assert not service.stopping.is_set()

    run(test)


def test_the_ledger_is_read_from_where_one_left_off(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").close(900).write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, speed="step") as service:
            await service.runner.step(3)
            _, first = await call(service, "GET", "ledger?most=1&kind=MARKET")
            assert [each["values"]["what"] for each in first["entries"]] == ["OPENED"]
            assert first["more"] is True
            _, rest = await call(service, "GET", f"ledger?kind=MARKET&after={first['entries'][0]['number']}")
            assert [each["values"]["what"] for each in rest["entries"]] == ["CLOSED", "SETTLED"]
            assert rest["more"] is False
            assert (await call(service, "GET", "ledger?after=x"))[0] == 400

    run(test)


def test_faults_are_set_up_listed_and_cleared(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").touch(500).touch(1_500).write(tmp_path / "1.1")

    async def test() -> None:
        first = Fault("stream.drop", times=None)
        async with serving(Played(path), certificates, speed="step", faults=(first,)) as service:
            await service.runner.step(1)
            status, answer = await call(service, "POST", "faults", {"kind": "event.suspend", "seconds": 0.5})
            assert status == 200
            assert [each["kind"] for each in answer["pending"]] == ["stream.drop", "event.suspend"]
            await service.runner.step(2)
            _, answer = await call(service, "GET", "faults")
            assert answer["counts"] == {"event.suspend": 1}
            assert [each["kind"] for each in answer["pending"]] == ["stream.drop"]
            assert answer["kinds"]["event.suspend"]
            _, answer = await call(service, "DELETE", "faults")
            assert answer["pending"] == []

    run(test)


@pytest.mark.parametrize(
    ("method", "name", "body", "status", "told"),
    [
        ("POST", "faults", {"kind": "stream.explode"}, 400, "not a kind of fault"),
        ("POST", "faults", {"kind": "stream.drop", "hours": 1}, 400, "no 'hours'"),
        ("POST", "faults", {"kind": "stream.drop", "seconds": "x"}, 400, "expected a number"),
        ("POST", "faults", {"kind": "stream.drop", "done": 3}, 400, "done is counted"),
        ("POST", "faults", [1], 400, "expected a fault"),
        ("POST", "step", {"messages": -1}, 400, "messages"),
        ("POST", "step", {"messages": True}, 400, "messages"),
        ("GET", "step", None, 405, "does not take GET"),
        ("GET", "explode", None, 404, "is not known"),
    ],
)
def test_a_control_call_that_says_nothing_is_refused(
    tmp_path: Path, certificates: Path, method: str, name: str, body: Any, status: int, told: str
) -> None:
    path = priced(market_id="1.1").write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, speed="step") as service:
            found, answer = await call(service, method, name, body)
            assert (found, told in answer["error"]) == (status, True), answer
            assert not service.faults.pending

    run(test)


def test_stop_ends_the_exchange(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").write(tmp_path / "1.1")

    async def test() -> None:
        service = Service(Played(path), ExchangeSettings(), certificates=certificates)
        await service.start()
        running = asyncio.create_task(service.run())
        async with asyncio.timeout(LONGEST):
            assert await call(service, "POST", "stop") == (200, {"stopping": True})
            await running
            await service.stop()
        with pytest.raises(OSError, match=r"."):
            socket.create_connection(("127.0.0.1", service.addresses.http), timeout=2)

    run(test)


# -- start and end ---------------------------------------------------------------------------------------------------


def test_the_ledger_file_holds_everything(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").close(900).write(tmp_path / "1.1")
    file = tmp_path / "ledger.jsonl"

    async def test() -> None:
        async with serving(Played(path), certificates, speed="step", ledger=file) as service:
            client = await Client.subscribed(service)
            await service.runner.step(3)
            await client.changes(2)
            client.close()

    run(test)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert {"MARKET", "CONNECTION", "REQUEST", "MESSAGE"} <= {line["kind"] for line in lines}
    assert "rehearsal-key" not in file.read_text()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"speed": 0.0}, "speed is 0.0"),
        ({"speed": -3}, "speed is -3"),
        ({"speed": float("nan")}, "speed is nan"),
        ({"speed": "fast"}, "speed is 'fast'"),
        ({"accounts": ()}, "no accounts"),
        ({"accounts": (AccountSettings(), AccountSettings(app_key="other"))}, "username 'rehearsal'"),
        ({"accounts": (AccountSettings(), AccountSettings("other"))}, "app_key 'rehearsal-key'"),
        ({"port": 70_000}, "port is 70000"),
    ],
)
def test_an_exchange_that_cannot_be_is_refused(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    path = priced(market_id="1.1").write(tmp_path / "1.1")

    async def test() -> None:
        with pytest.raises(InputError, match=told):
            Service(Played(path), ExchangeSettings(**settings))

    run(test)


def test_nothing_to_play_is_refused() -> None:
    async def test() -> None:
        with pytest.raises(InputError, match="nothing to play"):
            Service(Played(), ExchangeSettings())

    run(test)


def test_a_port_in_use_is_refused_and_nothing_stays_open(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").write(tmp_path / "1.1")

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for name in ("port", "stream_port", "plain_stream_port", "https_port", "certlogin_port"):
                settings = ExchangeSettings(**{name: port})
                service = Service(Played(path), settings, certificates=certificates)
                with pytest.raises(InputError, match=f"{name}={port}"):
                    await service.start()

    run(test)


def test_an_address_of_ipv6_is_written_in_brackets(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").write(tmp_path / "1.1")

    async def test() -> None:
        async with serving(Played(path), certificates, host="::1", speed="step") as service:
            assert service.addresses.url == f"http://[::1]:{service.addresses.http}/"
            assert (await call(service, "POST", "step"))[1] == {"played": 1}

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6; runs where ::1 can be listened at")
    run(test)


def test_recordings_and_made_up_markets_are_played_together(tmp_path: Path, certificates: Path) -> None:
    path = priced(market_id="1.1").touch(600_000).write(tmp_path / "1.1")

    async def test() -> None:
        played = Played(path, generate=2, sports=["tennis"], changes=60)
        async with serving(played, certificates) as service:
            await until(lambda: len(service.exchange.markets) == 3)
            assert "1.1" in service.exchange.markets

    run(test)
