"""What one timed run is asked to do and what it answers, as JSON: each run is a process of its own."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LIMITS = {"max_order_exposure": 10_000, "max_selection_exposure": 10_000, "max_live_trade_count": 50}


@dataclass(frozen=True)
class Work:
    """One run: `copies` of each of the strategies `names` (all where empty) of a module, over `files`.

    `module` is the path of a Python file whose `make(api)` builds strategy classes; `settings` are further
    arguments of `make`, `config` the keywords of headrace's Config.
    """

    files: tuple[str, ...]
    module: str = ""
    names: tuple[str, ...] = ()
    copies: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    unlimited: bool = False  # no limit on the transactions of an hour
    listener: dict[str, Any] = field(default_factory=dict)  # the window, as listener keywords

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Work":
        return Work(**json.loads(text))

    def strategies(self, api: SimpleNamespace) -> list[tuple[str, type]]:
        """The name and class of each strategy of the run, on the engine `api`."""
        classes = load(self.module)(api, **self.settings)
        names = self.names or tuple(classes)
        if self.copies == 1:
            return [(name, classes[name]) for name in names]
        return [(f"{name}-{copy}", classes[name]) for name in names for copy in range(self.copies)]


@dataclass(frozen=True)
class Answer:
    """What a run reports: the seconds of the run alone, and counts that show what was done in them.

    `processor`: seconds that the run had a processor; of headrace's runs only.
    """

    seconds: float
    books: int | None = None
    orders: int | None = None
    reads: int | None = None
    processor: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Answer":
        return Answer(**json.loads(text))


def load(module: str) -> Callable[..., dict[str, type]]:
    """The function `make` of the Python file `module`."""
    path = Path(module)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{module} is not a Python file")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    make: Callable[..., dict[str, type]] = loaded.make
    return make
