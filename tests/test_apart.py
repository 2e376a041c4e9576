"""Market actors, the coordinator and the exchange stand apart, and orders end as they do in one process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace as hr
from apart import NO_LIMITS, ROOMS, Driver, Office, Outcome, Post, Room, clockwork, outcome, outcomes_of, play, steps_of
from builders import FLUMINE, MARKET, T0, Request, Script, Scripted, back, cancel, lay, priced, replace
from headrace.actors.remote import RemoteCoordinator, RemoteExchange
from headrace.actors.wire import encode, for_actor, for_coordinator
from headrace.simulate.generator import write_markets
from headrace.simulate.replay import Replay
from headrace.simulate.setup import Setup
from headrace.simulate.units import Unit
from headrace.strategies import messages
from headrace.strategies.clock import Clock
from headrace.strategies.host import Host, numbered_ids
from headrace.strategies.messages import ClearedMarket, ClearedOrder, MarketFact, OrderFact, PlaceInstruction, Reply
from stories import Story, stories

Actions = Mapping[int, Sequence[Request]]
Together = tuple[Replay, list[Any]]


def scripted(*actions: Actions, force: bool = True) -> list[Scripted]:
    return [
        Scripted(Script(each, force), name=f"Trader{number}", **NO_LIMITS) for number, each in enumerate(actions, 1)
    ]


def outcomes(strategies: Sequence[Scripted]) -> list[dict[str, Outcome]]:
    """How the orders of each script ended, by their names."""
    found = []
    for strategy in strategies:
        strategy.script._name_replacements()
        found.append({ref: outcome(order) for ref, order in strategy.script.orders.items()})
    return found


def together(
    path: str, strategies: Sequence[hr.Strategy], client: hr.BaseClient | None = None, **setup: Any
) -> Together:
    """The run in one process."""
    markets: list[Any] = []
    made = Setup(list(strategies), [client or hr.SimulatedClient()], hr.Config(), **setup)
    run = Replay(Unit(path, (path,)), made, markets.append)
    run.run()
    return run, markets


def apart(
    path: str,
    strategies: Sequence[hr.Strategy],
    seed: int,
    latest: int = 0,
    client: hr.BaseClient | None = None,
    coordinator: type[hr.Coordinator] = hr.Coordinator,
    logging_controls: Callable[[Any], object] | None = None,
) -> tuple[Office, list[Room]]:
    """The same, each strategy in a room of its own."""
    rooms = [Room(f"room{number}", [each], client=client) for number, each in enumerate(strategies, 1)]
    office = Office([room.name for room in rooms], None, client, coordinator, logging_controls)
    ways = {room.name: Post(seed + number, latest) for number, room in enumerate(rooms)}
    play(path, office, rooms, ways.__getitem__)
    return office, rooms


# -- every story -------------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(stories(), st.integers(0, 1_000_000))
def test_orders_end_as_in_one_process_whatever_the_order_and_number_of_messages(story: Story, seed: int) -> None:
    stream, actions = story
    with tempfile.TemporaryDirectory() as folder:
        path = stream.write(Path(folder) / stream.market_id)
        here = scripted(actions, actions)
        run, _ = together(path, here)
        there = scripted(actions, actions)
        office, rooms = apart(path, there, seed)
    assert outcomes(there) == outcomes(here)
    assert [counts(office.coordinator)] == [counts(run.coordinator)]
    assert not office.coordinator.requests
    assert [len(room.actor.failures) for room in rooms] == [0, 0]
    assert len(office.desk.failures) == len(run.failures)


def counts(coordinator: hr.Coordinator) -> list[dict[int, list[int]]]:
    return [client.transactions_by_hour for client in coordinator.clients]


# -- in three processes ------------------------------------------------------------------------------------------------


RECORDED = Path(__file__).parents[2] / "shared" / "recordings" / "1.197931750"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    (path,) = write_markets(tmp_path_factory.mktemp("apart") / "markets", 1, seed=3, changes=300, compression="none")
    return str(path)


def assert_three_processes_end_as_one(path: str, seeds: Sequence[int]) -> None:
    run, markets = together(path, [clockwork(room) for room in ROOMS])
    here = outcomes_of(markets)
    driver = Driver([(path, seed, 3) for seed in seeds])
    assert driver.exit_codes == [0, 0, 0]
    for office, rooms in zip(driver.office, driver.rooms, strict=True):
        for room in ROOMS:
            there, failures = rooms[room]
            assert there == {room: here[room]}
            assert failures == 0
        assert office["repeated"] > 100
        assert office["late"] > 100
        assert (office["under way"], office["failures"]) == (0, len(run.failures))
    traded = [each for orders in here.values() for each in orders]
    assert sum(each["matched"] > 0 for each in traded) > 20
    assert sum(each["cancelled"] > 0 for each in traded) > 40


def test_two_market_actors_and_a_coordinator_in_three_processes_trade_a_generated_market(generated: str) -> None:
    assert_three_processes_end_as_one(generated, seeds=(1, 20, 300))


@pytest.mark.skipif(not RECORDED.exists(), reason=f"no recording at {RECORDED}")
def test_two_market_actors_and_a_coordinator_in_three_processes_trade_a_recorded_market() -> None:
    assert_three_processes_end_as_one(str(RECORDED), seeds=(4, 50))


# -- what comes back through the door ----------------------------------------------------------------------------------


class Books(hr.Coordinator):
    """Keeps what it was told of results."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.results: list[tuple[str, list[tuple[str, float, float, int]]]] = []
        self.events: list[str] = []
        self.markets: list[tuple[str, str]] = []

    def add_market(self, market: MarketFact) -> None:
        self.markets.append((market.what, market.market_id))

    def remove_market(self, market: MarketFact) -> None:
        self.markets.append((market.what, market.market_id))

    def process_cleared_markets(self, market_id: str, markets: Sequence[ClearedMarket]) -> None:
        found = [(each.username, each.profit, each.commission, each.bet_count) for each in markets]
        self.results.append((market_id, found))

    def process_custom_event(self, event: Any) -> None:
        self.events.append(event.name)


