"""Entries of a journal as lines, as JSON and as a table of Parquet."""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from ..actors.journal.entries import Entry, Noted, Seated, unpacked
from ..actors.letters import ForeignBet, Hello
from ..results.folders import not_written
from ..strategies.messages import (
    AccountFact,
    CancelInstruction,
    ClearedOrder,
    Instruction,
    MarketFact,
    MarketResult,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
    ViolationFact,
)
from ..values import UNREADABLE
from .journal_search import Search, ids_in

#: Seconds between two looks at a journal that is followed.
_LOOK_S = 0.25
#: Entries that are written to a Parquet file at once.
_GROUP = 10_000
_HEAD = f"{'time (UTC)':23}  {'number':>8}  {'market':13}  {'kind':12}  {'actor':16}  what"


# -- on the terminal --------------------------------------------------------------------------------------------------


def show_entries(search: Search, last: int | None, as_json: bool) -> None:
    """Print them."""
    _printed(search.entries(last, kept=as_json), as_json)


def follow_entries(search: Search, last: int | None, as_json: bool) -> None:
    """Print them, and then each that is written, until Ctrl-C."""
    seen, entries, head = search.written, search.entries(last, kept=as_json), True
    while True:
        seen, head = max(seen, _printed(entries, as_json, head)), False
        time.sleep(_LOOK_S)
        now = search.written
        entries, seen = search.entries(after=seen, kept=as_json), now


def _printed(entries: Iterable[Entry], as_json: bool, head: bool = True) -> int:
    """Print some entries. Returns: the number of the last one; 0: there was none."""
    number = 0
    try:
        for entry in entries:
            if not as_json and head and not number:
                click.echo(_HEAD)
            number = entry.number
            click.echo(json_of(entry) if as_json else line_of(entry))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.get_current_context().exit(0)
    return number


