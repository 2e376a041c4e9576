"""Mail between processes: what becomes of it when processes die, and when there is no place for it."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from headrace.actors.letters import Ask, Letter, Told, UserEvent
from headrace.actors.mailboxes import frames, socket_post
from headrace.actors.mailboxes.bounds import Bounds
from headrace.actors.mailboxes.folder import LONGEST, make_folder, own
from headrace.actors.mailboxes.mail import Mail
from headrace.actors.mailboxes.socket_post import ZmqPost
from headrace.actors.mailboxes.sockets import ZmqMail
from headrace.actors.wire import encode
from headrace.simulate.exchange.certificates import Certificates
from headrace.strategies.errors import MessageError, RunError
from live_roles import until

#: An actor of another process: it opens its mail, tells the one that it knows of itself, and answers.
OTHER = """
import sys
from headrace.actors.letters import Ask, Told
from headrace.actors.mailboxes.socket_post import ZmqPost
folder, name, incarnation, address = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
mail = ZmqPost(folder).open(name, incarnation)
mail.know("a", address)
mail.send("a", Told("here", b"0"))
while True:
    for sender, letter in mail.wait(60.0).letters:
        mail.send(sender, Told("echo", letter.values))
"""


class Others:
    """Processes that a test starts."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, post: ZmqPost, name: str, incarnation: int, address: str) -> subprocess.Popen[bytes]:
        arguments = [post.folder, name, str(incarnation), address]
        self.processes.append(subprocess.Popen([sys.executable, "-c", OTHER, *arguments]))
        return self.processes[-1]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.fixture
def others() -> Iterator[Others]:
    made = Others()
    yield made
    for process in made.processes:
        process.kill()
        process.wait(10)


@pytest.fixture
def post() -> Iterator[ZmqPost]:
    made = ZmqPost(bounds=Bounds(letters=8))
    yield made
    made.close()


def told(what: str, number: int) -> Told:
    return Told(what, str(number).encode())


def ask(number: int) -> Ask:
    return Ask("echo", "a", "", str(number).encode())


def read(mail: Mail, count: int, seconds: float = 10.0) -> list[Letter]:
    letters: list[Letter] = []
    end = time.monotonic() + seconds
    while len(letters) < count and time.monotonic() < end:
        letters += [letter for _, letter in mail.wait(0.05).letters]
    return letters


def lost(mail: Mail, seconds: float = 10.0) -> list[str]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = mail.wait(0.05).lost
        if found:
            return list(found)
    return []


# -- processes that die ------------------------------------------------------------------------------------------------


def test_letters_cross_processes_and_wait_for_one_that_is_still_starting(post: ZmqPost, others: Others) -> None:
    a = post.open("a")
    a.know("b", post.address("b"))
    for number in range(100):
        assert a.send("b", ask(number))
    others.start(post, "b", 0, a.address)
    assert read(a, 101) == [told("here", 0), *(told("echo", number) for number in range(100))]


def test_the_successor_of_a_killed_process_gets_nothing_that_was_meant_for_it(post: ZmqPost, others: Others) -> None:
    a = post.open("a")
    first = others.start(post, "b", 0, a.address)
    a.know("b", post.address("b"))
    assert read(a, 1) == [told("here", 0)]
    others.kill(first)
    assert Path(post.folder, "b.0").exists()
    for number in range(50):
        a.send("b", ask(number))
    others.start(post, "b", 1, a.address)
    assert lost(a) == ["b"]
    a.know("b", post.address("b", 1))
    a.send("b", ask(99))
    assert told("echo", 99) in read(a, 2, 2.0)
    assert not a.wait(0.05).letters


def test_a_name_is_claimed_by_one_process_and_free_once_that_is_dead(post: ZmqPost, others: Others) -> None:
    a = post.open("a")
    other = others.start(post, "b", 0, a.address)
    assert read(a, 1)
    with pytest.raises(RunError, match=f"the mailbox of b is open already by process {other.pid}"):
        post.open("b", 1)
    a.know("b", post.address("b"))
    a.send("b", ask(1))
    assert read(a, 1) == [told("echo", 1)]
    others.kill(other)
    assert post.open("b", 1).name == "b"