def test_refused_by_the_accounts_limit_as_in_one_process(tmp_path: Path) -> None:
    path = priced().touch(400).touch(1000).touch(1500).close().write(tmp_path / MARKET)
    two: Actions = {100: [back("a", 2.0, 2.0), lay("b", 2.1, 2.0)], 1000: [back("c", 2.0, 3.0)]}
    limit = hr.SimulatedClient(transaction_limit=2)
    here, there = scripted(two, two), scripted(two, two)
    run, _ = together(path, here, client=limit)
    office, _ = apart(path, there, seed=5, client=limit)
    assert outcomes(there) == outcomes(here)
    assert [outcome["status"] for outcome in outcomes(there)[0].values()].count("VIOLATION") == 1
    assert [outcome["status"] for outcome in outcomes(there)[1].values()].count("VIOLATION") == 3
    assert office.coordinator.violations == run.coordinator.violations
    assert there[1].script.orders["a"].violation_msg == here[1].script.orders["a"].violation_msg


def test_what_a_control_of_the_market_refuses_is_counted_at_the_coordinator(tmp_path: Path) -> None:
    path = priced().touch(400).close().write(tmp_path / MARKET)
    wrong: Actions = {100: [back("a", 2.005, 2.0)]}
    here, there = scripted(wrong, force=False), scripted(wrong, force=False)
    run, _ = together(path, here)
    office, _ = apart(path, there, seed=1)
    assert len(run.coordinator.violations) == 1
    assert office.coordinator.violations == run.coordinator.violations


