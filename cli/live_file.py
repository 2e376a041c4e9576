"""The file of a live system: settings, limits, accounts and strategies, as TOML.

    [headrace]                     # settings, as of `hr.Config`
    customer_strategy_ref = "desk"

    [live]                         # how it runs, as of `hr.Live`
    engine = "local"

    [risk]                         # limits, as of `hr.RiskLimits`
    max_exposure = 200

    [[clients]]
    credentials = "account.toml"   # or from the environment: BETFAIR_USERNAME, BETFAIR_PASSWORD, BETFAIR_APP_KEY

    [[strategies]]
    class = "strategy.py:BackTheFavourite"
    market_filter = { event_type_ids = ["7"], market_types = ["WIN"] }
    parameters = { stake = 5 }

Paths are beside the file.
"""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..actors.clients import BaseClient
from ..actors.live.setup import RiskLimits
from ..config import Config
from ..loading import load_strategy, make_strategy
from ..strategies.errors import HeadraceError, InputError
from ..strategies.strategy import KEYWORDS, Strategy
from ..values import did_you_mean, shown, text, whole, word
from .credentials import Credentials, of_environment, of_file

#: Variables of the environment that an account's credentials stand in, unless another prefix is given.
PREFIX = "BETFAIR"
_TABLES = ("headrace", "live", "risk", "clients", "strategies")
#: What must not stand in this file, which has no secrets.
_SECRETS = ("password", "app_key", "certs", "session_token")
_CLIENT = ("credentials", "environment", "locale", "exchange")
_EXCHANGE = ("url", "stream", "certificate")
_STREAM_CLASSES = ("MarketStream", "DataStream", "OrderDataStream", "RaceDataStream", "CricketDataStream")


def _flag(value: Any, what: str, error: type[Exception]) -> bool:
    if not isinstance(value, bool):
        raise error(f"{what}={shown(value)}: expected true or false")
    return value


def _texts(value: Any, what: str, error: type[Exception]) -> list[str]:
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
        raise error(f"{what}={shown(value)}: expected a list of texts")
    return several


def _one_of(*words: str) -> Callable[[Any, str, type[Exception]], Any]:
    return lambda value, what, error: word(value, what, words, error)


#: What [live] takes, and what checks it.
LIVE: dict[str, Callable[[Any, str, type[Exception]], Any]] = {
    "engine": _one_of("ray", "local"),
    "on_stop": _one_of("cancel", "leave"),
    "on_restart": _one_of("carry_on", "cancel"),
    "shadow": _flag,
    "record": text,
    "out": text,
    "until": text,
    "stop_when_idle": _flag,
    "page": _flag,
    "page_port": whole,
    "webhook": text,
    "files": _texts,
}
#: Those of them that are paths, beside the file.
_PATHS = ("record", "out", "files")


