"""Latencies: constant, drawn around the constants, or as they were measured in a session; and that of the stream."""

from __future__ import annotations

import random
import statistics
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import T0, back, cancel, many, priced, replace, replay
from common_strategies import Backer
from headrace.simulate.latency import Latencies, latency_model
from headrace.strategies.messages import STREAM, OrderFact, Reply, Report
from live_hosts import ended_hosts
from test_session_replay import Session

__all__ = ["ended_hosts"]  # used by all tests that have a session

PLACE, CANCEL, UPDATE, REPLACE = (hr.OrderPackageType[name] for name in ("PLACE", "CANCEL", "UPDATE", "REPLACE"))


def drawn(latency: str, count: int = 4000, kind: Any = PLACE, seed: str = "s", **settings: Any) -> list[float]:
    model = latency_model(hr.Config(latency=latency, **settings)).for_requests(seed)
    return [model.seconds(kind) for _ in range(count)]


def arrived(result: hr.Result) -> dict[tuple[str, str, str], Any]:
    return {(row["strategy"], row["market_id"], row["order_id"]): row["placed_at"] for row in result.orders.to_pylist()}


# -- distributions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latency", [None, "constant"])
def test_constant_latencies_are_those_of_the_settings(latency: Any) -> None:
    model = latency_model(hr.Config(latency=latency, cancel_latency=0.3))
    assert [model.seconds(kind) for kind in (PLACE, CANCEL, UPDATE, REPLACE)] == [0.12, 0.3, 0.15, 0.28]
    assert model.for_requests("any") is model


def test_lognormal_latencies_have_the_constants_as_medians() -> None:
    """Of a spread of 0.5 one of a hundred is above exp(0.5 x 2.326) = 3.2 medians, and two of three in 0.61 to 1.65."""
    found = sorted(drawn("lognormal:0.5"))
    assert statistics.median(found) == pytest.approx(0.12, rel=0.05)
    assert found[3960] == pytest.approx(0.12 * 3.2, rel=0.15)
    assert 0.64 < sum(0.607 * 0.12 < each < 1.649 * 0.12 for each in found) / 4000 < 0.73
    assert statistics.median(drawn("lognormal:0.5", kind=CANCEL)) == pytest.approx(0.17, rel=0.05)


def test_uniform_latencies_lie_around_the_constants() -> None:
    found = drawn("uniform:0.5")
    assert 0.06 < min(found) < 0.061
    assert 0.179 < max(found) < 0.18
    assert statistics.mean(found) == pytest.approx(0.12, rel=0.05)


def test_draws_follow_the_seed_the_market_and_the_strategy_and_nothing_else() -> None:
    model = latency_model(hr.Config(latency="lognormal:0.5"))

    def three(strategy: str, market_id: str = "1.1", seed: int = 0, others: bool = False) -> list[float]:
        latencies = Latencies(model, hr.Config(seed=seed), market_id)
        found = []
        for _ in range(3):
            if others:
                latencies.seconds("other", "CANCEL")
            found.append(latencies.seconds(strategy, "PLACE"))
        return found

    assert three("a") == three("a") == three("a", others=True)
    assert len({tuple(each) for each in (three("a"), three("b"), three("a", "1.2"), three("a", seed=1))}) == 4
    assert len(set(three("a"))) == 3


def test_drawn_latencies_do_not_depend_on_how_markets_are_replayed(tmp_path: Path) -> None:
    folder = many(tmp_path / "markets", 6)
    config = hr.Config(latency="lognormal:0.8")
    files = sorted(str(path) for path in folder.iterdir())

    def run(markets: Any, *strategies: hr.Strategy, **settings: Any) -> hr.Result:
        chosen = hr.Config(latency="lognormal:0.8", **settings) if settings else config
        return hr.backtest(list(strategies) or [Backer()], markets, config=chosen, engine="local")

    first = run(files)
    there = arrived(first)
    assert len({moment.microsecond for moment in there.values()}) > 3, "each has a latency of its own"
    assert run(files[::-1]).digest == first.digest
    alone: dict[Any, Any] = {}
    for file in files:
        alone |= arrived(run(file))
    assert sorted(alone.values()) == sorted(there.values())
    both = arrived(run(files, Backer(name="Other", stake=3.0), Backer()))
    mine = sorted(moment for (name, _, _), moment in both.items() if name == "Backer")
    assert mine == sorted(there.values()), "another strategy's requests change nothing"
    assert sorted(arrived(run(files, seed=5)).values()) != sorted(there.values())


