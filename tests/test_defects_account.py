"""Requests, accounts and money: what flumine's simulation makes of them, and what the exchange does.

Each test replays one small recording twice: by the peer's rules (`Config(compatibility="flumine")`), where it shows the
peer's number, and by default, where it shows the right one, with the reason or the source beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace as hr
from builders import (
    FLUMINE,
    Request,
    Script,
    Scripted,
    Stream,
    at_sp,
    back,
    cancel,
    lay,
    priced,
    replace,
    replay,
    update,
    write,
)
from headrace.strategies import transaction_charge
from headrace.strategies.transaction_charge import after_set_off, charge_of_hour

OURS = hr.Config()


@dataclasses.dataclass
class Run:
    """What a backtest gave."""

    result: hr.Result
    script: Script

    def __getitem__(self, ref: str) -> hr.Order:
        return self.script.orders[ref]

    def log(self, ref: str) -> list[str]:
        return [status.name for status in self[ref].status_log]

    def error(self, ref: str) -> str | None:
        answer = self[ref].responses.place_response
        return answer.error_code if answer else None

    @property
    def market(self) -> dict[str, Any]:
        (row,) = self.result.markets.to_pylist()
        return dict(row)


class Folder:
    """Makes a folder for each run."""

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0

    def __call__(
        self,
        streams: Stream | Sequence[Stream],
        actions: Mapping[int, Sequence[Request]],
        config: hr.Config = OURS,
        *,
        force: bool = True,
        client: hr.BaseClient | None = None,
        scope: str | None = None,
        kind: type[Scripted] = Scripted,
        **settings: Any,
    ) -> Run:
        self._count += 1
        folder = write(self._path / str(self._count), *([streams] if isinstance(streams, Stream) else streams))
        script = Script(actions, force)
        limits = {"max_order_exposure": None, "max_selection_exposure": None, "max_live_trade_count": 1000}
        strategy = kind(script, **{**limits, **settings})
        if scope is not None:
            strategy.scope = scope
        client = client or hr.SimulatedClient()
        return Run(hr.backtest(strategy, str(folder), client=client, config=config, engine="local"), script)


@pytest.fixture
def run(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def suspended(at: int = 250, **definition: Any) -> Stream:
    """Prices at 100 ms; suspended at `at`, open again at 1000 ms, traded there at 2.1 and 2.3."""
    stream = priced(**definition).touch(200).define(at, status="SUSPENDED")
    return stream.define(1000, status="OPEN").prices(1400, {1: {"trd": [[2.3, 40], [2.1, 50]]}}).touch(1500)


# -- requests that have not been answered ----------------------------------------------------------------------------


def test_orders_that_are_on_their_way_count_in_exposures(run: Folder) -> None:
    """Five backs of 8.00 at one moment against a limit of 20 on the selection.

    All five can match, and would then lose 40.00 together: so the third is one too many.
    """
    backs = {200: [back(ref, 3.0, 8.0) for ref in "abcde"]}
    market = priced().touch(200).touch(900).close()
    limit = {"force": False, "max_selection_exposure": 20}
    peer = run(market, backs, FLUMINE, **limit)
    assert peer.script.answers == [True] * 5
    ours = run(market, backs, **limit)
    assert ours.script.answers == [True, True, False, False, False]


def test_a_refused_cancel_does_not_put_an_order_on_the_market_that_never_came_there(run: Folder) -> None:
    """A cancel of a pending order while the market is suspended is refused by a control.

    By the peer's rules that makes the order EXECUTABLE; its package is dropped, it has no bet id, and it fills from
    traded volume all the same. An order that never reached the exchange cannot be matched there.
    """
    actions = {249: [lay("a", 2.3, 4.0, force=True)], 250: [cancel("a", force=False)]}
    market = suspended(250).close()
    market = priced().touch(249).define(250, status="SUSPENDED")
    market = market.define(1000, status="OPEN").prices(1400, {1: {"trd": [[2.3, 40], [2.1, 50]]}}).touch(1500).close()
    peer = run(market, actions, FLUMINE)
    assert (peer["a"].bet_id, peer["a"].size_matched) == (None, 4.0)
    ours = run(market, actions)
    assert (ours["a"].bet_id, ours["a"].size_matched, ours.error("a")) == (None, 0.0, "ERROR_IN_ORDER")
    assert ours.log("a") == ["PENDING", "EXECUTION_COMPLETE"]


def test_a_cancel_that_comes_too_late_revives_nothing(run: Folder) -> None:
    """The order lapses at the turn in play while its cancel is under way.

    By the peer's rules the failed cancel makes it EXECUTABLE with nothing left. The exchange answers
    BET_TAKEN_OR_LAPSED, or an error while it is suspended, and the order stays at its end ("cancelOrders").
    """
    market = priced().touch(400).define(500, status="SUSPENDED", inPlay=True, version=2).touch(1200)
    actions = {100: [back("a", 3.0, 4.0)], 400: [cancel("a")]}
    peer = run(market, actions, FLUMINE)
    assert (peer["a"].status, peer["a"].size_remaining, peer["a"].size_lapsed) == (hr.OrderStatus.EXECUTABLE, 0.0, 4.0)
    ours = run(market, actions)
    assert (ours["a"].status, ours["a"].size_lapsed) == (hr.OrderStatus.EXECUTION_COMPLETE, 4.0)
    assert ours.log("a").count("EXECUTION_COMPLETE") == 1


def test_a_persistence_that_the_exchange_refuses_does_not_hold(run: Folder) -> None:
    """The update comes while the market is suspended, and fails; then the market turns in play.

    By the peer's rules PERSIST holds from the request on: the order outlives the turn in play. It had LAPSE there.
    """
    market = priced().touch(400).define(500, status="SUSPENDED").touch(800)
    market = market.define(1000, status="OPEN", inPlay=True, version=2).touch(1300)
    market = market.define(1400, status="SUSPENDED", version=3).touch(1500)
    actions = {100: [back("a", 3.0, 4.0)], 400: [update("a", "PERSIST")]}
    peer = run(market, actions, FLUMINE)
    assert (peer["a"].persistence_type, peer["a"].size_remaining) == ("PERSIST", 4.0)
    ours = run(market, actions)
    assert (ours["a"].persistence_type, ours["a"].size_lapsed) == ("LAPSE", 4.0)


class _Pauses(Scripted):
    """Backs again as soon as its trade is complete, though it is to wait 30 seconds."""

    def process_market_book(self, market: Any, market_book: Any) -> None:
        self.script.read(self, market)
        name = f"n{len(self.script.orders)}"
        back(name, 2.0, 2.0, force=False, trade={"reset_seconds": 30})(self.script, market)


def test_a_pause_holds_in_the_very_update_that_begins_it(run: Folder) -> None:
    """`reset_seconds=30`: elapsed 0.0 seconds is less than 30, and not "never".

    The order of each look is matched before the next one: the peer's strategy backs four times in 1.2 seconds.
    """
    market = priced().touch(400).touch(800).touch(1200).close()
    assert len(run(market, {}, FLUMINE, kind=_Pauses, max_live_trade_count=1).result.orders) == 4
    assert len(run(market, {}, kind=_Pauses, max_live_trade_count=1).result.orders) == 1


def test_a_rest_below_the_smallest_stake_can_be_cancelled(run: Folder) -> None:
    """9.60 of 10.00 are matched and 0.40 at 2.0 remain after a replace: less than 1.00, with a payout below 10.00.

    The peer validates cancels as if they were placings, by the size of the order: the replacement can neither be
    cancelled nor replaced. The exchange has no smallest stake for a cancel.
    """
    market = priced().touch(400).touch(900).touch(1400).touch(1900).close()
    actions = {100: [back("a", 2.1, 10.0, force=True)], 400: [cancel("a", 9.6, force=True)],
               900: [replace("a", 2.2, force=True)], 1900: [cancel("a'", force=False)]}  # fmt: skip
    assert run(market, actions, FLUMINE).script.answers[-1] is False
    ours = run(market, {**actions, 1400: [cancel("a'", force=False)]})
    assert ours.script.answers[-1] is True
    assert ours["a'"].size_cancelled == 0.4


def test_the_new_price_of_a_replace_is_validated_and_counts_in_exposure(run: Folder) -> None:
    """A lay of 4.00 at 2.0 is moved to 2.123, which is not on the ladder, and to 9.0, which risks 32.00 of 20.00.

    The peer looks at the old price both times. The exchange refuses the first (INVALID_ODDS); the limit is the user's.
    """
    market = priced().touch(400).touch(900).touch(1400).close()
    for price in (2.123, 9.0):
        actions = {100: [lay("a", 1.9, 4.0)], 400: [replace("a", price)]}
        limit = {"force": False, "max_selection_exposure": 20, "max_order_exposure": 20}
        assert run(market, actions, FLUMINE, **limit).script.answers == [True, True]
        assert run(market, actions, **limit).script.answers == [True, False]


def test_the_limit_of_a_bet_at_the_starting_price_moves(run: Folder) -> None:
    """A back with a limit of 4.0 at the starting price is given one of 2.0, and matches at 2.5.

    By the peer's rules the replace fails at the exchange (BET_ACTION_ERROR): the old limit stays, and is not met. The
    exchange takes an edit that makes the limit likelier to be met, and refuses the other way (INVALID_PRICE_EDIT).
    """
    market = priced().touch(400).touch(900).touch(1500)
    market = market.define(2000, {1: {"bsp": 2.5}, 2: {"bsp": 1.6}}, bspReconciled=True, inPlay=True).close(3000)
    actions = {100: [at_sp("a", "BACK", 20.0, 4.0)], 900: [replace("a", 2.0)]}
    peer = run(market, actions, FLUMINE)
    assert sum(order.size_matched for order in peer.script.orders.values()) == 0.0
    ours = run(market, actions)
    assert (ours["a"].size_matched, ours["a'"].size_matched) == (0.0, 20.0)
    dearer = run(market, {100: [at_sp("a", "BACK", 20.0, 4.0)], 900: [replace("a", 5.0)]})
    assert list(dearer.script.orders) == ["a"]
    assert dearer["a"].responses.cancel_responses[0].error_code == "INVALID_PRICE_EDIT"


class _PlacesTwice(Scripted):
    """Places the order that it has placed before once more, when it is complete."""

    def process_market_book(self, market: Any, market_book: Any) -> None:
        self.script.read(self, market)
        order = self.script.orders.get("a")
        if order is not None and order.complete and not self.script.calls:
            with pytest.raises(hr.OrderError):
                market.place_order(order, force=True)

    def process_orders(self, market: Any, orders: list[hr.Order]) -> None:
        return


def test_an_order_moves_along_its_states_only(run: Folder) -> None:
    """An order that was matched is placed again: an error under both, but the peer has made it PENDING by then."""
    market = priced().touch(400).close()
    actions = {100: [back("a", 2.0, 2.0)]}
    assert "PENDING" in run(market, actions, FLUMINE, kind=_PlacesTwice).log("a")[2:]
    assert run(market, actions, kind=_PlacesTwice).log("a") == ["PENDING", "EXECUTABLE", "EXECUTION_COMPLETE"]


# -- what the exchange refuses by itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (back("a", 2.0, 0.5), "INVALID_BET_SIZE"),  # below 1.00, with a payout of 1.00 ("placeOrders", currencies)
        (back("a", 2.003, 2.0), "INVALID_ODDS"),  # not a step of the CLASSIC ladder
        (back("a", 1.01, 1000.004), "INVALID_BET_SIZE"),  # not whole pennies
        (back("a", 1.01, 0.01, force=True), "INVALID_BET_SIZE"),
        (at_sp("a", "LAY", 9.0), "INVALID_BET_SIZE"),  # least liability of a lay at the starting price: 10.00
        (back("a", 2.0, 2.0, min_fill_size=3.0, time_in_force="FILL_OR_KILL"), "INVALID_MIN_FILL_SIZE"),
    ],
)
def test_bets_that_skip_the_controls_meet_the_refusals_of_the_exchange(
    run: Folder, request_: Request, code: str
) -> None:
    """Sources of the codes: "Betting Enums", InstructionReportErrorCode. The peer's exchange has the last one only."""
    market = priced().touch(400).touch(900).close()
    ours = run(market, {100: [request_]})
    assert (ours.error("a"), ours["a"].size_matched, ours["a"].size_remaining) == (code, 0.0, 0.0)
    if code != "INVALID_MIN_FILL_SIZE":
        assert run(market, {100: [request_]}, FLUMINE).error("a") is None