@dataclasses.dataclass(frozen=True)
class Account:
    """An account of the file.

    Attributes:
        what: where it stands, for errors.
        settings: of the client.
        credentials: the file of its credentials; None: they are in the environment.
        environment: the prefix of their variables.
        locale: betfairlightweight's: "italy", "spain" and so on; None: the international exchange.
        exchange: where another exchange is: url, stream, certificate.
    """

    what: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    credentials: Path | None = None
    environment: str = PREFIX
    locale: str | None = None
    exchange: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def client(self, **changes: Any) -> BaseClient:
        """A client of Betfair with its credentials.

        Args:
            changes: of its settings.

        Raises:
            InputError: the credentials are not there, or others can read them; or a setting cannot be used.
        """
        if self.credentials is not None:
            found = of_file(self.credentials, self.what)
        else:
            found = of_environment(self.environment, self.what)
        settings = {"interactive_login": found.certs is None, **self.settings, **changes}
        return self.made(self._betting_client(found), settings)

    def made(self, betting_client: Any, settings: Mapping[str, Any]) -> BaseClient:
        """A client that uses a client of betfairlightweight.

        Raises:
            InputError: a setting cannot be used.
        """
        from ..actors.betfair.betfair_client import BetfairClient

        try:
            return BetfairClient(betting_client, **settings)
        except HeadraceError as error:
            raise InputError(f"{self.what}: {error}") from None

    def _betting_client(self, found: Credentials) -> Any:
        import betfairlightweight

        from ..actors.betfair.places import Places, set_places

        client = betfairlightweight.APIClient(
            found.username, found.password, app_key=found.app_key, certs=found.certs, locale=self.locale
        )
        if self.exchange:
            url = self.exchange["url"].rstrip("/") + "/"
            host, _, port = self.exchange["stream"].rpartition(":")
            stream = (host.strip("[]"), int(port))
            set_places(
                client,
                Places(
                    f"{url}api/",
                    f"{url}api/",
                    f"{url}exchange/",
                    f"{url}exchange/betting/rest/v1/en/navigation/menu.json",
                    stream,
                    stream,
                    self.exchange.get("certificate"),
                ),
            )
        return client


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A strategy of the file.

    Attributes:
        what: where it stands, for errors.
        spec: its class: file.py:Class or package.module:Class.
        keywords: what it is made with.
    """

    what: str
    spec: str
    keywords: Mapping[str, Any]

    def made(self) -> Strategy:
        """The strategy.

        Raises:
            InputError: there is no such class, or it does not take what it is given.
        """
        try:
            return make_strategy(load_strategy(self.spec), self.keywords)
        except (TypeError, ValueError, HeadraceError) as error:
            raise InputError(f"{self.what}: {error}") from None


@dataclasses.dataclass(frozen=True)
class LiveFile:
    """What a file says.

    Attributes:
        settings: names and values of `Config`; None: the file has no [headrace].
        options: of `hr.Live`.
    """

    path: Path
    settings: Mapping[str, Any] | None
    options: Mapping[str, Any]
    risk: RiskLimits
    accounts: tuple[Account, ...]
    strategies: tuple[Wanted, ...]


def read_live_file(path: str | Path) -> LiveFile:
    """Read the file of a live system.

    Raises:
        InputError: it cannot be read, is not TOML, or has something that is not known; names the nearest.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    for name, value in values.items():
        several = name in ("clients", "strategies")
        if not isinstance(value, list if several else dict) and (name in _TABLES or isinstance(value, (dict, list))):
            _known(name, _TABLES, f"{path}: the table")
            example = f"[[{name}]], for each one" if several else f"[{name}]"
            raise InputError(f"{path}: {name}={shown(value)}: expected a table: {example}")
        _known(name, _TABLES, f"{path}: the table" if isinstance(value, (dict, list)) else f"{path}: in no table,")
    settings = values.get("headrace")
    if settings is not None:
        _known(settings, [field.name for field in dataclasses.fields(Config)], f"{path}, [headrace]:")
        settings = {name: _latency(value, path) if name == "latency" else value for name, value in settings.items()}
    return LiveFile(
        path,
        settings,
        _options(values.get("live", {}), path),
        _risk(values.get("risk", {}), f"{path}, [risk]"),
        tuple(_account(table, what, path) for table, what in _numbered(values, "clients", path)),
        tuple(_wanted(table, what, path) for table, what in _numbered(values, "strategies", path)),
    )


def _known(names: str | Iterable[str], known: Iterable[str], what: str) -> None:
    known = list(known)
    for name in [names] if isinstance(names, str) else names:
        if name not in known:
            near = did_you_mean(name, known) or f"; expected {', '.join(known)}"
            raise InputError(f"{what} {name!r} is not known{near}")


def _numbered(values: Mapping[str, Any], name: str, path: Path) -> list[tuple[dict[str, Any], str]]:
    found = []
    for number, table in enumerate(values.get(name, ()), 1):
        if not isinstance(table, dict):
            raise InputError(f"{path}: {name}={shown(table)}: expected a table: [[{name}]], for each one")
        found.append((table, f"{path}, [[{name}]] {number}"))
    return found


