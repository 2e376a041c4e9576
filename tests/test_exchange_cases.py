"""Cases of the public record (docs/exchange.md, "What has gone wrong for others"): each can be provoked here."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from builders import priced
from exchange_builders import ALICE, BOB, MARKET, Fault
from exchange_desk import Desk, at_close, codes, limit
from exchange_requests import place
from exchange_streams import stage
from headrace.simulate.exchange.asking import faults_of, with_settings
from headrace.simulate.exchange.errors import ParameterError
from headrace.simulate.exchange.faults import KINDS
from headrace.simulate.exchange.http.arguments import arguments_of
from headrace.simulate.exchange.settings import AccountSettings, ExchangeSettings

PAGE = Path(__file__).parents[1] / "docs" / "exchange.md"

#: By case: where else it is provoked. Those that are not here are provoked below, or are the client's own affair.
ELSEWHERE = {
    1: "orders_and_replies: the_change_of_a_bet_is_on_the_stream_before_the_reply_if_a_fault_says_so",
    2: "changes: a_replacement_can_be_matched_whole_at_once",
    3: "changes: a_bet_may_be_matched_before_its_cancel_is_handled",
    4: "stream_faults: of_two_streams_of_an_account_only_that_of_the_operation_ends",
    5: "orders: fault_a_change_of_an_order_comes_late_and_none_overtakes_it",
    6: "changes: a_bet_may_be_matched_before_its_replace_is_handled",
    7: "changes: a_rest_below_the_smallest_stake",
    10: "lists: a_replaced_bet_and_its_successor_share_their_reference",
    11: "betting: a_bet_is_refused_with_its_code",
    12: "orders: a_fill_or_kill_that_is_killed_is_cancelled_and_not_lapsed",
    13: "betting: a_bet_is_refused_with_its_code",
    14: "orders: bets_at_the_starting_price_are_complete_from_the_start_and_get_their_sizes_when_it_is_known",
    15: "orders: fault_references_are_blank_as_of_a_bet_placed_by_hand",
    16: "orders: an_image_has_resting_bets_and_matches_and_nothing_else",
    17: "orders: fault_the_first_image_comes_late_with_all_that_happened_meanwhile",
    18: "market_events: a_closed_market_opens_again_and_closes_with_another_winner",
    19: "market_events: a_market_settles_late",
    20: "money: placings_and_failures_count_and_successful_cancels_do_not",
    22: "http: reply_is_late_and_what_was_asked_is_done_before_or_after_the_wait",
    23: "feed: as_old_markets_close_new_ones_appear_without_end",
    24: "listings: catalogue_is_as_stale_as_asked",
    25: "stream_faults: publish_times_can_be_behind",
    26: "feed: an_exchange_of_made_up_markets_does_not_grow",
    27: "betting: a_client_that_hangs_up_in_the_delay_has_placed_its_bet",
    28: "stream_handshake: who_does_not_subscribe_in_time_is_cut_off",
    29: "stream_faults: a_connection_can_fail_with_a_status",
    30: "stream_faults: a_connection_can_fall_silent_and_go_on",
    31: "stream_subscription: clocks_of_other_criteria_are_refused",
    32: "stream_faults: changes_of_the_former_subscription_can_go_on_before_the_image",
    34: "orders: an_image_has_resting_bets_and_matches_and_nothing_else",
    36: "stream_faults: an_image_can_have_a_market_twice",
    37: "stream_faults: an_image_can_lack_its_definition",
    38: "stream_faults: the_connection_line_can_come_late",
    39: "stream_faults: a_line_can_break_off",
    40: "stream_handshake: more_connections_than_allowed_are_refused",
    41: "orders: fault_optional_fields_of_an_order_are_left_out_or_null",
    42: "http: call_of_an_expired_session_is_refused_until_the_next_login",
    43: "stream_faults: a_connection_can_be_dropped_between_messages",
    45: "orders_and_replies: a_bet_that_is_voided_after_its_end_is_told_again",
    49: "http: connection_is_cut",
    50: "sessions: keep_alive_fails_once_and_the_session_goes_on",
    51: "changes: too_many_changes_are_an_exception_and_nothing_is_executed",
    52: "http: parameters_outside_the_envelope_are_not_seen",
    54: "http: idle_connection_is_closed_early_by_a_fault",
    55: "sessions: keep_alive_fails_once_and_the_session_goes_on",
    56: "http: reports_have_fields_that_nobody_knows",
    57: "changes: a_change_may_be_refused_by_fault",
    58: "orders_and_replies: a_bet_placed_asynchronously_is_nowhere_until_its_delay_is_over",
    59: "stream_handshake: connecting_too_often_is_refused_for_a_while",
    60: "orders: a_slow_client_gets_the_last_state_of_each_order_when_it_reads_again",
    61: "orders: a_delayed_key_sees_no_orders",
    62: "money: two_funds_calls_at_once_may_refuse_one",
}
BELOW = {8, 9, 35, 44, 46, 47, 48, 53}
#: Nothing of them reaches an exchange: a control that refuses, a client that is stopped.
OF_CLIENTS = {21, 33}


def rows() -> dict[int, list[str]]:
    """The table's rows, by number."""
    section = PAGE.read_text().split("## What has gone wrong for others")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:2] == "| "]
    return {int(row[0]): row[1:] for row in cells if row[0].isdecimal()}


