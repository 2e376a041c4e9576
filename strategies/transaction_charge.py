"""The charge on transactions: what an account pays for each beyond 5 000 of a clock hour.

Source: "Transaction Charge" of Betfair's charges page: bets placed and actions that failed count, cancels that succeed
do not; half of the commission paid, and of 3 % of the losses, is set off by the day.
"""

from __future__ import annotations

#: Transactions of a clock hour that cost nothing, and what each further one costs, in pounds.
FREE_TRANSACTIONS = 5_000
TRANSACTION_CHARGE = 0.002
#: What losses count as, beside commission: as if so much of them had been paid.
IMPLIED_COMMISSION = 0.03


def charge_of_hour(transactions: int, each: float = TRANSACTION_CHARGE) -> float:
    """The charge on the transactions of a clock hour, before anything is set off, to the penny.

    Args:
        each: what one beyond the free ones costs, in the account's currency.
    """
    return round(max(transactions - FREE_TRANSACTIONS, 0) * each, 2)


def after_set_off(charge: float, commission: float, losses: float) -> float:
    """What is left of the charges of a day, 0.0 or more, to the penny.

    Args:
        commission: paid on the markets of the day.
        losses: in those of them that were lost, 0.0 or more.
    """
    return round(max(charge - (commission + IMPLIED_COMMISSION * losses) / 2, 0.0), 2)
