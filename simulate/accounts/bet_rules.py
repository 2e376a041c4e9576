"""What bets the exchange takes: ladders, smallest stakes, persistence, profits that rounding would change too much.

Plain rules, in the order in which they are told, for the rehearsal exchange and for simulation alike. Sizes are in the
account's currency. Sources: "Betting Enums" (InstructionReportErrorCode), "placeOrders" (currency parameters, price
increments), the support article on INVALID_PROFIT_RATIO; docs/exchange.md has them as a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...strategies.book import MarketBook
from ...strategies.changes import MarketDefinition
from ...strategies.currency import Stakes
from ...strategies.messages import PlaceInstruction
from ...strategies.order_types import stake_of_target
from ...strategies.prices import is_classic_price, is_finest_price
from ...strategies.terms import LINE_RANGE, Terms, ladder_of, lines_of

LIMIT, LIMIT_ON_CLOSE, MARKET_ON_CLOSE = "LIMIT", "LIMIT_ON_CLOSE", "MARKET_ON_CLOSE"
FILL_OR_KILL = "FILL_OR_KILL"
LAPSE, PERSIST = "LAPSE", "PERSIST"
PASSIVE = "PASSIVE"
TAKEN = "BET_TAKEN_OR_LAPSED"

#: Sizes are below this: of larger ones floats do not tell all pennies apart, or their profits are not finite.
MOST_MONEY = 1e13
#: What a profit may come to by rounding it to the penny, as a part of what it ought to be.
LEAST_ROUNDED, MOST_ROUNDED = 0.8, 1.25


def _definition(book: MarketBook) -> MarketDefinition:
    definition = book.market_definition
    assert definition is not None, "a market that takes requests is defined"
    return definition


def stake_of(asked: PlaceInstruction) -> float:
    """The stake of a limit order, which may be what a bet target comes to."""
    if asked.size is not None:
        return asked.size
    assert asked.price is not None
    return stake_of_target(asked.bet_target_size or 0.0, asked.bet_target_type, asked.price)


# -- placing ---------------------------------------------------------------------------------------------------------


def refusal(
    asked: PlaceInstruction, book: MarketBook, stakes: Stakes, replacing: bool = False, terms: Terms | None = None
) -> str | None:
    """The code for which an open market does not take a bet; None if it does.

    Args:
        replacing: it takes the place of another, of which less than the smallest stake may be left.
        terms: of the market, where they are known.
    """
    runner = book.runner(asked.selection_id, asked.handicap)
    if runner is None or runner.status in ("HIDDEN", "REMOVED_VACANT"):
        return "INVALID_RUNNER"
    if runner.status == "REMOVED":
        return "RUNNER_REMOVED"
    if asked.order_type != LIMIT:
        return _starting_price(asked, book, stakes)
    price = asked.price
    if price is None or not on_ladder(price, book):
        return "INVALID_ODDS"
    stake = stake_of(asked)
    small = not replacing or stakes.strict
    line = bool((terms or Terms.of(book.market_definition)).line)
    if not is_money(stake) or (small and too_small(stake, price, stakes, line)):
        return "INVALID_BET_SIZE"
    if not keeps(asked.persistence_type or LAPSE, book):
        return "INVALID_PERSISTENCE_TYPE"
    least = asked.min_fill_size
    if least is not None and (not is_money(least) or least > stake or too_small(least, price, stakes, line)):
        return "INVALID_MIN_FILL_SIZE"
    if not line and not fair(stake, price):
        return "INVALID_PROFIT_RATIO"
    return None


def _starting_price(asked: PlaceInstruction, book: MarketBook, stakes: Stakes) -> str | None:
    if no_starting_price(book):
        return "MARKET_NOT_OPEN_FOR_BSP_BETTING"
    if asked.order_type == LIMIT_ON_CLOSE and (asked.price is None or not on_ladder(asked.price, book)):
        return "INVALID_ODDS"
    liability, minimums = asked.liability or 0.0, stakes.minimums
    least = minimums.min_bet_size if asked.side == "BACK" else minimums.min_bsp_liability
    return None if is_money(liability) and liability >= least else "INVALID_BET_SIZE"


def no_starting_price(book: MarketBook) -> bool:
    """Whether bets at the starting price are no longer taken, or never were."""
    return not _definition(book).bsp_market or book.bsp_reconciled or book.inplay


def on_ladder(price: float, book: MarketBook) -> bool:
    """Whether a price stands on the market's ladder, or a line is one of its lines."""
    definition = _definition(book)
    ladder = ladder_of(definition)
    if ladder == LINE_RANGE:
        lines = lines_of(definition)
        return math.isfinite(price) if lines is None else price in lines
    return is_finest_price(price) if ladder == "FINEST" else is_classic_price(price)


