"""Market catalogues as the exchange answers them, made into betfairlightweight's resources.

Only `marketId` must be there: it says whose catalogue it is. What else is missing is None.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any


def catalogue_of(text: bytes, market_id: str) -> Any:
    """The catalogue of a market, betfairlightweight's `MarketCatalogue`.

    Args:
        text: JSON: the catalogue, a list of catalogues, or one or several JSON-RPC answers with lists of them.

    Raises:
        ValueError: it is something else, or the catalogues are of other markets; says which.
    """
    return _made(raw_catalogue(text, market_id))


def raw_catalogue(text: bytes, market_id: str) -> Mapping[str, Any]:
    """The catalogue of a market as it was answered; `text` and what is raised as of `catalogue_of`."""
    found = list(_catalogues(_parsed(text)))
    for each in found:
        if _is_of(each, market_id):
            return each
    if not found:
        raise ValueError("the answer holds no catalogue")
    others = ", ".join(str(each.get("marketId", "none at all")) for each in found[:3])
    raise ValueError(f"its marketId is {others}{' and others' if found[3:] else ''}, expected {market_id}")


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _catalogues(found: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(found, list):
        for each in found:
            yield from _catalogues(each)
    elif not isinstance(found, dict):
        raise ValueError(f"found {str(found)[:60]!r}, expected an object")
    elif "marketId" not in found and "result" in found:
        yield from _catalogues(found["result"] or [])
    elif "marketId" not in found and "error" in found:
        raise ValueError(f"it is the answer to a request that failed: {str(found['error'])[:120]}")
    else:
        yield found


def _is_of(catalogue: Mapping[str, Any], market_id: str) -> bool:
    named = catalogue.get("marketId")
    if isinstance(named, float):  # a number has lost the zero that its id may end with
        return named == float(market_id)
    return named == market_id


def _made(found: Mapping[str, Any]) -> Any:
    from betfairlightweight.resources import bettingresources as resources

    whole = dict(found)
    for name, kind in (
        ("competition", resources.Competition),
        ("event", resources.Event),
        ("eventType", resources.EventType),
        ("description", resources.MarketCatalogueDescription),
    ):
        whole[name] = _completed(kind, name, found.get(name))
    description = whole["description"]
    for name, kind in (
        ("priceLadderDescription", resources.PriceLadderDescription),
        ("lineRangeInfo", resources.LineRangeInfo),
    ):
        if description and description.get(name):
            description[name] = _completed(kind, f"description.{name}", description[name])
    whole["runners"] = [
        _object(f"runners[{at}]", runner) for at, runner in enumerate(_list("runners", found.get("runners")))
    ]
    return resources.MarketCatalogue(**whole)


def _list(name: str, value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{name} is {str(value)[:60]!r}, expected a list")
    return value or []


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {str(value)[:60]!r}, expected an object")
    return value


def _completed(kind: Any, name: str, value: Any) -> dict[str, Any] | None:
    """What a resource is made of, with None for what it insists on and the exchange, or a recorder, has left out."""
    if value is None:
        return None
    needed, known, open_ended = _parameters(kind)
    given = _object(name, value)
    taken = given if open_ended else {key: each for key, each in given.items() if key in known}
    return {**dict.fromkeys(needed), **taken} or None


@functools.cache
def _parameters(kind: Any) -> tuple[frozenset[str], frozenset[str], bool]:
    """Parameters of a resource: those without a default, all of them, and whether it takes any others."""
    found = inspect.signature(kind).parameters.values()
    named = [each for each in found if each.kind is not each.VAR_KEYWORD]
    needed = frozenset(each.name for each in named if each.default is each.empty)
    return needed, frozenset(each.name for each in named), len(named) < len(found)
