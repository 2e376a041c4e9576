"""The program that keeps Ray's head, with a head of the test's own: a process with two others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.actors.mailboxes.folder import Claim, holder
from headrace.actors.shells import ray_keeper
from processes import LIMIT, wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list its processes")

#: Starts the two, says who they are, and notes that it was asked to end.
HEAD = """
import signal, subprocess, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
children = [subprocess.Popen([str(folder / name), "1000"], start_new_session=True) for name in ("raylet", "gcs_server")]
asked = []
signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
(folder / "pids.new").write_text(" ".join(str(each.pid) for each in children))
(folder / "pids.new").rename(folder / "pids")
while not asked:
    time.sleep(0.01)
(folder.parent / "asked").touch()
"""


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


class Kept:
    """A head that is kept, and the pipe by which its keeper sees that somebody looks after it."""

    def __init__(self, place: Path) -> None:
        self.place, self.folder = place, place / "mail"
        temporary = self.folder / "ray"
        temporary.mkdir(parents=True, mode=0o700)
        for name in ("raylet", "gcs_server"):
            shutil.copy(shutil.which("sleep") or "", self.folder / name)
        lifeline, self.end = os.pipe()
        self.keeper = subprocess.Popen(
            [
                sys.executable,
                "-I",
                ray_keeper.__file__,
                self.folder,
                temporary,
                sys.executable,
                "-c",
                HEAD,
                self.folder,
            ],
            stdin=lifeline,
        )
        os.close(lifeline)
        assert wait_until((self.folder / "pids").exists, 20)
        self.raylet, self.gcs = map(int, (self.folder / "pids").read_text().split())
        assert alive(self.raylet)

    @property
    def asked(self) -> bool:
        """The head was asked to end, and was not killed."""
        return (self.place / "asked").exists()

    def is_over(self) -> bool:
        return not alive(self.raylet) and not alive(self.gcs) and self.keeper.poll() is not None

    def let_go(self) -> None:
        """Nobody looks after it any more."""
        if self.end >= 0:
            os.close(self.end)
            self.end = -1


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.let_go()
    for pid in (made.raylet, made.gcs, made.keeper.pid):
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    made.keeper.wait(LIMIT)


def test_keeper_is_known_by_a_claim(kept: Kept) -> None:
    found = holder(kept.folder, ".keeper")
    assert found is not None
    assert (found.pid, found.held) == (kept.keeper.pid, True)


def test_head_ends_in_order_when_the_keeper_is_asked_to_and_its_files_go(kept: Kept) -> None:
    kept.keeper.terminate()
    assert wait_until(kept.is_over, 20)
    assert kept.asked
    assert kept.folder.exists()
    assert not (kept.folder / "ray").exists()


@pytest.mark.parametrize("victim", ["raylet", "gcs"])
def test_where_one_of_the_two_dies_the_rest_is_killed_at_once(victim: str, kept: Kept) -> None:
    os.kill(getattr(kept, victim), signal.SIGKILL)
    assert wait_until(kept.is_over, 5)
    assert not kept.asked
    assert kept.folder.exists(), "somebody looks after the system"


def test_where_nobody_looks_after_it_the_head_stays_as_long_as_there_is_a_coordinator(kept: Kept) -> None:
    claim = Claim(kept.folder, "c", 3)
    kept.let_go()
    assert not wait_until(kept.is_over, 2.5)
    claim.release()
    assert wait_until(kept.is_over, 20)
    assert kept.asked
    assert not kept.folder.exists()


CONNECTS = "import time; from headrace.actors.shells.ray_head import _unless_lost\n"


@pytest.mark.parametrize(("supervised", "code"), [(True, -signal.SIGKILL), (False, 0)])
def test_a_process_that_connects_to_a_head_that_has_ended_makes_room_for_another(supervised: bool, code: int) -> None:
    connects = f"{CONNECTS}with _unless_lost(lambda: False, {supervised}): time.sleep({30 if supervised else 3})"
    done = subprocess.run([sys.executable, "-c", connects], timeout=60, check=False)
    assert done.returncode == code


def test_a_process_that_has_connected_stays() -> None:
    connected = f"{CONNECTS}with _unless_lost(lambda: False, True): pass\ntime.sleep(3)"
    assert subprocess.run([sys.executable, "-c", connected], timeout=60, check=False).returncode == 0


def test_head_is_asked_to_end_where_its_keeper_is_killed(kept: Kept) -> None:
    kept.keeper.kill()
    assert wait_until(lambda: kept.asked, 10)
