"""Which models of the simulated exchange a run had, as its manifest tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import Config
from ..simulate.models import Models


def chosen_models(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The models by kind: their names, of objects their classes. Empty where the manifest does not tell."""
    told = manifest.get("models")
    if not isinstance(told, Mapping) or "class" in told:  # written before models had names
        return {}
    return {kind: _class_of(model) if isinstance(model, Mapping) else str(model) for kind, model in told.items()}


def unusual_models(manifest: Mapping[str, Any]) -> str:
    """The models that are not the defaults, as a clause: "queue pessimistic, liquidity flumine"; empty if all are."""
    compatibility = (manifest.get("config") or {}).get("compatibility")
    usual = Models().words(Config(compatibility="flumine" if compatibility else None))
    others = [f"{kind} {name}" for kind, name in chosen_models(manifest).items() if usual.get(kind) != name]
    return ", ".join([f"compatibility {compatibility}", *others] if compatibility else others)


def _class_of(described: Mapping[str, Any]) -> str:
    return str(described.get("class")).rpartition(".")[2]
