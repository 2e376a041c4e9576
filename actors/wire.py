"""Messages as bytes: MessagePack, typed at both ends."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ..strategies.errors import MessageError
from ..strategies.messages import (
    ClearedOrder,
    LogRow,
    MarketFact,
    MarketResult,
    Message,
    OrderFact,
    Reply,
    Request,
    StrategyFact,
    ViolationFact,
)
from ..values import UNREADABLE, unboxed
from .exchange import Answer

#: What a market actor sends to a coordinator that stands elsewhere.
ToCoordinator = (
    Request | MarketFact | MarketResult | ViolationFact | LogRow | Reply | OrderFact | ClearedOrder | StrategyFact
)

Kind = TypeVar("Kind")

_ENCODER = msgspec.msgpack.Encoder(enc_hook=unboxed)
_TO_COORDINATOR: msgspec.msgpack.Decoder[ToCoordinator] = msgspec.msgpack.Decoder(ToCoordinator)
_TO_ACTOR: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def encode(message: Message) -> bytes:
    """A message as bytes.

    Raises:
        MessageError: it holds what cannot be sent.
    """
    try:
        return _ENCODER.encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise MessageError(f"{type(message).__name__} cannot be sent: {error}; expected plain values") from error


def for_coordinator(data: bytes) -> ToCoordinator:
    """A message of a market actor.

    Raises:
        MessageError: it is not one.
    """
    return decoded(_TO_COORDINATOR, data, "a message of a market actor")


def for_actor(data: bytes) -> Answer:
    """A message for a market actor, to be given to `MarketActor.receive`.

    Raises:
        MessageError: it is not one.
    """
    return decoded(_TO_ACTOR, data, "a reply, a fact or a result")


def decoded(decoder: msgspec.msgpack.Decoder[Kind], data: bytes | memoryview, expected: str) -> Kind:
    """What a decoder reads from bytes.

    Args:
        expected: what they are to be, for the error.

    Raises:
        MessageError: they are not.
    """
    try:
        return decoder.decode(data)
    except UNREADABLE as error:
        raise MessageError(
            f"{len(data)} bytes are not {expected}: {error}; is the other process of the same version?"
        ) from error