def test_a_socket_that_a_dead_process_left_is_replaced(post: ZmqPost) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{post.folder}/b.0")
    a, b = post.open("a"), post.open("b")
    a.know("b", b.address)
    a.send("b", ask(1))
    assert read(b, 1) == [ask(1)]


def test_letters_of_a_former_self_that_come_late_are_counted_and_never_seen(post: ZmqPost) -> None:
    b = post.open("b")
    context = zmq.Context()
    late = context.socket(zmq.PUSH)
    late.connect(b.address)

    def send(incarnation: int, place: int) -> None:
        late.send(frames.HEAD.pack(frames.LETTER, incarnation, place, 1) + b"x" + encode(ask(place)))

    send(1, 1)
    send(0, 7)
    send(1, 2)
    assert read(b, 2) == [ask(1), ask(2)]
    send(1, 2)  # twice
    send(1, 3)
    assert read(b, 1) == [ask(3)]
    assert (b.counts["stale"], b.counts["lost"]) == (2, 0)
    send(1, 6)
    assert lost(b) == ["x"]
    assert b.counts["lost"] == 2
    context.destroy(0)


def test_bytes_that_are_no_letter_are_counted_as_lost_and_told(post: ZmqPost) -> None:
    b = post.open("b")
    context = zmq.Context()
    other = context.socket(zmq.PUSH)
    other.connect(b.address)
    other.send(frames.HEAD.pack(frames.LETTER, 0, 1, 1) + b"x" + b"\xc1")
    assert lost(b) == ["x"]
    assert b.counts["lost"] == 1
    other.send(b"?")
    other.send(frames.HEAD.pack(frames.LETTER, 0, 2, 1) + b"x" + encode(ask(2)))
    assert read(b, 1) == [ask(2)]
    context.destroy(0)


def test_what_cannot_be_sent_is_refused_and_leaves_no_gap(post: ZmqPost) -> None:
    a, b = post.open("a"), post.open("b")
    a.know("b", b.address)
    with pytest.raises(MessageError, match="UserEvent cannot be sent"):
        a.send("b", UserEvent(object()))  # type: ignore[arg-type]
    a.send("b", ask(1))
    assert read(b, 1) == [ask(1)]
    assert b.counts["lost"] == 0


def test_what_was_sent_before_the_close_arrives(post: ZmqPost) -> None:
    a, b = post.open("a"), post.open("b")
    a.know("b", b.address)
    for number in range(500):
        a.send("b", ask(number))
    a.close()
    assert len(read(b, 500)) == 500


def test_a_way_that_is_known_again_tells_what_was_thrown_away_with_it(post: ZmqPost) -> None:
    a, b = post.open("a"), post.open("b")
    a.know("b", b.address)
    a.send("b", ask(1))
    assert read(b, 1) == [ask(1)]
    a.forget("b")
    a.know("b", b.address)
    a.send("b", ask(2))
    assert read(b, 1) == [ask(2)]
    assert b.counts["lost"] == b.counts["stale"] == 0


def test_a_receiver_that_does_not_know_its_sender_gives_credit_all_the_same(post: ZmqPost) -> None:
    a, b = post.open("a"), post.open("b")
    a.know("b", b.address)
    for number in range(200):
        if not a.send("b", ask(number), droppable=True):
            break
        assert read(b, 1) == [ask(number)]
        b.wait(0.0)
        a.wait(0.005)
    assert a.counts["dropped"] == 0


# -- places ------------------------------------------------------------------------------------------------------------