def test_every_case_says_how_it_is_provoked_and_has_a_test():
    assert sorted(rows()) == list(range(1, 63))
    assert all(all(row) for row in rows().values())
    assert sorted([*ELSEWHERE, *BELOW, *OF_CLIENTS]) == list(range(1, 63))


@pytest.mark.parametrize("case", sorted(ELSEWHERE))
def test_the_test_of_a_case_is_there(case: int):
    file, _, name = ELSEWHERE[case].partition(": ")
    tests = Path(__file__).with_name(f"test_exchange_{file}.py").read_text()
    assert re.search(rf"^(async )?def test_{name}\(", tests, re.MULTILINE)


def test_what_the_table_sets_up_can_be_set_up():
    words = [word for row in rows().values() for word in re.findall(r"`([^`]+)`", row[2])]
    faults = [word for word in words if word.partition(":")[0] in KINDS]
    assert len(faults_of(faults)) == len(faults) > 40
    assert not [word for word in words if re.match(r"[a-z]+\.[a-z_]+", word) and word not in faults]
    options = dict(re.findall(r"--set (\w+)=(\w+)", " ".join(words)))
    settings = with_settings(ExchangeSettings(), options)
    assert (settings.timers.settle, settings.limits.connections) == (5_400.0, 2)
    assert {"delayed", "exposure_limit"} <= {each.name for each in dataclasses.fields(AccountSettings)}


def test_case_8_a_replace_when_the_limit_is_reached_counts_one_bet():
    account = dataclasses.replace(ALICE, exposure_limit=5.0)
    desk = Desk(accounts=(account, BOB))
    bet = desk.placed(limit(3.0, 5))
    assert desk.place(limit(3.0, 2))["errorCode"] == "INSUFFICIENT_FUNDS"
    assert desk.replace({"betId": bet.bet_id, "newPrice": 3.5})["status"] == "SUCCESS"
    assert desk.funds["exposure"] == -5.0


@pytest.mark.parametrize("kind", ["bet.fill_before_cancel", None])
def test_case_9_a_bet_that_is_matched_before_its_replace_ran_is_not_replaced(kind: str | None):
    desk = Desk(faults=[Fault(kind)] if kind else [])
    bet = desk.placed(limit(2.02, 5))
    if kind is None:
        place(desk.exchange, "LAY", 2.02, 5.0, account=BOB)
    report = desk.replace({"betId": bet.bet_id, "newPrice": 3.5})
    (each,) = report["instructionReports"]
    assert (each["errorCode"], each["placeInstructionReport"]["errorCode"]) == (
        "BET_TAKEN_OR_LAPSED",
        "RELATED_ACTION_FAILED",
    )
    assert (bet.matched, len(desk.exchange.bets)) == (5.0, 1 if kind else 2)


