"""`ray up` and `ray submit` with deploy/cluster-own-machines.yaml, over ssh, on two machines that are one.

Each machine is an sshd of 127.0.0.1 with a home and a folder for Ray of its own, and a loopback address as its name.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.cluster.dashboard import check_cluster
from headrace.strategies.errors import InputError
from processes import (
    LIMIT,
    TOOLS,
    environment,
    free_ports,
    of_folder,
    run,
    skip_where_ray_has_no_scripts,
    temporary_folder,
    wait_until,
)

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "deploy" / "cluster-own-machines.yaml"
SCRIPT = ROOT / "examples" / "on_a_cluster.py"
#: What ends the Ray of the cluster file, by the comment in it.
END = "kill $(cat ~/.headrace-ray.pid)"
HEAD, WORKER = "127.0.0.2", "127.0.0.3"


@dataclass(frozen=True)
class Machine:
    """What the cluster file names by its address, and ssh reaches at a port of 127.0.0.1."""

    address: str
    port: int
    home: Path

    @property
    def log(self) -> str:
        file = self.home / ".headrace-ray.log"
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    @property
    def process_id(self) -> int | None:
        """Of the Ray that the cluster file started here; None: none was started, or it is gone."""
        try:
            process_id = int((self.home / ".headrace-ray.pid").read_text(encoding="utf-8"))
            command = Path(f"/proc/{process_id}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return process_id if b"start" in command.split(b"\0") else None


@dataclass(frozen=True)
class Launcher:
    """The machine that `ray up` and `ray submit` are called on."""

    cluster: Path
    environment: dict[str, str]
    dashboard: str
    head: Machine
    worker: Machine

    def ray(self, verb: str, *words: str | Path) -> str:
        """Run one of Ray's commands with the cluster file, to its success; returns what it printed."""
        command = [str(TOOLS / "ray"), verb, *map(str, words)]
        ended = run(
            command, cwd=self.cluster.parent, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    def has_both_nodes(self) -> bool:
        status = self.ray("exec", "--no-config-cache", self.cluster, "ray status")
        return re.search(r"^Active:\s+2 local", status, re.MULTILINE) is not None


def tool(name: str) -> str:
    """Where a program is; skips where it is not."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        pytest.skip(f"no {name} on this machine; runs if it is installed")
    return found


def prepare_machine(folder: Path, address: str, port: int) -> Machine:
    """Lay out a machine's home, with headrace where the cluster file expects it."""
    home = folder / address.rpartition(".")[2]
    home.mkdir()
    (home / ".bashrc").write_text(f"export PATH={folder}/bin:$PATH\n", encoding="utf-8")
    (home / "headrace-env").symlink_to(sys.prefix)
    return Machine(address, port, home)


def start_sshd(sshd: str, folder: Path, machine: Machine) -> subprocess.Popen[bytes]:
    """An sshd for one key and one machine; skips where it refuses to run."""
    file = folder / f"sshd-{machine.port}"
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": machine.port,
        "HostKey": folder / "host_key",
        "PidFile": "none",
        "AuthorizedKeysFile": folder / "key.pub",
        "AuthenticationMethods": "publickey",
        "UsePAM": "no",
        "StrictModes": "no",
        "SetEnv": f"HOME={machine.home} RAY_TMPDIR={machine.home} RAY_USAGE_STATS_ENABLED=0",
    }
    file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")
    checked = run([sshd, "-t", "-f", file])
    if checked.returncode:
        pytest.skip(f"sshd refuses to start; runs where it can: {checked.stderr.strip()}")
    with (folder / f"sshd-{machine.port}.log").open("wb") as log:
        return subprocess.Popen([sshd, "-D", "-e", "-f", str(file)], stdin=subprocess.DEVNULL, stderr=log)


def prepare_ssh(folder: Path, machines: list[Machine]) -> None:
    """Have `ssh` find the machines: what a user would write into ~/.ssh/config.

    ssh takes ~ from the password file, not from HOME, so the file and the key that Ray names by ~ are given to it.
    """
    hosts = "".join(f"Host {each.address}\n  HostName 127.0.0.1\n  Port {each.port}\n" for each in machines)
    (folder / "ssh_config").write_text(hosts, encoding="utf-8")
    (folder / "bin").mkdir()
    ssh = folder / "bin" / "ssh"
    options = f"-F {folder}/ssh_config -i {folder}/key -o ControlMaster=no -o ControlPath=none -o LogLevel=ERROR"
    ssh.write_text(f'#!/bin/sh\nexec {tool("ssh")} {options} "$@"\n', encoding="utf-8")
    ssh.chmod(0o755)


