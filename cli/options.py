"""Options that several commands have, and what is made of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..config import Config


band_option = click.option(
    "--band",
    is_flag=True,
    help="Say how sure profits are: replay copies with the pessimistic and the optimistic queue as well.",
)
engine_option = click.option(
    "--engine",
    type=click.Choice(["auto", "local", "ray"]),
    default="auto",
    show_default=True,
    help="local: this process. ray: a Ray cluster. auto: Ray from 100 MB of recordings on.",
)
workers_option = click.option("--workers", type=click.IntRange(min=1), help="Processes on Ray; default: one per CPU.")
config_option = click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Settings, as TOML.")
settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting, such as place_latency=0.2; goes before file and environment. Repeatable.",
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
markets_option = click.option(
    "--markets",
    "-m",
    multiple=True,
    required=True,
    metavar="PATH",
    help="A recording, a folder, or a quoted pattern such as 'recordings/**/*.bz2'. Repeatable.",
)


def words_given(command: click.Command, left_out: tuple[str, ...] = ()) -> list[str]:
    """The words that give a command what the present one was given, but for what is not repeated."""
    from click.core import ParameterSource

    from ..cluster.reproduction import NOT_REPEATED, words_of

    context = click.get_current_context()
    unset = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    defaults = {name for name in context.params if context.get_parameter_source(name) in unset}
    return words_of(command.params, context.params, defaults, {*NOT_REPEATED, *left_out})


def progress_of(quiet: bool) -> bool | None:
    """A bar on a terminal, unless it is not wanted."""
    return False if quiet else None


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """Names and values as they were given to a repeatable option.

    Raises:
        InputError: one is not NAME=VALUE, or a name is given twice.
    """
    from ..strategies.errors import InputError

    pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise InputError(f"{option} {value!r}: expected NAME=VALUE")
        if name.strip() in pairs:
            raise InputError(f"{option} {name.strip()} is given twice")
        pairs[name.strip()] = text
    return pairs


def refuse_misplaced(name: str, option: str) -> None:
    """Refuse a name given to `option` that belongs to another one.

    Raises:
        InputError: says where it belongs.
    """
    import dataclasses

    from ..config import Config
    from ..strategies.errors import InputError

    options = {each for found in click.get_current_context().command.params for each in found.opts}
    own = f"--{name.replace('_', '-')}"
    if own in options:
        raise InputError(f"{option} {name}: that is an option: {own}")
    if option != "--set" and "--set" in options and name in {field.name for field in dataclasses.fields(Config)}:
        raise InputError(f"{option} {name}: that is a setting: --set {name}=...")
    if name in ("name", "context", "market_filter", "market_data_filter", "stream", "streams"):
        raise InputError(f"{option} {name}: that is given in Python, where the strategy is made, or in its __init__")


def config_of(file: str | None, settings: tuple[str, ...], compatibility: str | None, raise_errors: bool) -> Config:
    """The settings of a run: from a file, else from the environment; what the command line says goes before both.

    Raises:
        ConfigError, InputError: a setting is not known, or its value does not fit.
    """
    import dataclasses

    from ..config import Config

    config = Config.from_toml(file) if file else Config.from_environment()
    values: dict[str, Any] = {**pairs(settings, "--set")}
    if compatibility:
        values["compatibility"] = compatibility
    if raise_errors:
        values["raise_errors"] = True
    for name in values:
        if name not in {field.name for field in dataclasses.fields(Config)}:
            refuse_misplaced(name, "--set")
    chosen = Config.from_mapping(values)
    return dataclasses.replace(config, **{name: getattr(chosen, name) for name in values})


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Turns values of the command line that the package refuses into an `InputError`: it was called wrongly."""
    from ..actors.failures import users_frames
    from ..strategies.errors import InputError

    try:
        yield
    except (TypeError, ValueError) as error:
        if users_frames(error):
            raise
        raise InputError(str(error)) from None