def test_a_profit_that_rounding_would_change_too_much_is_refused(run: Folder) -> None:
    """1.30 at 1.01 wins 1.3 pence, and would be paid 1: a fifth less and more is refused (INVALID_PROFIT_RATIO).

    Source: the support article on INVALID_PROFIT_RATIO: less than 80 %, or more than 125 %, of what it ought to be.
    """
    market = priced().touch(400).touch(900).close()
    bets = {100: [back("a", 1.01, 1.30), back("b", 1.01, 1.10)]}
    ours = run(market, {100: [bets[100][0]]})
    assert ours.error("a") == "INVALID_PROFIT_RATIO"
    assert run(market, {100: [bets[100][1]]}).error("b") is None
    assert run(market, {100: [bets[100][0]]}, FLUMINE).error("a") is None


def test_persist_is_refused_where_the_market_does_not_turn_in_play(run: Folder) -> None:
    """INVALID_PERSISTENCE_TYPE ("Betting Enums"): the market has no in-play for the bet to persist into."""
    market = priced(turnInPlayEnabled=False).touch(400).touch(900).close()
    actions = {100: [back("a", 3.0, 2.0, persistence_type="PERSIST")]}
    assert run(market, actions, FLUMINE).error("a") is None
    assert run(market, actions).error("a") == "INVALID_PERSISTENCE_TYPE"


