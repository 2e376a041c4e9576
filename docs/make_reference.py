"""Rewrites the generated sections of `docs/reference.md` and `docs/exchange.md`: python docs/make_reference.py

A generated section stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`. Names, kinds, defaults and
options come from the code; the meanings of columns are written here, and a column without one is an error.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from headrace.actors.betfair.betfair_client import BetfairClient
from headrace.actors.clients import BaseClient
from headrace.actors.live.setup import RiskLimits
from headrace.assembly import Assembly
from headrace.backtest import Simulation, backtest
from headrace.cli import main
from headrace.config import Config, ConfigError
from headrace.live import Live
from headrace.results.result import SUMMARY_FIELDS
from headrace.simulate.exchange.asking import SWITCHES
from headrace.simulate.exchange.faults import KINDS as KINDS_OF_FAULT
from headrace.simulate.exchange.rehearsal import RehearsalExchange
from headrace.simulate.exchange.settings import ExchangeSettings, Limits, Timers
from headrace.simulate.rows import BOUNDS, DIGESTED, FIELDS
from headrace.strategies import errors

REFERENCE = Path(__file__).with_name("reference.md")
EXCHANGE = Path(__file__).with_name("exchange.md")

KINDS = {
    "text": "text",
    "number": "decimal",
    "whole": "integer",
    "flag": "true/false",
    "time": "time",
}

MONEY = "currency"
ODDS = "decimal odds"
TIME = "UTC, ms"

#: What a table holds.
TABLES = {
    "orders": "One row per order that passed the trading controls.",
    "fills": "One row per fill.",
    "markets": "One row per strategy and market, for every market that passed the strategy's filter.",
    "records": "What strategies recorded with `self.record(market, name=value)`.",
    "violations": "What controls refused: one row per strategy, market, control, request and reason.",
    "failures": "What went wrong: broken recordings, errors of strategies and middleware, filters that nothing passes.",
    "transactions": (
        "Transactions that count towards the hourly limit. `result.transactions` adds up all strategies and units, and "
        "has the charge on what is beyond 5,000 in an hour, before anything is set off (`charge`)."
    ),
}

#: Meaning and unit of columns that several tables share.
SHARED: dict[str, tuple[str, str]] = {
    "strategy": ("name of the strategy", ""),
    "parameters": ("its declared parameters, as JSON", ""),
    "client": ("username of the account", ""),
    "market_id": ("the exchange's id of the market, such as 1.181223995", ""),
    "event_id": ("the exchange's id of the event", ""),
    "event_type_id": ("the sport: 1 football, 2 tennis, 7 horse racing, 4339 greyhounds", ""),
    "market_type": ("WIN, PLACE, MATCH_ODDS and so on", ""),
    "country_code": ("two letters", ""),
    "venue": ("the course of a race", ""),
    "selection_id": ("the exchange's id of the runner", ""),
    "handicap": ("the runner's handicap; 0 where the market has none", ""),
    "side": ("BACK or LAY", ""),
    "bet_id": ("number that the exchange gave; simulated, it starts anew in each unit; empty where it took no bet", ""),
    "order_id": ("18 characters; simulated, it starts anew in each unit, so join tables by market_id and order_id", ""),
}

#: Meaning and unit of the other columns, by table.
MEANINGS: dict[str, dict[str, tuple[str, str]]] = {
    "orders": {
        "order_type": ("LIMIT, LIMIT_ON_CLOSE or MARKET_ON_CLOSE", ""),
        "price": ("limit; empty for MARKET_ON_CLOSE", ODDS),
        "size": ("stake asked for; empty for starting-price orders and bet targets", MONEY),
        "liability": ("of starting-price orders, as reduced by non-runners; empty for limit orders", MONEY),
        "persistence_type": ("LAPSE, PERSIST or MARKET_ON_CLOSE, as it was last; empty for starting-price orders", ""),
        "placed_at": ("when it arrived at the exchange; empty if it never did", TIME),
        "first_matched_at": (
            "time of the first fill; live of the first news of one; before placed_at only under compatibility",
            TIME,
        ),
        "completed_at": ("when nothing more could happen to it; empty if that time never came", TIME),
        "status": (
            "last status: EXECUTION_COMPLETE, EXPIRED, or VIOLATION if a control of the account refused it; another "
            "if the recording ended before the market closed",
            "",
        ),
        "size_matched": ("matched; of a lay, the backer's stake", MONEY),
        "average_price_matched": ("average price of the fills; 0 where nothing matched", ODDS),
        "size_remaining": ("still unmatched; 0 for starting-price orders", MONEY),
        "size_cancelled": ("cancelled", MONEY),
        "size_lapsed": ("lapsed", MONEY),
        "size_voided": ("voided: refused by the exchange, or on a removed runner", MONEY),
        "error_code": (
            "why the exchange refused the placing; MARKET_CLOSED or RECORDING_ENDED if that came before it arrived; "
            "otherwise empty",
            "",
        ),
        "seconds_to_start": ("at the request, to the scheduled start; below 0 after it", "seconds"),
        "inplay": ("the market was in play at the request", ""),
        "best_back": ("best price to back at the request", ODDS),
        "best_lay": ("best price to lay at the request", ODDS),
        "last_price_traded": ("at the request", ODDS),
        "queue_ahead": (
            "size ahead at its price when it began to rest; empty for starting-price orders, orders matched at their "
            "arrival and orders that never arrived",
            MONEY,
        ),
        "bsp": ("starting price of the runner; empty where there is none", ODDS),
        "profit": ("before commission; empty where something was matched and no result is known", MONEY),
        "settlement_note": (
            "what the result assumes, in one word (see [Settlement](fidelity.md#settlement)); empty where it assumes "
            "nothing",
            "",
        ),
        "notes": ("values of the notes of the trade and of the order, with commas between", ""),
    },
    "fills": {
        "time": (
            "when it was matched: at its arrival, or at the publish time of the change that matched it; under "
            "compatibility that of the book it met at its arrival, and empty with `simulated_full_match`",
            TIME,
        ),
        "price": ("price of the fill, as reduced by non-runners", ODDS),
        "size": ("size of the fill; of a lay, the backer's stake", MONEY),
    },
    "markets": {
        "start": ("scheduled start", TIME),
        "changes": ("changes replayed", ""),
        "orders": ("orders of the strategy", ""),
        "matched_orders": ("orders with something matched", ""),
        "won_orders": ("orders with a profit above 0", ""),
        "matched": ("sum of size_matched", MONEY),
        "exposure": ("most that matched bets could have lost, at the worst moment of the market", MONEY),
        "profit": ("sum of the orders' profits, before commission; bets without a result count nothing", MONEY),
        "commission": ("as if the strategy were alone in its account", MONEY),
        "transactions": ("placings answered, and refused cancels, updates and replaces", ""),
        "status": ("last status of the market; CLOSED where its recording goes on to its end", ""),
        "settled": (
            "how often it was settled: 0 where it never closed or a bet had no result, 2 or more where it was reopened",
            "",
        ),
        "unsettled": ("matched orders without a result", ""),
        "profit_low": ("with a band: the least profit with the three queues; else empty, as all columns below", MONEY),
        "profit_high": ("the most", MONEY),
        "matched_low": ("the least that was matched with the three queues", MONEY),
        "matched_high": ("the most", MONEY),
        **{
            f"{queue}_{name}": (f"`{name}` with the {queue} queue", MONEY)
            for queue in BOUNDS
            for name in ("profit", "commission", "matched")
        },
    },
    "records": {
        "time": ("market time of the record", TIME),
        "record": ("the names and values, as JSON", ""),
    },
    "violations": {
        "control": ("name of the control", ""),
        "request": ("PLACE, CANCEL, UPDATE or REPLACE", ""),
        "reason": ("text of the first violation; texts that differ in figures only count as one", ""),
        "count": ("how often", ""),
    },
    "failures": {
        "strategy": ("name of the strategy; empty where a recording is broken", ""),
        "market_id": ("the market, where it is known", ""),
        "line": ("file and line: of the code that raised, or of the recording", ""),
        "count": ("how often, at this place", ""),
        "error_type": ("class of the error", ""),
        "message": ("its text", ""),
        "publish_time": ("market time of the first; empty for broken recordings", TIME),
        "unit": ("the input: a file, an archive's member, or an event", ""),
        "traceback": ("of the first", ""),
        "command": ("shell command that runs the unit again; empty unless the command line was used", ""),
    },
    "transactions": {
        "hour": ("start of the clock hour, market time", TIME),
        "charge_each": (
            "cost of a transaction beyond the 5,000 free ones of the hour; 0 under compatibility",
            MONEY,
        ),
        "placed": ("placings that were sent, whatever the exchange answered; under compatibility, answered ones", ""),
        "failed": ("cancels, updates and replaces that the exchange refused", ""),
    },
}

#: Examples that the tests of the page cannot run, and why.
NOT_RUN = {
    "submit": "needs a cluster",
    "exchange": "serves until it is stopped",
    "live": "trades until it is stopped",
    "paper": "trades until it is stopped",
    "record": "needs an account",
    "live status": "needs a running system",
    "live stop": "needs a running system",
    "live cancel-all": "needs a running system",
    "journal": "needs the journal of a system",
    "calibrate": "needs a recorded session",
}

SUMMARY: dict[str, tuple[str, str]] = {
    "strategy": SHARED["strategy"],
    "markets": ("markets that passed its filter", ""),
    "traded_markets": ("markets in which something matched", ""),
    "orders": ("orders", ""),
    "matched_orders": ("orders with something matched", ""),
    "matched": ("sum of sizes matched", MONEY),
    "profit": ("before commission", MONEY),
    "commission": ("sum over markets", MONEY),
    "net_profit": ("profit less commission", MONEY),
    "return_on_matched": ("net profit divided by matched; empty where nothing matched", "fraction"),
    "strike_rate": ("orders with a profit, of all matched orders; empty where nothing matched", "fraction"),
    "winning_markets": ("markets with a net profit above 0", ""),
    "profit_factor": (
        "net profits of winning markets divided by net losses of losing ones; infinite without a loss",
        "",
    ),
    "expectancy": ("mean net profit of a traded market", MONEY),
    "standard_error": ("of the expectancy; empty of fewer than two traded markets", MONEY),
    "expectancy_low": ("lower end of its 95 % interval, by bootstrap over traded markets", MONEY),
    "expectancy_high": ("upper end of that interval", MONEY),
    "max_drawdown": ("greatest fall of the net profit from a high, markets in order of their starts; 0 or more", MONEY),
    "max_drawdown_markets": ("most traded markets in a row with the net profit below an earlier high", ""),
    "longest_losing_run": ("most traded markets in a row with a net loss", ""),
    "mean_exposure": ("mean of the exposure of traded markets", MONEY),
    "transactions": ("sum over markets", ""),
    "transaction_charge": (
        "as if the strategy were alone in its accounts, less what is set off; not part of net_profit",
        MONEY,
    ),
    "unsettled": ("matched orders without a result: their profit is not known, and not in any sum", ""),
    "matched_low": ("with a band: the least sum over all markets of the three queues; else empty, as all below", MONEY),
    "matched_high": ("the most", MONEY),
    "profit_low": ("the least profit of the three", MONEY),
    "profit_high": ("the most", MONEY),
    "net_profit_low": ("the least net profit of the three", MONEY),
    "net_profit_high": ("the most", MONEY),
    "violations": ("requests that controls refused", ""),
    "failures": ("errors of the strategy, with their counts", ""),
}


def cell(text: str) -> str:
    """Text in a cell of a table: code is marked with single backticks, bars would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(each) for each in line) + " |" for line in lines)


