"""Several clients in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import headrace as hr
from builders import T0, many


class BothClients(hr.Strategy):
    """Backs at 1.8 with each client, one of which takes no better price."""

    def start(self, framework: Any) -> None:
        self.known = [client.username for client in self.clients]

    def check_market_book(self, market: Any, book: Any) -> bool:
        return book.publish_time_epoch == T0 + 100

    def process_market_book(self, market: Any, book: Any) -> None:
        for username in self.known:
            client = self.clients.get_client(hr.VenueType.SIMULATED, username)
            with market.transaction(client=client) as transaction:
                order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(1.8, 2.0))
                transaction.place_order(order)


def two_clients(folder: Path, strategy: hr.Strategy, first: Any = None, second: Any = None) -> hr.Result:
    run = hr.Simulation(folder, engine="local")
    run.add_client(hr.SimulatedClient(username="first", **(first or {})))
    run.add_client(hr.SimulatedClient(username="second", **(second or {})))
    run.add_strategy(strategy)
    return run.run()


def test_best_price_is_each_clients_own_choice(tmp_path: Path) -> None:
    result = two_clients(many(tmp_path, 1), BothClients(max_live_trade_count=2), None, {"best_price_execution": False})
    rows = {row["client"]: (row["average_price_matched"], row["size_lapsed"]) for row in result.orders.to_pylist()}
    assert rows == {"first": (2.0, 0.0), "second": (0.0, 2.0)}


def test_commission_is_each_clients_own(tmp_path: Path) -> None:
    settings = ({"commission_base": 0.10}, {"commission_base": 0.02})
    result = two_clients(many(tmp_path, 1), BothClients(max_live_trade_count=2), *settings)
    (market,) = result.markets.to_pylist()
    assert (market["profit"], market["commission"]) == (4.0, 0.24)


def test_least_stakes_are_of_each_clients_currency(tmp_path: Path) -> None:
    strategy = BothClients(max_live_trade_count=2)
    result = two_clients(many(tmp_path, 1), strategy, {"currency_code": "SEK"}, {"currency_code": "GBP"})
    assert result.orders["client"].to_pylist() == ["second"]
    unchecked = {"currency_code": "SEK", "min_bet_validation": False}
    result = two_clients(many(tmp_path, 1), BothClients(max_live_trade_count=2), unchecked)
    assert result.orders["client"].to_pylist() == ["first", "second"]


def test_client_that_was_added_does_wherever_it_is_known_from(tmp_path: Path) -> None:
    second = hr.SimulatedClient(username="second")

    class Keeps(BothClients):
        def process_market_book(self, market: Any, book: Any) -> None:
            order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, 2.0))
            market.place_order(order, client=second)
            market.place_order(
                hr.Trade(market.market_id, 2, 0, self).create_order("BACK", hr.LimitOrder(2.0, 2.0)),
                client=hr.SimulatedClient(username="third"),
            )

    result = two_clients(many(tmp_path, 1), Keeps())
    assert result.orders["client"].to_pylist() == ["second"]
    assert result.transactions["client"].to_pylist() == ["second"]
    (failure,) = result.failures.to_pylist()
    assert failure["message"] == "client=<SimulatedClient 'third'> was not added to the run; it has first, second"
