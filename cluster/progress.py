"""The progress of a run: a bar on a terminal or in a notebook, lines elsewhere, or a function of the user's."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..strategies.errors import InputError

if TYPE_CHECKING:
    from ..results.parts import Part

#: Called after each batch: units done, units in all, and the batch's part.
Progress = Callable[[int, int, "Part"], None]
#: What `progress=` takes. None: a bar if there is a terminal or a notebook. True: always; if output goes elsewhere, a
#: line every ten seconds. False: nothing. Or a function that is called after each batch.
ProgressOption = Progress | bool | None

#: Least seconds between two pictures of the bar in a notebook, and between two lines.
_NOTEBOOK_SECONDS, _LINE_SECONDS = 0.2, 10.0
#: Time remaining is estimated from the batches of the last so many seconds: on a cluster one may take minutes.
_SPEED_SECONDS = 600.0
_C = TypeVar("_C", bound=Callable[..., None])


@contextlib.contextmanager
def showing(progress: _C | bool | None, label: str) -> Iterator[_C | Bar | None]:
    """What to call after each batch while the block runs; None where nothing is shown.

    A bar is closed when the block ends, also by an error or Ctrl-C.

    Raises:
        InputError: `progress` is not one of these.
    """
    if callable(progress):
        yield progress
        return
    if not (progress is None or isinstance(progress, bool)):
        raise InputError(f"progress={progress!r}: expected None, True, False, or a function to call after each batch")
    with bar(progress, label) as found:
        yield found


@contextlib.contextmanager
def bar(wanted: bool | None, label: str) -> Iterator[Bar | None]:
    """A bar while the block runs, if one is to be shown. `wanted`: None, True or False, as `progress=` takes them."""
    place = _place(wanted)
    if place is None:
        yield None
        return
    found = Bar(label, place)
    try:
        yield found
    finally:
        found.close()


class Bar:
    """Units done of all, time remaining, failures, orders, and market changes per second.

    Args:
        place: "terminal" (standard error), "notebook", or "lines" on standard error.
    """

    def __init__(self, label: str, place: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._label = label
        self._place = place
        self._counts = _Counts()
        self._said = 0.0
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=place != "notebook"),
            speed_estimate_period=_SPEED_SECONDS,
            get_time=lambda: time.monotonic(),
            # What a strategy prints appears above the bar; in a file or pipe it appears as without a bar.
            redirect_stdout=_is_terminal(sys.stdout),
        )
        self._task = self._rich.add_task(label, total=None, note="")
        self._picture: Any = None
        if place == "terminal":
            self._rich.start()
        elif place == "notebook":
            import IPython.display

            display: Any = IPython.display.display
            self._picture = display(self._rich, display_id=True)

    def __call__(self, done: int, total: int, part: Part | None = None) -> None:
        """So many are done, the last of them in this part."""
        if part is not None:
            self._counts.add(part)
        self._rich.update(self._task, completed=done, total=total, note=str(self._counts))
        pause = {"notebook": _NOTEBOOK_SECONDS, "lines": _LINE_SECONDS}.get(self._place)
        if pause is not None and (done == total or time.monotonic() - self._said >= pause):
            self._said = time.monotonic()
            self._say()

    def close(self) -> None:
        """Leave the bar as it is, or remove it if nothing was done: then the error says everything."""
        began = self._rich.tasks[0].total is not None
        if self._place == "terminal":
            self._rich.live.transient = not began
            self._rich.stop()
        elif self._place == "notebook":
            if began:
                self._say()
            elif self._picture is not None:
                self._picture.update({"text/plain": ""}, raw=True)

    def _say(self) -> None:
        if self._place == "lines":
            task = self._rich.tasks[0]
            left = "" if task.finished or task.time_remaining is None else f"{_clock(task.time_remaining)} left"
            words = [f"{self._label} {task.completed:.0f}/{task.total:.0f}", left, str(self._counts)]
            print(*filter(None, words), sep=", ", file=sys.stderr, flush=True)
        elif self._picture is not None:
            self._picture.update(self._rich)


class _Counts:
    """What the parts of a run add up to, as a note beside the bar."""

    def __init__(self) -> None:
        self._runs = False
        self._orders = self._failures = self._changes = 0
        self._since: float | None = None

    def add(self, part: Part) -> None:
        self._orders += part.orders
        self._failures += part.count("failures")
        self._runs = self._runs or part.changes > 0
        if self._since is None:  # the first part came after Ray's start: it tells nothing of the speed
            self._since = time.monotonic()
        else:
            self._changes += part.changes

    def __str__(self) -> str:
        words = [f"{self._failures:,} {'failure' if self._failures == 1 else 'failures'}"] if self._failures else []
        if self._runs:  # a catalog, say, has no orders
            words.append(f"{self._orders:,} {'order' if self._orders == 1 else 'orders'}")
        seconds = 0.0 if self._since is None else time.monotonic() - self._since
        if self._changes and seconds >= 1:
            words.append(f"{self._changes / seconds:,.0f} changes/s")
        return ", ".join(words)


def _place(wanted: bool | None) -> str | None:
    """Where a bar is shown; None where it is not. Rich is loaded only where there may be something to show."""
    if wanted is False:
        return None
    if "IPython" in sys.modules:
        from rich.console import Console

        if Console().is_jupyter:
            return "notebook"
    if _is_terminal(sys.stderr):
        return "terminal"
    return "lines" if wanted else None


def _is_terminal(stream: Any) -> bool:
    """Whether it is a terminal; a program without a window's console has None."""
    try:
        return stream is not None and bool(stream.isatty())
    except (AttributeError, ValueError):  # a stand-in that knows no isatty, or a closed stream
        return False


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
