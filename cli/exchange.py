"""The command `exchange`: a rehearsal exchange that serves until it is stopped."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..simulate.exchange.faults import Fault
    from ..simulate.exchange.plan import Addresses
    from ..simulate.exchange.settings import AccountSettings, ExchangeSettings


@click.command(epilog="Example: headrace exchange --markets 'recordings/*.bz2' --speed 20")
@click.option("--markets", "-m", multiple=True, metavar="PATH",
              help="A recording, a folder, or a quoted pattern such as 'recordings/**/*.bz2'. Repeatable.")  # fmt: skip
@click.option("--generate", "-n", type=click.IntRange(min=1), metavar="N",
              help="Make up markets, N of them open at once; as they close, new ones open.")  # fmt: skip
@click.option("--speed", default="1", show_default=True, metavar="NUMBER",
              help="Recorded seconds per second; max: as fast as clients of the stream read; step: by control calls "
              "alone.")  # fmt: skip
@click.option("--in-step", is_flag=True, help="Recordings keep their distance in time; else each begins at once.")
@click.option("--before-start", type=click.FloatRange(min=0), metavar="SECONDS",
              help="Begin so many recorded seconds before the scheduled start, with what was there then.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Begin only when a client subscribes to markets, or lists some by a filter.")
@click.option("--host", default="localhost", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True,
              help="Of plain HTTP; 0: any that is free.")  # fmt: skip
@click.option("--https-port", type=click.IntRange(0, 65_535), default=0, help="Of HTTPS; likewise.")
@click.option("--certlogin-port", type=click.IntRange(0, 65_535), default=0,
              help="Of HTTPS that asks for a client certificate; likewise.")  # fmt: skip
@click.option("--stream-port", type=click.IntRange(0, 65_535), default=0, help="Of the stream over TLS; likewise.")
@click.option("--plain-stream-port", type=click.IntRange(0, 65_535), default=0,
              help="Of the stream over plain TCP; likewise.")  # fmt: skip
@click.option("--account", "accounts", multiple=True, metavar="NAME[,FIELD=VALUE...]",
              help="An account, such as alice,password=secret,currency=EUR,balance=500; default: rehearsal. "
              "Repeatable.")  # fmt: skip
@click.option("--fault", "faults", multiple=True, metavar="KIND[:FIELD=VALUE,...]",
              help="What is to go wrong, such as stream.drop:after=30 or http.slow:seconds=3,times=always. "
              "Repeatable.")  # fmt: skip
@click.option("--faults", "fault_file", type=click.Path(), metavar="FILE",
              help="Faults as JSON: a list, or a seeded schedule of them.")  # fmt: skip
@click.option("--set", "chosen", multiple=True, metavar="NAME=VALUE",
              help="A limit, a timer in seconds, or a switch, such as connections=2, settle=90, catalogue_age=60 or "
              "settle_twice=true. Repeatable.")  # fmt: skip
@click.option("--catalogues", type=click.Path(), metavar="FOLDER", help="Market catalogues, <market id>.json[.gz].")
@click.option("--sports-data", type=click.Path(), metavar="FOLDER", help="Recorded cricket or race data, by market id.")
@click.option("--sport", "sports", multiple=True,
              help="Of made-up markets: horse_racing, greyhounds, football, tennis. Repeatable.")  # fmt: skip
@click.option("--changes", type=click.IntRange(min=50, max=200_000), default=1200, show_default=True,
              help="Stream messages per made-up market, about.")  # fmt: skip
@click.option("--minutes-before", type=click.FloatRange(min=1, max=1440), metavar="MINUTES",
              help="Of a made-up market: from its opening to the scheduled off; default: 10 to 30, drawn.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn.")
@click.option("--ledger", type=click.Path(), metavar="FILE",
              help="Write every request, bet event and message there, as lines of JSON.")  # fmt: skip
@click.option("--certificates", type=click.Path(), metavar="FOLDER",
              help="Where the exchange's certificates are kept; default: new ones each time.")  # fmt: skip
def exchange(**options: Any) -> None:
    """Serve a rehearsal exchange: clients of Betfair can be pointed at it, and trade without money.

    It speaks the Stream API and the betting, account and heartbeat APIs on this machine, plays recorded or made-up
    markets, and matches bets as `backtest` does. It serves until it is stopped (Ctrl-C, SIGTERM). At its HTTP address
    is a page of what goes on. See docs/exchange.md.
    """
    import asyncio

    from ..simulate.exchange.asking import accounts_of, faults_of, read_faults, with_settings
    from ..simulate.exchange.plan import Played
    from ..simulate.exchange.process import Orders, serve
    from ..simulate.exchange.settings import AccountSettings, ExchangeSettings
    from ..strategies.errors import InputError

    if not options["markets"] and not options["generate"]:
        raise InputError("there is nothing to play: name recordings with --markets, or made-up ones with --generate")
    settings = ExchangeSettings(
        speed=_speed(options["speed"]),
        host=options["host"],
        port=options["port"],
        https_port=options["https_port"],
        certlogin_port=options["certlogin_port"],
        stream_port=options["stream_port"],
        plain_stream_port=options["plain_stream_port"],
        seed=options["seed"],
        accounts=accounts_of(options["accounts"]) or (AccountSettings(),),
    )
    settings = with_settings(settings, pairs(options["chosen"], "--set"))
    faults = faults_of(options["faults"])
    if options["fault_file"] is not None:
        faults += read_faults(options["fault_file"])
    played = Played(
        list(options["markets"]) or None,
        options["generate"] or 0,
        options["in_step"],
        options["before_start"],
        options["sports_data"],
        options["catalogues"],
        options["sports"] or None,
        options["changes"],
        options["minutes_before"],
        options["wait"],
    )
    ledger, certificates = (None if options[name] is None else Path(options[name]) for name in _FILES)
    orders = Orders(played, settings, ledger, tuple(faults), certificates)
    logging.basicConfig(level=logging.WARNING, format="headrace: %(message)s")
    if asyncio.run(serve(orders, lambda addresses, playing: _tell(addresses, settings, playing, faults))):
        click.echo("headrace: stopped", err=True)
        sys.exit(130)


_FILES = ("ledger", "certificates")


def _speed(text: str) -> Any:
    from ..simulate.exchange.plan import FASTEST, SLOWEST
    from ..strategies.errors import InputError

    if text in ("max", "step"):
        return text
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"--speed is {text!r}; expected a number from {SLOWEST:g} to {FASTEST:g}, max or step"
        ) from None


def _tell(addresses: Addresses, settings: ExchangeSettings, playing: list[str], faults: Sequence[Fault]) -> None:
    """Say what is played, where it is, who may log in, and what points clients at it."""
    from ..simulate.exchange.pointing import lines_for_betfairlightweight

    first = settings.accounts[0]
    rows = [("playing", "; ".join(playing))]
    if faults:
        rows.append(("faults", f"{len(faults)} set up: {', '.join(sorted({each.kind for each in faults}))}"))
    rows += [
        ("page and HTTP", addresses.url),
        ("HTTPS", f"https://{addresses.place(addresses.https)}/"),
        ("certlogin", f"https://{addresses.place(addresses.certlogin)}/api/"),
        ("stream, TLS", addresses.place(addresses.stream_tls)),
        ("stream, plain", addresses.place(addresses.stream)),
        ("certificate", addresses.certificate),
        ("client's own", addresses.client_certificates),
        ("control", f"{addresses.url}rehearsal/state  X-Rehearsal-Token: {addresses.token}"),
    ]
    rows += [("account", _account(each)) for each in settings.accounts]
    for name, value in rows:
        click.echo(f"{name:<14} {value}")
    lines = lines_for_betfairlightweight(addresses, first.username, first.password, first.app_key)
    click.echo(f"\nbetfairlightweight:\n\n{_indented(lines)}")
    click.echo(f"flumine, with that client:\n\n{_indented(_FLUMINE)}")
    table = _HEADRACE.format(
        url=addresses.url,
        stream=addresses.place(addresses.stream_tls),
        certificate=Path(addresses.certificate).absolute(),
    )
    click.echo(f"headrace, in live.toml, with username, password and app_key in account.toml:\n\n{_indented(table)}")
    click.echo("Ctrl-C stops the exchange.")
    sys.stdout.flush()


_HEADRACE = """\
[[clients]]
credentials = "account.toml"
interactive_login = true
exchange = {{ url = "{url}", stream = "{stream}", certificate = "{certificate}" }}
"""

_FLUMINE = """\
import flumine

framework = flumine.Flumine(flumine.clients.BetfairClient(client))
"""


def _account(account: AccountSettings) -> str:
    fields = dataclasses.asdict(account)
    return "  ".join(f"{name}={fields[name]}" for name in ("username", "password", "app_key", "currency", "balance"))


def _indented(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True))
