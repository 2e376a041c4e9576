"""Bytes that others have written, damaged in every way: nothing fails in what reads them (`fuzz_targets.py`)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz_targets import TARGETS

_VALUES = (b"0", b"-1", b"1e308", b"1e999", b"NaN", b"null", b'""', b"[]", b"{}", b"true", b"9" * 30)
_UNREADABLE = {"open": b"[" * 3000, "deep": b"[" * 3000 + b"]" * 3000, "text": b'"\xff"', "number": b"1e999"}


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...], words: tuple[bytes, ...]) -> bytes:
    """One of the seeds, changed at a few places."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from((0, 0, 1, 1, 2, 4, 16, 100))))
        what = draw(
            st.sampled_from((*_VALUES, *_UNREADABLE.values(), *words))
            | st.binary(max_size=4)
            | st.just(data[max(0, at - 30) : end][::-1])
        )
        data = data[:at] + what + data[end:]
    if draw(st.integers(0, 5)) == 0:
        data += draw(st.sampled_from(seeds))[draw(st.integers(0, 50)) :]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_as_it_ought_to_be_is_read(name: str) -> None:
    for each in TARGETS[name].seeds():
        TARGETS[name].run(each)
    TARGETS[name].run(b"")


@pytest.mark.parametrize("value", _UNREADABLE.values(), ids=_UNREADABLE)
@pytest.mark.parametrize("name", [each for each in TARGETS if each not in ("recording", "journal")])
def test_values_that_cannot_be_read_anywhere_make_nothing_fail(name: str, value: bytes) -> None:
    """A reply that is nested too deep must not leave its request without an answer, nor a stream without its image."""
    for seed in TARGETS[name].seeds():
        colons = [at for at, byte in enumerate(seed) if byte == ord(":")]
        for at in colons[:: max(1, len(colons) // 6)]:
            TARGETS[name].run(seed[: at + 1] + value + seed[at + 1 :])
            rest = seed[at + 1 :].lstrip(b' "0123456789.-')
            TARGETS[name].run(seed[: at + 1] + value + rest[rest.startswith(b'"') :])


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=25)
@given(data=st.data())
def test_no_damage_makes_it_fail(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    target.run(data.draw(damaged(tuple(target.seeds()), target.words)))