def columns(name: str, fields: Iterable[tuple[str, str]], meanings: dict[str, tuple[str, str]]) -> str:
    fields = list(fields)
    missing = [column for column, _ in fields if column not in meanings]
    if missing:
        raise SystemExit(f"{Path(__file__).name}: say what {', '.join(missing)} of {name} means")
    rows = [(f"`{column}`", KINDS[kind], *meanings[column]) for column, kind in fields]
    return table(("column", "kind", "meaning", "unit"), rows)


def tables() -> str:
    parts = []
    for name, fields in FIELDS.items():
        covered = "In the digest." if name in DIGESTED else "Not in the digest."
        if name == "markets":
            covered = "In the digest, but for what a band adds."
        text = f"### `{name}`\n\n{TABLES[name]} {covered}\n\n"
        parts.append(text + columns(name, fields, {**SHARED, **MEANINGS[name]}))
    return "\n\n".join(parts)


def summary() -> str:
    return columns("the summary", SUMMARY_FIELDS, SUMMARY)


def entries(owner: Any, heading: str) -> dict[str, str]:
    """The entries of a docstring below `heading`; names with commas between share a text."""
    found: dict[str, str] = {}
    names: list[str] = []
    block = inspect.cleandoc(owner.__doc__ or "").partition(f"{heading}:\n")[2].partition("\n\n")[0]
    for line in block.splitlines():
        entry = re.match(r"    (\w[\w, ]*): (.*)", line)
        if entry and not line.startswith("     "):
            names = [name.strip() for name in entry[1].split(",")]
            found.update(dict.fromkeys(names, entry[2]))
        elif names and line.strip():
            for name in names:
                found[name] += " " + line.strip()
    return found