def test_case_35_a_thousand_changes_of_orders_in_a_second():
    desk = Desk()
    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        for _ in range(5):
            desk.place(*[limit(3.0, 2)] * 200)
        told = {
            order["id"]
            for message in client.new()
            for market in message.get("oc", ())
            for runner in market["orc"]
            for order in runner["uo"]
        }
        assert told == set(desk.exchange.bets)
        assert len(client.snap(MARKET)["orders"]) == 1_000


def test_case_44_a_change_that_is_sent_twice_and_fills_in_thirds_add_up():
    desk = Desk()
    with stage(desk.exchange, Fault("order.duplicate", times=None)) as stream:
        client = stream.subscribe()
        bet = desk.placed(limit(3.0, 10))
        for size in ("3.33", "3.33", "3.34"):
            desk.faults.add(Fault("bet.fill_before_cancel", value=size))
            desk.cancel({"betId": bet.bet_id, "sizeReduction": 0.01} if size != "3.34" else {"betId": bet.bet_id})
        snap = client.snap(MARKET)
        (order,) = snap["orders"].values()
        assert (order["sizeMatched"], order["sizeCancelled"]) == (bet.matched, bet.cancelled) == (9.98, 0.02)
        assert snap["matches"] == {(1, 0): {"mb": {3.0: 9.98}}}


def test_case_46_a_refusal_comes_after_the_end_on_the_stream():
    desk = Desk(priced().suspend(200, version=5).define(300, version=6, status="OPEN"))
    desk.play()
    desk.faults.add(Fault("order.before_reply", seconds=0.02))
    with stage(desk.exchange) as stream:
        client = stream.subscribe()
        asked = arguments_of({"marketId": MARKET, "instructions": [limit(3.0, 5)], "marketVersion": {"version": 1}})
        reply = stream.loop.create_task(desk.operations["placeOrders"](desk.account, asked))
        stream.let_pass()
        (order,) = client.last["oc"][0]["orc"][0]["uo"]
        assert (order["status"], order["lsrc"], reply.done()) == ("EC", "MKT_VERSION", False)
        report = stream.loop.run_until_complete(reply)
    assert (report["status"], codes(report)) == ("FAILURE", ["BET_TAKEN_OR_LAPSED"])


def test_case_47_references_of_32_characters_with_one_beginning_stay_apart():
    desk = Desk()
    refs = [f"{'strategy' * 3}{number:08d}" for number in range(3)]
    report = desk.place(*[limit(3.0, 2, instruction={"customerOrderRef": ref}) for ref in refs])
    assert report["status"] == "SUCCESS"
    assert [bet.order_ref for bet in desk.exchange.bets.values()] == refs


def test_case_48_a_part_is_cancelled_while_the_bet_is_matched():
    desk = Desk(faults=[Fault("bet.fill_before_cancel", value="3")])
    bet = desk.placed(limit(3.0, 5))
    (report,) = desk.cancel({"betId": bet.bet_id, "sizeReduction": 2.5})["instructionReports"]
    assert (report["status"], report["sizeCancelled"]) == ("SUCCESS", 2.0)
    assert (bet.matched, bet.cancelled, bet.executable) == (3.0, 2.0, False)


def test_case_53_an_order_at_the_starting_price_has_a_liability_and_keeps_its_reference():
    desk = Desk()
    with pytest.raises(ParameterError, match="marketOnCloseOrder"):
        desk.place({**at_close(20), "marketOnCloseOrder": None, "limitOrder": {"price": 3.0, "size": 20}})
    assert desk.placed({**at_close(20), "customerOrderRef": "mine"}).order_ref == "mine"
