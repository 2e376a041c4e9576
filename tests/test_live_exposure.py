"""What bets can lose, as the coordinator counts it."""

from __future__ import annotations

import dataclasses

import pytest

from headrace.actors.live.exposure import Wanted, loss_of
from headrace.strategies.changes import MarketDefinition, RunnerDefinition
from headrace.strategies.messages import PlaceInstruction


def race(winners: int = 1, **fields: object) -> MarketDefinition:
    runners = [RunnerDefinition(each) for each in (1, 2, 3)]
    return MarketDefinition(
        runners=runners, number_of_winners=winners, number_of_active_runners=3, betting_type="ODDS", **fields
    )


def bet(side: str, price: float, size: float, runner: int = 1, matched: float = 0.0) -> Wanted:
    return Wanted(runner, 0.0, side, price, size - matched, False, matched=matched, average=price if matched else 0.0)


def test_a_back_risks_its_stake_and_a_lay_its_liability() -> None:
    assert loss_of([bet("BACK", 3.0, 5.0)], race()) == 5.0
    assert loss_of([bet("LAY", 3.5, 4.0)], race()) == 10.0
    assert loss_of([], race()) == 0.0


def test_what_is_not_matched_never_offsets_what_is() -> None:
    backed = bet("BACK", 3.0, 10.0, matched=10.0)
    assert loss_of([backed, bet("LAY", 2.0, 15.0)], race()) == 10.0
    assert loss_of([backed, bet("LAY", 2.0, 15.0, matched=15.0)], race()) == 0.0


def test_only_so_many_runners_win() -> None:
    laid = [bet("LAY", 4.0, 2.0, runner) for runner in (1, 2, 3)]
    assert loss_of(laid, race()) == 6.0
    assert loss_of(laid, race(winners=2)) == 12.0
    assert loss_of(laid, None) == 18.0, "of a market that is not known any number may win"


def test_a_replace_under_way_counts_at_the_worse_of_its_two_prices() -> None:
    resting = bet("LAY", 3.0, 2.0)
    assert loss_of([dataclasses.replace(resting, new_price=5.0)], race()) == 8.0
    assert loss_of([dataclasses.replace(resting, new_price=2.0)], race()) == 4.0


def test_orders_at_the_starting_price_risk_their_liability() -> None:
    assert loss_of([Wanted(1, 0.0, "LAY", None, 12.0, True)], race()) == 12.0
    assert loss_of([Wanted(1, 0.0, "BACK", 4.0, 7.0, True)], race()) == 7.0


def test_bets_on_lines_are_settled_at_even_money() -> None:
    runs = race(price_ladder_definition=None)
    runs.betting_type = "LINE"
    assert loss_of([bet("LAY", 120.5, 10.0)], runs) == 10.0
    between = [bet("BACK", 110.5, 5.0, matched=5.0), bet("LAY", 100.5, 5.0, matched=5.0)]
    assert loss_of(between, runs) == 0.0


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"order_type": "LIMIT", "price": 3.0, "size": 2.0}, 2.0),
        ({"order_type": "MARKET_ON_CLOSE", "liability": 9.0}, 9.0),
        (
            {"order_type": "LIMIT", "price": 3.0, "bet_target_type": "BACKERS_PROFIT", "bet_target_size": 8.0},
            4.0,
        ),
    ],
)
def test_an_instruction_to_back_risks_what_it_asks_for(asked: dict[str, object], expected: float) -> None:
    instruction = PlaceInstruction("a", "ref", 1, 0.0, "BACK", **asked)
    assert loss_of([Wanted.of(instruction)], race()) == expected
