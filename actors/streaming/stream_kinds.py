"""Which role keeps which stream."""

from __future__ import annotations

from ..live.crews import StreamPlan
from ..recorder import Recorder
from .data_stream import DataStreamRole
from .market_stream import MarketStreamRole
from .sports_stream import SportsStreamRole
from .stream_place import StreamPlace, StreamSettings
from .stream_role import StreamRole


def stream_of(
    plan: StreamPlan,
    place: StreamPlace,
    settings: StreamSettings | None = None,
    *,
    recorder: Recorder | None = None,
) -> StreamRole:
    """The role of a stream that strategies asked for. An account's own stream of orders is not among these."""
    kind: type[MarketStreamRole] | type[DataStreamRole] = MarketStreamRole
    if plan.operation == "orderSubscription":
        kind = DataStreamRole
    elif plan.operation != "marketSubscription":
        kind = SportsStreamRole
    return kind(plan, place, settings, recorder=recorder)
