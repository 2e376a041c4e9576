"""What was refused lately, and why: for whoever watches a client go wrong."""

from __future__ import annotations

from collections import deque
from typing import Any

from .ledger import Entry


class Refusals:
    """Reads the ledger as it is written: calls and streams that were refused, reports that failed, and defects.

    Args:
        keep: rows that are kept, the last ones.

    Attributes:
        count: how many there were in all.
    """

    def __init__(self, keep: int = 50) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=keep)
        self.count = 0

    def note(self, entry: Entry) -> None:
        """Look at an entry of the ledger."""
        found = _refusal(entry.kind, entry.values)
        if found is not None:
            code, why = found
            operation = "stream" if entry.kind == "CONNECTION" else entry.values.get("operation")
            self.count += 1
            self._rows.append(
                {
                    "at": round(entry.wall),
                    "username": entry.values.get("username"),
                    "operation": operation,
                    "code": code,
                    "why": why,
                }
            )

    def rows(self) -> list[dict[str, Any]]:
        """The last first."""
        return list(reversed(self._rows))


def _refusal(kind: str, values: dict[str, Any]) -> tuple[str, str] | None:
    """A code and, as far as it is known, why; None if nothing was refused."""
    if kind == "ERROR":
        return "ERROR", str(values.get("error", ""))
    if kind == "CONNECTION" and values.get("what") == "REFUSED":
        return str(values.get("code")), str(values.get("message") or "")
    if kind != "REPLY":
        return None
    if values.get("error") is not None:
        return str(values["error"]), str(values.get("why") or "")
    result = values.get("result")
    if isinstance(result, dict) and result.get("errorCode") is not None:
        return str(result["errorCode"]), ", ".join(_causes(result.get("instructionReports") or ()))
    return None


def _causes(reports: Any) -> list[str]:
    """What was wrong with the instructions themselves, each once."""
    codes = [each["errorCode"] for each in reports if "errorCode" in each]
    return list(dict.fromkeys(code for code in codes if code != "ERROR_IN_ORDER"))
