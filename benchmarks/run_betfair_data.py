"""One timed parse by betfair_data, in its own environment: `python -m benchmarks.run_betfair_data WORK`.

It makes each book of each file in the form of betfairlightweight's, the closest to what a strategy is
given. Its mutable mode (`{"mutable": true}` as the config of the work) hands out one living market instead
and takes about a third less time, but it refuses the self-recorded files, whose `clk` is null.
"""

import sys
import time

import betfair_data
from betfair_data import bflw

from .work import Answer, Work


def parse(path: str, mutable: bool) -> int:
    """Iterates over all books of the file; returns how many there are."""
    with open(path, "rb") as file:
        content = file.read()
    if mutable:
        return sum(1 for _ in betfair_data.File(path, content, mutable=True))
    books = 0
    for update in bflw.File(path, content):
        for _ in update:
            books += 1
    return books


def main() -> None:
    work = Work.from_json(sys.argv[1])
    mutable = bool(work.config.get("mutable"))
    start = time.perf_counter()
    books = sum(parse(path, mutable) for path in work.files)
    seconds = time.perf_counter() - start
    print(Answer(seconds, books=books).to_json())


if __name__ == "__main__":
    main()
