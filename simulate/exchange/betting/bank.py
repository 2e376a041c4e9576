"""The money of accounts: what they have, what their bets may lose, what settlements and charges move.

Money is in the account's currency, to the penny. Sources: docs/exchange.md, "Money".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from ....strategies.commission import commission_on, commission_percent
from ....strategies.currency import RATES
from ....strategies.messages import PlaceInstruction
from ....strategies.transaction_charge import FREE_TRANSACTIONS, TRANSACTION_CHARGE, charge_of_hour
from ...accounts.exposure import AccountExposure
from ...accounts.funds import affords
from ..account_bet import AccountBet
from ..errors import ApiError
from ..exchange import Exchange, ExchangeMarket, Listener
from ..faults import Faults
from ..http.arguments import chosen
from ..operations import Operation
from ..public_market import Touched
from ..settings import AccountSettings

_HOUR_MS = 3_600_000

#: Kinds of movements.
DEPOSIT, BET, COMMISSION, CHARGE = "DEPOSIT", "BET", "COMMISSION", "CHARGE"


@dataclasses.dataclass(frozen=True, slots=True)
class Movement:
    """Money that came to an account or left it: a row of its statement.

    Attributes:
        number: counts up over all accounts.
        at: exchange time, milliseconds.
        kind: DEPOSIT, BET, COMMISSION or CHARGE.
        amount: above 0: it came. `balance`: of the account afterwards.
        market_id, bet: what for; None if that is not a market, or is the whole market.
        reverses: it takes back what an earlier settlement gave.
        transactions: of a charge: how many were counted in the hour.
    """

    number: int
    at: int
    username: str
    kind: str
    amount: float
    balance: float
    market_id: str | None = None
    bet: AccountBet | None = None
    reverses: bool = False
    transactions: int = 0


class _Settled:
    """What the settlements of a market have moved for an account."""

    __slots__ = ("bets", "commission")

    def __init__(self) -> None:
        self.bets: dict[str, float] = {}
        self.commission = 0.0


class Bank(Listener):
    """The money of all accounts; it hears of their bets and of settlements.

    Attributes:
        movements: all of them, in order.
    """

    def __init__(self, exchange: Exchange, faults: Faults) -> None:
        self._exchange = exchange
        self._faults = faults
        self.movements: list[Movement] = []
        self._balances: dict[str, float] = dict.fromkeys(exchange.accounts, 0.0)
        self._exposures: dict[str, dict[str, AccountExposure]] = {name: {} for name in exchange.accounts}
        self._settled: dict[tuple[str, str], _Settled] = {}
        self._transactions: dict[tuple[str, int], int] = {}
        for account in exchange.accounts.values():
            self._move(account.username, DEPOSIT, account.balance)
        exchange.listeners.append(self)

    # -- what an account has -------------------------------------------------------------------------------------

    def balance(self, username: str) -> float:
        """What it has, bets that are not settled aside."""
        return self._balances[username]

    def exposure(self, username: str) -> float:
        """What its bets may lose in all markets together, each at its worst: 0.0 or less."""
        return round(-sum(self._losses(username).values()), 2) + 0.0

    def available(self, username: str) -> float:
        """What it can bet: its balance less what its bets may lose."""
        return round(self.balance(username) + self.exposure(username), 2)

    def retained_commission(self, username: str) -> float:
        """Commission on markets that are closed and won, but not settled yet."""
        owed = 0.0
        for market_id in self._exposures[username]:
            market = self._exchange.markets.get(market_id)
            if market is not None and market.closed_at is not None and market.settled_at is None:
                results = [bet.next_result for bet in market.bets.values() if bet.username == username]
                won = round(sum(result.profit for result in results if result is not None), 2)
                owed += self.commission_on(username, market, won)
        return round(owed, 2)

    def commission(self, username: str, market_id: str) -> float:
        """What it has paid on a market's winnings, 0.0 or more."""
        settled = self._settled.get((username, market_id))
        return 0.0 if settled is None else settled.commission

    def commission_on(self, username: str, market: ExchangeMarket, won: float) -> float:
        """Commission on what an account has won in a market, in all: the market's base rate less its discount."""
        definition = market.definition
        discount = self._exchange.accounts[username].discount_rate
        return commission_on(
            won, commission_percent(definition.market_base_rate, definition.discount_allowed, discount)
        )

    def statement(self, username: str) -> list[Movement]:
        """All movements of an account, in order."""
        return [each for each in self.movements if each.username == username]

    def _losses(self, username: str) -> dict[str, float]:
        losses = {}
        for market_id, exposure in self._exposures[username].items():
            market = self._exchange.markets.get(market_id)
            if market is not None and market.settled_at is None:
                losses[market_id] = exposure.loss(market.book)
        return losses

    # -- before bets are placed ----------------------------------------------------------------------------------

    def affords(self, username: str, market: ExchangeMarket, instructions: Iterable[PlaceInstruction]) -> bool:
        """Whether an account may place these bets in a market."""
        after = self._of(username, market.market_id).loss_with(instructions, market.book)
        limit = self._exchange.accounts[username].exposure_limit
        return affords(self._losses(username), market.market_id, after, self.balance(username), limit)

    def hold(self, username: str, market_id: str, instructions: Iterable[PlaceInstruction]) -> None:
        """Count bets as placed that wait for the bet delay."""
        self._of(username, market_id).hold(instructions)

    def release(self, username: str, market_id: str, instructions: Iterable[PlaceInstruction]) -> None:
        """They have been placed, or never will be."""
        self._of(username, market_id).release(instructions)

    def _of(self, username: str, market_id: str) -> AccountExposure:
        return self._exposures[username].setdefault(market_id, AccountExposure())

    # -- transactions --------------------------------------------------------------------------------------------

    def count(self, username: str, transactions: int) -> None:
        """Count transactions in the clock hour of exchange time: bets placed, and actions that failed."""
        hour = self._exchange.clock.now_ms // _HOUR_MS
        counted = self._transactions.get((username, hour), 0)
        self._transactions[username, hour] = counted + transactions
        if counted <= FREE_TRANSACTIONS < counted + transactions:
            self._exchange.clock.call_at((hour + 1) * _HOUR_MS, lambda: self._charge(username, hour))

    def transactions(self, username: str) -> int:
        """Those of the clock hour so far."""
        return self._transactions.get((username, self._exchange.clock.now_ms // _HOUR_MS), 0)

    def _charge(self, username: str, hour: int) -> None:
        counted = self._transactions.pop((username, hour))
        units = RATES[self._exchange.accounts[username].currency]
        charge = charge_of_hour(counted, TRANSACTION_CHARGE * units)
        if charge:
            self._move(username, CHARGE, -charge, transactions=counted)

    # -- movements -----------------------------------------------------------------------------------------------

    def _move(self, username: str, kind: str, amount: float, **values: Any) -> None:
        balance = self._balances[username] = round(self._balances[username] + amount, 2)
        at = self._exchange.clock.now_ms
        movement = Movement(len(self.movements) + 1, at, username, kind, amount, balance, **values)
        self.movements.append(movement)
        self._exchange.ledger.write(
            "ACCOUNT",
            at,
            username=username,
            what=kind,
            amount=amount,
            balance=balance,
            market_id=movement.market_id,
            bet_id=None if movement.bet is None else movement.bet.bet_id,
        )

    def _settle(self, username: str, market: ExchangeMarket, bets: list[AccountBet]) -> None:
        settled = self._settled.setdefault((username, market.market_id), _Settled())
        for bet in bets:
            profit = 0.0 if bet.result is None else bet.result.profit
            before = settled.bets.get(bet.bet_id)
            if before is None and bet.result is None:
                continue
            if before is not None and before != profit:
                self._move(username, BET, -before, market_id=market.market_id, bet=bet, reverses=True)
            if before != profit:
                self._move(username, BET, profit, market_id=market.market_id, bet=bet)
                settled.bets[bet.bet_id] = profit
        commission = self.commission_on(username, market, round(sum(settled.bets.values()), 2))
        if commission != settled.commission:
            if settled.commission:
                self._move(username, COMMISSION, settled.commission, market_id=market.market_id, reverses=True)
            if commission:
                self._move(username, COMMISSION, -commission, market_id=market.market_id)
            settled.commission = commission

    # -- what happens at the exchange (`Listener`) ---------------------------------------------------------------

    def bet_changed(self, bet: AccountBet) -> None:
        self._of(bet.username, bet.market_id).take(bet)

    def market_changed(self, market: ExchangeMarket, touched: Touched) -> None:
        if touched.definition:
            for markets in self._exposures.values():
                exposure = markets.get(market.market_id)
                if exposure is not None:
                    exposure.defined()

    def market_settled(self, market: ExchangeMarket) -> None:
        owners: dict[str, list[AccountBet]] = {}
        for bet in market.bets.values():
            owners.setdefault(bet.username, []).append(bet)
        for username, bets in owners.items():
            self._settle(username, market, bets)

    def market_gone(self, market: ExchangeMarket) -> None:
        for username, markets in self._exposures.items():
            markets.pop(market.market_id, None)
            settled = self._settled.get((username, market.market_id))
            if settled is not None:
                settled.bets.clear()  # nothing of it is settled again; its commission is still asked for

    # -- calls ---------------------------------------------------------------------------------------------------

    def operations(self) -> dict[str, Operation]:
        """The calls of the account API about money, by name."""
        return {
            "AccountAPING/v1.0/getAccountFunds": self.get_account_funds,
            "AccountAPING/v1.0/getAccountDetails": self.get_account_details,
            "AccountAPING/v1.0/listCurrencyRates": self.list_currency_rates,
        }

    async def get_account_funds(self, account: AccountSettings, params: dict[str, Any]) -> dict[str, Any]:
        """Balance, exposure (0 or less), its limit (0 or less), commission: all in the account's currency.

        Raises:
            ApiError: another call is being worked out, as a fault says.
        """
        chosen(params, "wallet", frozenset({"UK"}))
        name = account.username
        if self._faults.take("account.busy", self._exchange.clock.now_ms, username=name, operation="getAccountFunds"):
            raise ApiError("SERVICE_BUSY", "Exposure calculation already in progress")
        limit = self.balance(name) if account.exposure_limit is None else account.exposure_limit
        return {
            "availableToBetBalance": self.available(name),
            "exposure": self.exposure(name),
            "retainedCommission": self.retained_commission(name),
            "exposureLimit": -limit + 0.0,
            "discountRate": account.discount_rate,
            "pointsBalance": 0,
            "wallet": "UK",
        }

    async def get_account_details(self, account: AccountSettings, params: dict[str, Any]) -> dict[str, Any]:
        """Who the account's owner is; names are those of its user."""
        return {
            "currencyCode": account.currency,
            "firstName": account.username,
            "lastName": account.username,
            "localeCode": "en",
            "region": "GBR",
            "timezone": "Europe/London",
            "discountRate": account.discount_rate,
            "pointsBalance": 0,
            "countryCode": "GB",
        }

    async def list_currency_rates(self, account: AccountSettings, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Units of each currency for one pound.

        Raises:
            ApiError: rates of another currency than pounds are asked for.
        """
        if params.get("fromCurrency", "GBP") != "GBP":
            raise ApiError("INVALID_INPUT_DATA", "fromCurrency: expected GBP")
        return [{"currencyCode": code, "rate": units} for code, units in RATES.items() if code != "GBP"]