def home_of_login(folder: Path, machine: Machine) -> str:
    """Where a login finds itself; empty where there is none. In the user's own home nothing may be written."""
    command = [str(folder / "bin" / "ssh"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    command += ["-o", "BatchMode=yes", f"{getpass.getuser()}@{machine.address}", "echo $HOME"]
    return run(command).stdout.strip()


def adapt(text: str, folder: Path, head: Machine, worker: Machine) -> str:
    """The cluster file with the addresses, user and key of this test, and ports that no other Ray has."""
    port, dashboard, client, *agents = free_ports(5)
    own = "--num-cpus=1 --min-worker-port=0 --max-worker-port=0"
    of_head = f"{own} --node-ip-address={head.address} --dashboard-agent-listen-port={agents[0]}"
    of_worker = f"{own} --node-ip-address={worker.address} --dashboard-agent-listen-port={agents[1]}"
    for there, here in {
        "cluster_name: headrace": f"cluster_name: headrace-{port}",
        "head_ip: 192.0.2.10": f"head_ip: {head.address}",
        "worker_ips: [192.0.2.11, 192.0.2.12]": f"worker_ips: [{worker.address}]",
        "ssh_user: headrace": f"ssh_user: {getpass.getuser()}",
        "~/.ssh/id_ed25519": f"{folder}/key",
        "6379": str(port),
        "127.0.0.1:": f"{head.address}:",
        "--dashboard-host=0.0.0.0": f"--dashboard-host=127.0.0.1 --dashboard-port={dashboard}",
        "ray start --head --block": f"ray start --head --block {of_head} --ray-client-server-port={client}",
        "ray start --block": f"ray start --block {of_worker}",
    }.items():
        assert there in text
        text = text.replace(there, here)
    return text


def end_rays(machines: list[Machine]) -> None:
    """End what the cluster file started and is still there, and nothing else; all at once, the head first."""
    running = {machine: machine.process_id for machine in machines}
    for sent, seconds in ((signal.SIGTERM, 40), (signal.SIGKILL, 10)):  # Ray gives what still runs 30 s
        for machine, process_id in running.items():
            if process_id is not None and process_id == machine.process_id:
                os.kill(process_id, sent)
        if wait_until(lambda: all(machine.process_id is None for machine in machines), seconds):
            return


def end_process(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(LIMIT)


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """Two machines that can be reached by ssh, and one to call Ray's launcher on. No Ray runs yet."""
    pytest.importorskip("ray")
    skip_where_ray_has_no_scripts()
    if sys.platform != "linux":
        pytest.skip("runs on Linux, where 127.0.0.2 is this machine's own")
    if not (TOOLS / "ray").is_file():
        pytest.skip("no ray command beside this Python; runs if headrace is installed with its dependencies")
    sshd, keygen, _, _ = tool("sshd"), tool("ssh-keygen"), tool("rsync"), tool("pgrep")
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        for name in ("key", "host_key"):
            assert run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name]).returncode == 0
        machines = [
            prepare_machine(folder, address, port) for address, port in zip((HEAD, WORKER), free_ports(2), strict=True)
        ]
        prepare_ssh(folder, machines)
        for machine in machines:
            stack.callback(end_process, start_sshd(sshd, folder, machine))
        stack.callback(end_rays, machines)
        home = folder / "launcher"
        (home / ".ray").mkdir(parents=True)
        (home / ".ray" / "auth_token").write_text("the token of the tests, which is long enough", encoding="utf-8")
        cluster = home / "cluster.yaml"
        cluster.write_text(adapt(FILE.read_text(encoding="utf-8"), folder, *machines), encoding="utf-8")
        path = os.pathsep.join([str(folder / "bin"), str(TOOLS), os.environ["PATH"]])
        variables = environment(HOME=str(home), PATH=path, **of_folder(home))
        for machine in machines:
            if not wait_until(lambda machine=machine: home_of_login(folder, machine) == str(machine.home), 10):
                log = (folder / f"sshd-{machine.port}.log").read_text(encoding="utf-8").strip()
                pytest.skip(
                    f"runs where this user can log in to an sshd of its own, with a home of its own: {log[-300:]}"
                )
        port = re.search(r"--dashboard-port=(\d+)", cluster.read_text(encoding="utf-8"))
        assert port is not None
        yield Launcher(cluster, variables, f"http://127.0.0.1:{port.group(1)}", *machines)


@pytest.mark.ray
def test_script_submitted_to_machines_of_ones_own_gives_what_it_gives_here(launcher: Launcher, generated: Path) -> None:
    here = run([sys.executable, SCRIPT, generated, "local"]).stdout
    assert re.match(r"8 markets, [1-9]\d* orders, digest \w+$", here)

    launcher.ray("up", "--yes", "--no-config-cache", launcher.cluster)
    assert wait_until(launcher.has_both_nodes, 120), launcher.worker.log or launcher.head.log
    with pytest.raises(InputError, match="asks for a token"):
        check_cluster(launcher.dashboard, None)
    there = launcher.ray("submit", "--no-config-cache", launcher.cluster, SCRIPT, generated)
    assert here.strip() in there

    assert run(["bash", "-c", END], env=environment(HOME=str(launcher.worker.home))).returncode == 0
    launcher.ray("exec", "--no-config-cache", launcher.cluster, END)
    for machine in (launcher.head, launcher.worker):
        assert wait_until(lambda machine=machine: machine.process_id is None, 40), machine.log
