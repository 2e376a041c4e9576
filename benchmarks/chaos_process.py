"""A live system of one process whose actors crash when they are told to: for `benchmarks.chaos --engine local`.

    python -m benchmarks.chaos_process live.toml

Takes lines on its standard input: "crash NAME", NAME an actor such as h1, s1, c or page.
"""

import signal
import sys
import threading
from typing import Any

import headrace as hr
from headrace.cli.live_file import read_live_file


def _obey(live: hr.Live) -> None:
    for line in sys.stdin:
        word, _, name = line.strip().partition(" ")
        engine: Any = live._driver.engine if live._driver is not None else None
        if word == "crash" and engine is not None:
            engine.crash(name)


def main() -> int:
    file = read_live_file(sys.argv[1])
    live = hr.Live(config=hr.Config.from_mapping(file.settings), risk=file.risk, **file.options)
    for account in file.accounts:
        live.add_client(account.client())
    for strategy in file.strategies:
        live.add_strategy(strategy.made())
    signal.signal(signal.SIGTERM, lambda number, frame: live.stop("SIGTERM"))
    live.start()
    threading.Thread(target=_obey, args=(live,), daemon=True).start()
    live.wait()
    return 1 if live.end().failures.num_rows else 0


if __name__ == "__main__":
    sys.exit(main())
