"""The ends of roles that another process has started are seen by their claims."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from headrace.actors.mailboxes.folder import KILLED, Claim, Holder, holder
from headrace.actors.shells import watching as module
from headrace.actors.shells.watching import Watching

Ends = queue.Queue[tuple[str, int, str]]


def test_the_end_of_a_successor_is_told_though_it_came_while_that_of_the_former_one_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: Ends = queue.Queue()
    watching = Watching(tmp_path, lambda *end: ends.put(end))
    claims = [Claim(tmp_path, "h1")]

    def seen(folder: Path, name: str) -> Holder | None:
        found = holder(folder, name)
        if len(claims) == 1 and found is not None and not found.held:
            claims.append(Claim(tmp_path, "h1", 1))
            watching.watch("h1", 1)
        return found

    monkeypatch.setattr(module, "holder", seen)
    watching.watch("h1", 0)
    claims[0].release("it failed")
    try:
        assert ends.get(timeout=20) == ("h1", 0, "it failed")
        claims[1].release()
        assert ends.get(timeout=20) == ("h1", 1, "")
    finally:
        watching.close()
        for claim in claims:
            claim.release()


def test_of_a_role_whose_process_has_died_it_is_told_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "h1.lock").write_bytes(b"3 1 ")
    assert {name: each.why for name, each in Watching(tmp_path, print).died().items()} == {"h1": KILLED}
