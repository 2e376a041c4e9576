"""The day's results, as the limits of a system count them: kept in its folder, so that a restart forgets none."""

from __future__ import annotations

import datetime
import json
import logging
import threading
import zoneinfo
from pathlib import Path

from ...strategies.errors import RunError
from .instance import write_private

logger = logging.getLogger("headrace")

#: The file in the folder of the instance.
RISK_FILE = "risk.json"
#: The same of rehearsals: what was won or lost there says nothing of money.
REHEARSAL_FILE = "risk-rehearsal.json"
#: Days for which results of markets are remembered: a market that is settled again counts by the difference.
_REMEMBERED = 7


class Day:
    """Settled profit since 00:00.

    Args:
        folder: of the instance.
        timezone: whose 00:00.
        rehearsal: an account is one of a rehearsal exchange.

    Raises:
        RunError: what was kept cannot be read: the losses of today are not known.
    """

    def __init__(self, folder: Path, timezone: str = "UTC", rehearsal: bool = False) -> None:
        self._path = folder / (REHEARSAL_FILE if rehearsal else RISK_FILE)
        self._zone = zoneinfo.ZoneInfo(timezone)
        self._unsaved = False
        self._saving: threading.Thread | None = None
        # By day; then by market and account.
        self._days: dict[str, dict[str, float]] = {}
        try:
            found = json.loads(self._path.read_bytes())
            self._days = {
                str(day): {str(key): float(profit) for key, profit in results.items()} for day, results in found.items()
            }
        except FileNotFoundError:
            pass
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise RunError(
                f"{self._path}: the results of today cannot be read ({error}), so that max_daily_loss cannot be kept; "
                "correct the file, or remove it to begin at nothing"
            ) from None

    def date(self, at_ms: int) -> str:
        """The day of a moment."""
        return datetime.datetime.fromtimestamp(at_ms / 1000, self._zone).date().isoformat()

    def begins_at(self, at_ms: int) -> str:
        """The last 00:00 before a moment, as the exchange writes it."""
        midnight = datetime.datetime.fromisoformat(self.date(at_ms)).replace(tzinfo=self._zone)
        return midnight.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def has(self, market_id: str, whose: str) -> bool:
        """Whether a result of a market is known. `whose`: as for `settle`."""
        return any(key.startswith(f"{market_id} {whose} ") for results in self._days.values() for key in results)

    def settle(self, market_id: str, whose: str, currency: str, profit: float, at_ms: int) -> bool:
        """A market was settled, for the first time or again; True if that is news.

        Args:
            whose: the account, and the actor where several have the market.
            profit: after commission.
        """
        key, today = f"{market_id} {whose} {currency}", self.date(at_ms)
        before = sum(results.get(key, 0.0) for day, results in self._days.items() if day != today)
        known = self._days.get(today, {}).get(key, 0.0)
        change = round(profit - before, 2)
        if known == change:
            return False
        self._days.setdefault(today, {})[key] = change
        self._unsaved = True
        return True

    def profit(self, at_ms: int, currency: str) -> float:
        """What was settled in a currency since 00:00; below 0: a loss."""
        results = self._days.get(self.date(at_ms), {})
        return round(sum(profit for key, profit in results.items() if key.endswith(f" {currency}")), 2)

    def save(self, at_ms: int, wait: bool = False) -> None:
        """Write down what is news, in another thread: the disk may take its time. `wait`: until it is written."""
        if wait and self._saving is not None:
            self._saving.join()
        if not self._unsaved or (self._saving is not None and self._saving.is_alive()):
            return
        self._unsaved = False
        data = self.as_bytes(at_ms)
        self._saving = threading.Thread(target=self._write, args=(data,), name="results of the day", daemon=True)
        self._saving.start()
        if wait:
            self._saving.join()

    def _write(self, data: bytes) -> None:
        try:
            self.write(data)
        except OSError as error:
            logger.error("%s: what was settled today could not be written: %s", self._path, error)

    def as_bytes(self, at_ms: int) -> bytes:
        """What is to be kept."""
        oldest = self.date(at_ms - _REMEMBERED * 86_400_000)
        self._days = {day: results for day, results in self._days.items() if day >= oldest}
        return json.dumps(self._days, indent=1).encode()

    def write(self, data: bytes) -> None:
        """Write it down. Any thread may.

        Raises:
            OSError: it cannot be written.
        """
        write_private(self._path, data)

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return self._path