def test_the_folder_is_private_and_goes_with_the_post() -> None:
    post = ZmqPost()
    folder = Path(post.folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    post.open("a")
    assert (folder / "a.0").is_socket()
    post.close()
    assert not folder.exists()


def test_a_folder_that_others_can_look_into_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(RunError, match=r"not a private folder: .* its mode drwxr-xr-x; expected .* drwx------"):
        ZmqPost(str(tmp_path))
    with pytest.raises(RunError, match="No such file or directory"):
        ZmqPost(str(tmp_path / "nowhere"))


def test_a_post_can_be_pickled_and_its_copy_removes_nothing(post: ZmqPost) -> None:
    copy = pickle.loads(pickle.dumps(post))
    assert (copy.folder, copy.bounds) == (post.folder, post.bounds)
    a, b = post.open("a"), copy.open("b")
    a.know("b", b.address)
    a.send("b", ask(1))
    assert read(b, 1) == [ask(1)]
    copy.close()
    assert Path(post.folder).is_dir()


def test_a_temporary_folder_with_a_long_name_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Path(tempfile.gettempdir()) / ("x" * 60)
    long.mkdir()
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(long))
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        post = ZmqPost()
        try:
            assert not post.folder.startswith(str(long))
            assert len(post.address("h1000", 100)) < LONGEST + len("ipc://")
        finally:
            post.close()
    finally:
        long.rmdir()


def test_no_place_with_a_short_enough_name_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has too long a name; .*: No such file or directory\. Set TMPDIR to a folder"):
        make_folder(["/tmp/" + "y" * 70, "/nowhere"])


def test_a_name_that_makes_the_path_too_long_or_is_not_one_is_refused(post: ZmqPost) -> None:
    with pytest.raises(RunError, match=f"sockets may have fewer than {LONGEST}"):
        post.open("h" * 80)
    for name in ("", "a/b", ".hidden"):
        with pytest.raises(RunError, match="cannot be an actor's name"):
            post.open(name)


def test_a_folder_that_is_gone_or_full_is_an_error_that_names_it(post: ZmqPost) -> None:
    moved = Path(post.folder + "-moved")
    os.rename(post.folder, moved)
    with pytest.raises(RunError, match=f"the mailbox of a cannot be made in {post.folder}: No such file"):
        post.open("a")
    os.rename(moved, post.folder)
    post.open("a")


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=2,mode=0700", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, timeout=60).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        short = Path(tempfile.mkdtemp(dir="/tmp"))
        link = short / "d"
        link.symlink_to(disk)
        post = ZmqPost(str(link))
        with pytest.raises(RunError, match=f"the mailbox of a cannot be made in {link}: No space left on device"):
            post.open("a")  # there is room for the claim, and none for the socket
        post.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True, timeout=60)
        shutil.rmtree(short)


def test_folders_of_systems_that_died_are_removed_and_no_others() -> None:
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        dead, alive, new = (make_folder([str(place)]) for _ in range(3))
        own(dead).release()
        held = own(alive)
        own(new).release()
        for folder in (dead, alive):
            os.utime(folder, (1.0, 1.0))
        made = make_folder([str(place)])
        assert sorted(place.iterdir()) == sorted([alive, new, made])
        held.release()
    finally:
        shutil.rmtree(place)


def test_a_post_whose_actor_is_busy_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_post, "LINGER", 100)
    post = ZmqPost()
    opened: list[ZmqMail] = []
    go_on = threading.Event()

    def busy() -> None:
        opened.append(post.open("a"))
        go_on.wait(30.0)
        opened[0].close()

    thread = threading.Thread(target=busy)
    thread.start()
    until(lambda: opened)
    before = time.monotonic()
    post.close()
    assert time.monotonic() - before < 5
    assert not Path(post.folder).exists()
    go_on.set()
    thread.join(10)
    assert not thread.is_alive()


# -- TLS ---------------------------------------------------------------------------------------------------------------


def test_the_rest_of_a_tls_record_is_not_waited_for(post: ZmqPost, tmp_path: Path) -> None:
    served = Certificates(tmp_path).server_context()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    here, there = socket.socketpair()
    a = post.open("a")
    accepted: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: accepted.append(served.wrap_socket(there, server_side=True)))
    thread.start()
    client = trusting.wrap_socket(here)
    thread.join(timeout=60)
    read_so_far: list[bytes] = []
    a.watch(client, lambda: read_so_far.append(client.recv(1)))
    accepted[0].sendall(b"abc")
    before = time.monotonic()
    while len(read_so_far) < 3 and time.monotonic() < before + 10:
        for ready in a.wait(20.0).files:
            ready()
    assert b"".join(read_so_far) == b"abc"
    a.watch(client, None)
    client.close()
    accepted[0].close()
