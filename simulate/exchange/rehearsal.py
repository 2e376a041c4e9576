"""A rehearsal exchange in a process of its own, for tests, scripts and notebooks."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec

from ...strategies.errors import InputError, RunError
from ...values import UNREADABLE, shown
from ..reading.locations import Source
from ..reading.recordings import Chosen, Paths
from .asking import accounts_of, faults_of
from .faults import Fault
from .ledger import Entry
from .plan import TOKEN_HEADER, Addresses, Played, check_settings
from .pointing import point
from .process import Orders, Told, write_orders
from .settings import AccountSettings, ExchangeSettings, Speed

#: Seconds that the process may take to start, to answer a call, and to end.
START_S, ANSWER_S, END_S = 60.0, 60.0, 10.0
#: What the process does.
_PROCESS = "from headrace.simulate.exchange.process import main; main()"
#: Characters of what a process said last that an error repeats.
_SHOWN = 2_000


@dataclasses.dataclass(frozen=True)
class _Selection:
    """Recordings that were chosen of a catalog, for another process."""

    found: tuple[Source, ...]

    def sources(self) -> list[Source]:
        return list(self.found)


class _Page(msgspec.Struct):
    entries: list[Entry]
    more: bool


class RehearsalExchange:
    """An exchange that clients of Betfair can be pointed at, played from recordings or made-up markets.

        with hr.RehearsalExchange("recordings/*.bz2", speed=20) as exchange:
            client = exchange.client()
            client.login()

    It runs in a process of its own from `start`, or the `with`, to `stop`; that ends with this one.

    Args:
        markets: recordings, as `backtest` takes them. None: only made-up ones.
        speed: recorded seconds per second (0.01 to 10 000); "max": as fast as clients of the stream read; "step": a
            message at each `step`.
        port: of its HTTP; 0: any that is free.
        accounts: `AccountSettings`, their fields, or words such as "alice,currency=EUR,balance=500"; the password is
            "rehearsal" and the application key "<username>-key" where none is given.
        faults: what is to go wrong: kinds with their fields ("stream.drop:after=30,times=3"), or mappings of them.
        generate: how many made-up markets are open at once.
        in_step: recordings keep their distance in time; else each begins at once.
        before_start: seconds of recorded time before the scheduled start at which a recording begins to run.
        sports_data, catalogues: folders with files named by market id.
        sports, changes, minutes_before: of made-up markets, as `headrace generate` has them.
        wait: begin to play only when a client subscribes to markets, or lists some by a filter: a system that takes
            seconds to start then misses nothing. At "max" and "step" it is so anyway.
        ledger: a file for the whole ledger.
        seed: of what is drawn.
        settings: all else: limits, timers, ports, what happens to markets.

    Raises:
        InputError: an argument says nothing; `start` raises it for what it finds wrong with recordings and ports.
    """

    def __init__(
        self,
        markets: Paths | None = None,
        *,
        speed: Speed | None = None,
        port: int | None = None,
        accounts: Iterable[AccountSettings | Mapping[str, Any] | str] | None = None,
        faults: Iterable[Fault | Mapping[str, Any] | str] = (),
        generate: int = 0,
        in_step: bool = False,
        before_start: float | None = None,
        sports_data: str | os.PathLike[str] | None = None,
        catalogues: str | os.PathLike[str] | None = None,
        sports: Sequence[str] | None = None,
        changes: int = 1_200,
        minutes_before: float | None = None,
        wait: bool = False,
        ledger: str | os.PathLike[str] | None = None,
        seed: int | None = None,
        settings: ExchangeSettings | None = None,
    ) -> None:
        given: dict[str, Any] = {"speed": speed, "port": port, "seed": seed}
        if accounts is not None:
            given["accounts"] = accounts_of(accounts)
        chosen = {name: value for name, value in given.items() if value is not None}
        if not isinstance(settings, ExchangeSettings | None):
            raise InputError(f"settings is {shown(settings)}; expected ExchangeSettings(...)")
        self.settings = dataclasses.replace(settings or ExchangeSettings(), **chosen)
        check_settings(self.settings)
        self._played = Played(
            _sendable(markets),
            generate,
            in_step,
            before_start,
            sports_data,
            catalogues,
            [sports] if isinstance(sports, str) else None if sports is None else list(sports),
            changes,
            minutes_before,
            wait,
        )
        self._played.check()
        self._faults = tuple(faults_of(faults))
        self._ledger = None if ledger is None else Path(ledger)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._addresses: Addresses | None = None

    def __repr__(self) -> str:
        where = "not running" if self._addresses is None else f"at {self._addresses.url}"
        accounts = ", ".join(each.username for each in self.accounts)
        return f"<RehearsalExchange {where}, speed {self.settings.speed}, accounts: {accounts}>"

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> RehearsalExchange:
        """Start its process, and wait until it listens.

        Raises:
            InputError: recordings or ports are not as they should be.
            RunError: the process did not start, or it runs already.
        """
        if self._process is not None:
            raise RunError("the rehearsal exchange runs already; stop it before it is started again")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        path = os.pathsep.join([each for each in sys.path if each] or [os.getcwd()])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROCESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for us, who then stop it
        )
        try:
            orders = Orders(self._played, self.settings, self._ledger, self._faults, parent=os.getpid())
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it has ended, and said why
                write_orders(orders, self._process.stdin)
            told = self._told()
            if told.addresses is None:
                raise (InputError if told.asked_wrongly else RunError)(told.error or "")
            self._addresses = msgspec.convert(told.addresses, Addresses)
        except BaseException:
            self.stop()
            raise
        return self

    def join(self, addresses: Mapping[str, Any]) -> None:
        """Use one with these settings that another process has started, and ends.

        Args:
            addresses: the fields of its `addresses`.
        """
        self._addresses = msgspec.convert(addresses, Addresses)

    def _told(self) -> Told:
        """What the process says: where it listens, or why not."""
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_S)
        line = self._process.stdout.readline() if ready else b""
        if line:
            return msgspec.json.decode(line, type=Told)
        if not ready:
            raise RunError(f"the rehearsal exchange has not started within {START_S:g} seconds")
        raise self._death()

    def _death(self) -> RunError:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        said = ""
        if self._errors is not None:
            self._errors.seek(max(self._errors.seek(0, os.SEEK_END) - _SHOWN, 0))
            said = self._errors.read().decode(errors="replace").strip()
        code = self._process.returncode
        how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        said = f"; it said: {said}" if said else ""
        return RunError(f"the process of the rehearsal exchange has ended {how}{said}")

    def stop(self) -> None:
        """End it. It may be started again."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()  # its end is the end of the exchange
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None
        if self._addresses is not None:
            # It removes them itself, unless it was killed.
            shutil.rmtree(Path(self._addresses.certificate).parent, ignore_errors=True)
        self._addresses = None

    def __enter__(self) -> RehearsalExchange:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.stop()

    # -- clients -------------------------------------------------------------------------------------------------

    @property
    def addresses(self) -> Addresses:
        """Where it listens.

        Raises:
            RunError: it does not run.
        """
        if self._addresses is None:
            raise RunError("the rehearsal exchange does not run; start it, or use it in a with statement")
        return self._addresses

    @property
    def accounts(self) -> tuple[AccountSettings, ...]:
        """Its accounts."""
        return self.settings.accounts

    def client(self, username: str | None = None, **options: Any) -> Any:
        """A `betfairlightweight.APIClient` of an account, the first by default, that speaks to this exchange.

        Args:
            options: of the client, such as lightweight=True.

        Raises:
            InputError: there is no such account.
        """
        import betfairlightweight

        account = next((each for each in self.accounts if username in (None, each.username)), None)
        if account is None:
            known = ", ".join(each.username for each in self.accounts)
            raise InputError(f"there is no account {username!r} at the rehearsal exchange; expected one of {known}")
        made = betfairlightweight.APIClient(account.username, account.password, app_key=account.app_key, **options)
        return self.point(made)

    def point(self, client: Any) -> Any:
        """Let a `betfairlightweight.APIClient` speak to this exchange; it is returned. Other clients are left alone."""
        return point(client, self.addresses)

    @property
    def pid(self) -> int:
        """Its process.

        Raises:
            RunError: it does not run.
        """
        if self._process is None:
            raise RunError("the rehearsal exchange does not run; start it, or use it in a with statement")
        return self._process.pid

    # -- control -------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What it is like now: markets, accounts, bets, connections, faults, and how playing goes."""
        return dict(self._call("GET", "state"))

    def ledger(self, after: int = 0, kind: str | None = None) -> list[Entry]:
        """What it was asked, did and sent, in order: entries with a greater number than `after`, of a kind or of all.

        The last 200 000 entries are there, or as many as make 200 MB; the file of `ledger=` has all.

        Raises:
            InputError: there is no such kind.
        """
        found: list[Entry] = []
        more = True
        while more:
            query = f"ledger?after={found[-1].number if found else after}" + (f"&kind={kind}" if kind else "")
            page = msgspec.convert(self._call("GET", query), _Page)
            found += page.entries
            more = page.more
        return found

    def fault(self, kind: str, **fields: Any) -> None:
        """Set a fault up: `exchange.fault("stream.drop", after=2.0)`.

        Raises:
            InputError: there is no such kind, or field.
        """
        (fault,) = faults_of([{"kind": kind, **fields}])
        self._call("POST", "faults", {name: value for name, value in vars(fault).items() if name != "done"})

    def faults(self) -> dict[str, Any]:
        """Faults that may still happen ("pending"), and how often each kind has ("counts")."""
        return dict(self._call("GET", "faults"))

    def clear_faults(self) -> None:
        """Nothing more goes wrong."""
        self._call("DELETE", "faults")

    def step(self, messages: int = 1) -> int:
        """Play so many messages, whenever they are due; how many were played, fewer only at the end."""
        return int(self._call("POST", "step", {"messages": messages})["played"])

    def _call(self, method: str, name: str, body: Any = None) -> Any:
        """Call the exchange.

        Raises:
            InputError: it is asked wrongly.
            RunError: it does not run, has ended, or refuses.
        """
        addresses, process = self.addresses, self._process
        assert process is not None
        if process.poll() is not None:
            raise self._death()
        connection = http.client.HTTPConnection(addresses.host, addresses.http, timeout=ANSWER_S)
        try:
            data = None if body is None else msgspec.json.encode(body)
            headers = {TOKEN_HEADER: addresses.token, "Content-Type": "application/json", "Connection": "close"}
            connection.request(method, f"/rehearsal/{name}", data, headers)
            answer = connection.getresponse()
            found = msgspec.json.decode(answer.read())
        except (OSError, http.client.HTTPException, *UNREADABLE) as error:
            time.sleep(0.05)  # a process that dies takes its connections with it first
            if process.poll() is not None:
                raise self._death() from None
            raise RunError(f"the rehearsal exchange does not answer: {error}") from None
        finally:
            connection.close()
        if answer.status != 200:
            error_of = InputError if answer.status == 400 else RunError
            raise error_of(f"the rehearsal exchange refuses: {found.get('error')}")
        return found


def _sendable(markets: Paths | None) -> Paths | None:
    """Recordings, as they can be told to another process."""
    if isinstance(markets, (str, os.PathLike)) or markets is None:
        return markets
    return _Selection(tuple(markets.sources())) if isinstance(markets, Chosen) else list(markets)