def _options(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    what = f"{path}, [live]"
    _known(table, LIVE, f"{what}:")
    found = {}
    for name, value in table.items():
        checked = LIVE[name](value, f"{what}: {name}", InputError)
        if name in _PATHS:
            checked = [_beside(path, each) for each in checked] if isinstance(checked, list) else _beside(path, checked)
        found[name] = checked
    return found


def _beside(path: Path, name: str) -> str:
    """A path of the file's, from where the command runs. URIs stay as they are."""
    return name if "://" in name else str(path.parent / Path(name).expanduser())


def _latency(value: Any, path: Path) -> Any:
    """A model of latency; the session that it may be drawn from is beside the file."""
    if isinstance(value, str) and value.startswith("session:"):
        return f"session:{_beside(path, value.removeprefix('session:'))}"
    return value


def _risk(table: Mapping[str, Any], what: str) -> RiskLimits:
    _known(table, [field.name for field in dataclasses.fields(RiskLimits)], f"{what}:")
    try:
        return RiskLimits(**table)
    except (HeadraceError, TypeError, ValueError) as error:
        raise InputError(f"{what}: {error}") from None


def _account(table: dict[str, Any], what: str, path: Path) -> Account:
    secret = next((name for name in table if name in _SECRETS), None)
    if secret is not None:
        raise InputError(
            f"{what}: {secret} does not belong in this file; put it into the environment, or into a file that only you "
            'can read: credentials = "account.toml"'
        )
    settings = [name for name in inspect.signature(BaseClient).parameters if name != "betting_client"]
    _known(table, [*_CLIENT, *settings], f"{what}:")
    if "credentials" in table and "environment" in table:
        raise InputError(f"{what}: credentials and environment: give one of them")
    for name in ("credentials", "environment", "locale"):
        if name in table:
            text(table[name], f"{what}: {name}", InputError)
    file = table.get("credentials")
    return Account(
        what,
        {name: value for name, value in table.items() if name in settings},
        None if file is None else Path(_beside(path, file)),
        table.get("environment", PREFIX),
        _locale(table.get("locale"), what),
        _exchange(table.get("exchange", {}), f"{what}: exchange", path),
    )


def _locale(locale: str | None, what: str) -> str | None:
    if locale is None:
        return None
    from betfairlightweight.baseclient import BaseClient as Library

    known = {name for urls in (Library.IDENTITY_URLS, Library.IDENTITY_CERT_URLS, Library.API_URLS) for name in urls}
    return word(locale, f"{what}: locale", sorted(map(str, known - {None})), InputError)


def _exchange(table: Any, what: str, path: Path) -> dict[str, str]:
    if not isinstance(table, dict):
        raise InputError(f'{what}={shown(table)}: expected url and stream: {{ url = "http://localhost:8800/", ... }}')
    _known(table, _EXCHANGE, f"{what}:")
    if not table:
        return {}
    found = {name: text(value, f"{what}: {name}", InputError) for name, value in table.items()}
    for name, example in {"url": "http://localhost:8800/", "stream": "localhost:8801"}.items():
        if name not in found:
            raise InputError(f"{what}: {name} is missing; expected such as {example!r}")
    if not found["url"].startswith(("http://", "https://")):
        raise InputError(f"{what}: url={found['url']!r}: expected such as 'http://localhost:8800/'")
    host, _, port = found["stream"].rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise InputError(f"{what}: stream={found['stream']!r}: expected host and port, such as 'localhost:8801'")
    if "certificate" in found:
        found["certificate"] = _beside(path, found["certificate"])
        if not Path(found["certificate"]).is_file():
            raise InputError(f"{what}: certificate={found['certificate']!r}: no such file")
    return found


def _wanted(table: dict[str, Any], what: str, path: Path) -> Wanted:
    known = [name for name in KEYWORDS if name not in ("stream", "streams")]
    _known(table, ["class", "parameters", *known], f"{what}:")
    spec = table.get("class")
    if spec is None:
        raise InputError(f'{what}: class is missing; expected such as class = "strategy.py:BackTheFavourite"')
    spec = text(spec, f"{what}: class", InputError)
    place, colon, name = spec.rpartition(":")
    if place.endswith(".py"):
        spec = f"{_beside(path, place)}{colon}{name}"
    parameters = table.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InputError(f"{what}: parameters={shown(parameters)}: expected a table, such as {{ stake = 5 }}")
    keywords = {name: value for name, value in table.items() if name not in ("class", "parameters")}
    twice = next((name for name in parameters if name in known), None)
    if twice is not None:
        raise InputError(f"{what}: {twice} is not a parameter of the strategy's own; put it beside parameters")
    if "stream_class" in keywords:
        keywords["stream_class"] = _stream_class(keywords["stream_class"], what)
    return Wanted(f"{what} ({name})" if name else what, spec, {**keywords, **parameters})


def _stream_class(name: Any, what: str) -> Any:
    from ..strategies import stream_classes

    return getattr(stream_classes, word(name, f"{what}: stream_class", _STREAM_CLASSES, InputError))
