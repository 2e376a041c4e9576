"""Models of the simulated exchange, chosen by name: what they change, where they are told, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import MARKET, Stream, back, many, priced, replay
from command import call
from common_strategies import Backer, Idle, source_of

WORDS = {
    "queue": "proportional",
    "liquidity": "finite",
    "latency": "constant",
    "removals": "betfair",
    "settlement": "betfair",
    "commission": "market",
}


class Front(hr.QueueModel):
    """Nobody is ever ahead."""

    def ahead(self, levels: Any, price: float) -> float:
        return 0.0


@pytest.fixture
def market(tmp_path: Path) -> str:
    return priced().touch(400).close(1_000_000).write(tmp_path / MARKET)


# -- what they change ------------------------------------------------------------------------------------------------


def cancelled_and_traded() -> Stream:
    """Six wait at 2.1, then twelve; six of them cancel, then five are traded, which the stream counts twice."""
    stream = priced().prices(300, {1: {"atl": [[2.1, 12]]}}).prices(400, {1: {"atl": [[2.1, 6]]}})
    return stream.prices(500, {1: {"trd": [[2.1, 20]], "atl": [[2.1, 1]]}}).touch(900).close()


@pytest.mark.parametrize(
    ("queue", "matched"), [("pessimistic", 0.0), (None, 2.0), ("proportional", 2.0), ("optimistic", 5.0)]
)
def test_queue_says_which_cancellations_were_ahead(queue: Any, matched: float) -> None:
    played = replay(cancelled_and_traded(), {100: [back("a", 2.1, 10.0)]}, config=hr.Config(queue=queue))
    assert played["a"].size_matched == matched


@pytest.mark.parametrize(("liquidity", "matched"), [("finite", 0.0), (None, 0.0), ("flumine", 10.0)])
def test_liquidity_says_whether_what_was_taken_is_there_again(liquidity: Any, matched: float) -> None:
    asked = {100: [back("a", 2.0, 10.0)], 400: [back("b", 2.0, 10.0)]}
    played = replay(priced().touch(400).touch(900).close(), asked, config=hr.Config(liquidity=liquidity))
    assert (played["a"].size_matched, played["b"].size_matched) == (10.0, matched)


@pytest.mark.parametrize(("settlement", "voided"), [("betfair", 5.0), (None, 5.0), ("flumine", 0.0)])
def test_settlement_says_what_becomes_of_bets_on_runners_that_are_removed(settlement: Any, voided: float) -> None:
    """The recording does not tell the removed runner's factor: the peer then does nothing."""
    stream = priced().touch(400).remove(600, 1, None).touch(900)
    played = replay(stream, {100: [back("a", 2.0, 5.0)]}, config=hr.Config(settlement=settlement))
    assert played["a"].size_voided == voided


@pytest.mark.parametrize(
    ("commission", "own", "rate"),
    [("market", None, 0.02), (None, None, 0.02), ("flumine", None, 0.05), ("flumine", 0.03, 0.03)],
)
def test_commission_is_the_markets_or_five_per_cent_and_the_clients_own_goes_first(
    commission: Any, own: float | None, rate: float
) -> None:
    """10 at 2.0 win 10."""
    stream = priced(marketBaseRate=2).touch(400).close(winner=1)
    client = hr.SimulatedClient(commission_base=own)
    played = replay(stream, {100: [back("a", 2.0, 10.0)]}, config=hr.Config(commission=commission), client=client)
    assert played.cleared is not None
    assert played.cleared["commission"] == round(10 * rate, 2)


# -- where they are told ---------------------------------------------------------------------------------------------


def run(market: str, **keywords: Any) -> hr.Result:
    return hr.backtest(Backer(), market, engine="local", **keywords)


