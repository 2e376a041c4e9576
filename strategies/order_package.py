"""Packages: instructions that are sent together, as many as the exchange allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from .messages import Request
from .statuses import Status


class OrderPackageType(Status):
    """The exchange's four order operations."""

    __slots__ = ()

    PLACE: ClassVar[Any] = "Place"
    CANCEL: ClassVar[Any] = "Cancel"
    UPDATE: ClassVar[Any] = "Update"
    REPLACE: ClassVar[Any] = "Replace"


#: Most instructions in one call, by operation (Betfair API-NG).
ORDER_LIMITS = {
    OrderPackageType.PLACE: 200,
    OrderPackageType.CANCEL: 60,
    OrderPackageType.UPDATE: 60,
    OrderPackageType.REPLACE: 60,
}


Item = TypeVar("Item")


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces of `size`; the last may be shorter.

    Raises:
        ValueError: the size is below 1.
    """
    for at in range(0, len(items), size) if size > 0 else _no_size(size):
        yield items[at : at + size]


def _no_size(size: int) -> range:
    raise ValueError(f"chunks of {size}: expected a size of 1 or more")


#: What is sent to the exchange, by flumine's names.
OrderPackage = BaseOrderPackage = BetfairOrderPackage = Request