def line_of(entry: Entry) -> str:
    """An entry as a line."""
    at = datetime.datetime.fromtimestamp(entry.at / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
    message = entry.message
    kind = message.kind if isinstance(message, Request) else type(message).__name__
    return f"{at}  {entry.number:8}  {entry.market_id:13}  {kind:12}  {entry.actor:16}  {text_of(message)}".rstrip()


def json_of(entry: Entry) -> str:
    """An entry as a JSON object. What is kept for a restart is told in short."""
    return msgspec.json.encode({**_head_of(entry), "message": _plain(entry.message), **_kept(entry)}).decode()


def _head_of(entry: Entry) -> dict[str, Any]:
    kind = type(entry.message).__name__
    return {"number": entry.number, "at": entry.at, "market_id": entry.market_id, "kind": kind, "actor": entry.actor}


def _plain(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(message, builtin_types=(bytes,))
    found.pop("type", None)
    for name, value in found.items():
        if isinstance(value, bytes):
            found[name] = msgspec.Raw(value) if value else None
    return found


def _kept(entry: Entry) -> dict[str, Any]:
    if not entry.kept:
        return {}
    try:
        kept = unpacked(entry.kept)
    except UNREADABLE:
        return {"kept": {"bytes": len(entry.kept)}}
    trades = [each.trade_id for each in kept.trades]
    return {"kept": {"trades": trades, "runners": len(kept.runners), "snapshot_bytes": len(kept.snapshot)}}


# -- as Parquet -------------------------------------------------------------------------------------------------------


def write_parquet(entries: Iterable[Entry], target: str) -> int:
    """Write them as a file of Parquet. Returns: how many there were.

    Raises:
        InputError, RunError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("number", pa.int64()),
            ("at", pa.timestamp("ms", "UTC")),
            ("market_id", pa.string()),
            ("kind", pa.string()),
            ("actor", pa.string()),
            ("strategy", pa.string()),
            ("ids", pa.list_(pa.string())),
            ("what", pa.string()),
            ("message", pa.string()),
            ("kept_bytes", pa.int64()),
        ]
    )
    path, count = Path(target), 0
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with pq.ParquetWriter(beside, schema) as writer:
                for group in _groups(entries):
                    writer.write_table(pa.Table.from_pylist([_row(each) for each in group], schema))
                    count += len(group)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise not_written(f"{target}: the entries cannot be written here", error) from None
    return count


def _row(entry: Entry) -> dict[str, Any]:
    message = entry.message
    return {
        **_head_of(entry),
        "strategy": getattr(message, "strategy", None),
        "ids": sorted(ids_in(message)),
        "what": text_of(message),
        "message": msgspec.json.encode(_plain(message)).decode(),
        "kept_bytes": len(entry.kept),
    }


def _groups(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    group: list[Entry] = []
    for entry in entries:
        group.append(entry)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group


# -- in words ---------------------------------------------------------------------------------------------------------


def text_of(message: Any) -> str:
    """What a message says, in a line."""
    tell = _TEXTS.get(type(message))
    return _others(message) if tell is None else tell(message)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _runner(selection_id: int, handicap: float) -> str:
    return f"{selection_id}" if not handicap else f"{selection_id}/{handicap:g}"


def _instruction(each: Instruction) -> str:
    bet = "" if isinstance(each, PlaceInstruction) or not each.bet_id else f" bet {each.bet_id}"
    if isinstance(each, PlaceInstruction):
        size = f"liability {_number(each.liability)}" if each.size is None else _number(each.size)
        if each.size is None and each.liability is None:
            size = f"{each.bet_target_type} {_number(each.bet_target_size)}"
        kind = "" if each.order_type == "LIMIT" else f" {each.order_type}"
        price = "" if each.price is None else f" at {_number(each.price)}"
        return f"{each.order_id} {each.side} {_runner(each.selection_id, each.handicap)} {size}{price}{kind}"
    if isinstance(each, CancelInstruction):
        return f"{each.order_id}{bet}" + ("" if each.size_reduction is None else f" by {_number(each.size_reduction)}")
    if isinstance(each, UpdateInstruction):
        return f"{each.order_id}{bet} to {each.new_persistence_type}"
    assert isinstance(each, ReplaceInstruction)
    new = "" if each.new_order_id is None else f" by {each.new_order_id}"
    return f"{each.order_id}{bet}{new} at {_number(each.new_price)}"


def _request(message: Request) -> str:
    return f"{message.strategy}, {message.username}: {'; '.join(map(_instruction, message.instructions))}"


def _report(each: Report) -> str:
    error = f" {each.error_code}" if each.error_code else ""
    bet = f" bet {each.bet_id}" if each.bet_id else ""
    size = f" size {_number(each.size)}" if each.size else ""
    return f"{each.operation} {each.order_id} {each.status}{error}{bet}{size}"


def _reply(message: Reply) -> str:
    why = ", ".join(each for each in (message.control, message.reason) if each)
    return "; ".join(each for each in (message.outcome, why, *map(_report, message.reports)) if each)


def _names(message: OrderFact | ClearedOrder) -> str:
    return " ".join(each for each in (message.order_id, message.bet_id and f"bet {message.bet_id}") if each)


def _fact(message: OrderFact) -> str:
    sizes = [f"{name} {_number(getattr(message, name))}" for name in ("remaining", "cancelled", "lapsed", "voided")
             if getattr(message, name)]  # fmt: skip
    matched = f"matched {_number(message.matched)}" + (f" at {_number(message.average)}" if message.matched else "")
    state = "EXECUTABLE" if message.executable else "EXECUTION_COMPLETE"
    why = f" ({message.why})" if message.why else ""
    return f"{_names(message)} {state} {', '.join([matched, *sizes])}{why}, {message.source.lower()}"


def _cleared(message: ClearedOrder) -> str:
    return f"{_names(message)} profit {message.profit:.2f}" + ("" if message.settled else ", not settled")


def _result(message: MarketResult) -> str:
    told = [f"{each.username} {each.profit:.2f} (commission {each.commission:.2f})" for each in message.markets]
    return ", ".join([f"{message.market.what} {len(message.orders)} bets", *told])


def _market(message: MarketFact) -> str:
    event = message.event_id and f"event {message.event_id}"
    return " ".join(each for each in (message.what, message.status, event) if each)


def _foreign(message: ForeignBet) -> str:
    runner = _runner(message.selection_id, message.handicap)
    sizes = f"matched {_number(message.matched)}, remaining {_number(message.remaining)}"
    bet = f"bet {message.bet_id} {message.side} {runner} {_number(message.size)} at {_number(message.price)}"
    return f"{bet}, {sizes}, {'of this system' if message.own else 'placed elsewhere'}"


_TEXTS: dict[type, Callable[[Any], str]] = {
    Request: _request,
    Reply: _reply,
    OrderFact: _fact,
    ClearedOrder: _cleared,
    MarketFact: _market,
    MarketResult: _result,
    ForeignBet: _foreign,
    ViolationFact: lambda each: f"{each.strategy}: {each.control} refused {each.request}: {each.reason}",
    AccountFact: lambda each: f"{each.username} funds {_number(each.funds)}, exposure {_number(each.exposure)}",
    Hello: lambda each: f"{each.name} {each.kind}, process {each.pid}, incarnation {each.incarnation}",
    Seated: lambda each: f"{each.crew} at {each.host or 'no host'}",
    Noted: lambda each: f"{each.what} {each.text}",
}


def _others(message: Any) -> str:
    found = {name: value for name, value in _plain(message).items() if value not in (None, "") and name != "at"}
    return " ".join(f"{name}={value}" for name, value in found.items() if not isinstance(value, msgspec.Raw))
