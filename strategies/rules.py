"""Where the compatible engine differs from ours in orders, exposure and requests: each difference by its name.

`Rules.flumine()` repeats the peer's behaviour, defects included, for users who compare or migrate. The default is what
we hold to be right.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """How orders are kept.

    Attributes:
        guarded_status: an order's status only moves along the state machine; otherwise any may follow any.
        reserve_pending: requests not yet answered count in exposures.
        worst_case: exposures are the worst that settlement can come to by the market's definition, and a request that
            does not make the worst case of its runner worse is within its limits; else they are the peer's sums over
            all orders of a runner, in whatever state, each counted as what it calls itself.
        shared_empty_context: an order keeps the very context and notes that it is given, a replacement those of its
            order, even while they are empty; else empty ones are the order's own.
        optimistic_persistence: a new persistence holds from the request on, even if it fails.
        exact_average: prices and profits of several fills are not rounded to pence in between.
        validate_place_only: order validation looks at new orders and at a replacement's new price, not at orders
            that a cancel or an update leaves as they are.
        account_controls_later: controls of an account refuse a request after it was made, as a live coordinator does:
            the order ends in VIOLATION, which `process_orders` is shown; else inside the request.
        reset_bypass: `reset_seconds` is not looked at in the very update of the reset.
        all_orders: `process_orders` gets every order ever placed, at every change of the book.
        peer_reading: files are read as the peer reads them: changes outside a listener's window are not seen by
            matching either, and each line of a file with several markets shows all of them again.
        lasting_markets: what is known of a market stays until its recording ends: a later settlement with another
            result counts, orders that can no longer be placed end, a matched bet without a result has no profit; else
            state is given up at each close, and orders stay as they are.
        shown_in_turn: at a market's first change each strategy is told about it and looks at the book before the next
            one is told; otherwise all are told first.
        shown_at_close: strategies are told about a market that is closed at its first change, and about its close.
        catalogue_first: where a market's catalogue and its definition both say something (start, venue, type and
            others), the catalogue counts; otherwise the definition, which is newer.
        watch_all: traded volume of every runner is followed from the start, stale volume is shown again.
    """

    guarded_status: bool = True
    reserve_pending: bool = True
    worst_case: bool = True
    shared_empty_context: bool = True
    optimistic_persistence: bool = False
    exact_average: bool = True
    validate_place_only: bool = True
    account_controls_later: bool = True
    reset_bypass: bool = False
    all_orders: bool = False
    peer_reading: bool = False
    lasting_markets: bool = True
    shown_in_turn: bool = False
    shown_at_close: bool = True
    catalogue_first: bool = False
    watch_all: bool = False

    @classmethod
    def flumine(cls) -> Rules:
        """The peer's rules, as in its version 3.3.2."""
        return cls(
            guarded_status=False,
            reserve_pending=False,
            worst_case=False,
            shared_empty_context=False,
            optimistic_persistence=True,
            exact_average=False,
            validate_place_only=False,
            account_controls_later=False,
            reset_bypass=True,
            all_orders=True,
            peer_reading=True,
            lasting_markets=False,
            shown_in_turn=True,
            shown_at_close=False,
            catalogue_first=True,
            watch_all=True,
        )

    @classmethod
    def named(cls, compatibility: str | None) -> Rules:
        """The rules of `Config.compatibility`."""
        return cls.flumine() if compatibility == "flumine" else cls()
