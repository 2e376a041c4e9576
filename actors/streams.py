"""Streams of the user's own: code that reads elsewhere and brings what it finds to the strategies as custom events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..strategies.errors import StreamError
from ..strategies.events import CustomEvent, TerminationEvent


class HandlerQueue:
    """Where streams put their events.

    Args:
        handle: takes each event.
        travels: says why something cannot be sent to other processes, or None where it can; left out where events
            stay in the process.
    """

    def __init__(
        self, handle: Callable[[Any], object], travels: Callable[[Any], str | None] = lambda value: None
    ) -> None:
        self._handle = handle
        self._travels = travels
        self._lock = threading.Lock()

    def put(self, event: Any) -> None:
        """Hand over an event.

        Raises:
            StreamError: it is not an event, or its payload or callback cannot be sent to the processes of strategies.
        """
        if not isinstance(event, (CustomEvent, TerminationEvent)):
            raise StreamError(f"{event!r} is not an event that can be put here; use CustomEvent(payload, callback)")
        if isinstance(event, CustomEvent):
            for what, value in (("payload", event.event), ("callback", event.callback)):
                reason = self._travels(value)
                if reason is not None:
                    raise StreamError(f"the {what} of a custom event cannot be sent to other processes: {reason}")
        with self._lock:
            self._handle(event)


class BaseStream:
    """Subclass it and override `run`; put events on `self.flumine.handler_queue`.

    In a simulation a stream runs once, before the replay; give its events a `publish_time`.

    Args:
        framework: the run it is added to.
        custom: marks a stream of the user's own.
        settings: kept as attributes.
    """

    def __init__(self, framework: Any, custom: bool = True, **settings: Any) -> None:
        self.framework = framework
        self.flumine = framework
        self.custom = custom
        for name, value in settings.items():
            setattr(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """All but the framework, which each process has its own of."""
        return {**self.__dict__, "framework": None, "flumine": None}

    def run(self) -> None:
        """Read, and put events, until there is nothing more."""
        raise StreamError(f"stream {type(self).__name__} does not say what it reads: override run")


class Streams:
    """The streams of a run."""

    def __init__(self) -> None:
        self.custom_streams: list[BaseStream] = []

    def add_custom_stream(self, stream: BaseStream) -> None:
        """Add a stream of your own.

        Raises:
            StreamError: it is not a stream.
        """
        if not isinstance(stream, BaseStream):
            raise StreamError(f"{stream!r} is not a stream; subclass headrace.BaseStream")
        if stream not in self.custom_streams:
            self.custom_streams.append(stream)

    def __iter__(self) -> Any:
        return iter(self.custom_streams)

    def __len__(self) -> int:
        return len(self.custom_streams)
