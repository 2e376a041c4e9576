"""How the bets of a market are settled, by its definition. The definition decides, whatever an order calls itself."""

from __future__ import annotations

import dataclasses

from .changes import MarketDefinition
from .order_types import LimitOnCloseOrder, LimitOrder
from .prices import make_line_prices

LINE_RANGE = "LINE_RANGE"
EACH_WAY = "EACH_WAY"
#: Markets in which several runners are placed, each as good as the other.
PLACE_MARKETS = ("PLACE", "OTHER_PLACE")


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """What a bet of the market wins and loses.

    Attributes:
        line: bets are on a line: their price is the line, and they are settled at even money. None where the definition
            does not say: an order is then what its ladder says.
        each_way: a bet is two of its size: one to win, one for a place.
        divisor: what an each-way bet's profit is divided by for a place; 1, the worst, where the definition has none.
        winners: how many runners win; None: any number, for each handicap of an Asian market has its own.
        ladder: which prices the market takes: CLASSIC, FINEST or LINE_RANGE; None where the definition does not say.
    """

    line: bool | None = None
    each_way: bool = False
    divisor: float = 1.0
    winners: int | None = None
    ladder: str | None = None

    @classmethod
    def of(cls, definition: MarketDefinition | None) -> Terms:
        """The terms of a market; without a definition, terms of which nothing is known."""
        if definition is None:
            return _UNKNOWN
        betting_type = definition.betting_type
        ladder = ladder_of(definition)
        line: bool | None = None
        if ladder is not None or betting_type:
            line = LINE_RANGE in (ladder, betting_type) or betting_type == "LINE"
        divisor = definition.each_way_divisor
        return cls(
            line,
            definition.market_type == EACH_WAY,
            divisor if divisor and divisor > 0 else 1.0,
            None if has_handicaps(definition) else definition.number_of_winners or None,
            ladder,
        )

    def is_line(self, order_type: object) -> bool:
        """Whether an order of this kind is on a line here."""
        if self.line is not None:
            return self.line
        return getattr(order_type, "price_ladder_definition", None) == LINE_RANGE

    def ladder_for(self, order_type: LimitOrder | LimitOnCloseOrder) -> str:
        """The ladder that an order's price must stand on: the market's; the order's own where that is not known."""
        if self.ladder is not None:
            return self.ladder
        own = order_type.price_ladder_definition
        return "CLASSIC" if own == LINE_RANGE and self.line is False else own

    @property
    def on_win(self) -> float:
        """How often a winner's profit is paid."""
        return 1 + 1 / self.divisor if self.each_way else 1.0

    @property
    def on_lose(self) -> float:
        """How often a loser's stake is lost."""
        return 2.0 if self.each_way else 1.0


_UNKNOWN = Terms()


def has_handicaps(definition: MarketDefinition) -> bool:
    """Whether each runner is a handicap with a result of its own."""
    return (definition.betting_type or "").startswith("ASIAN_HANDICAP")


def ladder_of(definition: MarketDefinition) -> str | None:
    """CLASSIC, FINEST or LINE_RANGE, where the definition says so."""
    ladder = definition.price_ladder_definition
    if ladder is not None and ladder.type:
        return ladder.type
    return LINE_RANGE if definition.betting_type == "LINE" else None


def lines_of(definition: MarketDefinition | None) -> tuple[float, ...] | None:
    """The lines that bets may be on; None where the definition does not say."""
    if definition is None:
        return None
    low, high, step = definition.line_min_unit, definition.line_max_unit, definition.line_interval
    if low is None or high is None or not step or step < 0:
        return None
    return make_line_prices(low, high, step)