def test_a_request_is_placed_whole_or_not_at_all(run: Folder) -> None:
    """Two orders of one transaction, one off the ladder: placeOrders is atomic, so the other is ERROR_IN_ORDER."""

    def both(script: Script, market: Any) -> None:
        with market.transaction() as transaction:
            for ref, price in (("a", 3.0), ("b", 3.01)):
                trade = hr.Trade(market.market_id, 1, 0, script.strategy)
                script.orders[ref] = trade.create_order("BACK", hr.LimitOrder(price, 2.0))
                transaction.place_order(script.orders[ref], force=True)

    market = priced().touch(400).touch(900).close()
    peer = run(market, {100: [both]}, FLUMINE)
    assert (peer.error("a"), peer.error("b")) == (None, None)
    ours = run(market, {100: [both]})
    assert (ours.error("a"), ours.error("b")) == ("ERROR_IN_ORDER", "INVALID_ODDS")


def test_a_version_lapses_a_bet_only_if_the_market_was_suspended_since(run: Folder) -> None:
    """The start of the market moves: another version, but no suspension. A bet that insists on the version before is
    placed ("marketVersion", pageId=6095228); the peer lapses it."""
    moved = priced().touch(200).define(250, version=2).touch(400).touch(900).close()
    actions = {200: [back("a", 3.0, 2.0, market_version=1)]}
    assert run(moved, actions, FLUMINE).error("a") == "BET_TAKEN_OR_LAPSED"
    assert run(moved, actions).error("a") is None
    halted = (
        priced().touch(200).define(250, version=2, status="SUSPENDED").define(300, status="OPEN").touch(900).close()
    )
    assert run(halted, actions).error("a") == "BET_TAKEN_OR_LAPSED"


