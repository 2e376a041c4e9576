"""Instances: who holds a reference on this machine, and how a running system is asked."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from control_desks import desk
from headrace.actors.live.control import ask
from headrace.actors.live.instance import (
    Instance,
    control_path,
    readable_by_others,
    running_instances,
    write_private,
)
from headrace.actors.live.reference import (
    check_reference,
    default_reference,
    instances_root,
    keep_default_reference,
)
from processes import LIMIT, environment, wait_until

# -- references ------------------------------------------------------------------------------------------------------


def test_reference_is_one_to_fifteen_characters_that_the_exchange_takes() -> None:
    assert check_reference("a+b*c:d;e~f._-1") == "a+b*c:d;e~f._-1"
    with pytest.raises(hr.InputError, match="'sixteen-letters-': expected 1 to 15 characters, got 16"):
        check_reference("sixteen-letters-")
    with pytest.raises(hr.InputError, match="does not take ' '"):
        Instance("two words")
    with pytest.raises(hr.InputError, match="does not take 'é'"):
        Instance("café")
    with pytest.raises(hr.InputError, match="expected 1 to 15 characters"):
        Instance("")


def test_default_reference_is_the_machine_s_name_as_far_as_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    for name, reference in {
        "box.example.com": "box",
        "a-very-long-machine-name": "a-very-long-mac",
        "büro rechner": "brorechner",
        "": "headrace",
    }.items():
        monkeypatch.setattr(socket, "gethostname", lambda name=name: name)
        assert default_reference() == reference


def test_default_reference_stays_though_the_machine_has_another_name_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "gethostname", lambda: "box-1.example.com")
    keep_default_reference("desk")
    monkeypatch.setattr(socket, "gethostname", lambda: "box-2.example.com")
    assert default_reference() == "box-2", "nobody was known by the machine's name yet"
    with Instance(default_reference()):
        keep_default_reference(default_reference())
    monkeypatch.setattr(socket, "gethostname", lambda: "box-3.example.com")
    keep_default_reference("box-3")
    assert default_reference() == "box-2"
    assert running_instances() == []
    (kept,) = tmp_path.iterdir()
    assert not readable_by_others(kept)
    kept.write_text("no name that\nthe exchange takes")
    assert default_reference() == "box-3"


def test_folders_of_references_lie_in_the_user_s_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "own"))
    assert Instance("desk").folder == tmp_path / "own" / "desk"
    monkeypatch.delenv("HEADRACE_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert instances_root() == tmp_path / "state" / "headrace"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert instances_root() == tmp_path / ".local" / "state" / "headrace"
    folders = {Instance(name, tmp_path).folder for name in (".", "..", ".a", "a")}
    assert len(folders) == 4
    assert {folder.parent for folder in folders} == {tmp_path}
    assert not {".", ".."} & {folder.name for folder in folders}


# -- holding ---------------------------------------------------------------------------------------------------------


def test_reference_in_use_is_refused_and_free_again_afterwards(tmp_path: Path) -> None:
    with Instance("desk", tmp_path) as held:
        assert held.folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(hr.InputError, match=rf"'desk' is in use on this machine by process {os.getpid()}: stop"):
            Instance("desk", tmp_path).hold()
        Instance("desk2", tmp_path).hold()
    with Instance("desk", tmp_path):
        pass
    assert not held.folder.exists()


def test_what_is_kept_stays_when_the_instance_ends(tmp_path: Path) -> None:
    with Instance("desk", tmp_path) as held:
        write_private(held.folder / "risk.json", b"{}")
        assert not readable_by_others(held.folder / "risk.json")
        assert not readable_by_others(held.folder / "running.json")
    assert [path.name for path in held.folder.iterdir()] == ["risk.json"]


def test_reference_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    code = (
        "import time; from headrace.actors.live.instance import Instance;"
        f"Instance('desk', {str(tmp_path)!r}).hold(); print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment()) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            running = Instance("desk", tmp_path).running()
            assert running is not None
            assert running.pid == process.pid
            with pytest.raises(hr.InputError, match=f"by process {process.pid}"):
                Instance("desk", tmp_path).hold()
        finally:
            process.kill()
    assert Instance("desk", tmp_path).running() is None
    with Instance("desk", tmp_path) as held:
        found = held.running()
        assert found is not None
        assert found.pid == os.getpid()


def test_reference_stays_in_use_while_the_one_that_shares_it_goes_on(tmp_path: Path) -> None:
    code = (
        "import time; from headrace.actors.live.instance import Instance;"
        f"Instance('desk', {str(tmp_path)!r}).hold(); print('held', flush=True); time.sleep(600)"
    )
    shared = Instance("desk", tmp_path)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment()) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            assert shared.share()
            assert not shared.left_alone
        finally:
            process.kill()
    assert shared.left_alone
    with pytest.raises(hr.InputError, match=f"by process {process.pid}"):
        Instance("desk", tmp_path).hold()
    shared.take_over()
    with pytest.raises(hr.InputError, match=f"by process {os.getpid()}"):
        Instance("desk", tmp_path).hold()
    shared.release_shared()
    assert Instance("desk", tmp_path).running() is None
    assert list(shared.folder.iterdir()) == []
    with Instance("desk", tmp_path) as held:
        assert not held.share(), "its own process has it already"


def test_reference_that_was_shared_and_not_left_alone_is_the_other_s_to_release(tmp_path: Path) -> None:
    with Instance("desk", tmp_path) as held:
        held.tell(note="x")
        code = (
            "from headrace.actors.live.instance import Instance;"
            f"shared = Instance('desk', {str(tmp_path)!r}); print(shared.share(), shared.left_alone);"
            "shared.release_shared()"
        )
        said = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=LIMIT
        )
        assert said.stdout == "True False\n", said.stderr
        assert sorted(path.name for path in held.folder.iterdir()) == ["lock", "running.json"]
    assert not held.folder.exists()


def test_many_who_want_a_reference_at_once_get_it_one_by_one(tmp_path: Path) -> None:
    held: list[int] = []
    together: list[int] = []
    stop = threading.Event()

    def want(number: int) -> None:
        while not stop.is_set():
            instance = Instance("desk", tmp_path)
            with contextlib.suppress(hr.InputError), instance:
                held.append(number)
                together.append(len(held))
                held.remove(number)

    threads = [threading.Thread(target=want, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: len(together) > 100, 60)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert set(together) == {1}


def test_folder_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir(mode=0o755)
    with Instance("desk", tmp_path) as held:
        assert held.folder.stat().st_mode & 0o077 == 0


def test_running_instances_are_found_with_what_they_tell(tmp_path: Path) -> None:
    assert running_instances(tmp_path / "nowhere") == []
    (tmp_path / "not an instance, but a folder").mkdir()
    with Instance("desk", tmp_path) as desk, Instance(".b", tmp_path):
        desk.tell(page="http://127.0.0.1:8000/?token=t", engine="local")
        desk.tell(strategies=["A"])
        found = running_instances(tmp_path)
        assert [each.reference for each in found] == [".b", "desk"]
        assert found[1].page == "http://127.0.0.1:8000/?token=t"
        assert found[1].note == {"engine": "local", "strategies": ["A"]}
        assert found[1].pid == os.getpid()
    assert running_instances(tmp_path) == []
    with pytest.raises(hr.RunError, match="not held"):
        desk.tell(engine="ray")


def test_copy_of_another_process_does_not_hold_the_folder(tmp_path: Path) -> None:
    with Instance("desk", tmp_path) as held:
        copy = pickle.loads(pickle.dumps(held))
        assert not copy.held
        copy.release()
        assert held.running() is not None


# -- asking ----------------------------------------------------------------------------------------------------------


def test_running_system_answers_questions(tmp_path: Path) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def answer(what: str, values: dict[str, Any]) -> dict[str, Any]:
        asked.append((what, values))
        return {"markets": [], "at": 5}

    with Instance("desk", tmp_path) as held, desk(held, answer):
        assert ask(Instance("desk", tmp_path), "STATE") == {"markets": [], "at": 5}
        assert ask(Instance("desk", tmp_path), "CANCEL_ALL", {"whole_account": True}) == {"markets": [], "at": 5}
        assert not os.stat(control_path(held.folder)).st_mode & 0o077
    assert asked == [("STATE", {}), ("CANCEL_ALL", {"whole_account": True})]


def test_long_answers_arrive_whole_and_nobody_waits_for_who_does_not_read(tmp_path: Path) -> None:
    rows = [{"market_id": f"1.{number}", "name": "x" * 100} for number in range(50_000)]
    with (
        Instance("desk", tmp_path) as held,
        desk(held, lambda what, values: {"rows": rows}),
        socket.socket(socket.AF_UNIX) as idle,
    ):
        idle.connect(control_path(held.folder))
        idle.sendall(b'{"what": "STATE"}\n')
        assert len(ask(held, "STATE")["rows"]) == 50_000


def test_errors_of_the_system_are_the_caller_s_errors(tmp_path: Path) -> None:
    def answer(what: str, values: dict[str, Any]) -> dict[str, Any]:
        if what == "STOP":
            raise hr.RunError("it is stopping already")
        if what == "STATE":
            raise KeyError("markets")
        raise hr.InputError(f"{what}: not a question")

    with Instance("desk", tmp_path) as held, desk(held, answer):
        with pytest.raises(hr.InputError, match="STAT: not a question"):
            ask(held, "STAT")
        with pytest.raises(hr.RunError, match="it is stopping already") as stopping:
            ask(held, "STOP")
        assert not isinstance(stopping.value, hr.InputError)
        with pytest.raises(hr.RunError, match="the system failed to answer: KeyError: 'markets'"):
            ask(held, "STATE")


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n\r\n", b'{"values": {}}\n', b"[]\n", b"\xff\xfe\n"])
def test_what_is_no_question_is_answered_so_and_does_no_harm(line: bytes, tmp_path: Path) -> None:
    with Instance("desk", tmp_path) as held, desk(held, lambda what, values: {"what": what}):
        with socket.socket(socket.AF_UNIX) as odd:
            odd.settimeout(10)
            odd.connect(control_path(held.folder))
            odd.sendall(line)
            assert b"this is not a question" in odd.recv(65_536)
        assert ask(held, "STATE") == {"what": "STATE"}


def test_connections_that_ask_nothing_are_closed_when_others_come(tmp_path: Path) -> None:
    with Instance("desk", tmp_path) as held, desk(held, lambda what, values: {"what": what}):
        idle = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        for each in idle:
            each.connect(control_path(held.folder))
            each.settimeout(10)
            each.sendall(b"{")
        assert ask(held, "STATE") == {"what": "STATE"}
        assert idle[0].recv(1) == b""
        for each in idle:
            each.close()


def test_who_does_not_run_is_not_asked(tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="no live system with the reference 'desk' runs on this machine"):
        ask(Instance("desk", tmp_path), "STATE")
    with Instance("desk", tmp_path) as held, pytest.raises(hr.RunError, match="does not answer: it is starting"):
        ask(held, "STATE")
    with pytest.raises(hr.RunError, match="nobody holds this instance"):
        control_path(tmp_path / "desk")


def test_system_that_hangs_is_told_of_in_time(tmp_path: Path) -> None:
    free = threading.Event()
    with Instance("desk", tmp_path) as held, desk(held, lambda what, values: {"was": free.wait(60)}):
        with pytest.raises(hr.RunError, match=r"'desk' has not answered within 0\.2 seconds"):
            ask(held, "STATE", timeout=0.2)
        free.set()


def test_socket_lies_where_its_path_is_short_enough_and_is_gone_at_the_end(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-long-name-of-a-folder"] * 6)
    with Instance("desk", deep) as held:
        path = Path(control_path(held.folder))
        assert len(os.fsencode(path)) <= 100
        assert not path.parent.stat().st_mode & 0o077
        with desk(held, lambda what, values: {"what": what}):
            assert ask(held, "STATE") == {"what": "STATE"}
    assert not path.parent.exists()


def test_place_of_the_socket_of_a_process_that_was_killed_is_removed_by_whichever_starts_next(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-long-name-of-a-folder"] * 6)
    code = (
        "import time; from headrace.actors.live.instance import Instance;"
        f"Instance('killed', {str(deep)!r}).hold(); print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment()) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            places = [Path(control_path(Instance("killed", deep).folder)).parent]
            os.utime(places[0], (1.0, 1.0))
            with Instance("alive", deep):
                assert places[0].exists(), "its process lives"
        finally:
            process.kill()
    with Instance("next", deep) as held:
        places.append(Path(control_path(held.folder)).parent)
        assert [place.exists() for place in places] == [False, True]
