"""The part of a search that chooses: Ray Tune's Optuna searcher, asked for several sets at a time."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..results.extras import needed
from ..strategies.errors import RunError
from ..strategies.parameters import Values
from .parameter_ranges import Choice, Range

_SCORE = "score"


class Suggestion(NamedTuple):
    """A set to try.

    Attributes:
        trial: what the searcher calls it.
        key: equal for equal sets.
        values: of the parameters.
    """

    trial: str
    key: tuple[Any, ...]
    values: Values


class Searcher:
    """Suggests sets, and learns from their scores.

    Args:
        space: what each parameter may be.
        least: less is better.
        seed: equal seeds and equal scores give equal suggestions.

    Raises:
        RunError: Ray Tune or Optuna is not installed.
    """

    def __init__(self, space: Mapping[str, Range | Choice], least: bool, seed: int) -> None:
        optuna = needed("optuna", "tune", "search")
        try:
            from ray.tune.search.optuna import OptunaSearch
        except ImportError:  # of the modules it needs: Tune does not say which
            raise RunError("search needs Ray Tune: pip install 'headrace[tune]'") from None
        with _quiet():
            self._dimensions = {name: _Dimension(each) for name, each in space.items()}
            # Tune takes "/" in names for nesting: here they are numbers.
            distributions = {str(at): each.distribution() for at, each in enumerate(self._dimensions.values())}
            # As is the default of Optuna 5. Told of what is under way, it does not put a whole batch in one place.
            sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
            self._search = OptunaSearch(distributions, metric=_SCORE, mode="min" if least else "max", sampler=sampler)
        self._count = 0

    def suggest(self, count: int) -> list[Suggestion]:
        """So many sets to try at once; some may be equal to each other or to earlier ones."""
        found = []
        with _quiet():
            for _ in range(count):
                trial = str(self._count)
                self._count += 1
                numbers: Any = self._search.suggest(trial)
                pairs = [each.of(numbers[str(at)]) for at, each in enumerate(self._dimensions.values())]
                values = dict(zip(self._dimensions, (value for _, value in pairs), strict=True))
                found.append(Suggestion(trial, tuple(key for key, _ in pairs), values))
        return found

    def tell(self, trial: str, score: float | None) -> None:
        """What a set came to; None, where it has no score, is taken for worse than all others."""
        with _quiet():
            # Without a result the trial counts as pruned, which the sampler ranks last. It would ignore an error.
            self._search.on_trial_complete(trial, None if score is None else {_SCORE: score})


class _Dimension:
    """A parameter as the sampler sees it: a number. Choices are known by their places, so they may be anything."""

    def __init__(self, space: Range | Choice) -> None:
        self._range = space if isinstance(space, Range) else None
        self._values = () if isinstance(space, Range) else space.values
        self._ordered = isinstance(space, Choice) and space.ordered
        if self._ordered:
            self._values = tuple(sorted(self._values))

    def distribution(self) -> Any:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self._range is None:
            places = len(self._values)
            return IntDistribution(0, places - 1) if self._ordered else CategoricalDistribution(tuple(range(places)))
        low, high, log = self._range.low, self._range.high, self._range.log
        if self._range.whole:
            return IntDistribution(int(low), int(high), log=log)
        return FloatDistribution(low, high, log=log)

    def of(self, number: Any) -> tuple[Any, Any]:
        """What tells values apart, and the value, of a number of the sampler."""
        if self._range is None:
            return number, self._values[number]
        value = self._range.value(number)
        return value, value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's news of each trial, and warnings of what it calls experimental, are of no use here."""
    logger = logging.getLogger("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = logger.level
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(level)