def test_a_bet_target_becomes_a_stake(run: Folder) -> None:
    """A profit of 8.00 at 2.0 is a stake of 8.00 / (2.0 - 1). The peer's run ends with such an order."""
    market = priced().touch(400).close(winner=1)
    target = back("a", 2.0, None, bet_target_type="BACKERS_PROFIT", bet_target_size=8.0)
    assert run(market, {100: [target]}, FLUMINE)["a"].status is hr.OrderStatus.PENDING
    ours = run(market, {100: [target]})
    assert (ours["a"].size_matched, ours["a"].profit) == (8.0, 8.0)
    small = back("a", 2.0, None, bet_target_type="PAYOUT", bet_target_size=1.0)  # a stake of 0.50
    assert run(market, {100: [small]}).error("a") == "INVALID_BET_SIZE"


def test_a_runner_that_is_hidden_takes_no_bet(run: Folder) -> None:
    """HIDDEN runners are not shown, and cannot be bet on (INVALID_RUNNER); the peer does not look at the status."""
    market = priced().define(300, {1: {"status": "HIDDEN"}}).touch(400).touch(900).close()
    assert run(market, {300: [back("a", 2.0, 2.0)]}, FLUMINE)["a"].size_matched == 2.0
    ours = run(market, {300: [back("a", 2.0, 2.0)]})
    assert (ours["a"].size_matched, ours.error("a")) == (0.0, "INVALID_RUNNER")