def test_a_set_of_a_sweep_has_the_latencies_that_it_has_alone(tmp_path: Path) -> None:
    folder, config = many(tmp_path / "markets", 3), hr.Config(latency="uniform:0.9")
    swept = hr.sweep(Backer, {"stake": [2.0, 3.0]}, folder, config=config, engine="local", orders=True, progress=False)
    for number, stake in enumerate((2.0, 3.0)):
        alone = hr.backtest(Backer(stake=stake), folder, config=config, engine="local")
        assert swept.result(number).digest == alone.digest


@pytest.mark.ray
def test_engines_draw_the_same_latencies(ray_local: None, tmp_path: Path) -> None:
    folder, config = many(tmp_path / "markets", 6), hr.Config(latency="lognormal:0.8", stream_latency=0.05)
    local, spread = (hr.backtest(Backer(), folder, config=config, engine=each) for each in ("local", "ray"))
    assert local.orders.num_rows > 3
    assert spread.digest == local.digest


class Odd(hr.DrawnLatency):
    """Each request takes 10 ms, or 20."""

    def quantile(self, package_type: Any, share: float) -> float:
        return 0.01 if share < 0.5 else 0.02


def test_a_models_own_distribution_is_drawn_from_the_seed_of_the_run() -> None:
    stream = priced()
    for at in range(200, 1000, 100):
        stream.touch(at)
    asked = {at: [back(f"{at}", 1.5, 2.0)] for at in range(200, 900, 100)}
    models = {"models": hr.Models(latency=Odd(hr.Config()))}
    took = []
    for seed in (0, 0, 1):
        played = replay(stream, asked, config=hr.Config(seed=seed), setup=models)
        took.append([_placed(order) - at for at, order in
                     zip(asked, played.orders.values(), strict=True)])  # fmt: skip
    assert took[0] == took[1] != took[2]
    assert set(took[0]) == {10, 20}


def _placed(order: hr.Order) -> int:
    placed = order.responses.date_time_placed
    assert placed is not None
    return round(placed.timestamp() * 1000) - T0


# -- the stream's own ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stream_latency", "matched"), [(0.0, 5.0), (0.05, 5.0), (0.2, 0.0)])
def test_a_request_leaves_when_the_book_was_seen(stream_latency: float, matched: float) -> None:
    """What was offered at 2.0 is gone at 300: an order of the book of 100 finds it if it comes before."""
    stream = priced().prices(300, {1: {"atb": [[2.0, 0]]}}).touch(900).close()
    played = replay(stream, {100: [back("a", 2.0, 5.0)]}, config=hr.Config(stream_latency=stream_latency))
    assert _placed(played["a"]) == 100 + 120 + round(stream_latency * 1000)
    assert played["a"].size_matched == matched


def test_every_request_is_behind_the_stream_and_the_bet_delay_comes_on_top() -> None:
    stream = priced().turn_in_play(200, bet_delay=1)
    for at in range(300, 5000, 100):
        stream.touch(at)
    asked = {300: [back("a", 3.0, 5.0), back("b", 3.0, 5.0)], 2000: [cancel("a"), replace("b", 4.0)]}
    played = replay(stream, asked, config=hr.Config(stream_latency=0.25))
    assert _placed(played["a"]) == 300 + 250 + 120 + 1000
    assert played.snapshots[2400]["a"].cancelled == 0.0
    assert played.snapshots[2500]["a"].cancelled == 5.0, "2000 + 250 + 170 = 2420"
    assert _placed(played["b'"]) == 2000 + 250 + 280 + 1000


def test_latency_of_the_stream_is_not_drawn() -> None:
    stream = priced().touch(900)
    asked = {100: [back("a", 3.0, 5.0)]}
    config = hr.Config(latency="uniform:0.5", seed=3)
    late = hr.Config(latency="uniform:0.5", seed=3, stream_latency=0.4)
    assert _placed(replay(stream, asked, config=late)["a"]) == _placed(replay(stream, asked, config=config)["a"]) + 400


# -- as they were measured -------------------------------------------------------------------------------------------


