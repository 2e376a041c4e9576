"""Changes as they were sent: strategies with a data stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

import headrace as hr
from builders import FLUMINE, T0, priced, records


class Raw(hr.Strategy):
    seen: ClassVar[list[Any]] = []

    def check_market_book(self, market: Any, book: Any) -> bool:
        raise AssertionError("a data stream has no books")

    def process_raw_data(self, clk: str, publish_time: int, datum: dict[str, Any]) -> None:
        Raw.seen.append((clk, publish_time - T0, datum))


class Looks(hr.Strategy):
    def check_market_book(self, market: Any, book: Any) -> bool:
        self.record(market, book=book.publish_time_epoch)
        return False


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_data_stream_shows_every_change_as_it_was_sent_and_no_books(tmp_path: Path, config: hr.Config) -> None:
    Raw.seen.clear()
    stream = priced().touch(400).close()
    path = stream.write(tmp_path / stream.market_id)
    result = hr.backtest(Raw(stream_class=hr.DataStream), path, engine="local", config=config)
    assert result.failures.to_pylist() == []
    assert Raw.seen == [("A", line["pt"] - T0, change) for line in stream.lines for change in line["mc"]]


def test_data_stream_and_books_go_side_by_side(tmp_path: Path) -> None:
    Raw.seen.clear()
    stream = priced().touch(400).close()
    path = stream.write(tmp_path / stream.market_id)
    result = hr.backtest([Raw(stream=hr.DataStream()), Looks()], path, engine="local")
    assert (len(Raw.seen), len(records(result))) == (4, 3)