# -- commission ------------------------------------------------------------------------------------------------------


def test_commission_is_the_markets_base_rate_less_the_discount(run: Folder) -> None:
    """10.00 won in a market with a base rate of 2 %: 0.20; with a discount of 60 %: 0.08. The peer takes 5 %: 0.50."""
    actions = {100: [back("a", 2.0, 10.0)]}
    market = priced(marketBaseRate=2).touch(400).close(winner=1)
    peer = run(market, actions, FLUMINE).market
    assert (peer["profit"], peer["commission"]) == (10.0, 0.5)
    assert run(market, actions).market["commission"] == 0.2
    assert run(market, actions, client=hr.SimulatedClient(discount_rate=60)).market["commission"] == 0.08
    none = priced(marketBaseRate=2, discountAllowed=False).touch(400).close(winner=1)
    assert run(none, actions, client=hr.SimulatedClient(discount_rate=60)).market["commission"] == 0.2
    flat = hr.SimulatedClient(commission_base=0.03, discount_rate=60)
    assert run(market, actions, client=flat).market["commission"] == 0.3


def test_commission_is_on_what_is_won_in_a_market_and_never_on_a_loss(run: Folder) -> None:
    """10.00 won on one runner and 6.00 lost on the other: net winnings of 4.00."""
    market = priced().touch(400).close(winner=1)
    actions = {100: [back("a", 2.0, 10.0), back("b", 1.8, 6.0, 2)]}
    assert run(market, actions).market["commission"] == 0.2
    lost = priced().touch(400).close(winner=2)
    assert run(lost, {100: [back("a", 2.0, 10.0)]}).market["commission"] == 0.0


def test_a_model_of_commission_can_be_a_users_own(run: Folder, tmp_path: Path) -> None:
    class Tenth(hr.CommissionModel):
        def commission(self, profit: float, definition: Any, account: Any) -> float:
            return round(max(profit, 0.0) / 10, 2)

    folder = write(tmp_path / "own", priced().touch(400).close(winner=1))
    simulation = hr.Simulation(str(folder), models=hr.Models(commission=Tenth()), engine="local")
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(Scripted(Script({100: [back("a", 2.0, 10.0)]}, True)))
    assert simulation.run().markets["commission"].to_pylist() == [1.0]


# -- funds -----------------------------------------------------------------------------------------------------------


