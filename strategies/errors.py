"""Errors that headrace raises at a caller; each says what was wrong, with which value, and what to do."""

from __future__ import annotations

from ..names import to_text


class HeadraceError(Exception):
    """Base of all errors of this package. Names of files in its message can be printed and stored."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(to_text(each) if isinstance(each, str) else each for each in arguments))


class RunError(HeadraceError):
    """A run cannot start, or cannot go on."""


class InputError(RunError):
    """The caller asked for something that cannot be read: a path, a pattern, a strategy's name."""


class RecordingError(HeadraceError):
    """A recording is broken: not the format it should be, cut short, or without a market definition.

    Attributes:
        path: the file, as the caller named it.
        line: the line's number from 1, or None where the whole file is meant.
        market_id: the market concerned, or None.
    """

    def __init__(self, message: str, path: str, line: int | None = None, market_id: str | None = None) -> None:
        message, path = to_text(message), to_text(path)
        place = path if line is None else f"{path}, line {line}"
        if market_id is not None:
            place += f", market {market_id}"
        super().__init__(f"{place}: {message}")
        self.message, self.path, self.line, self.market_id = message, path, line, market_id

    def __reduce__(self) -> tuple[type[RecordingError], tuple[object, ...]]:
        return type(self), (self.message, self.path, self.line, self.market_id)


class ListenerError(InputError):
    """A market filter, or a stream's listener, was set up with something that does not exist."""


class StreamError(HeadraceError):
    """A stream failed."""


class MessageError(HeadraceError):
    """What came from another process is not a message."""


class ClientError(HeadraceError):
    """A client is missing, is the wrong one, or was added twice."""


class OrderError(HeadraceError):
    """An order is used in a way its state or its market does not allow."""


class OrderUpdateError(OrderError):
    """A cancel, update or replace does not fit the order."""


class OrderExecutionError(OrderError):
    """The execution of an order failed."""


class SettlementError(HeadraceError):
    """A matched bet has no result: its market closed without saying what became of its runner."""


class ControlError(HeadraceError):
    """A control refused a request; the message says which and why.

    Attributes:
        control: the control's name.
    """

    def __init__(self, message: str, control: str = "CONTROL") -> None:
        super().__init__(message)
        self.control = control