def is_money(size: float) -> bool:
    """Whether a size is above 0, and of whole pennies."""
    return 0 < size < MOST_MONEY and (not size % 1 or size == round(size, 2))


def too_small(stake: float, price: float, stakes: Stakes, line: bool = False) -> bool:
    """Whether a stake is below the currency's smallest, and its payout does not make up for it."""
    minimums = stakes.minimums
    if stake >= minimums.min_bet_size:
        return False
    payout = 0.0 if stakes.strict else round(stake * (2 if line else price), 6)
    return payout < minimums.min_bet_payout


def keeps(persistence: str, book: MarketBook) -> bool:
    """Whether a market has this persistence."""
    definition = _definition(book)
    if persistence == PERSIST:
        in_play = definition.persistence_enabled and definition.turn_in_play_enabled
        return in_play and PASSIVE not in definition.bet_delay_models
    return persistence == LAPSE or not no_starting_price(book)


def fair(stake: float, price: float) -> bool:
    """Whether rounding the profit to the penny takes less than a fifth from it, and adds less than a quarter."""
    profit = round(stake * (price - 1) * 100, 6)
    rounded = math.floor(profit + 0.5)
    return LEAST_ROUNDED * profit < rounded < MOST_ROUNDED * profit


def crossing(placings: Sequence[PlaceInstruction]) -> set[int]:
    """Places of backs and lays of one runner whose prices overlap: they would match each other."""
    found: set[int] = set()
    if len({asked.side for asked in placings}) < 2:
        return found
    for at, one in enumerate(placings):
        for other_at, other in enumerate(placings[:at]):
            back, lay = (one, other) if one.side == "BACK" else (other, one)
            if (
                (back.side, lay.side) == ("BACK", "LAY")
                and (back.selection_id, back.handicap) == (lay.selection_id, lay.handicap)
                and back.order_type == lay.order_type
                and back.price is not None
                and lay.price is not None
                and back.price <= lay.price
            ):
                found |= {at, other_at}
    return found


# -- changing --------------------------------------------------------------------------------------------------------


def reduction_refusal(reduction: float | None, remaining: float, price: float, book: MarketBook) -> str | None:
    """The code for which a bet that can be matched is not reduced by so much (None: cancelled); None if it is."""
    if reduction is None:
        return None
    if not is_money(reduction):
        return "INVALID_BET_SIZE"
    rest = round(remaining - reduction, 2)
    line = Terms.of(book.market_definition).line
    return "INVALID_PROFIT_RATIO" if rest > 0 and not line and not fair(rest, price) else None


def persistence_refusal(new: str, old: str, book: MarketBook) -> str | None:
    """The code for which a bet that can be matched does not get another persistence; None if it does."""
    if new == old:
        return "NO_ACTION_REQUIRED"
    return None if keeps(new, book) else "INVALID_PERSISTENCE_TYPE"


def edit_refusal(new: float, old: float, back: bool, book: MarketBook) -> str | None:
    """The code for which the limit of a bet at the starting price is not moved; None if it is.

    A limit moves only to where it is likelier to be met.
    """
    if no_starting_price(book):
        return TAKEN
    if not on_ladder(new, book):
        return "INVALID_ODDS"
    if new == old:
        return "NO_ACTION_REQUIRED"
    return "INVALID_PRICE_EDIT" if (new > old) == back else None


# -- versions --------------------------------------------------------------------------------------------------------


class Versions:
    """Which versions of a market lapse bets that insist on them: those before its last change under suspension.

    A change while it is open, as of its start, lapses none ("marketVersion", pageId=6095228).
    """

    __slots__ = ("least", "status", "version")

    def __init__(self, status: str | None, version: int) -> None:
        self.status, self.version, self.least = status, version, version

    def change(self, status: str | None, version: int) -> None:
        """The market is defined anew."""
        if version != self.version and "SUSPENDED" in (status, self.status):
            self.least = version
        self.status, self.version = status, version

    def lapses(self, version: int | None) -> bool:
        """Whether a bet that insists on this version lapses."""
        return version is not None and version < self.least