def test_funds_run_out(run: Folder) -> None:
    """An account of 10.00 backs with 6.00, and again with 6.00: both could be lost, and 12.00 are not there.

    INSUFFICIENT_FUNDS ("Betting Enums"). The peer has no balance at all.
    """
    market = priced().touch(400).touch(900).close()
    actions = {100: [back("a", 3.0, 6.0)], 400: [back("b", 3.0, 6.0)]}
    poor = hr.SimulatedClient(balance=10.0)
    peer = run(market, actions, FLUMINE, client=poor)
    assert (peer.error("a"), peer.error("b")) == (None, None)
    ours = run(market, actions, client=poor)
    assert (ours.error("a"), ours.error("b")) == (None, "INSUFFICIENT_FUNDS")


def test_bets_of_one_moment_are_refused_together(run: Folder) -> None:
    """What is on its way, and what waits for the bet delay, counts: the second of two orders of 6.00 is refused."""
    market = priced(betDelay=5, inPlay=True).touch(400).touch(9000).close(20_000)
    actions = {400: [back("a", 3.0, 6.0), back("b", 3.0, 6.0)]}
    ours = run(market, actions, client=hr.SimulatedClient(balance=10.0))
    assert (ours.error("a"), ours.error("b")) == (None, "INSUFFICIENT_FUNDS")


def test_what_lowers_the_worst_case_is_always_taken(run: Folder) -> None:
    """10.00 are backed with all that is there. A lay of 5.00 at 2.1 could lose 5.50 by itself, but nothing together."""
    market = priced().touch(400).touch(900).close()
    actions = {100: [back("a", 2.0, 10.0)], 400: [lay("b", 2.1, 5.0)], 900: [lay("c", 2.2, 20.0)]}
    ours = run(market, actions, client=hr.SimulatedClient(balance=10.0))
    assert (ours.error("a"), ours.error("b")) == (None, None)
    assert ours["b"].size_matched == 5.0


def test_an_exposure_limit_is_held_whatever_the_balance(run: Folder) -> None:
    market = priced().touch(400).touch(900).close()
    actions = {100: [back("a", 3.0, 6.0)], 400: [back("b", 3.0, 6.0), lay("c", 1.8, 6.0)]}
    ours = run(market, actions, client=hr.SimulatedClient(balance=1000.0, exposure_limit=10.0))
    assert (ours.error("a"), ours.error("b"), ours.error("c")) == (None, "INSUFFICIENT_FUNDS", None)


class _Looks(Scripted):
    """Notes what its account has at each look at the book."""

    def process_market_book(self, market: Any, market_book: Any) -> None:
        self.script.read(self, market)
        funds = self.clients.get_default().account_funds
        self.record(market, available=funds.available_to_bet_balance, exposure=funds.exposure)


def test_money_that_is_won_and_lost_moves_the_funds_at_settlement(run: Folder) -> None:
    """Two markets of an event in one unit: 10.00 are staked and won in the first, less 5 % commission.

    Then the account has 10 + 10 - 0.5 = 19.50, and 19.50 can be staked in the second market, but not a penny more.
    """
    first = priced(market_id="1.1", eventId="9").touch(400).close(1000, winner=1)
    second = Stream(market_id="1.2", eventId="9").prices(1500, {1: {"atb": [[2.0, 99]]}}).touch(2000).touch(3000)
    stakes = {100: [back("a", 2.0, 10.0)]}
    client = hr.SimulatedClient(balance=10.0)
    for size, code in ((19.5, None), (19.51, "INSUFFICIENT_FUNDS")):
        actions = {**stakes, 1500: [back("b", 2.0, size)]}
        ours = run([first, second], actions, client=client, scope="event", kind=_Looks)
        assert ours.error("b") == code
    told = [tuple(row.values()) for row in _records(ours.result)]
    assert told[0] == (10.0, 0.0)
    assert (0.0, -10.0) in told
    assert told[-1] == (19.5, 0.0)


def _records(result: hr.Result) -> list[dict[str, Any]]:
    import json

    return [json.loads(row["record"]) for row in sorted(result.records.to_pylist(), key=lambda row: row["time"])]


