"""What `headrace live` is to run, from its file, its words and its options; everything is checked before it begins."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..actors.live.instance import Instance
from ..actors.live.reference import default_reference
from ..actors.live.setup import RiskLimits
from ..config import Config, ConfigError
from ..simulate.models import Models
from ..strategies.errors import InputError
from .live_file import Account, LiveFile, read_live_file
from .options import config_of, pairs

if TYPE_CHECKING:
    from ..actors.clients import BaseClient
    from ..simulate.exchange.rehearsal import RehearsalExchange
    from ..strategies.strategy import Strategy

#: Options of the command that are options of `hr.Live`, where they are given.
_OF_LIVE = (
    "engine", "on_stop", "on_restart", "shadow", "record", "out", "until", "stop_when_idle",
    "page", "page_port", "webhook",
)  # fmt: skip


@dataclasses.dataclass
class LivePlan:
    """What is to run.

    Attributes:
        instance: not held yet.
        options: of `hr.Live`.
        exchange: the rehearsal exchange, not started; None: the accounts' own.
        paper: no order reaches an exchange.
        does: what the system does, behind its reference; empty: it trades.
    """

    config: Config
    instance: Instance
    risk: RiskLimits
    options: dict[str, Any]
    accounts: Sequence[Account]
    strategies: list[Strategy]
    exchange: RehearsalExchange | None = None
    paper: bool = False
    does: str = ""

    def clients(self) -> list[BaseClient]:
        """The accounts' clients; the rehearsal exchange runs, if there is one.

        Raises:
            InputError: credentials are not there, or others can read them; or a setting cannot be used.
        """
        changes = {"paper_trade": True} if self.paper else {}
        if self.exchange is None:
            return [account.client(**changes) for account in self.accounts]
        made = []
        for account, there in zip(self.accounts, self.exchange.accounts, strict=True):
            settings = {**account.settings, **changes, "interactive_login": True}
            settings.setdefault("currency_code", there.currency)
            made.append(account.made(self.exchange.client(there.username), settings))
        return made


def plan_of(
    words: Sequence[str],
    options: Mapping[str, Any],
    paper: bool = False,
    strategies: list[Strategy] | None = None,
    given_at: float | None = None,
) -> LivePlan:
    """What the words and options of the command ask for.

    Args:
        options: by the names that `headrace live` has for them.
        strategies: None: those that the words and the file name.
        given_at: when the command was given, seconds since the epoch; None: now.

    Raises:
        InputError, ConfigError: they ask for what is not there, or does not fit together.
    """
    file = _file(words) if strategies is None or words else None
    specs = [word for word in words if not word.endswith(".toml")]
    config = _config(file, options["settings"], options["reference"])
    if strategies is None:
        strategies = _strategies(file, specs, options["parameters"])
    accounts = (file.accounts if file else ()) or (Account("the account"),)
    exchange = _exchange(accounts, options)
    chosen = {**(file.options if file else {})}
    chosen |= {name: options[name] for name in _OF_LIVE if options.get(name) is not None}
    if options.get("files"):
        chosen["files"] = [*chosen.get("files", ()), *options["files"]]
    if chosen.get("until") is not None:
        chosen["until"] = moment(chosen["until"], _given(given_at))
    assert config.customer_strategy_ref is not None
    return LivePlan(
        config,
        Instance(config.customer_strategy_ref),
        file.risk if file else RiskLimits(),
        chosen,
        accounts,
        strategies,
        exchange,
        paper,
    )


def _file(words: Sequence[str]) -> LiveFile | None:
    files = [word for word in words if word.endswith(".toml")]
    if len(files) > 1:
        raise InputError(f"{' and '.join(files)}: give one file")
    if not words:
        raise InputError("there is nothing to run: name a file, such as live.toml, or strategies: strategy.py:Class")
    return read_live_file(files[0]) if files else None


def _config(file: LiveFile | None, settings: tuple[str, ...], reference: str | None) -> Config:
    """The settings: of the file's [headrace], else of the environment; what the command line says goes before both."""
    config = config_of(None, settings, None, False)
    if file is not None and file.settings is not None:
        try:
            of_file = Config.from_mapping(file.settings)
        except ConfigError as error:
            raise ConfigError(f"{file.path}, [headrace]: {error}") from None
        given = {name: getattr(config, name) for name in pairs(settings, "--set")}
        config = dataclasses.replace(of_file, **given)
    reference = reference or config.customer_strategy_ref or default_reference()
    Models().prepared(config)  # nothing is started for a session that cannot be read
    return dataclasses.replace(config, customer_strategy_ref=reference, hostname=None)


def _strategies(file: LiveFile | None, specs: Sequence[str], parameters: tuple[str, ...]) -> list[Strategy]:
    from .runs import strategies_of

    if parameters and not specs:
        raise InputError("-p is for strategies that are named on the command line; those of the file have parameters")
    made = [wanted.made() for wanted in file.strategies] if file else []
    made += strategies_of(tuple(specs), parameters, {}) if specs else []
    if not made:
        assert file is not None
        raise InputError(f'{file.path}: there are no strategies; add [[strategies]] with class = "strategy.py:Class"')
    names = [strategy.name for strategy in made]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f'two strategies are named {twice!r}; give each a name of its own: name = "..."')
    return made


def _exchange(accounts: Sequence[Account], options: Mapping[str, Any]) -> RehearsalExchange | None:
    recordings = options.get("rehearse")
    if not recordings:
        if options.get("before_start") is not None or options["speed"] != 1.0:
            raise InputError("--speed and --before-start are of a rehearsal; name recordings with --rehearse")
        return None
    from ..simulate.exchange.rehearsal import RehearsalExchange
    from ..simulate.exchange.settings import AccountSettings

    there = []
    for number, account in enumerate(accounts, 1):
        default = "rehearsal" if number == 1 else f"rehearsal{number}"
        name = str(account.settings.get("username") or default)
        currency = str(account.settings.get("currency_code", "GBP"))
        there.append(AccountSettings(name, app_key=f"{name}-key", currency=currency))
    return RehearsalExchange(
        list(recordings), speed=options["speed"], before_start=options.get("before_start"), accounts=there, wait=True
    )


def _given(at: float | None) -> datetime.datetime:
    now = datetime.datetime.now() if at is None else datetime.datetime.fromtimestamp(at)
    return now.astimezone()


def moment(text: str, now: datetime.datetime) -> datetime.datetime:
    """The time that a text means: of a time of day the next one.

    Args:
        now: with its zone, which is that of texts without one.

    Raises:
        InputError: it says no time, or one that has passed.
    """
    try:
        if "-" not in text:
            found = datetime.datetime.combine(now.date(), datetime.time.fromisoformat(text), now.tzinfo)
            return found if found > now else found + datetime.timedelta(days=1)
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"until={text!r}: expected such as 23:30 or 2026-06-03T23:30") from None
    found = found if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)
    if found <= now:
        raise InputError(f"until={text!r}: that has passed")
    return found