@pytest.mark.parametrize("latest", [0, 3])
def test_results_are_told_once_they_are_all_there(tmp_path: Path, latest: int) -> None:
    path = priced().touch(400).turn_in_play(1000).close(2000).touch(2100).write(tmp_path / MARKET)
    actions: Actions = {100: [back("a", 1.9, 4.0), lay("b", 2.2, 4.0), back("c", 5.0, 2.0)]}
    here, there = scripted(actions), scripted(actions)
    run, _ = together(path, here, coordinator=Books)
    office, _ = apart(path, there, seed=8, latest=latest, coordinator=Books)
    assert isinstance(run.coordinator, Books)
    assert isinstance(office.coordinator, Books)
    assert run.coordinator.results[-1][1][0][3] == 2
    assert office.coordinator.results[-1] == run.coordinator.results[-1]
    assert office.coordinator.markets == run.coordinator.markets == [("OPENED", MARKET), ("REMOVED", MARKET)]


def test_logging_controls_hear_of_the_same_events_by_rows(tmp_path: Path) -> None:
    path = priced().touch(400).close().write(tmp_path / MARKET)
    actions: Actions = {100: [back("a", 1.9, 4.0)]}
    heard: list[Any] = []
    apart(path, scripted(actions), seed=1, logging_controls=heard.append)
    assert [row.name for row in heard] == [
        "market", "trade", "order", "cleared_orders_meta", "cleared_markets", "closed_market"
    ]  # fmt: skip
    assert {row.market_id for row in heard if row.name != "cleared_markets"} <= {MARKET, None}
    assert heard[2].values["bet_id"] == heard[3].values["each"][0]["bet_id"]


# -- what comes late ---------------------------------------------------------------------------------------------------


def held(
    path: str, strategies: Sequence[hr.Strategy], from_ms: int, coordinator: type[hr.Coordinator] = hr.Coordinator
) -> tuple[Office, Room, list[bytes]]:
    """A run of one room to its last change; what it is told from `from_ms` on is held back, and answered in order."""
    room = Room("north", strategies)
    office = Office(["north"], kind=coordinator)
    kept: list[bytes] = []
    for step in steps_of(path):
        office.take(step)
        if step[0] < T0 + from_ms:
            room.receive(office.collect("north"), step[0])
        else:
            kept += office.collect("north")
        room.take(step)
        for data in room.collect():
            office.receive("north", data)
    return office, room, kept


def is_about(data: bytes, kind: type, operation: str | None = None) -> bool:
    message = for_actor(data)
    if not isinstance(message, kind):
        return False
    return operation is None or (isinstance(message, Reply) and message.reports[0].operation == operation)


def test_all_that_is_told_after_the_close_in_reverse_leads_to_the_same(tmp_path: Path) -> None:
    stream = priced().touch(400).touch(1000).prices(2000, {1: {"trd": [[2.3, 100]]}}).touch(2100).close(3000)
    path = stream.write(tmp_path / MARKET)
    actions: Actions = {100: [back("a", 2.2, 5.0), back("b", 1.9, 2.0)], 400: [replace("a", 2.12), back("c", 2.0, 3.0)]}
    here, there = scripted(actions), scripted(actions)
    run, _ = together(path, here, coordinator=Books)
    office, room, kept = held(path, there, from_ms=401, coordinator=Books)
    assert isinstance(run.coordinator, Books)
    assert isinstance(office.coordinator, Books)
    assert {type(for_actor(data)) for data in kept} == {Reply, OrderFact, ClearedOrder}
    assert office.coordinator.results == []
    room.receive(reversed(kept), T0 + 4000)
    assert "a'" in here[0].script.orders
    assert outcomes(there) == outcomes(here)
    assert hr.OrderStatus.EXPIRED not in [
        status for order in there[0].script.orders.values() for status in order.status_log
    ]
    for data in room.collect():
        office.receive("north", data)
    assert office.coordinator.results == run.coordinator.results


def test_the_result_of_an_earlier_settlement_that_comes_late_changes_nothing(tmp_path: Path) -> None:
    path = priced().touch(400).close(2000, winner=1).close(3000, winner=2).write(tmp_path / MARKET)
    actions: Actions = {100: [back("a", 1.9, 5.0)]}
    here, there = scripted(actions), scripted(actions)
    together(path, here)
    _, room, kept = held(path, there, from_ms=2000)
    results = [data for data in kept if is_about(data, ClearedOrder)]
    assert len(results) == 2
    room.receive([*[data for data in kept if data not in results], *reversed(results)], T0 + 4000)
    assert here[0].script.orders["a"].profit == -5.0
    assert outcomes(there) == outcomes(here)


