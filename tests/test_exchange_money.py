"""Money at the rehearsal exchange: funds, exposure, settlement, charges, currencies. Rules: docs/exchange.md."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from betfairlightweight import resources
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import Stream, priced
from exchange_builders import ALICE, BOB, Fault
from exchange_desk import Desk, Report, at_close, codes, limit
from exchange_requests import place
from headrace.simulate.exchange.betting.bank import Movement
from headrace.simulate.exchange.errors import ApiError, ParameterError
from headrace.simulate.exchange.settings import AccountSettings, Timers
from headrace.strategies.currency import CURRENCIES, RATES
from headrace.strategies.errors import InputError
from headrace.strategies.transaction_charge import FREE_TRANSACTIONS


def rich(**changes: Any) -> tuple[AccountSettings, AccountSettings]:
    return dataclasses.replace(ALICE, **changes), BOB


def moved(desk: Desk, username: str = "alice") -> list[tuple[str, float]]:
    """What came and went after the deposit."""
    return [(each.kind, each.amount) for each in desk.bank.statement(username)[1:]]


# -- exposure --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bets", "exposure"),
    [
        ([limit(3.0, 5)], -5.0),
        ([limit(1.9, 5, "LAY")], -4.5),
        ([limit(3.0, 5), limit(1.9, 5, "LAY")], -5.0),
        ([limit(3.0, 5), limit(3.0, 6, selection_id=2)], -6.0),  # one of the two wins
        ([limit(3.0, 5), limit(1.9, 6, "LAY", 2)], -10.4),
        ([limit(1.9, 5, "LAY"), limit(1.5, 5, "LAY", 2)], -4.5),
        ([limit(2.0, 5), limit(2.1, 5, "LAY")], -0.5),
        ([at_close(20)], -20.0),
        ([at_close(20, side="LAY")], -20.0),
        ([at_close(20, 3.0), at_close(20, 2.0, "LAY")], -20.0),
        ([limit(3.0, 5, timeInForce="FILL_OR_KILL")], 0.0),
    ],
)
def test_exposure_is_the_worst_case_and_below_zero(bets: list[Report], exposure: float) -> None:
    desk = Desk()
    for bet in bets:
        desk.placed(bet)
    assert desk.funds["exposure"] == exposure
    assert desk.funds["availableToBetBalance"] == 10_000 + exposure


def test_bets_on_lines_can_lose_both_where_the_result_lies_between() -> None:
    desk = Desk(Stream(bettingType="LINE", marketType="TOTAL"))
    desk.placed(limit(3.5, 5, "LAY"), account=BOB)
    desk.placed(limit(3.5, 5))
    desk.placed(limit(1.5, 4, "LAY"))
    assert desk.bank.exposure("alice") == -5.0
    desk.placed(limit(5.5, 4, "LAY"))
    assert desk.bank.exposure("alice") == -9.0


def test_an_each_way_bet_loses_twice_its_stake() -> None:
    desk = Desk(priced(marketType="EACH_WAY", eachWayDivisor=4.0))
    desk.placed(limit(3.0, 5))
    assert desk.bank.exposure("alice") == -10.0


def test_a_cancel_gives_exposure_back() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    desk.cancel({"betId": bet.bet_id, "sizeReduction": 2})
    assert desk.bank.exposure("alice") == -3.0
    desk.cancel({"betId": bet.bet_id})
    assert desk.bank.exposure("alice") == 0.0


def test_exposure_is_of_all_markets_and_of_one_account() -> None:
    desk = Desk(priced(), Stream("1.2"))
    desk.placed(limit(3.0, 5))
    desk.placed(limit(3.0, 7), market_id="1.2")
    assert desk.bank.exposure("alice") == -12.0
    assert desk.bank.exposure("bob") == 0.0


def test_a_removed_runner_can_no_longer_win() -> None:
    desk = Desk(priced().remove(200, 2, 1.0))
    desk.placed(limit(1.9, 5, "LAY"))
    place(desk.exchange, "LAY", 1.9, 5.0, 2)
    assert desk.bank.exposure("alice") == -4.5
    desk.play()
    assert desk.bank.exposure("alice") == -4.5


# -- what is refused -------------------------------------------------------------------------------------------------


def test_funds_refuse_what_could_lose_more_than_there_is() -> None:
    desk = Desk(accounts=rich(balance=10.0))
    assert desk.place(limit(3.0, 10.01))["errorCode"] == "INSUFFICIENT_FUNDS"
    assert desk.place(limit(3.0, 6), limit(1.9, 6, "LAY", 2))["errorCode"] == "INSUFFICIENT_FUNDS"
    assert desk.place(limit(3.0, 10))["status"] == "SUCCESS"
    assert desk.place(limit(3.0, 1))["errorCode"] == "INSUFFICIENT_FUNDS"


def test_what_does_not_lose_more_is_placed_without_funds() -> None:
    desk = Desk(accounts=rich(balance=10.0))
    desk.placed(limit(2.0, 10))
    assert desk.bank.available("alice") == 0.0
    assert desk.place(limit(2.1, 9, "LAY"))["status"] == "SUCCESS"


def test_the_exposure_limit_refuses_like_missing_funds() -> None:
    desk = Desk(accounts=rich(exposure_limit=20.0))
    assert desk.funds["exposureLimit"] == -20.0
    assert desk.place(limit(3.0, 20.01))["errorCode"] == "INSUFFICIENT_FUNDS"
    assert desk.place(limit(3.0, 20))["status"] == "SUCCESS"


# -- settlement ------------------------------------------------------------------------------------------------------


def test_settlement_moves_results_and_commission_on_net_winnings() -> None:
    desk = Desk(priced().close(1000))
    desk.placed(limit(2.0, 10))
    desk.placed(limit(1.8, 4, selection_id=2))
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    assert moved(desk) == [("BET", 10.0), ("BET", -4.0), ("COMMISSION", -0.3)]
    assert desk.funds["availableToBetBalance"] == 10_005.7
    assert desk.funds["exposure"] == 0.0
    assert desk.bank.commission("alice", desk.exchange.markets["1.100000001"].market_id) == 0.3


@pytest.mark.parametrize(("allowed", "commission"), [(True, -0.4), (False, -0.5)])
def test_the_account_discount_lowers_commission_where_the_market_allows_it(allowed: bool, commission: float) -> None:
    desk = Desk(priced(discountAllowed=allowed).close(1000), accounts=rich(discount_rate=20.0))
    desk.placed(limit(2.0, 10))
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    assert moved(desk) == [("BET", 10.0), ("COMMISSION", commission)]


def test_losers_pay_no_commission() -> None:
    desk = Desk(priced().close(1000, winner=2))
    desk.placed(limit(2.0, 10))
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    assert moved(desk) == [("BET", -10.0)]


def test_until_it_is_settled_money_stays_and_commission_is_retained() -> None:
    desk = Desk(priced().close(1000), timers=Timers(settle=3600))
    desk.placed(limit(2.0, 10))
    desk.play()
    assert (desk.funds["exposure"], desk.funds["retainedCommission"]) == (-10.0, 0.5)
    desk.exchange.advance(desk.exchange.clock.now_ms + 3_600_000)
    assert (desk.funds["exposure"], desk.funds["retainedCommission"]) == (0.0, 0.0)
    assert desk.bank.balance("alice") == 10_009.5


def test_a_second_settlement_takes_the_first_back() -> None:
    desk = Desk(priced().close(1000).define(2000, {1: {"status": "LOSER"}, 2: {"status": "WINNER"}}))
    desk.placed(limit(2.0, 10))
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    rows = desk.bank.statement("alice")[1:]
    assert [(row.kind, row.amount, row.reverses) for row in rows] == [
        ("BET", 10.0, False),
        ("COMMISSION", -0.5, False),
        ("BET", -10.0, True),
        ("BET", -10.0, False),
        ("COMMISSION", 0.5, True),
    ]
    assert desk.bank.balance("alice") == 9_990.0


def test_a_settlement_said_twice_moves_nothing_twice() -> None:
    desk = Desk(priced().close(1000).close(2000))
    desk.placed(limit(2.0, 10))
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    assert moved(desk) == [("BET", 10.0), ("COMMISSION", -0.5)]


def test_a_voided_bet_moves_nothing() -> None:
    desk = Desk(priced().remove(500, 1, 10.0).close(1000, winner=2), faults=[])
    desk.placed(limit(2.0, 10))
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    assert sum(amount for _, amount in moved(desk)) == 0.0
    assert desk.bank.balance("alice") == 10_000.0


def test_a_market_that_vanishes_unsettled_binds_nothing() -> None:
    desk = Desk(priced(), gone={2000: "1.100000001"}, timers=Timers(vanish=1.0))
    desk.placed(limit(2.0, 10))
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms + 2000)
    assert desk.bank.exposure("alice") == 0.0


def test_every_movement_is_in_the_ledger() -> None:
    desk = Desk(priced().close(1000))
    desk.placed(limit(2.0, 10))
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    noted = [each.values for each in desk.exchange.ledger.entries(kind="ACCOUNT") if each.values["username"] == "alice"]
    assert [(each["what"], each["amount"], each["balance"]) for each in noted] == [
        ("DEPOSIT", 10_000.0, 10_000.0),
        ("BET", 10.0, 10_010.0),
        ("COMMISSION", -0.5, 10_009.5),
    ]


# -- transactions ----------------------------------------------------------------------------------------------------


def test_placings_and_failures_count_and_successful_cancels_do_not() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    assert desk.bank.transactions("alice") == 1
    desk.place(limit(3.01, 5), limit(3.0, 5))
    assert desk.bank.transactions("alice") == 3
    bet = desk.bet(desk.replace({"betId": bet.bet_id, "newPrice": 3.5}))
    assert desk.bank.transactions("alice") == 4
    desk.cancel({"betId": bet.bet_id})
    assert desk.bank.transactions("alice") == 4
    desk.cancel({"betId": bet.bet_id})
    assert desk.bank.transactions("alice") == 5


@pytest.mark.parametrize(("currency", "charge"), [("GBP", -0.5), ("EUR", -0.58)])
def test_transactions_beyond_the_free_ones_are_charged_when_the_clock_hour_ends(currency: str, charge: float) -> None:
    desk = Desk(accounts=rich(currency=currency))
    desk.bank.count("alice", FREE_TRANSACTIONS)
    desk.bank.count("alice", 200)
    desk.bank.count("alice", 50)
    hour = 3_600_000
    end = (desk.exchange.clock.now_ms // hour + 1) * hour
    desk.exchange.advance(end - 1)
    assert moved(desk) == []
    desk.exchange.advance(end)
    (row,) = desk.bank.statement("alice")[1:]
    assert (row.kind, row.amount, row.transactions, row.at) == ("CHARGE", charge, 5_250, end)
    assert desk.bank.transactions("alice") == 0


# -- calls -----------------------------------------------------------------------------------------------------------


def test_funds_are_read_by_betfairlightweight() -> None:
    desk = Desk(accounts=rich(discount_rate=3.0))
    funds = resources.AccountFunds(elapsed_time=0.0, **desk.funds)
    assert (funds.available_to_bet_balance, funds.exposure, funds.retained_commission) == (10_000.0, 0.0, 0.0)
    assert (funds.exposure_limit, funds.discount_rate, funds.wallet) == (-10_000.0, 3.0, "UK")


def test_details_are_read_by_betfairlightweight() -> None:
    desk = Desk(accounts=rich(currency="EUR", discount_rate=3.0))
    details = resources.AccountDetails(elapsed_time=0.0, **desk.call("getAccountDetails"))
    assert (details.currency_code, details.discount_rate, details.first_name) == ("EUR", 3.0, "alice")


def test_two_funds_calls_at_once_may_refuse_one() -> None:
    desk = Desk(faults=[Fault("account.busy")])
    with pytest.raises(ApiError) as caught:
        desk.call("getAccountFunds")
    assert caught.value.code == "SERVICE_BUSY"
    assert desk.funds["exposure"] == 0.0


def test_another_wallet_does_not_exist() -> None:
    with pytest.raises(ParameterError):
        Desk().call("getAccountFunds", {"wallet": "AUSTRALIAN"})


def test_currency_rates_are_units_for_a_pound() -> None:
    desk = Desk()
    rates = {each["currencyCode"]: each["rate"] for each in desk.call("listCurrencyRates", {"fromCurrency": "GBP"})}
    assert "GBP" not in rates
    assert rates["EUR"] == 1.16
    with pytest.raises(ApiError):
        desk.call("listCurrencyRates", {"fromCurrency": "EUR"})


# -- currencies ------------------------------------------------------------------------------------------------------


def test_a_bet_in_euros_takes_pounds_and_shows_in_pounds() -> None:
    desk = Desk(accounts=rich(currency="EUR"))
    runner = desk.exchange.markets["1.100000001"].public.runner(1, 0.0)
    bet = desk.placed(limit(2.0, 5.8))
    assert (bet.matched, bet.average, bet.remaining) == (5.8, 2.0, 0.0)
    assert runner.size("atb", 2.0) == 5.0
    resting = desk.placed(limit(3.0, 11.6))
    assert (resting.remaining, runner.size("atl", 3.0)) == (11.6, 10.0)
    desk.cancel({"betId": resting.bet_id, "sizeReduction": 5.8})
    assert (resting.cancelled, resting.remaining, runner.size("atl", 3.0)) == (5.8, 5.8, 5.0)


def test_a_result_in_euros_is_that_of_the_stake_in_euros() -> None:
    desk = Desk(priced().close(1000), accounts=rich(currency="EUR"))
    desk.placed(limit(2.0, 7.77))
    assert desk.bank.exposure("alice") == -7.77
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    assert moved(desk) == [("BET", 7.77), ("COMMISSION", -0.39)]


@pytest.mark.parametrize(("winner", "profit"), [(1, 11.66), (2, -2.65)])
@pytest.mark.parametrize("side", ["BACK", "LAY"])
def test_a_result_in_euros_is_worked_out_in_euros(winner: int, profit: float, side: str) -> None:
    # What is won with 2.28 pounds, 10.03, are 11.64 euros by the rate of this bet; its account was told of 2.65 euros.
    offers = {"atb" if side == "BACK" else "atl": [[5.4, 2.28]]}
    desk = Desk(Stream().prices(50, {1: offers}).close(1000, winner=winner), accounts=rich(currency="EUR"))
    bet = desk.placed(limit(5.4, 10, side))
    assert (bet.matched, bet.average) == (2.65, 5.4)
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    assert moved(desk)[0] == ("BET", profit if side == "BACK" else -profit)


@given(
    currency=st.sampled_from(["EUR", "USD", "AUD", "SEK", "HUF"]),
    size=st.floats(400, 5000).map(lambda size: round(size, 2)),
    price=st.sampled_from([1.9, 1.98, 2.0, 3.0]),
    reductions=st.lists(st.floats(1, 500).map(lambda size: round(size, 2)), max_size=3),
)
def test_sizes_in_any_currency_add_up(currency: str, size: float, price: float, reductions: list[float]) -> None:
    desk = Desk(accounts=rich(currency=currency))
    bet = desk.placed(limit(price, size))
    for reduction in reductions:
        desk.cancel({"betId": bet.bet_id, "sizeReduction": reduction})
    assert bet.size == size
    assert round(bet.matched + bet.cancelled + bet.remaining, 2) == size
    assert bet.executable == (bet.remaining > 0)


def test_every_currency_with_smallest_stakes_has_a_rate() -> None:
    assert set(RATES) == set(CURRENCIES)
    assert all(units >= 1 for units in RATES.values())  # the engine counts in pounds: theirs are the finer pennies


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "XXX"),
        ("balance", -1.0),
        ("balance", float("nan")),
        ("exposure_limit", -5.0),
        ("discount_rate", 101.0),
    ],
)
def test_an_account_that_cannot_be_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"'alice': the {field} is"):
        dataclasses.replace(ALICE, **{field: value})


# -- no loss exceeds the balance -------------------------------------------------------------------------------------

_BETS = st.tuples(
    st.sampled_from([1, 2, 3]),
    st.sampled_from(["BACK", "LAY"]),
    st.sampled_from([1.01, 1.8, 1.9, 1.98, 2.0, 2.1, 2.2, 3.0, 7.4]),
    st.floats(1, 15).map(lambda size: round(size, 2)),
    st.sampled_from(["LIMIT", "SP", "KEEP", "TAKE_SP"]),
)


def _instruction(runner: int, side: str, price: float, size: float, kind: str) -> Report:
    if kind == "SP":
        return at_close(size, None if price > 3 else price, side, runner)
    persistence = {"KEEP": "PERSIST", "TAKE_SP": "MARKET_ON_CLOSE"}.get(kind, "LAPSE")
    return limit(price, size, side, runner, persistenceType=persistence)


def _market(winner: int) -> Stream:
    runners = {each: {"status": "ACTIVE"} for each in (1, 2, 3)}
    stream = Stream(runners=runners, numberOfActiveRunners=3)
    offers = {"atb": [[2.0, 6], [1.98, 5], [1.9, 9]], "atl": [[2.1, 4], [2.2, 7]], "trd": [[2.0, 10]]}
    stream.prices(100, dict.fromkeys(runners, offers))
    for at in (200, 300):
        volume = [[1.9, at / 4], [2.1, at / 4], [3.0, at / 10], [7.4, at / 20]]
        stream.prices(at, {each: {"trd": volume} for each in runners})
    reconciled = {each: {"bsp": 1.95 + each / 10} for each in runners}
    stream.define(400, reconciled, bspReconciled=True, inPlay=True, version=2)
    stream.prices(500, {each: {"trd": [[1.9, 300], [2.2, 300]]} for each in runners})
    return stream.close(1000, winner=winner)


@settings(max_examples=60)
@given(
    bets=st.lists(st.tuples(_BETS, st.sampled_from([100, 200, 300])), max_size=14),
    balance=st.floats(5, 60).map(lambda money: round(money, 2)),
    winner=st.sampled_from([1, 2, 3]),
)
def test_no_loss_exceeds_the_balance(
    bets: list[tuple[tuple[int, str, float, float, str], int]], balance: float, winner: int
) -> None:
    desk = Desk(_market(winner), accounts=rich(balance=balance), until=50)
    for at in (100, 200, 300):
        desk.play(at)
        for bet, when in bets:
            if when == at:
                desk.place(_instruction(*bet))
        assert desk.bank.available("alice") >= 0
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    assert desk.bank.balance("alice") >= 0
    rows = desk.bank.statement("alice")
    assert round(sum(row.amount for row in rows), 2) == desk.bank.balance("alice") == rows[-1].balance


def test_a_statement_row_says_what_it_is_for() -> None:
    desk = Desk(priced().close(1000))
    bet = desk.placed(limit(2.0, 10))
    desk.play()
    desk.exchange.advance(desk.exchange.clock.now_ms)
    deposit, result, commission = desk.bank.statement("alice")
    assert isinstance(deposit, Movement)
    assert (deposit.kind, deposit.amount, deposit.market_id) == ("DEPOSIT", 10_000.0, None)
    assert (result.bet, result.market_id) == (bet, "1.100000001")
    assert (commission.bet, commission.market_id) == (None, "1.100000001")
    assert codes(desk.place(limit(2.0, 10))) == ["ERROR_IN_ORDER"]
