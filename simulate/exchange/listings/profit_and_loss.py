"""listMarketProfitAndLoss of one market: what an account wins or loses by each runner's result.

Source: Betfair API-NG, "listMarketProfitAndLoss" and `RunnerProfitAndLoss`. In a market with one winner a runner's
`ifWin` is the result of all bets should it win; with several winners, and each way, `ifWin`, `ifPlace` and `ifLose` are
those of the bets on the runner.
"""

from __future__ import annotations

from typing import Any

from ....strategies.terms import EACH_WAY
from ..account_bet import AccountBet
from ..exchange import ExchangeMarket


def profit_and_loss(
    market: ExchangeMarket, bets: list[AccountBet], with_bsp: bool = False, rate: float | None = None
) -> dict[str, Any]:
    """A `MarketProfitAndLoss`.

    Args:
        bets: of one account, on this market.
        with_bsp: bets that wait for the starting price count, as what they may lose.
        rate: commission in percent, which is taken off what is won; None: none is.
    """
    definition = market.definition
    each_way = definition.market_type == EACH_WAY
    alone = definition.number_of_winners == 1 and not each_way
    results = {key: _Result() for key in dict.fromkeys((each.id, each.hc) for each in definition.runners)}
    for bet in bets:
        result = results.setdefault((bet.selection_id, bet.handicap), _Result())
        result.add(bet, definition.each_way_divisor if each_way else None)
        if with_bsp and not bet.is_limit and not bet.ended:
            result.add_risk(bet)
    lost = sum(each.lose for each in results.values())
    rows = []
    for (selection_id, _), result in results.items():
        row: dict[str, Any] = {"selectionId": selection_id}
        if alone:
            row["ifWin"] = _net(lost - result.lose + result.win, rate)
        else:
            row["ifWin"], row["ifLose"] = _net(result.win, rate), _net(result.lose, rate)
            if each_way:
                row["ifPlace"] = _net(result.place, rate)
        rows.append(row)
    found: dict[str, Any] = {"marketId": market.market_id, "profitAndLosses": rows}
    if rate is not None:
        found["commissionApplied"] = rate
    return found


def _net(amount: float, rate: float | None) -> float:
    return round(amount * (1 - rate / 100) if rate and amount > 0 else amount, 2)


class _Result:
    """What the bets on a runner come to if it wins, is placed, or loses."""

    __slots__ = ("lose", "place", "win")

    def __init__(self) -> None:
        self.win = self.place = self.lose = 0.0

    def add(self, bet: AccountBet, divisor: float | None) -> None:
        """Count what is matched of a bet. `divisor`: of a market each way."""
        size = bet.matched
        won = size * (bet.average - 1)
        sign = 1 if bet.back else -1
        if divisor:
            self.win += sign * (won + won / divisor)
            self.place += sign * (won / divisor - size)
            self.lose -= sign * 2 * size
        else:
            self.win += sign * won
            self.lose -= sign * size

    def add_risk(self, bet: AccountBet) -> None:
        """Count what a bet may lose that waits for the starting price; what it may win is not known."""
        if bet.back:
            self.lose -= bet.liability
            self.place -= bet.liability
        else:
            self.win -= bet.liability