def calls() -> str:
    texts = entries(backtest, "Args")
    rows = []
    for name, parameter in inspect.signature(backtest).parameters.items():
        default = "" if parameter.default is parameter.empty else f"`{parameter.default!r}`"
        rows.append((f"`{name}`", default, texts[name]))
    return table(("argument", "default", "meaning"), rows)


def live() -> str:
    texts = entries(Live, "Args")
    rows = []
    for name, parameter in inspect.signature(Live).parameters.items():
        default = parameter.default
        shown = f"hr.{default.__name__}" if inspect.isclass(default) else repr(default)
        rows.append((f"`{name}`", f"`{shown}`", texts[name]))
    return table(("argument", "default", "meaning"), rows)


def live_methods() -> str:
    return _methods([each for name, each in vars(Live).items() if inspect.isfunction(each) and name[0] != "_"])


def risk() -> str:
    texts = entries(RiskLimits, "Attributes")
    rows = [(f"`{each.name}`", f"`{each.default!r}`", texts[each.name]) for each in dataclasses.fields(RiskLimits)]
    return table(("limit", "default", "meaning"), rows)


def account() -> str:
    texts = entries(BaseClient, "Args") | entries(BetfairClient, "Args")
    rows = []
    for name, parameter in inspect.signature(BaseClient).parameters.items():
        if name != "simulated_full_match":
            rows.append((f"`{name}`", f"`{parameter.default!r}`", texts[name]))
    return table(("keyword", "default", "meaning"), rows)


