"""Searches: parameter sets chosen by what earlier ones came to, many at a time over the same reading of a market."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .actors.clients import BaseClient
from .actors.middleware import Middleware
from .cluster.early_stop import StoppedRun
from .cluster.engines import Engine
from .cluster.progress import Progress, ProgressOption, showing
from .config import Config
from .results.folders import Folder
from .results.saved_sweep import SavedSweep
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

#: What is said of a search that was stopped.
_STOPPED = (
    "the failures are in {} (headrace.SweepResult.load reads them); put right what failed, and remove the folder or "
    "name another"
)


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
    band: bool = False,
) -> SweepResult:
    """Look for the best parameter sets with Optuna, through Ray Tune (extra `tune`).

    It goes in rounds: Optuna suggests a batch of sets, they are run as one sweep, each as if it were alone, and Optuna
    is told what they came to. A set that is suggested again is not run again. Equal seeds and markets give equal
    results, whatever the engine.

    Args:
        strategy, markets, config, client, engine, out, orders, workers, sets_per_replay, middleware, files, command,
            band: as of `sweep`; "auto" counts the sets of a round.
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
        band=band,
    )
    tried = _Tried(by, {"by": by, "seed": seed, "trials": trials, "batch": batch})
    planned = [min(batch, trials - start) for start in range(0, trials, batch)]
    kept: _Kept | None = None
    with showing(progress, f"searching {trials} sets") as shown, contextlib.ExitStack() as at_end:
        for number, count in enumerate(planned):
            suggestions = searcher.suggest(count)
            values = tried.new(suggestions)
            part: SweepResult | None = None
            if values:
                run = make_run(values=parameter_sets(kind, values))
                if number == 0 and out is not None:
                    kept = at_end.enter_context(_Kept(new_folder(out), trials))
                try:
                    part = run.run(_over_rounds(shown, number, len(planned)))
                except StoppedRun as stopped:
                    if kept is None or stopped.result is None:
                        raise
                    kept.add(stopped.result, tried.given_up(stopped.result, suggestions))
                    raise stopped.kept(_STOPPED.format(out)) from None
                tried.add(part)
            for suggestion, score in zip(suggestions, tried.end_round(suggestions), strict=True):
                searcher.tell(suggestion.trial, score)
            if kept is not None and part is not None:
                kept.add(part, tried.result())
        result = tried.result()
        if kept is not None:
            kept.finish(result)
    return result


class _Kept(contextlib.AbstractContextManager["_Kept"]):
    """The folder of a search: a round is written when it is done."""

    def __init__(self, place: Folder, trials: int) -> None:
        self._place, self._trials = place, trials
        self._saved: SavedSweep | None = None

    def add(self, part: SweepResult, whole: SweepResult) -> None:
        """Write a round.

        Raises:
            RunError: it cannot be written.
        """
        if self._saved is None:
            self._saved = SavedSweep(self._place, self._trials, whole.manifest, whole.parameters)
        part.append_to(self._saved)
        self._saved.note(whole.manifest, whole.parameters)

    def finish(self, whole: SweepResult) -> None:
        """All rounds are there.

        Raises:
            RunError: the table of sets cannot be written.
        """
        assert self._saved is not None
        self._saved.finish(whole.manifest, whole.parameters, whole.table)

    def __exit__(self, *error: object) -> None:
        if self._saved is not None:
            self._saved.close()


class _Tried:
    """The sets that were run, by number, and what they came to."""

    def __init__(self, by: str, settings: Mapping[str, Any]) -> None:
        self._by, self._settings = by, settings
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

    def given_up(self, part: SweepResult, suggestions: Sequence[Suggestion]) -> SweepResult:
        """What the search came to, with the sets of a round that was stopped: they have no scores."""
        self._parts.append(part)
        self._scores.extend([None] * len(part.parameters))
        self.end_round(suggestions)
        return self.result()

    def result(self) -> SweepResult:
        """What all sets so far came to."""
        search = {**self._settings, "rounds": list(self._rounds), "scores": list(self._scores)}
        return SweepResult.joined(self._parts, search)


def _over_rounds(progress: Progress | None, number: int, rounds: int) -> Progress | None:
    """The progress of one round as a part of the whole."""
    if progress is None:
        return None
    return lambda done, units, part: progress(number * units + done, rounds * units, part)
