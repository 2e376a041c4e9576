"""Calls of the API, as the modules that do them offer them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from .settings import AccountSettings

#: Does a call of an account: its parameters as they are read (`arguments`), its answer ready for JSON. What it refuses
#: it raises: `ApiError`, `ParameterError`.
Operation = Callable[[AccountSettings, dict[str, Any]], Awaitable[Any]]


class Operations(Protocol):
    """Some calls of the API."""

    def operations(self) -> dict[str, Operation]:
        """The calls, by method: "SportsAPING/v1.0/placeOrders"."""