# -- currency --------------------------------------------------------------------------------------------------------


def test_an_account_in_euros_meets_a_book_in_pounds(run: Folder) -> None:
    """10 pounds are offered at 2.0. At 1.25 euros a pound 20.00 euros are 16 pounds: 10 of them match, 12.50 euros.

    The stream is in pounds, orders are in the account's currency ("Additional Information"). The peer takes both for
    one: it matches 10 of 20.
    """
    market = priced().touch(400).close(winner=1)
    actions = {100: [back("a", 2.0, 20.0)]}
    euros = hr.SimulatedClient(currency_code="EUR", currency_rate=1.25)
    peer = run(market, actions, FLUMINE, client=euros)
    assert (peer["a"].size_matched, peer["a"].profit) == (10.0, 10.0)
    ours = run(market, actions, client=euros)
    assert (ours["a"].size_matched, ours["a"].size_lapsed, ours["a"].profit) == (12.5, 7.5, 12.5)
    assert ours.market["matched"] == 12.5


def test_sizes_of_another_currency_add_up_whatever_becomes_of_the_bet(run: Folder) -> None:
    market = priced().touch(400).touch(900).touch(1400).close(winner=1)
    euros = hr.SimulatedClient(currency_code="EUR", currency_rate=1.17, balance=100.0)
    ours = run(market, {100: [back("a", 2.0, 33.33)], 400: [cancel("a", 5.0)], 900: [replace("a", 2.5)]}, client=euros)
    for ref in ("a", "a'"):
        order = ours[ref]
        parts = order.size_matched + order.size_cancelled + order.size_lapsed + order.size_voided + order.size_remaining
        assert round(parts, 2) == order.order_type.size
    assert ours["a'"].order_type.size == round(33.33 - 11.7 - 5.0, 2)


def test_the_smallest_stakes_are_those_of_the_currency(run: Folder) -> None:
    """100 forints are less than 400, the smallest stake, and pay less than 4 000."""
    market = priced().touch(400).touch(900).close()
    forints = hr.SimulatedClient(currency_code="HUF")
    assert run(market, {100: [back("a", 2.0, 100.0)]}, client=forints).error("a") == "INVALID_BET_SIZE"
    assert run(market, {100: [back("a", 2.0, 400.0)]}, client=forints)["a"].size_matched == 400.0


# -- the charge on transactions --------------------------------------------------------------------------------------


class _Busy(Scripted):
    """Places nine orders in each market."""

    def process_market_book(self, market: Any, market_book: Any) -> None:
        self.script.read(self, market)
        if market.market_book.publish_time_epoch % 1000 == 100:
            for ref in range(9):
                back(f"{market.market_id} {ref}", 50.0, 1.0)(self.script, market)


def test_a_transaction_beyond_5_000_an_hour_costs_a_fifth_of_a_penny() -> None:
    """Betfair's charges page; half of commission, and of 3 % of losses, is set off by the day."""
    assert (charge_of_hour(5_000), charge_of_hour(5_400), charge_of_hour(5_400, 0.0025)) == (0.0, 0.8, 1.0)
    assert after_set_off(0.8, commission=0.5, losses=10.0) == 0.4  # 0.8 - (0.5 + 0.3) / 2
    assert after_set_off(0.8, commission=5.0, losses=0.0) == 0.0


