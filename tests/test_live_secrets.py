"""A session with known secrets: none of them is in anything that it leaves or shows, and others reach none of it."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import priced
from headrace.actors.live.control import ask
from headrace.actors.live.instance import Instance
from headrace.simulate.exchange.settings import AccountSettings
from live_trading import Venue, venue
from processes import LIMIT, TOOLS, environment, run, wait_until
from secrets_sought import command_line, files_with, found_in, listening, open_to_others, processes_with

#: Seconds for what takes one or two.
SOON = 40
PASSWORD, APP_KEY, CERTIFICATES = "pAssw0rd-nobody-guesses", "appKeyOfTheAccount", "folder-of-my-certificates"
ACCOUNT = AccountSettings("trader-known-to-all", PASSWORD, APP_KEY)

STRATEGY = """
import logging
import headrace as hr

class Rester(hr.Strategy):
    def check_market_book(self, market, book):
        return book.status == "OPEN"

    def process_market_book(self, market, book):
        if not market.blotter.strategy_orders(self):
            trade = hr.Trade(market.market_id, 1, 0, self)
            market.place_order(trade.create_order(side="BACK", order_type=hr.LimitOrder(500.0, 2.0)))
        self.known = [{name: repr(value) for name, value in vars(client).items()} for client in self.clients]
        self.record(market, clients=repr([vars(client) for client in self.clients]))
        logging.getLogger("headrace.strategy").warning("clients: %s", [vars(client) for client in self.clients])
        raise ValueError(f"all that I know: {vars(self)} {[vars(client) for client in self.clients]}")
"""

FILE = """
[headrace]
customer_strategy_ref = "secrets"
log_level = "DEBUG"
[live]
engine = "{engine}"
out = "out"
record = "recorded"
shadow = true
webhook = "{webhook}"
[[clients]]
credentials = "account.toml"
interactive_login = true
heartbeat_seconds = 300
exchange = {{ url = "{url}", stream = "{stream}", certificate = "{certificate}" }}
[[strategies]]
class = "rester.py:Rester"
"""


@contextmanager
def hook(bodies: list[bytes]) -> Iterator[str]:
    """A webhook that keeps what is posted to it; its address."""

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Nobody wants to know."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(LIMIT)


class Session:
    """What a session has left and shown.

    Attributes:
        secrets: by name. shown: all that was said, by where. commands: command lines of its processes.
        found: files with secrets, while it ran and afterwards. open: files that others could read.
        here, elsewhere: addresses at which it listened, for this machine alone and for others.
        clusters: where Ray wrote.
    """

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.shown: dict[str, str | bytes] = {}
        self.commands: list[bytes] = []
        self.found: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.here: list[str] = []
        self.elsewhere: list[str] = []
        self.page_token = ""
        self.clusters: list[Path] = []


def state() -> dict[str, Any]:
    with contextlib.suppress(hr.HeadraceError):
        return ask(Instance("secrets"), "STATE")
    return {}


def page(address: str, path: str, **headers: str) -> bytes:
    port = int(re.findall(r":(\d+)/", address)[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().read()
    finally:
        connection.close()


def tokens(exchange: Venue) -> dict[str, str]:
    """Tokens of all sessions that are open at the exchange."""
    open_ = exchange.do(lambda: list(exchange.service.sessions._sessions))
    return {f"session token {token[:4]}": token for token in open_}


def prepare(folder: Path) -> None:
    (folder / "rester.py").write_text(STRATEGY)
    (folder / CERTIFICATES).mkdir(mode=0o700)
    (folder / CERTIFICATES / "client.key").write_text("the key")
    (folder / CERTIFICATES / "client.key").chmod(0o600)
    account = folder / "account.toml"
    account.write_text(
        f'username = "{ACCOUNT.username}"\npassword = "{PASSWORD}"\napp_key = "{APP_KEY}"\ncerts = "{CERTIFICATES}"\n'
    )
    account.chmod(0o600)


def look(session: Session, system: Any, exchange: Venue, folder: Path) -> None:
    """Look at a system that runs."""
    running = json.loads((folder / "home" / "secrets" / "running.json").read_text())
    address = running["page"]
    session.page_token = address.partition("token=")[2]
    session.secrets |= {"password": PASSWORD, "application key": APP_KEY, "certificates": CERTIFICATES}
    session.secrets |= tokens(exchange)
    exchange.fault("session.expire")
    exchange.fault("http.garbage", operation="listCurrentOrders")
    exchange.fault("stream.drop", times=2)
    exchange.step(3)
    assert wait_until(lambda: any(row["reconnects"] for row in state()["streams"]), SOON)
    assert wait_until(lambda: state().get("placing_allowed"), SOON)
    exchange.step(3)
    session.secrets |= tokens(exchange)
    session.shown["state"] = json.dumps(state())
    session.shown["page"] = page(address, f"/?token={session.page_token}")
    session.shown["state of the page"] = page(address, "/state", Authorization=f"Bearer {session.page_token}")
    session.shown["page, refused"] = page(address, "/")
    pids = processes_with("HEADRACE_HOME", str(folder / "home"))
    assert system.pid in pids
    session.commands = [command_line(pid) for pid in pids]
    session.here, session.elsewhere = listening(pids)
    session.clusters = sorted({found for pid in pids for found in _ray_folders(pid)})
    for each in session.clusters:
        session.secrets["Ray's token"] = (each.parent / "token").read_text()
    session.found += files_with(
        session.secrets, folder / "home", folder / "out", folder / "recorded", *session.clusters
    )
    session.open += open_to_others(folder / "home")
    private = [each.parent for each in session.clusters]
    session.open += open_to_others(folder / "out", folder / "recorded", *private, deep=False)


def _ray_folders(pid: int) -> set[Path]:
    """Where Ray writes, as the environment of a process says."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return set()
    paths = [each.partition(b"=")[2].decode() for each in variables if each.startswith(b"RAY_AUTH_TOKEN_PATH=")]
    return {Path(each).parent / "ray" for each in paths}


