"""What the exchange answers where it refuses a call."""

from __future__ import annotations


class ApiError(Exception):
    """A call is refused with an exception of the API: nothing of it was done.

    Attributes:
        code: such as INVALID_INPUT_DATA (Betfair API-NG, `APINGException.errorCode`).
        details: for people.
    """

    def __init__(self, code: str, details: str = "") -> None:
        super().__init__(f"{code}: {details}" if details else code)
        self.code = code
        self.details = details


class ParameterError(Exception):
    """A parameter is missing or of another type: JSON-RPC -32602, DSC-0018."""


class ConnectionCut(Exception):
    """The connection of a call ends without a reply, whatever was done."""


class StreamError(Exception):
    """A stream's request is refused.

    Attributes:
        code: such as INVALID_INPUT (Exchange Stream API, `ErrorCode`).
        message: for people.
        closes: the connection is closed; always, but for SUBSCRIPTION_LIMIT_EXCEEDED.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.closes = code != "SUBSCRIPTION_LIMIT_EXCEEDED"
