"""What controls refused, added up over markets: reasons, how often, and which setting lifts the most frequent one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..actors.violations import kind_of_reason

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of `violations` that are read here.
COLUMNS = ("strategy", "control", "reason", "count")
#: Reasons that are shown.
MOST_REASONS = 5
#: Settings that reasons name: of the strategy, and of the client.
_OF_STRATEGY = (
    "max_order_exposure",
    "max_selection_exposure",
    "max_market_exposure",
    "max_trade_count",
    "max_live_trade_count",
)
_OF_CLIENT = ("transaction_limit", "min_bet_validation")
_SETTING = re.compile(rf"\b({'|'.join((*_OF_STRATEGY, *_OF_CLIENT))})\b")


@dataclasses.dataclass(frozen=True)
class Reason:
    """Violations of one kind.

    Attributes:
        control: the name of the control.
        text: its words, with the figures of the first of them.
        count: how many.
        setting: what lifts it, such as "max_order_exposure"; None where no setting does.
    """

    control: str
    text: str
    count: int
    setting: str | None


def reasons(violations: pa.Table | Iterable[pa.Table]) -> list[Reason]:
    """The reasons in a table `violations`, the most frequent first. Those that differ in figures only are one.

    Args:
        violations: the table, or pieces of it, one after the other.
    """
    import pyarrow as pa

    counts: dict[tuple[str, str], int] = {}
    texts: dict[tuple[str, str], str] = {}
    for piece in [violations] if isinstance(violations, pa.Table) else violations:
        # In one thread groups come in the order of their first rows.
        groups = piece.group_by(["control", "reason"], use_threads=False).aggregate([("count", "sum")])
        found = (groups[name].to_pylist() for name in ("control", "reason", "count_sum"))
        for control, text, count in zip(*found, strict=True):
            key = (control, kind_of_reason(text))
            counts[key] = counts.get(key, 0) + count
            texts.setdefault(key, text)
    ordered = sorted(counts, key=lambda key: (-counts[key], key))
    return [reason_of(key[0], texts[key], counts[key]) for key in ordered]


def reason_of(control: str, text: str, count: int) -> Reason:
    """So many violations of one kind, with what lifts them."""
    return Reason(control, text, count, _setting(text))


def lines(found: Sequence[Reason], most: int = MOST_REASONS) -> list[str]:
    """A line for each reason, at most `most`, and one for those left out."""
    shown = [f"{reason.count:,} x {reason.control}: {reason.text}" for reason in found[:most]]
    rest = found[most:]
    if rest:
        count = sum(reason.count for reason in rest)
        shown.append(
            f"{count:,} for {len(rest)} other reason{'' if len(rest) == 1 else 's'}; see the table `violations`"
        )
    return shown


def advice(found: Iterable[Reason], shell: bool = False) -> str:
    """How the most frequent reason is lifted, as a sentence; "" where no setting does that.

    Args:
        shell: in the words of the command line.
    """
    first = next(iter(found), None)
    if first is None or first.setting is None:
        return ""
    name = first.setting
    if name == "min_bet_validation":
        return f"the most frequent is lifted by a client with {name}=False, or by stakes that the exchange takes"
    if name in _OF_CLIENT:
        return f"the most frequent is lifted by a client with a higher {name}"
    how = f"-p {name}=..." if shell else f"{name}=... of the strategy"
    return f"the most frequent is lifted by {how}"


def _setting(text: str) -> str | None:
    found: list[Any] = _SETTING.findall(text)
    return str(found[0]) if found else None
