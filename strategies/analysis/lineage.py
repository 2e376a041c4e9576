"""A class of a strategy's source with its parents: the methods and values that it has of them."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from .source_code import FUNCTIONS, Code


def bases(cls: Code) -> list[ast.expr]:
    """The parents of a class as its source names them."""
    return cls.node.bases if isinstance(cls.node, ast.ClassDef) else []


def lineage_of(cls: Code) -> tuple[Code, ...]:
    """A class and its parents, as far as their source is seen, nearest first."""
    found = [cls]
    for base in bases(cls):
        parent = cls.find(base)
        if parent and isinstance(parent.node, ast.ClassDef) and parent.node is not cls.node:
            found += [each for each in lineage_of(parent) if all(each.node is not known.node for known in found)]
    return tuple(found)


def method_of(lineage: Iterable[Code], name: str, whole: tuple[Code, ...] | None = None) -> Code | None:
    """The method that a class has under a name."""
    lineage = tuple(lineage)
    for owner in lineage:
        member = owner.members().get(name)
        if member is not None:
            if not isinstance(member, FUNCTIONS):
                return None
            return Code(member, owner.module, owner.names, whole or lineage)
    return None


def default(lineage: Iterable[Code], name: str) -> ast.expr | None:
    """The value that a class gives an attribute."""
    for owner in lineage:
        member = owner.members().get(name)
        if member is not None:
            return Code(member, owner.module, owner.names).value()
    return None


def values_set(lineage: Iterable[Code]) -> dict[str, list[ast.AST | None]]:
    """What the methods of a class assign to attributes of the instance."""
    found: dict[str, list[ast.AST | None]] = {}
    for owner in lineage:
        for name, values in owner.module.values_set(owner.node).items():
            found.setdefault(name, []).extend(values)
    return found