def test_manifest_names_the_models(market: str) -> None:
    assert run(market).manifest["models"] == WORDS
    config = hr.Config(queue="pessimistic", settlement="flumine", latency="lognormal:0.5")
    told = {"queue": "pessimistic", "removals": "flumine", "settlement": "flumine", "latency": "lognormal:0.5"}
    assert run(market, config=config).manifest["models"] == {**WORDS, **told}
    peer = run(market, config=hr.Config(compatibility="flumine")).manifest["models"]
    assert peer == {**dict.fromkeys(WORDS, "flumine"), "latency": "constant"}


def test_manifest_tells_the_users_own_models_by_their_classes(market: str) -> None:
    simulation = hr.Simulation(market, models=hr.Models(queue=Front()), engine="local")
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(Idle())
    result = simulation.run()
    assert result.manifest["models"]["queue"]["class"].endswith(".Front")
    assert result.manifest["models"]["liquidity"] == "finite"
    assert repr(result).endswith("0 failures; queue Front>")


def test_manifest_of_a_sweep_names_them_too(market: str) -> None:
    config = hr.Config(liquidity="flumine")
    sweep = hr.sweep(Backer, {"stake": [2.0, 3.0]}, market, config=config, engine="local", progress=False)
    assert sweep.manifest["models"] == {**WORDS, "liquidity": "flumine"}
    assert "; liquidity flumine; " in repr(sweep)
    assert "simulated with liquidity flumine" in sweep._repr_html_()


def test_result_tells_the_models_that_are_not_the_defaults(market: str, tmp_path: Path) -> None:
    plain, chosen = run(market), run(market, config=hr.Config(queue="optimistic", liquidity="flumine"))
    assert repr(plain).endswith("0 failures>")
    assert repr(chosen).endswith("0 failures; queue optimistic, liquidity flumine>")
    assert "simulated with" not in plain._repr_html_()
    assert "simulated with queue optimistic, liquidity flumine" in chosen._repr_html_()
    page = chosen.to_html(tmp_path / "page.html").read_text()
    assert "Models of the simulated exchange" in page
    assert "optimistic" in page
    assert repr(run(market, config=hr.Config(compatibility="flumine"))).endswith("0 failures; compatibility flumine>")


