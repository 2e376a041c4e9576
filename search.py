"""Searches: parameter sets chosen by what earlier ones came to, many at a time over the same reading of a market."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .actors.clients import BaseClient
from .actors.middleware import Middleware
from .cluster.early_stop import StoppedRun
from .cluster.engines import Engine
from .cluster.progress import Progress, ProgressOption, showing
from .config import Config
from .results.sweep_folder import new_folder
from .results.sweep_measures import LEAST, require_goal
from .results.sweep_result import SweepResult
from .results.sweep_tables import sides
from .simulate.reading.recordings import Paths, find_recordings
from .strategies.errors import InputError
from .strategies.parameters import Values
from .strategies.strategy import Strategy
from .sweep import SweepRun, check, strategy_class
from .tuning.parameter_sets import parameter_sets, search_space
from .tuning.searcher import Searcher, Suggestion


def search(
    strategy: Strategy | type[Strategy],
    parameters: Mapping[str, Any],
    markets: Paths,
    *,
    trials: int = 100,
    batch: int = 20,
    by: str = "net_profit",
    seed: int = 0,
    split: float | None = None,
    config: Config | None = None,
    client: BaseClient | None = None,
    engine: Engine = "auto",
    out: str | os.PathLike[str] | None = None,
    orders: bool = False,
    progress: ProgressOption = None,
    workers: int | None = None,
    sets_per_replay: int = 100,
    middleware: Sequence[Middleware] = (),
    files: Sequence[str | os.PathLike[str]] = (),
    command: Callable[[Values], str] | None = None,
) -> SweepResult:
    """Look for the best parameter sets with Optuna, through Ray Tune (extra `tune`).

    It goes in rounds: Optuna suggests a batch of sets, they are run as one sweep, each as if it were alone, and Optuna
    is told what they came to. A set that is suggested again is not run again. Equal seeds and markets give equal
    results, whatever the engine.

    Args:
        strategy, markets, config, client, engine, out, orders, workers, sets_per_replay, middleware, files, command: as
            of `sweep`; "auto" counts the sets of a round.
        parameters: by name, as in `sweep`: a `(low, high)` tuple is a range, `log_range(low, high)` one by ratio, a
            list holds choices. Numbers are rounded as `sweep(random=N)` rounds them.
        trials: sets to suggest in all, 1 or more.
        batch: sets to a round, 1 or more. Fewer give more rounds to learn from; more cost less for each set.
        by: the column that is to be great; or small, where less is better, such as `max_drawdown`. A set without a
            value there counts as worse than all others.
        seed: of the searcher, 0 to 2^32 - 1.
        split: as in `sweep`. The search then goes by the events in sample alone, whatever the column, so the profit out
            of sample stays a check.
        progress: as in `backtest`, over all rounds.

    Returns:
        One row per set, numbered as first suggested, with its `round` and its `score`. `best()` goes by the score.

    Raises:
        TypeError: a name is unknown (the message names the nearest), or a value does not fit its type.
        InputError: the parameters, `by`, the markets or `out` cannot be used; no event is in sample.
        RunError: the extra is not installed, or the run cannot start, or cannot go on.
    """
    config = Config() if config is None else config
    kind = strategy_class(strategy)
    check(engine, split, workers, sets_per_replay)
    for name, number in (("trials", trials), ("batch", batch)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InputError(f"{name}={number!r}: expected a whole number, 1 or more")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"seed={seed!r}: expected a whole number, 0 to {2**32 - 1}")
    require_goal(by, split)
    space = search_space(kind, parameters)
    paths = find_recordings(markets)
    searcher = Searcher(space, least=by in LEAST, seed=seed)
    make_run = functools.partial(
        SweepRun,
        strategy,
        paths=paths,
        config=config,
        client=client,
        engine=engine,
        split=split,
        orders=orders,
        workers=workers,
        sets_per_replay=sets_per_replay,
        middleware=middleware,
        files=files,
        command=command,
    )
    tried = _Tried(by)
    planned = [min(batch, trials - start) for start in range(0, trials, batch)]
    with showing(progress, f"searching {trials} sets") as shown, keeping(out):
        for number, count in enumerate(planned):
            suggestions = searcher.suggest(count)
            values = tried.new(suggestions)
            if values:
                run = make_run(values=parameter_sets(kind, values))
                if number == 0 and out is not None:
                    new_folder(out)
                tried.add(run.run(_over_rounds(shown, number, len(planned))))
            for suggestion, score in zip(suggestions, tried.end_round(suggestions), strict=True):
                searcher.tell(suggestion.trial, score)
    result = tried.result({"by": by, "seed": seed, "trials": trials, "batch": batch})
    if out is not None:
        result.save(out)
    return result


@contextlib.contextmanager
def keeping(out: str | os.PathLike[str] | None) -> Iterator[None]:
    """Keep what a round gave that was stopped: its failures.

    Raises:
        StoppedRun: as before; it says where they are.
    """
    try:
        yield
    except StoppedRun as stopped:
        if out is None or stopped.result is None:
            raise
        stopped.result.save(out)
        raise stopped.kept(
            f"the failures are in {out} (headrace.SweepResult.load reads them); put right what failed, and remove the "
            "folder or name another"
        ) from None


class _Tried:
    """The sets that were run, by number, and what they came to."""

    def __init__(self, by: str) -> None:
        self._by = by
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._parts: list[SweepResult] = []
        self._scores: list[float | None] = []
        self._rounds: list[list[int]] = []

    def new(self, suggestions: Sequence[Suggestion]) -> list[Values]:
        """Number the sets that have none yet."""
        found = []
        for suggestion in suggestions:
            if suggestion.key not in self._numbers:
                self._numbers[suggestion.key] = len(self._numbers)
                found.append(suggestion.values)
        return found

    def add(self, part: SweepResult) -> None:
        """Take what the sets that were numbered last came to.

        Raises:
            InputError: no event is in sample.
        """
        met = part.markets_met
        if part.split is not None and met.num_rows and not any(sides(met, part.split).to_pylist()):
            events = len(set(met["event_id"].to_pylist()))
            raise InputError(
                f"split={part.split}: none of {events} events is in sample, so there is nothing to search by; "
                f"give a larger share, or more markets"
            )
        self._parts.append(part)
        self._scores.extend(part.scores(self._by))

    def end_round(self, suggestions: Sequence[Suggestion]) -> list[float | None]:
        """The scores of a round."""
        numbers = [self._numbers[suggestion.key] for suggestion in suggestions]
        self._rounds.append(numbers)
        return [self._scores[number] for number in numbers]

    def result(self, settings: Mapping[str, Any]) -> SweepResult:
        return SweepResult.joined(self._parts, {**settings, "rounds": self._rounds, "scores": self._scores})


def _over_rounds(progress: Progress | None, number: int, rounds: int) -> Progress | None:
    """The progress of one round as a part of the whole."""
    if progress is None:
        return None
    return lambda done, units, part: progress(number * units + done, rounds * units, part)
