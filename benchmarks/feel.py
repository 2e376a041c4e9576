"""How long one waits: `python -m benchmarks.feel` prints seconds against their bars; it exits with 1 where one is over.

Each figure is the best of five runs, each in a fresh Python with no Ray running.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .recordings import CHECKOUT, SHARED

#: Runs of each; the best counts.
TRIES = 5
#: Most seconds for the result of one market, and for what needs no market.
RESULT, IMPORT = 2.0, 0.5
#: A market of a size that people look at first.
MARKET = "1.170258213"

ONE_MARKET = """
import sys
import headrace as hr


class BackTheFirst(hr.Strategy):
    def check_market_book(self, market, book):
        return book.status == "OPEN" and not market.blotter.strategy_orders(self)

    def process_market_book(self, market, book):
        runner = book.runners[0]
        price = hr.get_price(runner.ex.available_to_back, 0)
        if price:
            trade = hr.Trade(market.market_id, runner.selection_id, runner.handicap, self)
            market.place_order(trade.create_order("BACK", hr.LimitOrder(price, 2.0)))


result = hr.backtest(BackTheFirst(), sys.argv[1], engine="local")
assert result.failures.num_rows == 0, result.failures.to_pylist()
print(result.summary().num_rows, result.digest)
assert "ray" not in sys.modules, "Ray was imported"
"""
ONLY_IMPORT = "import sys, headrace; assert 'ray' not in sys.modules, 'Ray was imported'"
ONLY_HELP = """
import sys
from headrace.cli import main
try:
    main(["--help"])
finally:
    assert "ray" not in sys.modules, "Ray was imported"
"""


def seconds(source: str, *arguments: str) -> float:
    """The least seconds that a fresh Python takes for `source`, its own start included."""
    least = float("inf")
    for _ in range(TRIES):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", source, *arguments], capture_output=True, text=True, cwd=CHECKOUT.parent
        )
        least = min(least, time.perf_counter() - start)
        if done.returncode:
            raise SystemExit(f"It failed: {done.stderr}")
    return least


def a_market(folder: Path) -> tuple[str, str]:
    """A recorded market and what it is; a generated one where there is no recording."""
    recordings = Path(os.environ.get("HEADRACE_RECORDINGS") or SHARED / "recordings")
    found = sorted(recordings.glob(f"*{MARKET}*")) if recordings.is_dir() else []
    if found:
        return str(found[0]), f"recorded market {found[0].name}"
    from headrace.simulate.generator import write_markets

    return str(write_markets(folder / "markets", 1, seed=1)[0]), "generated market"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        market, what = a_market(Path(folder))
        figures = [
            (f"result of one {what}", seconds(ONE_MARKET, market), RESULT),
            ("import headrace", seconds(ONLY_IMPORT), IMPORT),
            ("headrace --help", seconds(ONLY_HELP), IMPORT),
        ]
    for label, taken, bar in figures:
        print(f"{label}: {taken:.2f} s, bar {bar:.1f} s{'' if taken < bar else '  OVER'}")
    if any(taken >= bar for _, taken, bar in figures):
        print("short")
        raise SystemExit(1)
    print("ok")


if __name__ == "__main__":
    main()