def recorded(tmp_path: Path) -> Path:
    """A placing that the order stream told of after 40 ms, and a cancel that was answered after 60: half-way is 30."""
    actions = {100: [back("a", 2.1, 5.0)], 180: [cancel("a")]}
    session = Session(tmp_path, actions)
    session.answer(session.placed(140), at=150)
    session.answer(session.reply(140), at=151)
    stream = priced().touch(180)
    session.change(stream, at=182)
    (asked,) = session.request.instructions
    # Something was matched before the cancel came: that says nothing of the cancel.
    told = (2.1, 5.0, "LAPSE", 1.0, 2.1, 4.0)
    session.answer(OrderFact("1.100000001", asked.order_id, "77", STREAM, T0 + 190, True, *told), at=195)
    report = Report(asked.order_id, "CANCEL", "SUCCESS", None, "77", 4.0)
    session.answer(Reply(session.request.request_id, "1.100000001", T0 + 242, reports=(report,)), at=242)
    session.change(stream.touch(400), at=401)
    session.driven.end()
    return tmp_path / "session"


def test_latencies_of_a_session_are_those_that_were_measured(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    model = latency_model(hr.Config(latency=f"session:{folder}"))
    assert isinstance(model, hr.SessionLatency)
    assert model.counts == {"PLACE": 1, "CANCEL": 1}
    assert [model.seconds(kind) for kind in (PLACE, CANCEL)] == [0.04, 0.03]
    assert [model.seconds(kind) for kind in (UPDATE, REPLACE)] == [0.15, 0.28], "never measured: the constants"


def test_latencies_of_a_session_are_drawn_from_all_of_an_operation() -> None:
    measured = [0.01, 0.02, 0.05]
    model = hr.SessionLatency(hr.Config(), {"PLACE": random.Random(1).sample(measured, 3)}).for_requests("s")
    found = [model.seconds(PLACE) for _ in range(900)]
    assert set(found) == set(measured)
    assert all(250 < found.count(each) < 350 for each in measured)
    assert [model.quantile(PLACE, share) for share in (0.001, 0.5, 0.999)] == measured


def test_a_backtest_has_the_latencies_of_a_session(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    path = priced().touch(900).close().write(tmp_path / "1.100000001")
    config = hr.Config(latency=f"session:{folder}")
    result = hr.backtest(Backer(), path, config=config, engine="local")
    plain = hr.backtest(Backer(), path, engine="local")
    order, other = result.orders.to_pylist()[0], plain.orders.to_pylist()[0]
    assert (other["placed_at"] - order["placed_at"]).total_seconds() == pytest.approx(0.08)
    assert result.manifest["models"]["latency"]["class"].endswith(".SessionLatency")
    assert repr(result).endswith("; latency SessionLatency>")


def test_a_run_with_a_session_of_other_latencies_is_not_resumed(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    path, config = priced().touch(900).close().write(tmp_path / "1.1"), hr.Config(latency=f"session:{folder}")
    hr.backtest(Backer(), path, config=config, engine="local", out=tmp_path / "out")
    hr.backtest(Backer(), path, config=config, engine="local", out=tmp_path / "out", resume=True)
    (tmp_path / "again").mkdir()
    other = Session(tmp_path / "again", {100: [back("a", 2.1, 5.0)]})
    other.answer(other.placed(145), at=150)
    other.driven.end()
    folder.rename(tmp_path / "former")
    (tmp_path / "again" / "session").rename(folder)
    with pytest.raises(hr.InputError, match=r"models\.latency.* was .* and is "):
        hr.backtest(Backer(), path, config=config, engine="local", out=tmp_path / "out", resume=True)


def test_requests_that_never_reached_the_exchange_are_not_measured(tmp_path: Path) -> None:
    session = Session(tmp_path)
    (asked,) = session.request.instructions
    report = Report(asked.order_id, "PLACE", "FAILURE")
    session.answer(Reply(session.request.request_id, "1.100000001", T0 + 105, "REFUSED", (report,), "RISK"), at=105)
    session.driven.end()
    with pytest.raises(hr.InputError, match=r"latency='session:.*': no request of this session reached an exchange"):
        latency_model(hr.Config(latency=f"session:{tmp_path / 'session'}"))


def test_a_session_that_cannot_be_read_is_refused_before_anything_is_replayed(tmp_path: Path) -> None:
    path = priced().close().write(tmp_path / "1.1")
    with pytest.raises(hr.InputError, match=r"latency='session:/nowhere/at/all': .*nowhere"):
        hr.backtest(Backer(), path, config=hr.Config(latency="session:/nowhere/at/all"), engine="local")
    with pytest.raises(hr.InputError, match=r"latency='session:.*is not of a recorded session"):
        hr.sweep(Backer, {"stake": [2.0]}, path, config=hr.Config(latency=f"session:{path}"), engine="local")
    with pytest.raises(hr.InputError, match="latency='session:/nowhere/at/all'"):
        hr.Live(config=hr.Config(latency="session:/nowhere/at/all"), engine="local")
    assert not (tmp_path / "out").exists()
