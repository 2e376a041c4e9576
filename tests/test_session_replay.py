"""A session that was recorded live, replayed: strategies decide as they did, and bets meet the market when they did."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import MARKET, T0, Stream, back, by_name, cancel, priced
from common_strategies import Backer
from headrace.actors.letters import Carried, MarketUpdate, UserEvent
from headrace.simulate.generator import write_markets
from headrace.simulate.session_replay import SessionReplay, find_session
from headrace.simulate.setup import Setup
from headrace.simulate.units import Unit
from headrace.strategies.messages import REFUSED, STREAM, OrderFact, Reply, Report, Request
from live_hosts import Diary, Driven, ended_hosts, live_setup, mixed, msg_for, scripted, updates_of

__all__ = ["ended_hosts"]  # used by all tests here


class Watching(Diary):
    """A diary that notes custom events, too."""

    def process_custom_event(self, market: Any, event: Any) -> None:
        self.note("event", market, event.event)


def late(driven: Driven, updates: Sequence[MarketUpdate], seed: int) -> None:
    """Bring changes late, some of them together, as a busy machine does; and events, one of them before its market."""
    draw = random.Random(seed)
    early = pickle.dumps(hr.CustomEvent({"number": "early"}))
    driven.deliver(UserEvent(early, awaits=True), at=updates[0].pt - 1)
    driven.deliver(UserEvent(early, awaits=True, market_ids=("1.9",)), at=updates[0].pt - 1)
    nobodys = pickle.dumps(hr.CustomEvent({"number": "nobody's"}, market_ids=[]))
    at = waiting = 0
    for number, update in enumerate(updates, 1):
        waiting += 1
        if number < len(updates) and draw.random() < 0.4:
            continue
        at = max(at + 1, update.pt + draw.randrange(1, 400))
        together = [msg_for(each, "s1.market") for each in updates[number - waiting : number]]
        driven.deliver(*together, at=at, sender="s1")
        waiting = 0
        if number % 50 == 0:
            driven.deliver(UserEvent(pickle.dumps(hr.CustomEvent({"number": number}))), at=at + 1)
            driven.deliver(UserEvent(nobodys), at=at + 1)


def replayed(folder: Path, strategies: list[hr.Strategy]) -> list[Any]:
    """The markets of a session's replay."""
    markets: list[Any] = []
    for path in find_session(str(folder), strategies):
        setup = Setup(strategies, [hr.SimulatedClient()], hr.Config(), session=True)
        run = SessionReplay(Unit(str(path), (path,)), setup, markets.append)
        run.run()
        assert [each.message for each in run.failures] == []
    return markets


@pytest.mark.parametrize("seed", range(6))
def test_a_paper_session_is_replayed_callback_by_callback(tmp_path: Path, seed: int) -> None:
    (path,) = write_markets(tmp_path / "markets", 1, seed=seed, changes=400, compression="none")
    updates = updates_of(str(path))
    live = Driven(live_setup([Watching(stake=4.0)], record=str(tmp_path / "session")))
    Watching(stake=4.0).pages.clear()  # there is one in each process
    late(live, updates, seed)
    (hosted,) = live.host.rooms["s1.market"].actor.hosted
    there = list(hosted.seats[0].strategy.pages)
    live.free(hosted.market_id)
    live.end()
    assert {page[0] for page in there} == {"new", "later", "check", "book", "orders", "event", "closed"}
    assert live.host._behind > 50
    hosted.seats[0].strategy.pages.clear()
    (market,) = replayed(tmp_path / "session", [Watching(stake=4.0)])
    assert market.seats[0].strategy.pages == there


def orders_of(table: Any) -> list[dict[str, Any]]:
    return [
        {name: each[name] for name in ("selection_id", "side", "price", "size", "status", "size_matched", "placed_at")}
        for each in table.to_pylist()
    ]


class Session:
    """A live account's session, whose exchange the test plays; runner 1 is backed at 2.0 at the first prices."""

    def __init__(self, folder: Path, actions: Any = None) -> None:
        self.folder = folder
        self.driven, self.script = mixed(
            folder, actions or {100: [back("a", 2.0, 5.0)]}, record=str(folder / "session")
        )
        self.updates: list[MarketUpdate] = updates_of(priced().write(folder / "taken"))

    def change(self, stream: Stream, at: int) -> None:
        """The last change of a stream comes."""
        *_, update = updates_of(stream.write(self.folder / "change"))
        self.driven.deliver(
            MarketUpdate("s1.market", MARKET, update.pt, 0, update.change, False, None), at=T0 + at, sender="s1"
        )

    @property
    def request(self) -> Request:
        return self.driven.office.requests[-1]

    def answer(self, message: Any, at: int) -> None:
        self.driven.deliver(Carried("s1.market", message), at=T0 + at)

    def placed(self, at: int, matched: float = 0.0) -> OrderFact:
        """What the order stream says of the last order, at a moment of the exchange."""
        (asked,) = self.request.instructions
        average, rest = 2.0 if matched else 0.0, 5.0 - matched
        asked_for = (2.0, 5.0, "LAPSE")
        return OrderFact(MARKET, asked.order_id, "77", STREAM, T0 + at, rest > 0, *asked_for, matched, average, rest)

    def reply(self, at: int, size: float = 0.0) -> Reply:
        (asked,) = self.request.instructions
        report = Report(asked.order_id, self.request.kind, "SUCCESS", None, "77", size, T0 + at)
        return Reply(self.request.request_id, MARKET, T0 + at, reports=(report,))

    def replay(self, *actions: Any) -> hr.Result:
        self.driven.end()
        trader = scripted(actions[0] if actions else {100: [back("a", 2.0, 5.0)]})
        return hr.backtest(trader, str(self.folder / "session"), session=True, engine="local")


