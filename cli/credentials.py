"""Credentials of an account: from the environment, or from a file that nobody else can read. They are never shown."""

from __future__ import annotations

import dataclasses
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

from ..strategies.errors import InputError
from ..values import did_you_mean

#: Names in a file; in the environment they stand behind a prefix, as in BETFAIR_APP_KEY.
NAMES = ("username", "password", "app_key", "certs")
_NEEDED = NAMES[:3]


@dataclasses.dataclass(frozen=True)
class Credentials:
    """What an account logs in with.

    Attributes:
        certs: folder with the certificate and its key; None: the account logs in by password alone.
    """

    username: str
    password: str = dataclasses.field(repr=False)
    app_key: str = dataclasses.field(repr=False)
    certs: str | None = None


def of_environment(prefix: str, what: str, environment: Mapping[str, str] | None = None) -> Credentials:
    """Credentials of variables: with the prefix BETFAIR they are BETFAIR_USERNAME, BETFAIR_PASSWORD, BETFAIR_APP_KEY.

    Args:
        what: begins the sentence of an error.

    Raises:
        InputError: names the variables that are not set; or the key of the certificate can be read by others.
    """
    environment = os.environ if environment is None else environment
    found = {name: environment.get(f"{prefix}_{name.upper()}", "") for name in NAMES}
    missing = [f"{prefix}_{name.upper()}" for name in _NEEDED if not found[name]]
    if missing:
        *others, last = missing
        names, one = f"{', '.join(others)} and {last}" if others else last, not others
        raise InputError(
            f"{what}: {names} {'is' if one else 'are'} not set in the environment; set {'it' if one else 'them'}, or "
            'name a file with them: credentials = "account.toml"'
        )
    return _made(found, what, Path())


def of_file(path: Path, what: str) -> Credentials:
    """Credentials of a TOML file: username, password, app_key, and certs for login by certificate.

    Args:
        what: begins the sentence of an error.

    Raises:
        InputError: it cannot be read, can be read by others too, or has not what is needed.
    """
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise InputError(
                    f"{what}: the credentials in {path} can be read or changed by others (mode {mode:03o}); "
                    f"run: chmod 600 {path}"
                )
            values = tomllib.load(file)
    except OSError as error:
        raise InputError(f"{what}: credentials={str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{what}: {path} is not TOML: {error}") from None
    for name, value in values.items():
        if name not in NAMES:
            near = did_you_mean(name, NAMES) or f"; expected {', '.join(NAMES)}"
            raise InputError(f"{what}: {path} has {name!r}, which is not one of the credentials{near}")
        if not isinstance(value, str):
            raise InputError(f"{what}: {path}: {name} is not a text")
    missing = [name for name in _NEEDED if not values.get(name)]
    if missing:
        raise InputError(f"{what}: {path} has no {' and no '.join(missing)}")
    return _made(values, what, path.parent)


def _made(values: Mapping[str, str], what: str, folder: Path) -> Credentials:
    certs = values.get("certs") or None
    if certs is not None:
        certs = str(folder / Path(certs).expanduser())
        _check_keys(certs, what)
    return Credentials(values["username"], values["password"], values["app_key"], certs)


def _check_keys(folder: str, what: str) -> None:
    try:
        keys = [path for path in Path(folder).iterdir() if path.suffix in (".key", ".pem")]
        for path in keys:
            if path.stat().st_mode & 0o077:
                raise InputError(f"{what}: the key {path} can be read or changed by others; run: chmod 600 {path}")
    except OSError as error:
        raise InputError(f"{what}: certs={folder!r}: {error.strerror}") from None
    if not keys:
        raise InputError(f"{what}: certs={folder!r}: there is no .key or .pem in this folder")
