"""Background workers: functions called again and again beside the strategies.

Live they run in the coordinator, by the machine's time; in a simulation once in each unit of replay, by the market's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..values import finite, mapping, shown

if TYPE_CHECKING:
    from ..strategies.clock import Clock


class BackgroundWorker:
    """Calls `function(context, framework, *func_args, **func_kwargs)`.

    Args:
        framework: the run; the function gets the part of it that it runs in.
        function: what to call.
        interval: seconds between two calls; None: call it once.
        start_delay: seconds before the first call.
        context: a dict of its own, kept between calls.
        name: default: the function's.

    Raises:
        ValueError: the interval is not above 0, or the delay is below 0, or one of them is not a number of seconds.
        TypeError: there is no function to call, or its arguments are not a sequence and a mapping.
    """

    def __init__(
        self,
        framework: Any,
        function: Callable[..., object],
        interval: float | None,
        func_args: Sequence[Any] = (),
        func_kwargs: Mapping[str, Any] | None = None,
        start_delay: float = 0,
        context: dict[Any, Any] | None = None,
        name: str | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"worker function={shown(function)}: expected a function to call")
        if interval is not None:
            interval = finite(interval, "worker interval", ValueError)
            if not interval > 0:
                raise ValueError(f"worker interval={interval}: expected seconds above 0, or None to call it once")
        start_delay = finite(start_delay, "worker start_delay", ValueError)
        if start_delay < 0:
            raise ValueError(f"worker start_delay={start_delay}: expected seconds, 0 or more")
        if isinstance(func_args, (str, bytes)) or not isinstance(func_args or (), Iterable):
            raise TypeError(f"worker func_args={shown(func_args)}: expected a tuple of arguments")
        if func_kwargs is not None:
            mapping(func_kwargs, "worker func_kwargs")
        self.framework = framework
        self.function = function
        self.interval = interval
        self.func_args = tuple(func_args or ())
        self.func_kwargs = dict(func_kwargs or {})
        self.start_delay = start_delay
        self.context = {} if context is None else context
        self.name = name or getattr(function, "__name__", type(function).__name__)

    def __getstate__(self) -> dict[str, Any]:
        """All but the framework, which each process has its own of."""
        return {**self.__dict__, "framework": None}

    def start(self, framework: Any, clock: Clock, guarded: Callable[..., object]) -> None:
        """Run on a simulated clock from now on.

        Args:
            guarded: calls a function and counts its errors.
        """
        context = copy.deepcopy(self.context)

        def call() -> None:
            if self.interval is not None:
                clock.call_at(clock.now_ms + max(1, round(self.interval * 1000)), call)
            guarded(None, None, self.function, context, framework, *self.func_args, **self.func_kwargs)

        clock.call_at(clock.now_ms + round(self.start_delay * 1000), call)