def test_result_of_a_folder_that_does_not_tell_its_models_is_shown_without(market: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(market, config=hr.Config(queue="optimistic"), out=out)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["models"] = {"class": "headrace.simulate.models.Models", "queue": None}
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert repr(hr.Result.load(out)).endswith("0 failures>")


def test_a_run_with_other_models_is_not_resumed(market: str, tmp_path: Path) -> None:
    run(market, out=tmp_path / "out")
    with pytest.raises(hr.InputError, match="the setting queue was None and is 'pessimistic'"):
        run(market, out=tmp_path / "out", resume=True, config=hr.Config(queue="pessimistic"))
    assert run(market, out=tmp_path / "out", resume=True).manifest["models"] == WORDS


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"queue": "pesimistic"}, "queue='pesimistic': expected 'proportional', .*; did you mean 'pessimistic'"),
        ({"liquidity": "infinite"}, "expected 'finite', 'flumine' or None; did you mean 'finite'"),
        ({"settlement": "betfare"}, "did you mean 'betfair'"),
        ({"commission": "markets"}, "expected 'market', 'flumine' or None; did you mean 'market'"),
        ({"latency": "lognormel:0.5"}, "expected 'constant', 'lognormal:SPREAD', .* did you mean 'lognormal'"),
        ({"latency": "lognormal"}, "latency='lognormal': expected a spread above 0, up to 3, such as 'lognormal:0.5'"),
        ({"latency": "lognormal:wide"}, "latency='lognormal:wide': expected a spread above 0"),
        ({"latency": "lognormal:nan"}, "expected a spread above 0"),
        ({"latency": "lognormal:4"}, "up to 3"),
        ({"latency": "uniform:1.5"}, "expected a spread above 0, up to 1"),
        ({"latency": "session:"}, "expected the folder of a recorded session"),
        ({"latency": "constant:3"}, "expected nothing after 'constant'"),
        ({"latency": 0.2}, "latency=0.2: expected a text or None"),
        ({"stream_latency": -0.1}, "stream_latency=-0.1: expected seconds, 0 or more"),
    ],
)  # fmt: skip
def test_model_that_there_is_not_is_refused_and_the_nearest_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(hr.ConfigError, match=said):
        hr.Config(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"queue": "proportional"},
        {"liquidity": "finite"},
        {"settlement": "betfair"},
        {"commission": "market"},
        {"latency": "uniform:0.5"},
        {"stream_latency": 0.1},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_compatibility_has_the_peers_models(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(hr.ConfigError, match=rf"{name}=.*: compatibility='flumine' has .*; leave one of the two out"):
        hr.Config(compatibility="flumine", **settings)
    same = {"latency": "constant", "stream_latency": 0.0}.get(name, "flumine")
    assert getattr(hr.Config(compatibility="flumine", **{name: same}), name) == same


def test_a_model_is_not_given_twice(market: str) -> None:
    config = hr.Config(queue="pessimistic")
    simulation = hr.Simulation(market, config=config, models=hr.Models(queue=Front()), engine="local")
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(Idle())
    with pytest.raises(hr.ConfigError, match=r"queue='pessimistic': hr\.Models has queue=Front as well; leave one of"):
        simulation.run()


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "modelled_code.py"
    path.write_text(source_of(Backer))
    return path


def test_command_line_environment_and_file_choose_models(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("backtest", f"{code}:Backer", "-m", many(tmp_path / "markets", 1), "--engine", "local", "--quiet")
    assert (
        "simulated with queue pessimistic, latency uniform:0.5"
        in call(*words, "--set", "queue=pessimistic", "--set", "latency=uniform:0.5").output
    )
    monkeypatch.setenv("HEADRACE_LIQUIDITY", "flumine")
    assert "simulated with liquidity flumine\n" in call(*words).output
    file = tmp_path / "headrace.toml"
    file.write_text('[headrace]\nsettlement = "flumine"\n')
    assert "simulated with removals flumine, settlement flumine\n" in call(*words, "--config", file).output
    sweep = ("sweep", *words[1:], "-p", "stake=2,3")
    assert (
        "simulated with liquidity flumine, commission flumine\n" in call(*sweep, "--set", "commission=flumine").output
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"queue": "optimistic"}, r"queue='optimistic'\): expected a QueueModel.*Config\(queue='optimistic'\)"),
        ({"removals": "betfair"}, r"expected a Removals, or None; names are for Config\(settlement='betfair'\)"),
        ({"queue": hr.OptimisticQueue}, r"expected a QueueModel, or None; make one: OptimisticQueue\(\)"),
        ({"latency": 0.2}, r"latency=0.2\): expected a LatencyModel, or None"),
        ({"settlement": hr.Removals()}, "expected a Settlement, or None"),
    ],
)
def test_what_is_no_model_is_refused_where_it_is_given(given: dict[str, Any], said: str) -> None:
    with pytest.raises(hr.ConfigError, match=said):
        hr.Models(**given)


@pytest.mark.parametrize("command", ["backtest", "sweep", "paper", "live"])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("queue=pesimistic", "queue='pesimistic': expected 'proportional'"),
        ("quee=pessimistic", "no setting 'quee'; did you mean 'queue'"),
        ("latency=session:nowhere", "nowhere"),
        ("currency=AUS", "currency='AUS': expected GBP"),
    ],
)
def test_command_line_refuses_what_there_is_not_in_a_line(
    command: str, setting: str, said: str, code: Path, market: str
) -> None:
    more = {"backtest": ("-m", market), "sweep": ("-m", market, "-p", "stake=2,3")}.get(command, ("--rehearse", market))
    ended = call(command, f"{code}:Backer", *more, "--set", setting)
    assert ended.exit_code == 2
    assert said in ended.output.replace("\n", " ")
