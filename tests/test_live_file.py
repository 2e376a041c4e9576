"""The file of a live system: what it may say, where credentials come from, and how a slip is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from headrace.actors.live.setup import RiskLimits
from headrace.cli.credentials import Credentials, of_environment, of_file
from headrace.cli.live_file import LiveFile, read_live_file

STRATEGY = """
import headrace as hr

class Backer(hr.Strategy):
    stake: float = 2.0
"""
CREDENTIALS = 'username = "alice"\npassword = "swordfish"\napp_key = "alice-key"\n'


def read(folder: Path, text: str) -> LiveFile:
    path = folder / "live.toml"
    path.write_text(text)
    (folder / "backer.py").write_text(STRATEGY)
    return read_live_file(path)


def private(path: Path, text: str = CREDENTIALS) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


# -- what it says ----------------------------------------------------------------------------------------------------


def test_file_tells_settings_limits_accounts_and_strategies(tmp_path: Path) -> None:
    private(tmp_path / "alice.toml")
    found = read(
        tmp_path,
        """
        [headrace]
        customer_strategy_ref = "desk"
        place_latency = 0.2

        [live]
        engine = "local"
        on_stop = "leave"
        out = "results"
        files = ["model.json", "s3://bucket/model"]

        [risk]
        max_exposure = 200
        risk_timezone = "Europe/London"

        [[clients]]
        credentials = "alice.toml"
        paper_trade = true
        currency_code = "EUR"

        [[strategies]]
        class = "backer.py:Backer"
        name = "first"
        max_order_exposure = 50
        market_filter = { event_type_ids = ["7"], market_types = ["WIN"] }
        parameters = { stake = 5 }

        [[strategies]]
        class = "backer.py:Backer"
        stream_class = "DataStream"
        """,
    )
    assert found.settings == {"customer_strategy_ref": "desk", "place_latency": 0.2}
    assert found.options == {
        "engine": "local",
        "on_stop": "leave",
        "out": str(tmp_path / "results"),
        "files": [str(tmp_path / "model.json"), "s3://bucket/model"],
    }
    assert found.risk == RiskLimits(max_exposure=200.0, risk_timezone="Europe/London")
    (account,) = found.accounts
    client = account.client()
    assert (client.username, client.paper_trade, client.currency_code) == ("alice", True, "EUR")
    assert client.interactive_login  # without a certificate there is no other way
    first, second = (each.made() for each in found.strategies)
    assert (first.name, first.stake, first.max_order_exposure) == ("first", 5.0, 50)  # type: ignore[attr-defined]
    assert first.market_filter == {"event_type_ids": ["7"], "market_types": ["WIN"]}
    assert (second.name, second.stream_class) == ("Backer", hr.DataStream)


def test_empty_file_says_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "")
    assert (found.settings, found.options, found.risk) == (None, {}, RiskLimits())
    assert (found.accounts, found.strategies) == ((), ())


def test_client_goes_to_the_exchange_that_is_named(tmp_path: Path) -> None:
    private(tmp_path / "alice.toml")
    (tmp_path / "exchange.crt").write_text("a certificate")
    exchange = 'url = "http://localhost:8800", stream = "localhost:8801", certificate = "exchange.crt"'
    found = read(tmp_path, f'[[clients]]\ncredentials = "alice.toml"\nexchange = {{ {exchange} }}')
    client: Any = found.accounts[0].client()
    assert client.places.api == "http://localhost:8800/exchange/"
    assert client.places.identity == "http://localhost:8800/api/"
    assert client.places.stream == ("localhost", 8801)
    assert client.places.certificate == str(tmp_path / "exchange.crt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[liv]", "the table 'liv' is not known; did you mean 'live'?"),
        ("[[strategy]]", "the table 'strategy' is not known; did you mean 'strategies'?"),
        ('engine = "ray"', "in no table, 'engine' is not known; expected headrace, live, risk, clients, strategies"),
        ("[strategies]", r"strategies={}: expected a table: \[\[strategies\]\], for each one"),
        ("[[live]]", r"live=\[{}\]: expected a table: \[live\]"),
        ("clients = [3]", r"clients=3: expected a table: \[\[clients\]\]"),
        ("[headrace]\nplace_latenzy = 1", r"\[headrace\]: 'place_latenzy' is not known; did you mean 'place_latency'"),
        ("[live]\nengin = 1", r"\[live\]: 'engin' is not known; did you mean 'engine'"),
        ('[live]\nengine = "rai"', r"\[live\]: engine='rai': expected ray or local; did you mean 'ray'"),
        ("[live]\nshadow = 1", r"\[live\]: shadow=1: expected true or false"),
        ("[live]\npage_port = 1.5", r"\[live\]: page_port=1.5: expected a whole number"),
        ("[live]\nfiles = [1]", r"\[live\]: files=\[1\]: expected a list of texts"),
        ("[risk]\nmax_exposur = 1", r"\[risk\]: 'max_exposur' is not known; did you mean 'max_exposure'"),
        ("[risk]\nmax_exposure = -1", r"\[risk\]: max_exposure=-1: expected a number, 0 or more"),
        ('[risk]\nmax_daily_loss = "5"', r"\[risk\]: max_daily_loss='5': expected a number"),
        ("[risk]\nmax_orders_per_second = 0", r"\[risk\]: max_orders_per_second=0: expected 1 or more"),
        ('[risk]\nrisk_timezone = "Europe/Londn"', r"risk_timezone='Europe/Londn'.*did you mean 'Europe/London'"),
        ("[[clients]]\npaper = true", r"\[\[clients\]\] 1: 'paper' is not known; did you mean 'paper_trade'"),
        ('[[clients]]\npassword = "x"', r"\[\[clients\]\] 1: password does not belong in this file"),
        ('[[clients]]\ncredentials = "a"\nenvironment = "B"', "credentials and environment: give one of them"),
        ("[[clients]]\ncredentials = 3", r"credentials=3: expected a text"),
        ('[[clients]]\nlocale = "itali"', r"locale='itali': expected .*did you mean 'italy'"),
        ('[[clients]]\nexchange = "x"', "exchange='x': expected url and stream"),
        ('[[clients]]\nexchange = { urll = "x" }', "exchange: 'urll' is not known; did you mean 'url'"),
        ('[[clients]]\nexchange = { url = "x", stream = "y:1" }', "url='x': expected such as"),
        ('[[clients]]\nexchange = { url = "http://x" }', "stream is missing; expected such as 'localhost:8801'"),
        ('[[clients]]\nexchange = { url = "http://x", stream = "y" }', "stream='y': expected host and port"),
        (
            '[[clients]]\nexchange = { url = "http://x", stream = "y:1", certificate = "no.crt" }',
            "certificate='.*no.crt': no such file",
        ),
        ("[[strategies]]", r"\[\[strategies\]\] 1: class is missing"),
        ('[[strategies]]\nclas = "x"', r"\[\[strategies\]\] 1: 'clas' is not known; did you mean 'class'"),
        ("[[strategies]]\nclass = 1", r"\[\[strategies\]\] 1: class=1: expected a text"),
        ('[[strategies]]\nclass = "x:Y"\nparameters = 3', "parameters=3: expected a table"),
        ('[[strategies]]\nclass = "x:Y"\nparameters = { name = "a" }', "name is not a parameter of the strategy's own"),
        (
            '[[strategies]]\nclass = "x:Y"\nstream_class = "DataSteam"',
            "stream_class='DataSteam': expected .*did you mean 'DataStream'",
        ),
        ("[live]\nengine = ray", r"live\.toml: .*line 2"),
    ],
)
def test_slip_is_told_with_its_place_and_the_nearest_name(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match=message) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "live.toml"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            'class = "backer.py:Baker"',
            r"\[\[strategies\]\] 1 \(Baker\): .*has no .*did you mean Backer",
        ),
        ('class = "baker.py:Backer"', r"baker\.py: no such file"),
        ('class = "backer.py:Backer"\nparameters = { stak = 1 }', "has no parameter 'stak'; did you mean 'stake'"),
        ('class = "backer.py:Backer"\nparameters = { stake = "x" }', "Backer.stake = 'x': expected a number"),
        ('class = "backer.py:Backer"\nmax_order_exposure = "x"', "max_order_exposure"),
    ],
)
def test_strategy_that_cannot_be_made_is_told_with_its_place(table: str, message: str, tmp_path: Path) -> None:
    (wanted,) = read(tmp_path, f"[[strategies]]\n{table}").strategies
    with pytest.raises(hr.InputError, match=message):
        wanted.made()


def test_no_such_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match=r"nothing\.toml: No such file"):
        read_live_file(tmp_path / "nothing.toml")


# -- credentials -----------------------------------------------------------------------------------------------------


def test_credentials_of_the_environment_stand_behind_a_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "APP_KEY"):
        monkeypatch.setenv(f"BETFAIR_{name}", f"one {name}")
        monkeypatch.setenv(f"SECOND_{name}", f"two {name}")
    monkeypatch.delenv("BETFAIR_CERTS", raising=False)
    found = read(tmp_path, '[[clients]]\n[[clients]]\nenvironment = "SECOND"')
    clients: list[Any] = [account.client() for account in found.accounts]
    assert [client.username for client in clients] == ["one USERNAME", "two USERNAME"]
    assert [client.password for client in clients] == ["one PASSWORD", "two PASSWORD"]
    assert [client.app_key for client in clients] == ["one APP_KEY", "two APP_KEY"]


def test_variables_that_are_not_set_are_named() -> None:
    with pytest.raises(
        hr.InputError, match=r"^clients 1: B_PASSWORD and B_APP_KEY are not set in the environment; set"
    ):
        of_environment("B", "clients 1", {"B_USERNAME": "alice"})
    with pytest.raises(hr.InputError, match="B_APP_KEY is not set in the environment; set it"):
        of_environment("B", "clients 1", {"B_USERNAME": "alice", "B_PASSWORD": "x"})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_file_of_credentials_that_others_can_read_or_change_is_refused(mode: int, tmp_path: Path) -> None:
    path = private(tmp_path / "alice.toml")
    path.chmod(mode)
    with pytest.raises(hr.InputError, match=rf"by others \(mode {mode:03o}\); run: chmod 600 {path}"):
        of_file(path, "clients 1")
    path.chmod(0o400)
    assert of_file(path, "clients 1") == Credentials("alice", "swordfish", "alice-key")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('username = "alice"', "has no password and no app_key"),
        (f'{CREDENTIALS}pasword = "x"', "has 'pasword', which is not one of the credentials; did you mean 'password'"),
        (CREDENTIALS.replace('"swordfish"', "5"), "password is not a text"),
        (CREDENTIALS.replace('"swordfish"', '"swordfish'), "is not TOML: .*line 2"),
    ],
)
def test_credentials_that_are_not_whole_are_told_and_not_shown(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match=message) as error:
        of_file(private(tmp_path / "alice.toml", text), "clients 1")
    assert "swordfish" not in str(error.value)


def test_credentials_are_never_shown(tmp_path: Path) -> None:
    shown = repr(of_file(private(tmp_path / "alice.toml"), "clients 1"))
    assert "alice" in shown
    assert "swordfish" not in shown
    assert "alice-key" not in shown


def test_key_of_the_certificate_must_be_private_too(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    certs.mkdir()
    path = private(tmp_path / "alice.toml", f'{CREDENTIALS}certs = "certs"\n')
    with pytest.raises(hr.InputError, match=r"there is no \.key or \.pem in this folder"):
        of_file(path, "clients 1")
    (certs / "client.crt").write_text("a certificate")
    key = certs / "client.key"
    key.write_text("a key")
    key.chmod(0o640)
    with pytest.raises(hr.InputError, match=f"the key {key} can be read or changed by others; run: chmod 600"):
        of_file(path, "clients 1")
    key.chmod(0o600)
    found = of_file(path, "clients 1")
    assert found.certs == str(certs)
    account = read(tmp_path, '[[clients]]\ncredentials = "alice.toml"').accounts[0]
    assert not account.client().interactive_login
    certs.rename(tmp_path / "moved")
    with pytest.raises(hr.InputError, match=r"certs='.*certs': No such file"):
        of_file(path, "clients 1")


def test_setting_of_a_client_that_cannot_be_used_is_told_with_its_place(tmp_path: Path) -> None:
    private(tmp_path / "alice.toml")
    found = read(tmp_path, '[[clients]]\ncredentials = "alice.toml"\ncurrency_code = "XYZ"')
    with pytest.raises(hr.InputError, match=r"\[\[clients\]\] 1: currency_code='XYZ'"):
        found.accounts[0].client()


def test_session_whose_latencies_are_wanted_is_beside_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, '[headrace]\nlatency = "session:recorded"\n')
    assert found.settings == {"latency": f"session:{tmp_path / 'recorded'}"}
    assert read(tmp_path, '[headrace]\nlatency = "uniform:0.5"\n').settings == {"latency": "uniform:0.5"}