def worse(stream: Stream, at: int) -> Stream:
    """Nobody offers 2.0 for runner 1 any more."""
    return stream.prices(at, {1: {"atb": [[2.0, 0]]}})


@pytest.mark.parametrize(("arrived", "matched"), [(139, 5.0), (141, 0.0), (170, 0.0)])
def test_a_request_meets_the_book_that_the_exchange_had_when_it_came(
    tmp_path: Path, arrived: int, matched: float
) -> None:
    """The change that was published at 140 was read at 145: until then it is not known that 140 has passed."""
    session = Session(tmp_path)
    session.change(worse(priced(), 140), at=145)
    session.answer(session.placed(arrived, matched), at=180)
    session.answer(session.reply(181, matched), at=181)
    (order,) = session.replay().orders.to_pylist()
    assert order["size_matched"] == matched
    assert order["placed_at"].timestamp() * 1000 == T0 + 181, "as the report said"


@pytest.mark.parametrize(("published", "matched"), [(149, 0.0), (151, 5.0)])
def test_where_the_order_stream_says_nothing_a_request_is_taken_to_have_come_half_way_to_its_answer(
    tmp_path: Path, published: int, matched: float
) -> None:
    session = Session(tmp_path)
    session.change(worse(priced(), published), at=published + 1)
    session.answer(session.reply(150, matched), at=200)
    (order,) = session.replay().orders.to_pylist()
    assert order["size_matched"] == matched


def test_a_request_that_was_refused_is_refused(tmp_path: Path) -> None:
    """Which limits the live system was at is not known to the replay; what they did is."""
    session = Session(tmp_path)
    (asked,) = session.request.instructions
    report = Report(asked.order_id, "PLACE", "FAILURE")
    refusal = Reply(session.request.request_id, MARKET, T0 + 105, REFUSED, (report,), "RISK", "exposure 101 of 100")
    session.answer(refusal, at=105)
    session.change(priced().touch(300), at=301)
    result = session.replay()
    (order,) = result.orders.to_pylist()
    assert (order["status"], order["size_matched"], order["bet_id"]) == ("VIOLATION", 0.0, None)
    assert result.transactions.num_rows == 0 or result.transactions.to_pylist()[0]["placed"] == 0


def test_trades_of_own_bets_match_no_others(tmp_path: Path) -> None:
    """A bet takes the 10 at 2.0 and another rests there: what the stream then counts as traded was the first bet's."""
    actions = {100: [back("a", 2.0, 12.0)]}
    session = Session(tmp_path, actions)
    (asked,) = session.request.instructions
    fact = OrderFact(MARKET, asked.order_id, "77", STREAM, T0 + 110, True, 2.0, 12.0, "LAPSE", 10.0, 2.0, 2.0)
    session.answer(fact, at=112)
    session.answer(session.reply(110, 10.0), at=113)
    stream = priced().prices(120, {1: {"atb": [[2.0, 0]], "atl": [[2.0, 2]], "trd": [[2.0, 120]]}})
    session.change(stream, at=121)
    session.change(stream.prices(300, {1: {"trd": [[2.0, 123]]}}), at=301)
    (order,) = session.replay(actions).orders.to_pylist()
    assert (order["size_matched"], order["size_remaining"]) == (11.5, 0.5)


def test_an_answer_is_taken_where_it_was(tmp_path: Path) -> None:
    """The bet was matched at 110. The strategy was shown two books before it heard of it, and cancels at neither."""
    seen: list[tuple[int, str]] = []

    def note(script: Any, market: Any) -> None:
        seen.append((market.clock.now_ms - T0, script.orders["a"].status.name))

    actions = {100: [back("a", 2.0, 5.0)], 120: [note], 130: [note], 160: [note]}
    session = Session(tmp_path, actions)
    stream = priced()
    for published, at in ((120, 121), (130, 134)):
        session.change(stream.touch(published), at=at)
    session.answer(session.placed(110, 5.0), at=140)
    session.answer(session.reply(110, 5.0), at=141)
    session.change(stream.touch(160), at=170)
    live, seen[:] = list(seen), []
    assert live == [(121, "PENDING"), (134, "PENDING"), (170, "EXECUTION_COMPLETE")]
    (order,) = session.replay(actions).orders.to_pylist()
    assert seen == live
    assert order["size_matched"] == 5.0


