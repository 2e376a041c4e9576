"""`headrace explain`: a bet's life, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner

import headrace as hr
from builders import MARKET, T0, priced
from common_strategies import BacksAtOnce
from headrace.cli import main


class Noted(hr.Strategy):
    price: float = 2.0
    stake: float = 5.0

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.publish_time_epoch == T0 + 100)

    def process_market_book(self, market: Any, book: Any) -> None:
        trade = hr.Trade(market.market_id, 1, 0, self, notes={"why": "value"})
        market.place_order(trade.create_order("BACK", hr.LimitOrder(self.price, self.stake)))


def explained(tmp_path: Path, market: str, *words: str, **settings: Any) -> Any:
    out = tmp_path / "out"
    if not out.exists():
        hr.backtest(Noted(**settings), market, engine="local", out=out)
    return CliRunner().invoke(main, ["explain", str(out), *words])


def test_explain_tells_a_bets_life(tmp_path: Path, one_market: str) -> None:
    answer = explained(tmp_path, one_market, "100000000001")
    assert answer.exit_code == 0
    assert answer.output.splitlines() == [
        f"BACK 5.00 at 2 (limit, LAPSE) on 1 of market {MARKET}, by Noted",
        '  parameters {"price": 2.0, "stake": 5.0}',
        "  notes value",
        "  asked for at: best back 2.0, best lay 2.1, last None, 399.9 s before the start",
        "  22:13:20.220  placed as bet 100000000001",
        "  22:13:20.220  matched 5.00 at 2 (in all 5.00)",
        "  22:13:20.220  execution complete: matched 5.00 at 2 on average",
        "  profit 5.00 before commission",
    ]


def test_explain_finds_an_order_that_has_no_bet_id(tmp_path: Path, one_market: str) -> None:
    out = tmp_path / "out"
    path = priced().write(tmp_path / "short")
    result = hr.backtest(BacksAtOnce(), path, engine="local", out=out, config=hr.Config(place_latency=50))
    (order,) = result.orders.to_pylist()
    assert order["bet_id"] is None
    answer = CliRunner().invoke(main, ["explain", str(out), order["order_id"]])
    assert (answer.exit_code, "never reached the exchange" in answer.output) == (0, True)


def test_explain_of_an_unknown_bet_exits_2(tmp_path: Path, one_market: str) -> None:
    answer = explained(tmp_path, one_market, "7")
    assert answer.exit_code == 2
    assert "no bet '7': the result has 1 orders" in answer.output


def test_explain_asks_for_the_market_where_several_have_the_bet(tmp_path: Path, one_market: str) -> None:
    priced(market_id="1.2").touch(400).close().write(Path(one_market).with_name("1.2"))
    answer = explained(tmp_path, str(Path(one_market).parent), "100000000001")
    assert answer.exit_code == 2
    assert "is in 2 markets (1.100000001, 1.2): say which with --market" in answer.output
    assert explained(tmp_path, one_market, "100000000001", "--market", "1.2").exit_code == 0
