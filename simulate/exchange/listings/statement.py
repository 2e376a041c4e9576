"""getAccountStatement: the movements of an account's money, the latest first.

Rows have the shape of the exchange's own: one class of items, UNKNOWN, whose data are a text of JSON, and the same data
once more as fields. What a second settlement takes back stays in the list: the first row is marked as an error
(RESULT_ERR), and another reverses it (RESULT_FIX, COMMISSION_REVERSAL). Sources: Betfair API-NG, "Accounts
TypeDefinitions" and "Accounts Enums"; rows of accounts in public repositories.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from ..betting.bank import BET, CHARGE, COMMISSION, DEPOSIT, Movement
from ..errors import ApiError
from ..exchange import Exchange
from ..http.arguments import chosen
from ..market_words import MarketWords
from ..operations import Operation
from ..settings import AccountSettings
from ..timeline import to_second, written_to_second
from .time_ranges import TimeRange

#: Rows of one answer.
PAGE = 100
_ITEMS = frozenset({"ALL", "DEPOSITS_WITHDRAWALS", "EXCHANGE", "POKER_ROOM"})
_WALLETS = frozenset({"UK"})
#: How a row says of what kind its market is, by the market's betting type.
_MARKET_TYPES = {
    "ODDS": "O",
    "LINE": "L",
    "RANGE": "R",
    "ASIAN_HANDICAP_SINGLE_LINE": "A",
    "ASIAN_HANDICAP_DOUBLE_LINE": "A",
}
_NO_DATE = "0001-01-01T00:00:00.000Z"
NOT_APPLICABLE, ERROR, FIX = "RESULT_NOT_APPLICABLE", "RESULT_ERR", "RESULT_FIX"


class Movements(Protocol):
    """Who keeps the accounts' money."""

    def statement(self, username: str) -> list[Movement]:
        """All movements of an account, in order."""


class _Row:
    """A movement, and what later ones say of it.

    Attributes:
        wrong: a later settlement took it back.
        won: of a row of commission: what was won on the market until then.
    """

    __slots__ = ("movement", "won", "wrong")

    def __init__(self, movement: Movement, won: float) -> None:
        self.movement = movement
        self.wrong = False
        self.won = won


