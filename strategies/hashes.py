"""Short hashes of texts, for names and references. They guard nothing."""

from __future__ import annotations

import functools
import hashlib


def create_cheap_hash(txt: str, length: int = 15) -> str:
    """The first `length` (at most 40) hexadecimal digits of a text's SHA-1. Equal texts have equal hashes."""
    return hashlib.sha1(txt.encode()).hexdigest()[:length]


@functools.lru_cache(maxsize=1024)
def hash_of_strategy(name: str) -> str:
    """What the references of a strategy's orders begin with: 13 characters."""
    return create_cheap_hash(name, 13)
