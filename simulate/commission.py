"""Models of commission: what an account pays on what it has won in a market, all of its bets there together.

hr.Simulation(..., models=hr.Models(commission=MyCommission()))
"""

from __future__ import annotations

from ..actors.clients import FLUMINE_COMMISSION
from ..actors.exchange import AccountTerms
from ..strategies.changes import MarketDefinition
from ..strategies.commission import at_rate, commission_of


class CommissionModel:
    """Betfair's: the market's own base rate, less the account's discount where the market allows one.

    An account with a rate of its own (`commission_base`) pays that instead, without a discount. Wrong where the
    recording has no base rate, and for other packages of charges. Source: docs/account.md.
    """

    def commission(self, profit: float, definition: MarketDefinition | None, account: AccountTerms) -> float:
        """What is paid on a market, 0.0 or more, to the penny.

        Args:
            profit: of all the account's bets in the market, in its currency; below 0 if it lost.
            definition: the closing one; None where the market has none.
            account: `commission_base` (a rate, 0 to 1, or None) and `discount_rate` (percent) are its settings.
        """
        return commission_of(profit, definition, account)


class FlumineCommission(CommissionModel):
    """The peer's: 5 % of what was won in the market, whatever its base rate, or the account's own rate."""

    def commission(self, profit: float, definition: MarketDefinition | None, account: AccountTerms) -> float:
        """What is paid on a market, 0.0 or more, to the penny."""
        rate = FLUMINE_COMMISSION if account.commission_base is None else account.commission_base
        return at_rate(profit, rate)