class Statement:
    """The statements of all accounts.

    Args:
        bank: who knows the movements.
    """

    def __init__(self, exchange: Exchange, bank: Movements) -> None:
        self._bank = bank
        self._words = MarketWords(exchange)

    def operations(self) -> dict[str, Operation]:
        """The call, by its name."""
        return {"AccountAPING/v1.0/getAccountStatement": self.get_account_statement}

    async def get_account_statement(self, account: AccountSettings, params: dict[str, Any]) -> dict[str, Any]:
        """An `AccountStatementReport`.

        Raises:
            ApiError: INVALID_INPUT_DATA for numbers below 0.
            ParameterError: a parameter is not what it should be.
        """
        chosen(params, "wallet", _WALLETS)
        items = chosen(params, "includeItem", _ITEMS, "ALL")
        within = TimeRange(params, "itemDateRange")
        first, count = params.get("fromRecord", 0), params.get("recordCount", 0)
        if first < 0 or count < 0:
            raise ApiError("INVALID_INPUT_DATA", f"fromRecord {first}, recordCount {count}: expected 0 or more")
        found = [
            row
            for row in reversed(_rows(self._bank.statement(account.username)))
            if _is_of(row.movement, items or "ALL") and (not within or to_second(row.movement.at) in within)
        ]
        page = found[first : first + min(count or PAGE, PAGE)]
        return {
            "accountStatement": [self._item(row, account) for row in page],
            "moreAvailable": first + len(page) < len(found),
        }

    def _item(self, row: _Row, account: AccountSettings) -> dict[str, Any]:
        """A `StatementItem`."""
        movement, data = row.movement, self._data(row, account)
        return {
            "refId": movement.bet.bet_id if movement.bet is not None else movement.market_id or str(movement.number),
            "itemDate": written_to_second(movement.at),
            "amount": movement.amount,
            "balance": movement.balance,
            "itemClass": "UNKNOWN",
            "itemClassData": {"unknownStatementItem": msgspec.json.encode(data).decode()},
            "legacyData": data,
        }

    def _data(self, row: _Row, account: AccountSettings) -> dict[str, Any]:
        """A `StatementLegacyData`."""
        movement, bet = row.movement, row.movement.bet
        credit = movement.amount > 0
        data: dict[str, Any] = {
            "avgPrice": 0.0,
            "betSize": 0.0,
            "betType": "B",
            "betCategoryType": "E" if bet is not None else "NONE",
            "eventId": 0,
            "eventTypeId": 0,
            "fullMarketName": _title(movement),
            "grossBetAmount": 0.0,
            "marketName": "CREDIT" if credit else "DEBIT",
            "marketType": "NOT_APPLICABLE",
            "placedDate": written_to_second(movement.at),
            "selectionId": 0,
            "startDate": _NO_DATE,
            "transactionType": "ACCOUNT_CREDIT" if credit else "ACCOUNT_DEBIT",
            "transactionId": 0,
            "winLose": _result(row),
            "avgPriceRaw": 0.0,
        }
        if movement.market_id is not None:
            data |= self._market(movement.market_id)
        if bet is not None:
            average = bet.average or bet.voided_average
            data |= {
                "avgPrice": round(average, 2),
                "avgPriceRaw": average,
                "betSize": bet.matched or bet.voided,
                "betType": "B" if bet.back else "L",
                "placedDate": written_to_second(bet.placed_ms),
                "selectionId": bet.selection_id,
            }
            if bet.handicap:
                data["handicap"] = bet.handicap
            if (name := self._words.runner_name(bet)) is not None:
                data["selectionName"] = name
        elif movement.kind == COMMISSION and movement.market_id is not None:
            data["commissionRate"] = f"{self._words.commission_rate(movement.market_id, account.discount_rate):g}%"
            data["grossBetAmount"] = row.won
        return data

    def _market(self, market_id: str) -> dict[str, Any]:
        definition = self._words.of(market_id)
        name = str(definition.get("name") or definition.get("marketType") or market_id)
        event = definition.get("eventName")
        return {
            "eventId": _number(market_id.rpartition(".")[2]),
            "eventTypeId": _number(definition.get("eventTypeId")),
            "fullMarketName": name if event is None else f"{event} / {name}",
            "marketName": name,
            "marketType": _MARKET_TYPES.get(definition.get("bettingType") or "ODDS", "NOT_APPLICABLE"),
            "startDate": definition.get("marketTime") or _NO_DATE,
        }


def _rows(movements: list[Movement]) -> list[_Row]:
    rows: list[_Row] = []
    last: dict[tuple[str, str | None, str | None], _Row] = {}
    won: dict[str | None, float] = {}
    for movement in movements:
        if movement.kind == BET:
            won[movement.market_id] = round(won.get(movement.market_id, 0.0) + movement.amount, 2)
        row = _Row(movement, won.get(movement.market_id, 0.0))
        key = (movement.kind, movement.market_id, None if movement.bet is None else movement.bet.bet_id)
        if not movement.reverses:
            last[key] = row
        elif key in last:
            last[key].wrong = True
        rows.append(row)
    return rows


def _is_of(movement: Movement, items: str) -> bool:
    deposit = movement.kind == DEPOSIT
    return items == "ALL" or (items == "DEPOSITS_WITHDRAWALS" and deposit) or (items == "EXCHANGE" and not deposit)


def _result(row: _Row) -> str:
    """A `WinLose`."""
    movement = row.movement
    if movement.kind == COMMISSION and movement.reverses:
        return "COMMISSION_REVERSAL"
    if movement.reverses:
        return FIX
    if row.wrong:
        return ERROR
    if movement.kind != BET or not movement.amount:
        return NOT_APPLICABLE
    return "RESULT_WON" if movement.amount > 0 else "RESULT_LOST"


def _title(movement: Movement) -> str:
    """What a row is for that is of no market."""
    if movement.kind == CHARGE:
        return f"Transaction charge: {movement.transactions} transactions"
    return "Deposit"


def _number(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() else 0
