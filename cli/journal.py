"""The command `journal`: what a live system has asked the exchange for, and heard of it, while it runs or later."""

from __future__ import annotations

import click


@click.command(epilog="Example: headrace journal --market 1.204000000 --json")
@click.option(
    "--reference", metavar="NAME", help="The system's customer_strategy_ref; not needed where there is one journal."
)
@click.option(
    "--of",
    "kind_of_system",
    type=click.Choice(["live", "paper", "rehearsal"]),
    help="Which of its journals: each of these has its own. Default: the one that is being written, or was last.",
)
@click.option("--market", "markets", multiple=True, metavar="ID", help="Entries of this market. Repeatable.")
@click.option(
    "--order",
    "orders",
    multiple=True,
    metavar="ID",
    help="Entries about this order: its id, its reference, or its bet's number. Repeatable.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Entries of this kind: place, cancel, update, replace, request (all four), reply, orderfact, clearedorder, "
    "marketfact, noted and others. Repeatable.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Entries written since then: 23:30 of this machine's time, a date and time, or a time span back: 15m, 2h, 3d.",
)
@click.option(
    "--last",
    type=click.IntRange(min=1),
    metavar="N",
    help="The last N entries. Default: 50 in a table, unless --since, --market or --order is given; else all.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object to a line, with the whole message.")
@click.option(
    "--parquet", type=click.Path(), metavar="FILE", help="Write them there; a file that is there is replaced."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
def journal(
    reference: str | None,
    kind_of_system: str | None,
    markets: tuple[str, ...],
    orders: tuple[str, ...],
    kinds: tuple[str, ...],
    since: str | None,
    last: int | None,
    as_json: bool,
    parquet: str | None,
    follow: bool,
) -> None:
    """Show the journal of a live system: its requests, the answers, what became of orders, what happened to it.

    The system may be running or not. Times in the table are UTC. The exit code is 1 where a part of the journal cannot
    be read.
    """
    import datetime

    from ..strategies.errors import InputError
    from .journal_search import Search, found_journal, moment_back, wanted_kinds
    from .journal_views import follow_entries, show_entries, write_parquet

    if parquet and (as_json or follow):
        raise InputError("--parquet writes a file: it goes without --json and --follow")
    search = Search(
        found_journal(reference, kind_of_system),
        markets,
        orders,
        wanted_kinds(kinds),
        None if since is None else moment_back(since, datetime.datetime.now().astimezone()),
    )
    if parquet:
        count = write_parquet(search.entries(last, kept=True), parquet)
        click.echo(f"{count:,} entries in {parquet}")
    else:
        if last is None and not (as_json or since or markets or orders):
            last = 50
        show = follow_entries if follow else show_entries
        show(search, last, as_json)
    for each in search.unread:
        click.echo(f"headrace: {each}", err=True)
    if search.unread:
        click.get_current_context().exit(1)
