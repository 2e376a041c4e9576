"""The framework as `Strategy.start` sees it, before there is a market."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..config import Config
from ..strategies.strategy import Strategy
from .clients import BaseClient, Clients


class WorkerFramework:
    """This process's part of the run.

    Args:
        strategies, clients: those of the run.
    """

    def __init__(self, config: Config, strategies: Sequence[Strategy], clients: Sequence[BaseClient]) -> None:
        self.config = config
        self.strategies = list(strategies)
        self.clients = Clients(list(clients))

    def __deepcopy__(self, memo: dict[int, Any]) -> WorkerFramework:
        return self