def methods() -> str:
    members = {**vars(Assembly), **vars(Simulation)}
    return _methods([each for name, each in members.items() if name.startswith("add_") or name in ("run", "stop")])


def _methods(found: Iterable[Callable[..., Any]]) -> str:
    rows = []
    for each in found:
        names = list(inspect.signature(each).parameters.values())[1:]
        text = inspect.cleandoc(each.__doc__ or "").partition("\n\n")[0]
        rows.append((f"`{each.__name__}({', '.join(str(name).partition(':')[0] for name in names)})`", text))
    return table(("method", "meaning"), rows)


def config() -> str:
    texts = entries(Config, "Attributes")
    rows = []
    for field in dataclasses.fields(Config):
        if field.name not in texts:
            raise SystemExit(f"{Path(__file__).name}: the docstring of Config does not tell of {field.name}")
        default = "of the process" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        rows.append((f"`{field.name}`", f"`{field.type}`", default, texts[field.name]))
    return table(("setting", "type", "default", "meaning"), rows)


def shown_type(option: click.Parameter) -> str:
    kind = option.type
    if isinstance(option, click.Option) and option.is_flag:
        return ""
    if isinstance(kind, click.Choice):
        return " or ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, click.IntRange):
        low, high = kind.min, kind.max
        return f"whole number, {low} or more" if high is None else f"whole number, {low} to {high}"
    if isinstance(option.metavar, str):
        return f"`{option.metavar}`"
    return {"integer": "whole number", "float": "number", "text": "text"}.get(kind.name, kind.name)


def command(name: str, found: click.Command) -> str:
    arguments = [each for each in found.params if isinstance(each, click.Argument)]
    options = [each for each in found.params if isinstance(each, click.Option)]
    usage = " ".join(["headrace", name, *(each.metavar or str(each.name).upper() for each in arguments), "[OPTIONS]"])
    rows = []
    for option in options:
        text = option.help or ""
        if option.required:
            text += " Required."
        if option.show_default:
            text += f" Default: `{option.default}`."
        rows.append((", ".join(f"`{each}`" for each in option.opts), shown_type(option), text.strip()))
    parts = [f"### `headrace {name}`", f"```text\n{usage}\n```", inspect.cleandoc(found.help or "")]
    parts.append(table(("option", "value", "meaning"), rows))
    example = (found.epilog or "").partition("Example: ")[2]
    if example:
        marked = f"<!-- not run: {NOT_RUN[name]} -->\n" if name in NOT_RUN else ""
        parts.append(f"Example:\n\n{marked}```sh\n{example}\n```")
    return "\n\n".join(parts)