@pytest.fixture(scope="module", params=["local", pytest.param("ray", marks=pytest.mark.ray)])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder, found = tmp_path_factory.mktemp("secrets"), Session()
    posted: list[bytes] = []
    prepare(folder)
    market = priced()
    for at in range(200, 20_000, 200):
        market.prices(at, {1: {"ltp": 2.0 + at % 7 / 100}})
    with venue(market, accounts=(ACCOUNT,)) as exchange, hook(posted) as webhook:
        places = exchange.service.addresses
        values = {
            "engine": request.param,
            "webhook": webhook,
            "url": places.url,
            "stream": places.place(places.stream_tls),
            "certificate": places.certificate,
        }
        (folder / "live.toml").write_text(FILE.format(**values))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("HEADRACE_HOME", str(folder / "home"))
            system = subprocess.Popen(
                [TOOLS / "headrace", "live", "live.toml"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
            )
            try:
                assert wait_until(lambda: bool(state().get("orders")) or system.poll() is not None, LIMIT)
                assert system.poll() is None, system.communicate(timeout=LIMIT)
                look(found, system, exchange, folder)
                system.send_signal(signal.SIGINT)
                found.shown["output"], found.shown["errors"] = system.communicate(timeout=LIMIT)
            finally:
                if system.poll() is None:
                    system.kill()
                    system.communicate(timeout=LIMIT)
            found.secrets |= {f"{name}, later": token for name, token in tokens(exchange).items()}
            refused = (folder / "account.toml").read_text().replace(PASSWORD, "another-p4ssword")
            (folder / "account.toml").write_text(refused)
            found.secrets["wrong password"] = "another-p4ssword"
            ended = run([TOOLS / "headrace", "live", "live.toml"])
            found.shown["refusal"] = ended.stdout + ended.stderr
    for number, body in enumerate(posted):
        found.shown[f"webhook {number}"] = body
    (folder / "account.toml").unlink()
    (folder / CERTIFICATES / "client.key").unlink()
    found.found += files_with(found.secrets | {"token of the page": found.page_token}, folder / "home", folder / "out")
    found.found += files_with(found.secrets, folder / "recorded")
    found.open += open_to_others(folder / "home")
    found.open += open_to_others(folder / "out", folder / "recorded", deep=False)
    return found


def test_no_file_has_a_secret(session: Session) -> None:
    assert session.found == []


def test_nothing_that_is_shown_or_posted_has_one(session: Session) -> None:
    assert len([name for name in session.shown if name.startswith("webhook")]) >= 1
    assert {name: found for name, text in session.shown.items() if (found := found_in(session.secrets, text))} == {}


def test_what_is_looked_at_is_worth_it(session: Session, request: pytest.FixtureRequest) -> None:
    """The strategy has told all that it could, errors were logged, and the login was refused."""
    assert "all that I know" in str(session.shown["output"]) + str(session.shown["errors"])
    assert "INVALID_USERNAME_OR_PASSWORD" in str(session.shown["refusal"])
    assert ACCOUNT.username.encode() in bytes(session.shown["state of the page"])  # type: ignore[arg-type]
    assert len([name for name in session.secrets if name.startswith("session token")]) >= 2
    assert len(session.clusters) == (request.node.callspec.params["session"] == "ray")


def test_the_token_of_the_page_is_told_on_the_terminal_alone(session: Session) -> None:
    lines = [line for line in str(session.shown["output"]).splitlines() if session.page_token in line]
    assert [line.partition("http")[0] for line in lines] == ["page at "]
    known = {"token": session.page_token}
    assert {name for name, text in session.shown.items() if found_in(known, text)} == {"output"}


def test_no_command_line_has_one(session: Session) -> None:
    known = session.secrets | {"token of the page": session.page_token}
    assert session.commands
    assert [found for line in session.commands if (found := found_in(known, line))] == []


def test_nothing_is_open_to_other_users_of_the_machine(session: Session) -> None:
    assert session.open == []


def test_only_this_machine_reaches_it(session: Session) -> None:
    assert session.here
    assert session.elsewhere == []
