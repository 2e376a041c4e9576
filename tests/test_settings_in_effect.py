"""What settings of the configuration do to orders."""

from __future__ import annotations

from typing import Any

import pytest

import headrace as hr
from builders import T0, back, cancel, priced, replace, replay, update


class Asks(hr.Strategy):
    """Backs the first runner at a price that rests, and cancels it."""

    size: float = 2.0
    price: float = 2.1

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.publish_time_epoch == T0 + 100)

    def process_market_book(self, market: Any, book: Any) -> None:
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(self.price, self.size))
        market.place_order(order)
        self.record(market, ref=order.customer_order_ref)


def traded() -> Any:
    return priced().touch(400).prices(500, {1: {"trd": [[2.1, 30]]}}).touch(900).close()


def matched(config: hr.Config) -> list[float]:
    sizes = []
    played = replay(traded(), strategies=[Asks(name="a", size=6.0), Asks(name="b", size=6.0)], config=config)
    for order in played.market.blotter:
        sizes.append(order.size_matched)
    return sizes


def test_strategies_match_alone_or_share_the_volume() -> None:
    # 20 were traded at 2.1 in all, twice that is what the stream says; 6 stood ahead in the queue.
    assert matched(hr.Config(simulated_strategy_isolation=True)) == [4.0, 4.0]
    assert matched(hr.Config(simulated_strategy_isolation=False)) == [4.0, 0.0]


def test_resting_orders_may_match_prices_that_come_later() -> None:
    stream = priced().touch(400).prices(500, {1: {"atb": [[2.1, 50]], "atl": [[2.1, 0]]}}).touch(900).close()
    sizes = []
    for flag in (False, True):
        config = hr.Config(queue="flumine", simulation_available_prices=flag)
        sizes.append(replay(stream, {100: [back("a", 2.1, 5.0)]}, config=config)["a"].size_matched)
    assert sizes == [0.0, 5.0]


@pytest.mark.parametrize(
    ("setting", "request_", "status"),
    [
        ("place_latency", None, "PENDING"),
        ("cancel_latency", "cancel", "CANCELLING"),
        ("update_latency", "update", "UPDATING"),
        ("replace_latency", "replace", "REPLACING"),
    ],
)
def test_latencies_hold_requests_back(setting: str, request_: str | None, status: str) -> None:
    requests = {"cancel": cancel("a"), "update": update("a", "PERSIST"), "replace": replace("a", 3.5)}
    actions: dict[int, Any] = {100: [back("a", 3.0, 5.0)]}
    if request_:
        actions[400] = [requests[request_]]
    stream = priced().touch(400).touch(700).touch(1500).close()
    at = 700 if request_ else 400
    slow = replay(stream, actions, config=hr.Config(**{setting: 0.5}))
    quick = replay(stream, actions, config=hr.Config(**{setting: 0.01}))
    assert slow.snapshots[at]["a"].status == status
    assert quick.snapshots[at]["a"].status != status


def test_separator_stands_in_order_references() -> None:
    found = {}
    for separator in "-_":
        played = replay(traded(), strategies=[Asks()], config=hr.Config(order_sep=separator))
        (order,) = played.market.blotter
        name, sign, number = order.customer_order_ref[:13], order.customer_order_ref[13], order.customer_order_ref[14:]
        assert (len(name), number) == (13, order.id)
        found[separator] = sign
    assert found == {"-": "-", "_": "_"}


def test_strategy_reference_goes_with_every_package() -> None:
    seen = []

    class Office(hr.Coordinator):
        def process_order_package(self, package: Any) -> None:
            seen.append((package.customer_strategy_ref, package.async_))
            super().process_order_package(package)

    for config in (hr.Config(), hr.Config(customer_strategy_ref="mine", async_place_orders=True)):
        replay(traded(), strategies=[Asks()], config=config, setup={"coordinator": Office})
    assert seen == [("Asks", False), ("mine", True)]


def test_configuration_is_at_hand_for_strategies() -> None:
    config = hr.Config(max_execution_workers=3, execution_retry_attempts=2, max_market_actors=5, currency="EUR")
    seen = []
    replay(priced(), {100: [lambda script, market: seen.append(market.framework.config)]}, config=config)
    assert seen == [config]