def commands() -> str:
    return "\n\n".join(command(name, found) for name, found in sorted(all_commands(main).items()))


def all_commands(group: click.Group, before: str = "") -> dict[str, click.Command]:
    """Commands by the words that call them. That of a group's own name stands for the group."""
    found: dict[str, click.Command] = {}
    for name, each in group.commands.items():
        words = before if each.hidden else f"{before} {name}".strip()
        found |= all_commands(each, words) if isinstance(each, click.Group) else {words: each}
    return found


def exceptions() -> str:
    found = [each for each in vars(errors).values() if inspect.isclass(each) and each.__module__ == errors.__name__]
    rows = []
    for each in [*found, ConfigError]:
        text = inspect.cleandoc(each.__doc__ or "").partition("\n\n")[0]
        rows.append((f"`{each.__name__}`", f"`{each.__bases__[0].__name__}`", text))
    return table(("error", "is a", "meaning"), rows)


def rehearsal() -> str:
    texts = entries(RehearsalExchange, "Args")
    rows = []
    for name, parameter in inspect.signature(RehearsalExchange).parameters.items():
        settled = getattr(ExchangeSettings(), name, None) if parameter.default is None else parameter.default
        default = "" if name in ("markets", "accounts", "settings") else f"`{settled!r}`"
        rows.append((f"`{name}`", default, texts[name]))
    return table(("argument", "default", "meaning"), rows)


def rehearsal_methods() -> str:
    rows = []
    for name, found in vars(RehearsalExchange).items():
        if name.startswith("_"):
            continue
        function = found.fget if isinstance(found, property) else found
        names = list(inspect.signature(function).parameters.values())[1:]
        shown = name if isinstance(found, property) else f"{name}({', '.join(map(_argument, names))})"
        rows.append((f"`{shown}`", inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0].replace("\n", " ")))
    return table(("method", "meaning"), rows)


def rehearsal_settings() -> str:
    rows = []
    for kind in (Limits, Timers, ExchangeSettings):
        texts = entries(kind, "Attributes")
        for each in dataclasses.fields(kind):
            if kind is ExchangeSettings and each.name not in SWITCHES:
                continue
            default = "none" if each.default is None else str(each.default).lower()
            rows.append((f"`{each.name}`", f"`{default}`", kind.__name__, texts[each.name]))
    return table(("name", "default", "part of", "meaning"), rows)


def _argument(parameter: inspect.Parameter) -> str:
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
    return f"{stars}{parameter.name}{default}"


def faults() -> str:
    return table(("kind", "what it does"), [(f"`{kind}`", text) for kind, text in KINDS_OF_FAULT.items()])


SECTIONS: dict[str, Callable[[], str]] = {
    "backtest": calls,
    "simulation": methods,
    "live": live,
    "live methods": live_methods,
    "risk": risk,
    "account": account,
    "rehearsal": rehearsal,
    "rehearsal methods": rehearsal_methods,
    "rehearsal settings": rehearsal_settings,
    "tables": tables,
    "summary": summary,
    "config": config,
    "commands": commands,
    "errors": exceptions,
}


#: Those of docs/exchange.md.
EXCHANGE_SECTIONS: dict[str, Callable[[], str]] = {"faults": faults}


def rewritten(text: str, sections: dict[str, Callable[[], str]] = SECTIONS) -> str:
    """`text` with its generated sections made anew."""
    for name, make in sections.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"there is no section between {begin} and {end}")
        text = f"{before}{begin}\n\n{make()}\n\n{end}{after}"
    return text


def run(arguments: list[str]) -> Any:
    if arguments:
        raise SystemExit(__doc__)
    for page, sections in ((REFERENCE, SECTIONS), (EXCHANGE, EXCHANGE_SECTIONS)):
        page.write_text(rewritten(page.read_text(encoding="utf-8"), sections), encoding="utf-8")


if __name__ == "__main__":
    run(sys.argv[1:])