def test_a_late_answer_to_another_request_does_not_complete_the_trade_of_an_order_that_is_replaced(
    tmp_path: Path,
) -> None:
    path = priced().touch(400).touch(1000).touch(2000).write(tmp_path / MARKET)
    actions: Actions = {100: [back("a", 2.2, 5.0)], 400: [cancel("a", 1.0)], 1000: [replace("a", 2.3)]}
    strategies = scripted(actions)
    room, office = Room("north", strategies), Office(["north"])
    letters: dict[int, list[bytes]] = {}
    for step in steps_of(path):
        office.take(step)
        at = step[0] - T0
        letters[at] = office.collect("north")
        if at < 2000:
            room.receive(letters[at], step[0])
        room.take(step)
        for data in room.collect():
            office.receive("north", data)
    again = [data for data in letters[1000] if is_about(data, Reply, "CANCEL")]
    facts = [data for data in letters[2000] if is_about(data, OrderFact)]
    assert len(again) == len(facts) == 1
    trade = strategies[0].script.orders["a"].trade
    room.receive([*facts, *again], T0 + 2000)
    assert trade.status is hr.TradeStatus.LIVE
    room.receive(letters[2000], T0 + 2000)
    assert [order.status.name for order in trade.orders] == ["EXECUTION_COMPLETE", "EXECUTABLE"]
    assert trade.status is hr.TradeStatus.LIVE


# -- requests that are not sent ----------------------------------------------------------------------------------------


def opened(tmp_path: Path) -> Office:
    """A coordinator whose exchange has a market, at 100 ms, which `north` hosts, and `south` not."""
    office = Office(["north", "south"])
    for step in steps_of(priced().write(tmp_path / MARKET)):
        office.take(step)
    office.receive("north", encode(MarketFact(MARKET, "OPENED", T0 + 100)))
    return office


def asks(request_id: str, order_id: str, **fields: Any) -> bytes:
    instruction = PlaceInstruction(order_id, order_id, 1, 0, "BACK", "LIMIT", 2.1, 2.0, persistence_type="LAPSE")
    client = hr.SimulatedClient()
    return encode(
        messages.Request(
            request_id, MARKET, "Trader", client.venue, client.username, "PLACE", (instruction,), T0 + 100, **fields
        )
    )


def told(office: Office, room: str) -> list[Any]:
    return [for_actor(data) for data in office.collect(room)]


def test_expired_where_it_comes_after_its_deadline(tmp_path: Path) -> None:
    office = opened(tmp_path)
    office.receive("north", asks("1", "a", deadline=T0 + 99))
    office.receive("north", asks("2", "b", deadline=T0 + 100))
    (reply,) = told(office, "north")
    assert (reply.request_id, reply.outcome) == ("1", "EXPIRED")
    assert reply.reason == "came 1 ms after its deadline"
    assert list(office.coordinator.requests) == ["north/2"]


def test_expired_where_the_market_is_not_open_at_the_coordinator(tmp_path: Path) -> None:
    office = opened(tmp_path)
    office.receive("south", asks("1", "a"))
    (reply,) = told(office, "south")
    assert (reply.request_id, reply.outcome) == ("1", "EXPIRED")
    assert told(office, "north") == []