def test_a_request_that_the_session_did_not_make_has_the_latency_of_the_settings(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.answer(session.placed(110, 5.0), at=140)
    session.change(priced().touch(900), at=901)
    result = session.replay({100: [back("b", 2.0, 4.0)]})
    (order,) = result.orders.to_pylist()
    assert order["placed_at"].timestamp() * 1000 - T0 == 100 + 120


def test_cancels_reach_the_exchange_when_they_did(tmp_path: Path) -> None:
    """The runner trades at 190: before the cancel arrived, as the order stream said, and so the bet was matched."""
    actions = {100: [back("a", 2.1, 5.0)], 180: [cancel("a")]}
    session = Session(tmp_path, actions)
    session.answer(session.placed(110), at=120)
    session.answer(session.reply(110), at=121)
    stream = priced().touch(180)
    session.change(stream, at=182)
    assert session.request.kind == "CANCEL"
    session.change(stream.prices(190, {1: {"trd": [[2.1, 1000]]}}), at=191)
    session.change(stream.touch(300), at=301)
    (asked,) = session.request.instructions
    refused = Report(asked.order_id, "CANCEL", "FAILURE", "BET_TAKEN_OR_LAPSED")
    session.answer(Reply(session.request.request_id, MARKET, T0 + 302, reports=(refused,)), at=302)
    session.change(stream.touch(400), at=401)
    (order,) = session.replay(actions).orders.to_pylist()
    assert (order["size_matched"], order["size_cancelled"], order["status"]) == (5.0, 0.0, "EXECUTION_COMPLETE")


def test_what_was_matched_is_a_fill_though_the_exchange_tells_none(tmp_path: Path) -> None:
    """Live, the order stream tells sums; the result has them as one fill, and exposure follows from it."""
    session = Session(tmp_path)
    session.answer(session.placed(110, 3.0), at=112)
    session.answer(session.reply(110, 3.0), at=113)
    session.answer(session.placed(140, 5.0), at=142)
    session.driven.free(MARKET)
    session.driven.end()
    (fill,) = by_name("fills", session.driven.rows("fills"))
    assert (fill["time"] - T0, fill["price"], fill["size"]) == (140, 2.0, 5.0)
    (market,) = by_name("markets", session.driven.rows("markets"))
    assert (market["matched"], market["exposure"]) == (5.0, 5.0)


# -- what cannot be replayed -------------------------------------------------------------------------------------------


def test_a_recording_that_is_not_of_a_session_is_refused(tmp_path: Path) -> None:
    path = priced().close().write(tmp_path / MARKET)
    with pytest.raises(hr.InputError, match=r"no session here: .*line 1: is not of a recorded session, as hr\.Live"):
        hr.backtest(Backer(), path, session=True)


def test_strategies_of_another_name_are_told_whose_the_session_is(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.driven.end()
    with pytest.raises(hr.InputError, match=r"no market at which Backer traded together; .* of one stream: Trader"):
        hr.backtest(Backer(), str(tmp_path / "session"), session=True)


def test_the_rules_of_the_peer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="session=True: a live session has our own rules"):
        hr.backtest(Backer(), str(tmp_path), session=True, config=hr.Config(compatibility="flumine"))


def test_a_damaged_line_is_a_failure_with_its_place(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.driven.end()
    (packed,) = (tmp_path / "session").rglob(f"{MARKET}.bz2")
    lines = hr_lines(packed)
    plain = packed.with_suffix("")
    packed.unlink()
    plain.write_bytes(b"\n".join([*lines[:3], b'{"op":"mcm",', *lines[3:]]))
    result = hr.backtest(Backer(name="Trader"), str(tmp_path / "session"), session=True, engine="local")
    (failure,) = result.failures.to_pylist()
    assert failure["line"] == f"{plain}:4"
    assert "is not a line of a recorded session: " in failure["message"]


def test_a_session_is_a_recording_as_any_other(tmp_path: Path) -> None:
    """Without `session=True` every change is shown, at its publish time."""
    (path,) = write_markets(tmp_path / "markets", 1, seed=2, changes=200, compression="none")
    live = Driven(live_setup([Backer()], record=str(tmp_path / "session")))
    late(live, updates_of(str(path)), 1)
    live.end()
    there = hr.backtest(Backer(), str(tmp_path / "session" / "hosts" / "h1" / "session"), engine="local")
    assert there.failures.to_pylist() == []
    assert orders_of(there.orders) == orders_of(hr.backtest(Backer(), str(path), engine="local").orders)


def hr_lines(path: Path) -> list[bytes]:
    import bz2

    return bz2.decompress(path.read_bytes()).split(b"\n")