def test_transactions_are_charged_however_units_run(run: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """6 markets of 9 placings in one clock hour, of which 50 are free here: 4 are charged.

    Each market is a unit of its own, and one of six in a run with the scope "run": the charge is the same.
    """
    monkeypatch.setattr(transaction_charge, "FREE_TRANSACTIONS", 50)
    markets = [priced(market_id=f"1.{number}").touch(400).close() for number in range(1, 7)]
    for scope in ("market", "run"):
        result = run(markets, {}, kind=_Busy, scope=scope).result
        (hour,) = result.transactions.to_pylist()
        assert (hour["placed"], hour["failed"], hour["charge"]) == (54, 0, 0.01)  # 4 x 0.002
        assert result.summary()["transaction_charge"].to_pylist() == [0.01]
    peer = run(markets, {}, FLUMINE, kind=_Busy).result
    assert peer.summary()["transaction_charge"].to_pylist() == [0.0]
    euros = hr.SimulatedClient(currency_code="EUR", currency_rate=4.0)
    assert run(markets, {}, client=euros, kind=_Busy).result.transactions["charge"].to_pylist() == [0.03]


class _Spread(_Busy):
    """The same, with cancels that succeed and some that do not."""

    def process_market_book(self, market: Any, market_book: Any) -> None:
        super().process_market_book(market, market_book)
        if market.market_book.publish_time_epoch % 1000 == 400:
            for ref in range(4):
                cancel(f"{market.market_id} {ref}")(self.script, market)


def test_cancels_count_where_they_fail_and_not_where_they_succeed(run: Folder) -> None:
    """The second market is suspended when its four cancels come."""
    markets = [priced(market_id="1.1").touch(400).touch(900).close()]
    markets.append(priced(market_id="1.2").touch(400).define(500, status="SUSPENDED").touch(900).close())
    (hour,) = run(markets, {}, kind=_Spread).result.transactions.to_pylist()
    assert (hour["placed"], hour["failed"]) == (18, 4)


# -- what holds whatever is asked for --------------------------------------------------------------------------------

PRICES = st.sampled_from((1.5, 1.8, 1.9, 2.0, 2.1, 2.2, 3.0))
SIZES = st.sampled_from((1.0, 2.5, 7.33, 12.0, 30.0))
BETS = st.lists(
    st.tuples(st.sampled_from((back, lay)), PRICES, SIZES, st.sampled_from((1, 2)), st.booleans()),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60)
@given(bets=BETS, balance=st.sampled_from((0.0, 5.0, 20.0, 50.0)), winner=st.sampled_from((1, 2)), euros=st.booleans())
def test_an_account_never_loses_more_than_it_has(bets: Any, balance: float, winner: int, euros: bool) -> None:
    """Placed at two moments, and every other one cancelled in between; by any result what is left is 0 or more."""
    market = priced().touch(400).prices(900, {1: {"trd": [[2.2, 40], [1.9, 60]]}, 2: {"trd": [[1.8, 50]]}})
    market = market.touch(1400).close(2000, winner=winner)
    actions: dict[int, list[Request]] = {100: [], 400: [], 900: []}
    for number, (side, price, size, runner, late) in enumerate(bets):
        actions[400 if late else 100].append(side(f"{number}", price, size, runner))
        if number % 2 and not late:
            actions[900].append(_if_live(f"{number}"))
    client = hr.SimulatedClient(balance=balance, **({"currency_code": "EUR", "currency_rate": 1.17} if euros else {}))
    played = replay(market, actions, client=client)
    funds = played.client.account_funds
    profit = sum(order.profit for order in played.orders.values())
    assert funds.available_to_bet_balance >= 0
    assert funds.exposure == 0
    assert funds.available_to_bet_balance <= round(balance + profit, 2)


def _if_live(ref: str) -> Request:
    def act(script: Script, market: Any) -> None:
        if script.orders[ref].status is hr.OrderStatus.EXECUTABLE:
            cancel(ref)(script, market)

    return act


def test_settings_of_an_account_that_cannot_be_are_refused() -> None:
    for name, value in (
        ("balance", -1.0),
        ("exposure_limit", -0.01),
        ("currency_rate", 0.0),
        ("currency_rate", -2.0),
        ("discount_rate", 101.0),
        ("discount_rate", 0.2),  # a fifth off is 20
        ("balance", "much"),
    ):
        with pytest.raises(hr.ClientError, match=name):
            hr.SimulatedClient(**{name: value})
    with pytest.raises(hr.ClientError, match=r"currency_rate=-2.0: expected units of GBP for one pound, above 0"):
        hr.SimulatedClient(currency_rate=-2.0)
