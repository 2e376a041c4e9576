"""Headrace: strategies for betting exchanges, simulated and traded as actors on Ray.

import headrace as hr

result = hr.backtest(MyStrategy(stake=5), markets="recordings/**/*.bz2")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .actors.clients import BaseClient, Clients, SimulatedClient, VenueType
from .actors.controls import (
    BaseControl,
    ExecutionValidation,
    MarketValidation,
    MaxTransactionCount,
    OrderValidation,
    StrategyExposure,
)
from .actors.coordinator import Coordinator
from .actors.logging_controls import LoggingControl
from .actors.market import MarketActor
from .actors.middleware import Middleware
from .actors.run_files import path
from .actors.streams import BaseStream
from .actors.workers import BackgroundWorker
from .archive.catalog import Catalog
from .archive.catalog_writer import write_catalog
from .backtest import Simulation, backtest
from .calibrate import Calibration, calibrate
from .config import Config, ConfigError
from .results.repair import repair
from .results.result import Result
from .results.sweep_result import SweepResult
from .search import search
from .simulate.commission import CommissionModel, FlumineCommission
from .simulate.latency import DrawnLatency, LatencyModel, LognormalLatency, SessionLatency, UniformLatency
from .simulate.models import (
    FlumineLiquidity,
    FlumineQueue,
    LiquidityModel,
    Models,
    OptimisticQueue,
    PessimisticQueue,
    QueueModel,
    ShareQueue,
)
from .simulate.reading.books import books
from .simulate.reading.event_file import read_custom_events, write_custom_events
from .simulate.reading.file_facts import detect_file_type, file_line_count, get_file_md
from .simulate.removals import Removals
from .simulate.settlement import Settlement
from .strategies.blotter import Blotter
from .strategies.book import MarketBook
from .strategies.errors import (
    ClientError,
    ControlError,
    HeadraceError,
    InputError,
    ListenerError,
    OrderError,
    OrderExecutionError,
    OrderUpdateError,
    RecordingError,
    RunError,
    SettlementError,
    StreamError,
)
from .strategies.events import CustomEvent, TerminationEvent
from .strategies.exposure import calculate_matched_exposure, calculate_unmatched_exposure
from .strategies.hashes import create_cheap_hash
from .strategies.ladder import PriceSize
from .strategies.lookups import get_event_ids, get_market_notes, get_price, get_runner_book, get_size, get_sp
from .strategies.market import Market, Markets, hedge
from .strategies.order import COMPLETE_STATUS, LIVE_STATUS, BaseOrder, BetfairOrder, Order, OrderStatus
from .strategies.order_package import (
    BaseOrderPackage,
    BetfairOrderPackage,
    OrderPackage,
    OrderPackageType,
    chunks,
)
from .strategies.order_types import BaseOrderType, LimitOnCloseOrder, LimitOrder, MarketOnCloseOrder, OrderTypes
from .strategies.prices import (
    BETDAQ_PRICES,
    CUTOFFS,
    FINEST_PRICES,
    PRICES,
    PRICES_FLOAT,
    as_dec,
    get_nearest_price,
    make_line_prices,
    make_prices,
    price_ticks_away,
    wap,
)
from .strategies.resource import resource
from .strategies.runner_book import RunnerBook
from .strategies.runner_context import RunnerContext
from .strategies.strategy import BaseStrategy, Strategy
from .strategies.stream_classes import (
    BetfairCricketDataStream,
    BetfairDataStream,
    BetfairMarketStream,
    BetfairOrderDataStream,
    BetfairRaceDataStream,
    CricketDataStream,
    DataStream,
    MarketStream,
    OrderDataStream,
    RaceDataStream,
)
from .strategies.trade import Trade, TradeStatus
from .strategies.transaction import Transaction
from .sweep import sweep
from .tuning.parameter_ranges import log_range

if TYPE_CHECKING:
    from .actors.betfair.betfair_client import BetfairClient
    from .actors.live.setup import RiskLimits
    from .live import Live
    from .simulate.exchange.rehearsal import RehearsalExchange

__version__ = "0.1.0"

__all__ = [
    "BETDAQ_PRICES",
    "COMPLETE_STATUS",
    "CUTOFFS",
    "FINEST_PRICES",
    "LIVE_STATUS",
    "PRICES",
    "PRICES_FLOAT",
    "BackgroundWorker",
    "BaseClient",
    "BaseControl",
    "BaseOrder",
    "BaseOrderPackage",
    "BaseOrderType",
    "BaseStrategy",
    "BaseStream",
    "BetfairClient",
    "BetfairCricketDataStream",
    "BetfairDataStream",
    "BetfairMarketStream",
    "BetfairOrder",
    "BetfairOrderDataStream",
    "BetfairOrderPackage",
    "BetfairRaceDataStream",
    "Blotter",
    "Calibration",
    "Catalog",
    "ClientError",
    "Clients",
    "CommissionModel",
    "Config",
    "ConfigError",
    "ControlError",
    "Coordinator",
    "CricketDataStream",
    "CustomEvent",
    "DataStream",
    "DrawnLatency",
    "ExecutionValidation",
    "FlumineCommission",
    "FlumineLiquidity",
    "FlumineQueue",
    "HeadraceError",
    "InputError",
    "LatencyModel",
    "LimitOnCloseOrder",
    "LimitOrder",
    "LiquidityModel",
    "ListenerError",
    "Live",
    "LoggingControl",
    "LognormalLatency",
    "Market",
    "MarketActor",
    "MarketBook",
    "MarketOnCloseOrder",
    "MarketStream",
    "MarketValidation",
    "Markets",
    "MaxTransactionCount",
    "Middleware",
    "Models",
    "OptimisticQueue",
    "Order",
    "OrderDataStream",
    "OrderError",
    "OrderExecutionError",
    "OrderPackage",
    "OrderPackageType",
    "OrderStatus",
    "OrderTypes",
    "OrderUpdateError",
    "OrderValidation",
    "PessimisticQueue",
    "PriceSize",
    "QueueModel",
    "RaceDataStream",
    "RecordingError",
    "RehearsalExchange",
    "Removals",
    "Result",
    "RiskLimits",
    "RunError",
    "RunnerBook",
    "RunnerContext",
    "SessionLatency",
    "Settlement",
    "SettlementError",
    "ShareQueue",
    "SimulatedClient",
    "Simulation",
    "Strategy",
    "StrategyExposure",
    "StreamError",
    "SweepResult",
    "TerminationEvent",
    "Trade",
    "TradeStatus",
    "Transaction",
    "UniformLatency",
    "VenueType",
    "__version__",
    "as_dec",
    "backtest",
    "books",
    "calculate_matched_exposure",
    "calculate_unmatched_exposure",
    "calibrate",
    "chunks",
    "create_cheap_hash",
    "detect_file_type",
    "file_line_count",
    "get_event_ids",
    "get_file_md",
    "get_market_notes",
    "get_nearest_price",
    "get_price",
    "get_runner_book",
    "get_size",
    "get_sp",
    "hedge",
    "log_range",
    "make_line_prices",
    "make_prices",
    "path",
    "price_ticks_away",
    "read_custom_events",
    "repair",
    "resource",
    "search",
    "sweep",
    "wap",
    "write_catalog",
    "write_custom_events",
]


#: Names that few runs need: each is loaded where it is asked for, from its module.
_LATER = {
    "BetfairClient": ".actors.betfair.betfair_client",
    "Live": ".live",
    "RehearsalExchange": ".simulate.exchange.rehearsal",
    "RiskLimits": ".actors.live.setup",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