def test_expired_where_the_exchange_has_given_the_market_up(tmp_path: Path) -> None:
    office = opened(tmp_path)
    office.desk.release_market(MARKET)
    office.receive("north", asks("1", "a"))
    (reply,) = told(office, "north")
    assert (reply.request_id, reply.outcome) == ("1", "EXPIRED")
    assert f"market {MARKET} is not at the exchange" in reply.reason
    assert counts(office.coordinator) == [{(T0 + 100) // 3_600_000: [0, 0]}]


def test_a_request_that_comes_twice_is_taken_once(tmp_path: Path) -> None:
    office = opened(tmp_path)
    for data in (asks("1", "a"), asks("1", "a"), asks("2", "a")):
        office.receive("north", data)
    office.desk.tick(T0 + 5000)
    replies = [each for each in told(office, "north") if isinstance(each, Reply)]
    assert [(each.request_id, each.reports[0].status) for each in replies] == [("1", "SUCCESS")]
    assert office.coordinator.clients.named("Simulated", "simulated").transaction_count_total == 1


def test_orders_of_two_actors_with_one_id_are_not_mixed_up(tmp_path: Path) -> None:
    office = opened(tmp_path)
    office.receive("south", encode(MarketFact(MARKET, "OPENED", T0 + 100)))
    office.receive("north", asks("1", "a"))
    office.receive("south", asks("1", "a"))
    (reply,) = told(office, "south")
    assert (reply.request_id, reply.outcome) == ("1", "EXPIRED")
    assert "order a is another actor's" in reply.reason


def test_the_market_is_given_up_when_the_last_actor_leaves(tmp_path: Path) -> None:
    office = opened(tmp_path)
    office.receive("south", encode(MarketFact(MARKET, "OPENED", T0 + 100)))
    office.receive("north", asks("1", "a"))
    office.switchboard.leave("south")
    assert list(office.coordinator.requests) == ["north/1"]
    office.switchboard.leave("north")
    assert not office.coordinator.requests


# -- what cannot stand apart -------------------------------------------------------------------------------------------


def test_bytes_that_are_no_message_are_refused_by_name() -> None:
    with pytest.raises(hr.HeadraceError, match="4 bytes are not a message of a market actor"):
        for_coordinator(b"\x81\xa1a\x01")
    with pytest.raises(hr.HeadraceError, match="bytes are not a reply, a fact or a result"):
        for_actor(encode(MarketFact(MARKET, "OPENED", 1)))


def test_the_peers_rules_cannot_stand_apart() -> None:
    with pytest.raises(hr.HeadraceError, match="compatibility='flumine'"):
        Room("north", [], config=FLUMINE)
    with pytest.raises(hr.HeadraceError, match="compatibility='flumine'"):
        Office(["north"], config=FLUMINE)


def test_a_control_of_accounts_is_given_to_the_coordinator() -> None:
    class Ours(hr.BaseControl):
        NAME, scope = "OURS", "account"

    host = Host(Clock(), hr.Config(), numbered_ids())
    coordinator = RemoteCoordinator([hr.SimulatedClient()], lambda message: None)
    with pytest.raises(hr.HeadraceError, match="Ours: scope is 'account': give it to the coordinator"):
        hr.MarketActor(host, [], coordinator, RemoteExchange(), trading_controls=[(Ours, {})])


def test_a_control_of_accounts_works_where_the_coordinator_stands() -> None:
    class Ours(hr.BaseControl):
        NAME, scope = "OURS", "account"

        def _validate(self, order: Any, package_type: Any) -> None:
            self._on_error(order, "no")

    host = Host(Clock(), hr.Config(), numbered_ids())
    coordinator = hr.Coordinator([hr.SimulatedClient()])
    sent: list[Any] = []
    coordinator.connect(host, SentTo(sent), trading_controls=[(Ours, {})])
    order = PlaceInstruction("1", "ref", 1, 0.0, "BACK", "LIMIT", 2.0, 2.0)
    coordinator.submit(messages.Request("1", MARKET, "mine", "Simulated", "simulated", "PLACE", (order,), 0))
    assert (sent, [each.control for each in coordinator.violations.values()]) == ([], ["OURS"])


class SentTo:
    """An exchange that keeps what it is sent."""

    def __init__(self, sent: list[Any]) -> None:
        self.send = sent.append


def test_names_of_actors_are_plain_and_their_own() -> None:
    office = Office(["north"])
    with pytest.raises(hr.HeadraceError, match="its name has a /; leave it out"):
        office.switchboard.join("north/2", lambda message: None)
    with pytest.raises(hr.HeadraceError, match="has joined before; give each a name of its own"):
        office.switchboard.join("north", lambda message: None)
    office.switchboard.join("north-2", lambda message: None)
