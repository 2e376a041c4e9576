"""The command `record`: markets as they come over the stream, kept as recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..strategies.strategy import Strategy
from ..strategies.stream_classes import DataStream
from .options import settings_option

if TYPE_CHECKING:
    from ..results.result import Result

#: All that the stream has ("Exchange Stream API", MarketDataFilter).
_FIELDS = ("EX_MARKET_DEF", "EX_ALL_OFFERS", "EX_TRADED", "EX_TRADED_VOL", "EX_LTP", "SP_TRADED", "SP_PROJECTED")
#: What a recorder is known by unless it is told otherwise: another name than that of a system that trades.
_REFERENCE = "record"


class Recorded(Strategy):
    """Wants markets, and does nothing with them."""

    stream_class = DataStream


@click.command(epilog="Example: headrace record --out recordings --event-type 7 --market-type WIN --country GB")
@click.argument("words", nargs=-1, metavar="[FILE.toml]")
@click.option("--out", "-o", required=True, type=click.Path(), metavar="FOLDER",
              help="A folder or URI (s3://bucket/run) for recordings; what is there is gone on with.")  # fmt: skip
@click.option("--event-type", "event_type_ids", multiple=True, metavar="ID",
              help="A sport, such as 7 for horse racing. Repeatable.")  # fmt: skip
@click.option("--event", "event_ids", multiple=True, metavar="ID", help="An event. Repeatable.")
@click.option("--market", "market_ids", multiple=True, metavar="ID", help="A market. Repeatable.")
@click.option("--market-type", "market_types", multiple=True, metavar="TYPE",
              help="Such as WIN or MATCH_ODDS. Repeatable.")  # fmt: skip
@click.option("--country", "country_codes", multiple=True, metavar="CODE", help="Such as GB. Repeatable.")
@click.option("--venue", "venues", multiple=True, metavar="NAME", help="A course. Repeatable.")
@click.option("--field", "fields", multiple=True, type=click.Choice(_FIELDS), metavar="NAME",
              help="What is recorded of a market, such as EX_BEST_OFFERS; default: all. Repeatable.")  # fmt: skip
@click.option("--conflate", "conflate_ms", type=click.IntRange(0, 120_000), metavar="MS",
              help="Changes at most so often, milliseconds; default: each.")  # fmt: skip
@click.option("--rehearse", "-m", "rehearse", multiple=True, metavar="PATH",
              help="Record from a rehearsal exchange that plays these recordings. Repeatable.")  # fmt: skip
@click.option("--speed", type=float, default=1.0, show_default=True, metavar="NUMBER",
              help="Of --rehearse: recorded seconds per second.")  # fmt: skip
@click.option("--reference", metavar="NAME", default=_REFERENCE, show_default=True,
              help="What the recorder is known by on this machine: each has its own.")  # fmt: skip
@click.option("--engine", type=click.Choice(["ray", "local"]), default="local", show_default=True,
              help="local: threads of this process. ray: streams in processes of their own.")  # fmt: skip
@click.option("--until", metavar="TIME", help="Stop then: 23:30 of this machine's time, or a date and time.")
@click.option("--stop-when-idle", is_flag=True, help="Stop once all markets are over.")
@settings_option
@click.option("--quiet", "-q", is_flag=True, help="No view of the recorder, and no lines but warnings.")
def record(words: tuple[str, ...], quiet: bool, out: str, **options: Any) -> None:
    """Record markets, until it is stopped (Ctrl-C, SIGTERM, `headrace live stop --reference record`).

    Each market is a file of Betfair's own format, packed once it is over, with its catalogue beside it; `backtest`
    reads them. The account's credentials are in the environment (BETFAIR_USERNAME, BETFAIR_PASSWORD,
    BETFAIR_APP_KEY), or FILE.toml names accounts; see docs/live.md. Nothing is placed.
    """
    from ..strategies.errors import InputError
    from .live_plan import LivePlan, plan_of
    from .live_run import supervise

    odd = [word for word in words if not word.endswith(".toml")]
    if odd:
        raise InputError(f"{odd[0]}: expected a file such as live.toml; what is recorded is said by options")
    names = ("event_type_ids", "event_ids", "market_ids", "market_types", "country_codes", "venues")
    chosen = {name: list(options[name]) for name in names if options[name]}
    if not chosen and not options["rehearse"]:
        raise InputError("what is to be recorded? Say so with --event-type, --event, --market, --market-type ...")
    recorded = Recorded(
        name="record",
        market_filter=chosen,
        market_data_filter={"fields": list(options["fields"] or _FIELDS)},
        conflate_ms=options["conflate_ms"],
    )
    wanted = {**options, "record": out, "page": False, "on_stop": "leave"}

    def planned(given_at: float) -> LivePlan:
        plan = plan_of(words, wanted, True, [recorded], given_at)
        plan.does = f"records into {out}"
        return plan

    supervise(planned, quiet, _tell)


def _tell(result: Result, out: str | None) -> None:
    """What was recorded."""
    count = result.markets.num_rows
    click.echo(f"{count:,} {'market was' if count == 1 else 'markets were'} recorded")
