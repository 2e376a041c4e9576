"""What the coordinator writes down: requests before they are sent, what is heard of them, and what a full disk does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.actors.journal.entries import Kept, packed
from headrace.actors.journal.files import day_files
from headrace.actors.journal.journal import JournalError
from headrace.actors.letters import Carried
from headrace.strategies.messages import CANCEL, EXPIRED, PLACE, REFUSED, CancelInstruction, OrderFact, Reply, Request
from limits import most_bytes
from live_coordinators import NOW, Bench, placing, resting, trading


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = trading(tmp_path)
    yield bench
    bench.role.stop()


def written(bench: Bench, *kinds: type) -> list[Any]:
    """What of some kinds is in the journal."""
    return [each.message for each in bench.role.betting.journal.journal if isinstance(each.message, kinds)]


def cancelling(order_id: str, bet_id: str, request_id: str = "r9") -> Request:
    return Request(
        request_id, "1.1", "Backer", "Betfair", "trader", CANCEL, (CancelInstruction(order_id, bet_id),), asked_at=NOW
    )


def cannot_write(entries: object, durable: bool = False) -> None:
    raise JournalError("the disk is full")


def test_a_request_is_in_the_journal_before_it_is_sent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    send = bench.account.send

    def sending(request: Request) -> None:
        found.append(len(written(bench, Request)))
        send(request)

    monkeypatch.setattr(bench.account, "send", sending)

    bench.take("h1", Carried("s1.market", placing("a")))
    bench.take("h1", Carried("s1.market", placing("b", request_id="r2")))
    assert not bench.account.requests  # the batch is not over
    bench.role.caught_up(bench.now)

    assert found == [2, 2]
    assert [each.instructions[0].order_id for each in bench.account.requests] == ["a", "b"]


def test_what_a_host_hands_over_with_a_request_is_kept_with_it(bench: Bench) -> None:
    kept = packed(Kept(snapshot=b"snapshot"))
    bench.take("h1", Carried("s1.market", placing("a"), kept))
    bench.role.caught_up(bench.now)

    (entry,) = [each for each in bench.role.betting.journal.journal if isinstance(each.message, Request)]
    assert (entry.actor, entry.kept, entry.market_id) == ("h1.s1.market", kept, "1.1")
    assert entry.message == bench.account.requests[0]


def test_answers_and_facts_are_written_at_the_end_of_their_batch(bench: Bench) -> None:
    resting(bench, "a", "b1")
    assert len(written(bench, Reply)) == len(written(bench, OrderFact)) == 1

    bench.sees_bet("a", "b1", 1.0, matched=1.0, average=3.0)
    bench.sees_bet("a", "b1", 1.0, matched=1.0, average=3.0)
    assert [each.matched for each in written(bench, OrderFact)][-2:] == [1.0, 1.0]


def test_a_refused_request_is_written_with_its_refusal(bench: Bench) -> None:
    bench.role.stops.halt("a test says so")
    bench.asks(placing("a"))

    request, reply = written(bench, Request, Reply)
    assert (request.request_id, reply.request_id, reply.outcome) == ("h1.s1.market/r1", "h1.s1.market/r1", "REFUSED")
    assert not bench.account.requests


def test_on_a_full_disk_nothing_is_placed_and_bets_are_cancelled(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    resting(bench, "a", "b1")
    counted = bench.account.client.current_transaction_count_total
    monkeypatch.setattr(bench.role.betting.journal.journal, "add", cannot_write)

    bench.asks(placing("b", request_id="r2"))
    assert [each.kind for each in bench.account.requests] == ["PLACE"]  # the first one
    reply = bench.carried("h1")[-1]
    assert (reply.request_id, reply.outcome) == ("r2", EXPIRED)
    assert "cannot be written down first" in reply.reason
    assert bench.account.client.current_transaction_count_total == counted
    assert bench.role.betting.exposure.total() == 2.0
    state = bench.role.answers.state()
    assert not state["placing_allowed"]
    assert [each["text"] for each in state["events"] if each["kind"] == "JOURNAL"]

    bench.asks(cancelling("a", "b1"))
    assert bench.account.requests[-1].kind == CANCEL

    bench.asks(placing("c", request_id="r3"))
    assert bench.carried("h1")[-1].outcome == "REFUSED"

    monkeypatch.undo()
    bench.passes(1000)
    assert bench.role.answers.state()["placing_allowed"]
    bench.asks(placing("d", request_id="r4"))
    assert bench.account.requests[-1].instructions[0].order_id == "d"
    # What could not be written then is there now, with its answers.
    assert [each.request_id.partition("/")[2] for each in written(bench, Request)] == ["r1", "r2", "r9", "r3", "r4"]
    assert [each.outcome for each in written(bench, Reply)] == ["ANSWERED", EXPIRED, "REFUSED"]


def test_a_request_that_cannot_be_sent_is_answered_so_and_counts_for_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(request: Request) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(bench.account, "send", broken)
    bench.asks(placing("a"))

    reply: Any = bench.carried("h1")[-1]
    assert (reply.outcome, reply.reason) == (EXPIRED, "no such thing")
    assert bench.role.betting.exposure.total() == 0.0
    assert not bench.role.betting.coordinator.requests
    assert [failure.count for failure in bench.role.betting.failures] == [1]


def test_a_coordinator_that_is_started_again_on_a_full_disk_places_nothing_and_cancels(bench: Bench) -> None:
    resting(bench, "a", "b1")
    with most_bytes(0):
        bench.restarts()
        bench.ready()
        assert not bench.role.answers.state()["placing_allowed"]
        bench.asks(placing("b", request_id="r2"))
        bench.asks(cancelling("a", "b1"))
        assert [each.kind for each in bench.account.requests] == [CANCEL]
        answered = {each.request_id: each.outcome for each in bench.carried("h1") if isinstance(each, Reply)}
        assert answered["r2"] in (REFUSED, EXPIRED)
    bench.passes(1000)
    bench.sees_bet("a", "b1", 0.0, cancelled=2.0)
    bench.asks(placing("c", request_id="r3"))
    assert [each.kind for each in bench.account.requests] == [CANCEL, PLACE]


def test_damage_of_the_journal_is_alerted(bench: Bench) -> None:
    resting(bench, "a", "b1")
    folder = bench.role.betting.journal.journal.folder
    bench.role.stop()
    (path,) = day_files(folder)
    path.write_bytes(b"\xff" * path.stat().st_size)
    bench.restarts()
    bench.passes(1000)
    alerts = [each.text for each in bench.role.alerts.events if each.kind == "JOURNAL"]
    assert any("is damaged" in text and "set aside as" in text for text in alerts)
    assert sum("is damaged" in text for text in alerts) == 1
