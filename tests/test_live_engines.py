"""Engines of live trading: roles are started, stopped, killed, and their ends are told."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.actors.letters import Ask, Gone, Hello, Letter, Stop, Told
from headrace.actors.live.hosts import Found
from headrace.actors.mailboxes.folder import make_folder, remove_folder
from headrace.actors.mailboxes.mail import Mail
from headrace.actors.mailboxes.socket_post import ZmqPost
from headrace.actors.role import run
from headrace.actors.shells.engine import Engine
from headrace.actors.shells.ray_head import _own_sigterm
from headrace.actors.shells.thread_engine import CRASHED, SWITCH_S, ThreadEngine
from headrace.strategies.errors import RunError
from live_roles import Answering, Bystander, Failing, Gathering, Noting, until


class System:
    """An engine, with a coordinator that a test can look into, and what the engine itself told."""

    def __init__(self) -> None:
        self.engine: Engine
        self.ended: list[Gone] = []
        self.coordinator = Gathering()

    def hello(self, name: str, incarnation: int = 0) -> Hello:
        """Wait for the hello of a role."""

        def found() -> list[Hello]:
            hellos = self.coordinator.received(Hello)
            return [hello for hello in hellos if hello.name == name and hello.address.endswith(str(incarnation))]

        until(found)
        return found()[0]

    def gone(self) -> list[Gone]:
        return self.coordinator.received(Gone)


@contextlib.contextmanager
def local_system() -> Iterator[System]:
    system = System()
    system.engine = ThreadEngine(system.ended.append)
    system.engine.start("c", lambda: system.coordinator)
    try:
        system.engine.ready("c", 10)
        yield system
    finally:
        system.engine.close(2.0)


@contextlib.contextmanager
def ray_system(logs: str = "") -> Iterator[System]:
    """The coordinator stays in this process, as a thread."""
    from headrace.actors.shells.ray_engine import RayEngine

    system = System()
    engine = RayEngine(f"test-{time.monotonic_ns()}", system.ended.append, logs=logs)
    system.engine = engine
    post = ZmqPost(str(engine.folder))
    mail = post.open("c")
    engine.coordinator = mail.address
    thread = threading.Thread(target=run, args=(system.coordinator, mail), daemon=True)
    thread.start()
    try:
        until(lambda: system.coordinator.seen)
        yield system
    finally:
        system.engine.close(5.0)
        mail.stopped = True
        thread.join(10)
        post.close()


@pytest.fixture
def local() -> Iterator[System]:
    with local_system() as made:
        yield made


@pytest.fixture(scope="module", params=["local", pytest.param("ray", marks=pytest.mark.ray)])
def shared(request: pytest.FixtureRequest) -> Iterator[System]:
    """Each engine in turn. Tests share it, and each takes names of its own."""
    if request.param == "ray":
        request.getfixturevalue("ray_local")
    with local_system() if request.param == "local" else ray_system() as made:
        yield made


# -- every engine ------------------------------------------------------------------------------------------------------


def test_a_role_that_starts_knows_the_coordinator(shared: System) -> None:
    address = shared.engine.start("a1", functools.partial(Answering, "a1"))
    assert shared.hello("a1").address == address
    assert "a1" in shared.engine.alive()
    shared.coordinator.send("a1", Ask("echo", "c", "", b'"there"'))
    until(lambda: Told("echo", b'"there"') in shared.coordinator.received(Told))


def test_a_role_that_was_prepared_starts_like_any_other(shared: System) -> None:
    shared.engine.prepare(["b1", "b2"], Answering)
    shared.engine.start("b1", functools.partial(Answering, "b1"))
    shared.hello("b1")
    assert "b2" not in shared.engine.alive()


def test_the_coordinator_is_told_when_a_role_has_ended_as_it_was_asked(shared: System) -> None:
    shared.engine.start("c1", functools.partial(Answering, "c1"), 3)
    shared.engine.stop("c1", "enough")
    until(lambda: Gone("c1", "", 3) in shared.gone())
    until(lambda: Gone("c1", "", 3) in shared.ended)
    assert "c1" not in shared.engine.alive()


def test_the_coordinator_is_told_why_a_role_could_not_start(shared: System) -> None:
    shared.engine.start("d1", functools.partial(Failing, "d1"))
    until(lambda: Gone("d1", "OSError: no such exchange") in shared.gone())
    with pytest.raises(RunError, match="d1 has ended: OSError: no such exchange"):
        shared.engine.ready("d1", 5)


def test_a_turn_that_fails_does_not_end_its_role(shared: System) -> None:
    shared.engine.start("e1", functools.partial(Answering, "e1"))
    shared.hello("e1")
    shared.coordinator.send("e1", Ask("raise", "c", ""))
    shared.coordinator.send("e1", Ask("echo", "c", "", b'"still here"'))
    until(lambda: Told("echo", b'"still here"') in shared.coordinator.received(Told))
    assert Told("raise", b"{}") not in shared.coordinator.received(Told)


def test_a_role_may_end_by_itself(shared: System) -> None:
    shared.engine.start("f1", functools.partial(Answering, "f1"))
    shared.hello("f1")
    shared.coordinator.send("f1", Ask("end", "c", ""))
    until(lambda: Gone("f1") in shared.gone())


def test_a_name_that_runs_cannot_be_started_again_but_one_that_was_killed_can(shared: System) -> None:
    first = shared.engine.start("g1", functools.partial(Answering, "g1"))
    shared.hello("g1")
    with pytest.raises(RunError, match=r"g1 is (open|running) already"):
        shared.engine.start("g1", functools.partial(Answering, "g1"), 1)
    shared.engine.kill("g1")
    assert "g1" not in shared.engine.alive()
    assert shared.engine.start("g1", functools.partial(Answering, "g1"), 1) != first
    shared.hello("g1", 1)
    assert not [gone for gone in shared.gone() if gone.name == "g1"]


def test_a_role_that_was_killed_in_a_long_call_sends_nothing_more(shared: System) -> None:
    shared.engine.start("i1", functools.partial(Answering, "i1"))
    shared.hello("i1")
    shared.coordinator.send("i1", Ask("sleep", "c", ""))
    time.sleep(0.2)
    shared.engine.kill("i1")
    time.sleep(1.0)
    assert Told("sleep", b"{}") not in shared.coordinator.received(Told)


def test_what_is_not_there_can_be_stopped_and_killed_but_not_waited_for(shared: System) -> None:
    shared.engine.stop("z9")
    shared.engine.kill("z9")
    with pytest.raises(RunError, match="z9 was not started"):
        shared.engine.ready("z9", 1)


def test_a_role_starts_others_with_its_copy_of_the_engine(shared: System) -> None:
    shared.engine.start("k1", functools.partial(Bystander, "k1", shared.engine, "k2"))
    shared.hello("k2")
    shared.coordinator.send("k2", Ask("end", "c", ""))
    until(lambda: Gone("k2") in shared.gone())


def test_a_role_that_crashes_is_told_of_and_another_takes_its_place(shared: System) -> None:
    shared.engine.start("l1", functools.partial(Answering, "l1"))
    shared.hello("l1")
    shared.engine.crash("l1")
    until(lambda: [gone for gone in shared.gone() if gone.name == "l1"])
    (gone,) = [gone for gone in shared.ended if gone.name == "l1"]
    assert gone.why
    assert gone.incarnation == 0
    assert "l1" not in shared.engine.alive()
    shared.engine.start("l1", functools.partial(Answering, "l1"), 1)
    shared.hello("l1", 1)
    shared.coordinator.send("l1", Ask("echo", "c", "", b'"anew"'))
    until(lambda: Told("echo", b'"anew"') in shared.coordinator.received(Told))


def test_spare_processes_are_for_roles_of_any_name(shared: System) -> None:
    shared.engine.spare(1, Answering)
    for name in ("m1", "m2"):
        shared.engine.start(name, functools.partial(Answering, name))
        shared.hello(name)
    assert shared.engine.alive() >= {"m1", "m2"}


def test_what_others_have_started_is_taken_over_and_its_end_told(shared: System) -> None:
    shared.engine.start("n1", functools.partial(Bystander, "n1", shared.engine, "n2"))
    address = shared.hello("n2").address
    assert shared.engine.adopt(["n2", "n3"]) == {"n2": Found(address, 0)}
    assert "n2" in shared.engine.alive()
    assert shared.engine.adopt()["n2"] == Found(address, 0)
    assert "c" not in shared.engine.adopt()
    shared.engine.crash("n2")
    until(lambda: [gone for gone in shared.ended if gone.name == "n2" and gone.why])
    shared.engine.start("n2", functools.partial(Answering, "n2"), 1)
    shared.hello("n2", 1)


def test_what_was_taken_over_can_be_stopped_and_killed(shared: System) -> None:
    for name in ("p1", "q1"):
        shared.engine.start(name, functools.partial(Bystander, name, shared.engine, name.replace("1", "2")))
    shared.hello("p2")
    shared.hello("q2")
    shared.engine.adopt()
    shared.engine.stop("p2", "enough")
    until(lambda: [gone for gone in shared.ended if gone.name == "p2" and not gone.why])
    shared.engine.kill("q2")
    assert not shared.engine.alive() & {"p2", "q2"}


# -- threads -----------------------------------------------------------------------------------------------------------


def test_a_role_takes_letters_in_turns(local: System) -> None:
    role = Noting("h1")
    local.engine.start("h1", lambda: role)
    local.engine.ready("h1", 10)
    local.engine.stop("h1", "enough")
    until(lambda: "stop" in role.seen)
    assert role.seen == ["start", ("h1", Stop("enough")), "caught up", "stop"]


def test_a_role_wakes_when_it_wants_to(local: System) -> None:
    role = Noting("h1")
    role.next_ms = time.time() * 1000 + 30
    local.engine.start("h1", lambda: role)
    until(lambda: "wake" in role.seen)
    assert "caught up" not in role.seen


def test_threads_take_turns_more_often_while_an_engine_runs() -> None:
    before = sys.getswitchinterval()
    with local_system():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        with local_system():
            assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    assert sys.getswitchinterval() == pytest.approx(before)


def test_close_ends_everything_the_coordinator_last_and_names_what_had_to_be_killed() -> None:
    with local_system() as local:
        role = Answering("h1")
        local.engine.start("h1", lambda: role)
        local.engine.start("h2", lambda: Noting("h2"))
        local.engine.ready("h1", 10)
        role.mail.put(Ask("sleep", "c", ""))
        until(lambda: len(role.seen) > 1)
        assert local.engine.close(0.2) == ("h1",)
        assert local.gone() == [Gone("h2")]
        assert local.ended[-1] == Gone("c")
        assert not local.engine.alive()
        with pytest.raises(RunError, match="the engine is closed"):
            local.engine.start("h3", lambda: Noting("h3"))
        until(lambda: not [thread for thread in threading.enumerate() if thread.name in {"c", "h1", "h2"}])


def test_a_role_that_crashes_gives_back_what_it_had_and_tells_nothing(local: System) -> None:
    class Saving(Noting):
        def receive(self, sender: str, letter: Letter, at_ms: int) -> None:
            super().receive(sender, letter, at_ms)
            local.engine.crash("h1")
            self.mail.send("c", Told("never", b""))
            self.seen.append("went on")

        def stop(self) -> None:
            self.seen.append("saved")

        def crash(self) -> None:
            self.seen.append("gave back")

    role = Saving("h1")
    local.engine.start("h1", lambda: role)
    local.engine.ready("h1", 10)
    local.engine.put("h1", Ask("first", "c", ""))  # type: ignore[attr-defined]
    local.engine.put("h1", Ask("second", "c", ""))  # type: ignore[attr-defined]
    until(lambda: Gone("h1", CRASHED) in local.gone())
    assert role.seen == ["start", ("h1", Ask("first", "c", "")), "gave back"]
    assert local.coordinator.received(Told) == []


def test_a_role_that_crashes_while_it_starts_gives_back_what_it_had(local: System) -> None:
    class Starting(Noting):
        def start(self, mail: Mail) -> None:
            local.engine.crash("h1")
            mail.send("c", Told("never", b""))

    role = Starting("h1")
    local.engine.start("h1", lambda: role)
    until(lambda: Gone("h1", CRASHED) in local.gone())
    assert role.seen == ["stop"]


def test_a_role_that_takes_long_to_start_is_told_to_whoever_waits(local: System) -> None:
    class Slow(Noting):
        def start(self, mail: Mail) -> None:
            time.sleep(0.3)

    local.engine.start("h1", lambda: Slow("h1"))
    with pytest.raises(RunError, match=r"h1 has not started within 0\.05 s"):
        local.engine.ready("h1", 0.05)


# -- Ray ---------------------------------------------------------------------------------------------------------------


@pytest.mark.ray
def test_the_coordinator_is_told_when_a_process_is_killed_and_a_new_one_takes_its_place(
    ray_local: None, tmp_path: Path
) -> None:
    with ray_system(str(tmp_path)) as system:
        system.engine.start("h1", functools.partial(Answering, "h1"))
        os.kill(system.hello("h1").pid, signal.SIGKILL)
        until(lambda: system.gone())
        assert system.gone()[0].why.startswith("its process has died")
        system.engine.start("h1", functools.partial(Answering, "h1"), 1)
        pid = system.hello("h1", 1).pid
        assert "lost h1" in system.coordinator.seen  # what the former one may have sent
        system.coordinator.send("h1", Ask("raise", "c", ""))
        until(lambda: "as it was asked to" in (tmp_path / "h1.log").read_text())
        assert system.engine.close(5.0) == ()
        assert not system.engine.alive()
        until(lambda: not Path(f"/proc/{pid}").exists())
        assert not Path(system.engine.folder).exists()  # type: ignore[attr-defined]


@pytest.mark.ray
def test_what_cannot_be_pickled_is_refused_at_the_start(ray_local: None) -> None:
    lock = threading.Lock()
    with ray_system() as system, pytest.raises(RunError, match="h1 cannot be sent to a process of its own: TypeError"):
        system.engine.start("h1", lambda: Answering(str(lock)))


#: A system with a head of its own. It says where it is and which processes it has, then waits for a line.
OWN_HEAD = """
import functools, os, sys, time
from headrace.actors.mailboxes.socket_post import ZmqPost
from headrace.actors.shells.ray_engine import RayEngine
from live_roles import Answering
import ray
ended = []
engine = RayEngine("own-head", ended.append)
engine.start("c", functools.partial(Answering, "c"))
engine.start("h1", functools.partial(Answering, "h1"))
engine.ready("c", 30)
engine.ready("h1", 30)
print(engine.folder, ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_MODE"], flush=True)
sys.stdin.readline()
assert engine.close(5.0) == ()
assert [gone.name for gone in ended] == ["h1", "c"], ended
print("closed", ray.is_initialized(), "RAY_AUTH_MODE" in os.environ, flush=True)
"""


def own_head() -> tuple[subprocess.Popen[str], Path, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", OWN_HEAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    folder, address, mode = process.stdout.readline().split()
    assert mode == "token"
    return process, Path(folder), address


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes in which a folder is named."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in line:
                found.append(line)
    return found


def ask_gcs(address: str, token: str) -> subprocess.CompletedProcess[str]:
    """Ask the head for its jobs; `ray.init` with the wrong token goes on trying for twenty seconds."""
    asking = f"from ray._raylet import GcsClient; GcsClient(address={address!r}).get_all_job_info()"
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    return subprocess.run([sys.executable, "-c", asking], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc").exists(), reason="this system does not list its processes")
def test_a_head_of_its_own_wants_a_token_and_leaves_nothing_behind() -> None:
    process, folder, address = own_head()
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    assert (folder / "token").read_text() not in "".join(processes_of(folder))
    assert ask_gcs(address, (folder / "token").read_text()).returncode == 0
    refused = ask_gcs(address, "0" * 64)
    assert refused.returncode != 0
    assert "token" in refused.stderr
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "closed False False\n"
    assert process.wait(30) == 0
    assert not folder.exists()
    assert processes_of(folder) == []


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc").exists(), reason="this system does not list its processes")
def test_actors_outlive_the_process_that_started_them_and_the_head_goes_with_the_last() -> None:
    process, folder, _ = own_head()
    process.kill()
    process.wait(10)
    post = ZmqPost(str(folder))
    mail = post.open("visitor")
    for name in ("c", "h1"):
        mail.know(name, post.address(name))
        mail.send(name, Ask("echo", "visitor", mail.address))
    assert len(received(mail, 2)) == 2
    mail.send("h1", Ask("end", "visitor", ""))
    mail.send("c", Ask("end", "visitor", ""))
    received(mail, 2)
    mail.close()
    post.close()
    until(lambda: not folder.exists() and not processes_of(folder), 60)


def received(mail: Mail, count: int) -> list[Letter]:
    letters: list[Letter] = []

    def enough() -> bool:
        letters.extend(letter for _, letter in mail.wait(0.1).letters)
        return len(letters) >= count

    until(enough)
    return letters


@pytest.mark.ray
def test_a_ray_that_cannot_start_is_an_error_that_tells_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.actors.shells import ray_head

    monkeypatch.setattr(ray_head, "_OBJECTS", 5)
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
    folder = make_folder()
    try:
        with pytest.raises(RunError, match=r"Ray did not start: .*memory"):
            ray_head.RayHead(folder, "none")
        assert {path.name for path in folder.iterdir()} <= {"head.log", ".keeper.lock"}
    finally:
        remove_folder(folder)
    assert {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")} == before


#: A process that has left a head which was lost: what it still calls Ray for would begin a cluster of its own.
LOST_HEAD = """
import pathlib, tempfile, time
import ray
from headrace.actors.mailboxes.folder import make_folder, remove_folder
from headrace.actors.shells.ray_head import RayHead, end_head

folder = make_folder()
head = RayHead(folder, "none")
end_head(folder)
head.close()
while ray.is_initialized():
    time.sleep(0.05)
remove_folder(folder)
try:
    ray.get_actor("anybody", "none")
except ray.exceptions.RaySystemError:
    print("refused")
print([path.name for path in pathlib.Path(tempfile.gettempdir()).glob("ray*")], ray.is_initialized())
"""


@pytest.mark.ray
def test_no_strange_cluster_is_begun_where_a_head_was_lost() -> None:
    short = tempfile.mkdtemp(prefix="hr", dir="/tmp")  # names of sockets may not be long
    try:
        said = subprocess.run(
            [sys.executable, "-c", LOST_HEAD],
            capture_output=True,
            text=True,
            timeout=180,
            env=os.environ | {"TMPDIR": short, "RAY_TMPDIR": short},
            check=True,
        ).stdout.splitlines()
    finally:
        shutil.rmtree(short)
    assert said == ["refused", "[] False"]


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("thread", ["main", "other"])
def test_ray_does_not_take_sigterm_from_the_program_that_connects(thread: str, answers: bool) -> None:
    taken: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: taken.append(number))

    def connect() -> None:
        with contextlib.suppress(ConnectionError), _own_sigterm():
            # As Ray does it, below Python: the process would end.
            ctypes.CDLL(None).signal(int(signal.SIGTERM), 0)
            if not answers:
                raise ConnectionError

    try:
        if thread == "main":
            connect()
        else:
            other = threading.Thread(target=connect)
            other.start()
            other.join(60)
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: taken)
    finally:
        signal.signal(signal.SIGTERM, before)
