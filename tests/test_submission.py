"""Scripts sent to a cluster: what travels, what is refused before anything is sent, and what became of the job."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

import headrace as hr
from common_strategies import Backer, source_of
from headrace.cli import main
from headrace.cluster import following, job_package
from headrace.cluster.dashboard import check_cluster, find_token
from headrace.cluster.following import Follower
from headrace.cluster.job_package import headrace_modules, requirements, working_files
from headrace.cluster.submission import Job
from headrace.strategies.errors import InputError, RunError
from processes import (
    LIMIT,
    TOOLS,
    environment,
    free_ports,
    of_folder,
    run,
    run_python,
    skip_where_ray_has_no_scripts,
    temporary_folder,
    wait_until,
)

STRATEGY = source_of(Backer)

SCRIPT = """
import os
import sys
from importlib import metadata

import headrace as hr
from backer import Backer

if __name__ == "__main__":
    markets, out, engine = sys.argv[1:]
    result = hr.backtest(Backer(), markets, engine=engine, out=out)
    print("headrace", metadata.version("headrace"), "of", hr.__file__)
    print("greeting", os.environ.get("GREETING"))
    if engine == "ray":
        import ray

        print("joined", ray.get_runtime_context().gcs_address == os.environ["RAY_ADDRESS"])
    print("digest", result.digest)
    print("tables in", out)
    sys.exit(1 if result.failures.num_rows else 0)
"""

BROKEN = """
import sys
print("so far so good")
sys.exit(int(sys.argv[1])) if len(sys.argv) > 1 else open("no such file")
"""


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def no_token_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


# -- what travels ------------------------------------------------------------------------------------------------------


def test_working_directory_leaves_secrets_caches_and_results_here(tmp_path: Path) -> None:
    write(tmp_path, script="", helper="")
    for name in (".env", ".git/config", "results/orders.parquet", "__pycache__/a.pyc", "client.pem", "models/a.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert [path.as_posix() for path in working_files(tmp_path)] == ["helper.py", "script.py", "models/a.json"]


def test_excluded_names_and_patterns_stay_here(tmp_path: Path) -> None:
    write(tmp_path, script="")
    write(tmp_path / "recordings" / "2024", market="")
    write(tmp_path / "models", old="", new="")
    files = working_files(tmp_path, ["recordings/", "models/old*"])
    assert [path.as_posix() for path in files] == ["script.py", "models/new.py"]


def test_working_directory_with_recordings_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_package, "MAX_WORKING_DIR", 1000)
    write(tmp_path, script="")
    write(tmp_path / "recordings", market="x" * 2000)
    with pytest.raises(InputError, match=r"most of it in recordings.*--exclude recordings"):
        working_files(tmp_path)


def test_headrace_travels_without_what_lies_beside_it(tmp_path: Path) -> None:
    modules = headrace_modules(tmp_path / "modules")
    package = modules[0]
    folders = {path.name for path in package.iterdir() if path.is_dir()}
    assert folders == {"actors", "archive", "cli", "cluster", "results", "simulate", "strategies", "tuning"}
    assert (package / "py.typed").is_file()
    beside = (package / "results" / "display").glob("page.*")
    assert {path.name for path in beside} == {"page.css", "page.js", "page.py"}
    assert not list(package.rglob("*.pyc"))


def test_headrace_that_travelled_can_be_imported(tmp_path: Path) -> None:
    headrace_modules(tmp_path / "modules")
    code = "import headrace; from importlib import metadata; print(headrace.__file__, metadata.version('headrace'))"
    said = run_python(code, env=environment(PYTHONPATH=str(tmp_path / "modules")), cwd=tmp_path)
    file, version = said.stdout.split()
    assert file == str(tmp_path / "modules" / "headrace" / "__init__.py")
    assert version


def test_wheel_travels_instead(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "headrace-9.9-py3-none-any.whl", "w") as wheel:
        wheel.writestr("headrace/__init__.py", "")
        wheel.writestr(
            "headrace-9.9.dist-info/METADATA",
            "Name: headrace\nRequires-Dist: ray[default]>=2.40\nRequires-Dist: msgspec>=0.19\n"
            "Requires-Dist: pandas>=2.2; extra == 'notebook'\n\nRequires-Dist: no header\n",
        )
    modules = headrace_modules(tmp_path / "modules", str(tmp_path / "headrace-9.9-py3-none-any.whl"))
    assert [module.name for module in modules] == ["headrace", "headrace-9.9.dist-info"]
    assert requirements(modules) == ["msgspec>=0.19"]


@pytest.mark.parametrize("content", [None, b"no zip"])
def test_what_is_no_wheel_is_refused(tmp_path: Path, content: bytes | None) -> None:
    wheel = tmp_path / "some.whl"
    if content is not None:
        wheel.write_bytes(content)
    with pytest.raises(InputError, match=r"some\.whl cannot be read"):
        headrace_modules(tmp_path / "modules", str(wheel))


# -- what is refused ---------------------------------------------------------------------------------------------------


class Dashboard:
    """A dashboard that answers as told: a status and a body a path."""

    def __init__(self, **answers: tuple[int, Any]) -> None:
        self.asked: list[tuple[str, str | None]] = []
        dashboard = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                dashboard.asked.append((self.path, self.headers.get("Authorization")))
                status, body = answers.get(self.path.rsplit("/", 1)[-1].partition("?")[0], (404, ""))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode() if isinstance(body, str) else json.dumps(body).encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Dashboard:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def node_of(python: str) -> dict[str, Any]:
    """A node as the dashboard describes it, with the Python that it starts."""
    return {"cmdline": ["/srv/raylet", f'--python_worker_command="{python}" "/srv/setup worker.py" --port=1', "--head"]}


def ray_version() -> str:
    from importlib import metadata

    return metadata.version("ray")


def test_cluster_of_the_same_versions_is_taken() -> None:
    python = ".".join(map(str, sys.version_info[:2])) + ".99"
    known = {"data": {"pythonVersion": python}}
    nodes = {"data": {"summary": [node_of("/srv/bin/python"), {}]}}
    answers = {"cluster_metadata": (200, known), "nodes": (200, nodes)}
    with Dashboard(version=(200, {"ray_version": ray_version()}), **answers) as dashboard:
        assert check_cluster(dashboard.address.removeprefix("http://") + "/", "secret") == dashboard.address
    assert dashboard.asked[0] == ("/api/version", "Bearer secret")


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"version": (200, {"ray_version": "2.9.0"})}, r"runs Ray 2\.9\.0, this is Ray "),
        (
            {
                "version": (200, {"ray_version": ray_version()}),
                "cluster_metadata": (200, {"data": {"pythonVersion": "3.8.1"}}),
            },
            r"runs Python 3\.8\.1, this is Python ",
        ),
        (
            {
                "version": (200, {"ray_version": ray_version()}),
                "nodes": (200, {"data": {"summary": [node_of("/srv/head/bin/python"), node_of("/srv/my env/python")]}}),
            },
            r"runs /srv/my env/python: Ray cannot start jobs from a path with a space in it",
        ),
        ({"version": (401, "no")}, "asks for a token"),
        ({"version": (200, "<html>")}, "is not a Ray dashboard"),
        ({"version": (200, ["a list"])}, "is not a Ray dashboard"),
        ({}, "is not a Ray dashboard"),
    ],
)
def test_cluster_that_cannot_run_it_is_refused(answers: dict[str, tuple[int, Any]], message: str) -> None:
    with Dashboard(**answers) as dashboard, pytest.raises(InputError, match=message):
        check_cluster(dashboard.address, None)


def test_wrong_token_is_told_from_a_missing_one() -> None:
    with Dashboard(version=(403, "no")) as dashboard, pytest.raises(InputError, match="does not take this token"):
        check_cluster(dashboard.address, "wrong")


@pytest.mark.parametrize("address", ["ray://head:10001", "ftp://head"])
def test_address_that_is_no_dashboard_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="expected the address of the cluster's dashboard"):
        check_cluster(address, None)


def test_token_is_looked_for_where_ray_looks(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("first\n", encoding="utf-8")
    (tmp_path / "home" / ".ray").mkdir(parents=True)
    (tmp_path / "home" / ".ray" / "auth_token").write_text("last", encoding="utf-8")
    everything = {"RAY_AUTH_TOKEN": "second", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "one")}
    assert find_token(str(tmp_path / "one"), everything) == "first"
    assert find_token(None, everything) == "second"
    assert find_token(None, {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "one")}) == "first"
    assert find_token(None, {}) == "last"


def test_token_file_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "missing"):
        with pytest.raises(InputError, match=name):
            find_token(str(tmp_path / name), {})


def send(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["submit", *map(str, words)])


def test_missing_script_exits_2(tmp_path: Path) -> None:
    ended = send(tmp_path / "none.py", "--address", "http://127.0.0.1:1")
    assert (ended.exit_code, "none.py: no such file" in ended.output) == (2, True)


def test_missing_cluster_exits_2_with_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/srv/env")
    ended = send(write(tmp_path, script="") / "script.py", "--address", "http://127.0.0.1:1")
    assert ended.exit_code == 2
    assert ended.output == "headrace: no Ray cluster at http://127.0.0.1:1: Connection refused\n"


def test_missing_cluster_of_an_environment_that_ray_cannot_start_in_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", "/srv/my env")
    script = write(tmp_path, script="") / "script.py"
    why = "`ray start` does not work from /srv/my env: its scripts break on a space in the path"
    assert why in send(script, "--address", "http://127.0.0.1:1").output
    assert why not in send(script, "--address", "http://no-such-host.invalid:1").output


def test_script_outside_the_working_directory_exits_2(tmp_path: Path) -> None:
    write(tmp_path, script="")
    ended = send(tmp_path / "script.py", "--working-dir", write(tmp_path / "other"), "--address", "http://127.0.0.1:1")
    assert (ended.exit_code, "is not in the working directory" in ended.output) == (2, True)


# -- following ---------------------------------------------------------------------------------------------------------


class FakeClient:
    """A cluster that shows each of `states` once, the last for ever; a lost connection is an error in `pieces`."""

    def __init__(
        self, states: Sequence[Any], connections: Sequence[Sequence[str | Exception]] = (), log: str = ""
    ) -> None:
        self.states = list(states)
        self.connections = list(connections)
        self.log = log

    def submit_job(self, **details: Any) -> str:
        raise NotImplementedError

    def get_job_info(self, job_id: str) -> Any:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return state

    def get_job_logs(self, job_id: str) -> str:
        return self.log

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        for piece in self.connections.pop(0) if self.connections else ():
            if isinstance(piece, Exception):
                raise piece
            yield piece


def state(status: str, code: int | None = None, message: str = "") -> Any:
    return SimpleNamespace(status=status, driver_exit_code=code, message=message)


def followed(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, list[str]]:
    monkeypatch.setattr(following, "_LOOK", 0.0)
    log: list[str] = []
    said: list[str] = []
    code = Follower(Job("job-1", "http://head:8265", client), log.append, said.append).run()
    return code, "".join(log), [re.sub(r"[\d.]+ s$", "T", line) for line in said]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (state("SUCCEEDED", 0), 0),
        (state("FAILED", 1), 1),
        (state("FAILED", 2), 2),
        (state("FAILED", -9), 1),
        (state("FAILED", None, "no environment"), 1),
        (state("STOPPED"), 1),
    ],
)
def test_exit_code_follows_from_the_job(end: Any, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert followed(FakeClient([state("PENDING"), state("RUNNING"), end]), monkeypatch)[0] == code


def test_tables_of_the_log_are_named_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient([state("SUCCEEDED", 0)], log="digest 1\ntables in /data/results\n")
    assert followed(client, monkeypatch)[2] == ["job job-1 succeeded after T", "tables in /data/results"]


def test_relative_place_of_tables_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    said = followed(FakeClient([state("SUCCEEDED", 0)], log="tables in out\n"), monkeypatch)[2]
    assert said[-1].startswith("that is in the job's working directory, which Ray deletes")


def test_without_tables_the_way_to_the_log_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = followed(FakeClient([state("SUCCEEDED", 0)], log="done"), monkeypatch)[2]
    assert said[-1] == "its log: ray job logs --address http://head:8265 job-1"


def test_log_goes_on_where_a_lost_connection_broke_it(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient(
        [state("RUNNING"), state("RUNNING"), RuntimeError("no answer"), state("RUNNING"), state("SUCCEEDED", 0)],
        [["one\n", "two\n", RuntimeError("lost")], ["one\ntw", "o\nthree\n"]],
        log="one\ntwo\nthree\nfour\n",
    )
    assert followed(client, monkeypatch)[1] == "one\ntwo\nthree\nfour\n"


def test_log_goes_on_where_a_connection_fell_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(FakeClient):
        async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
            yield "one\n"
            await asyncio.sleep(600)

    monkeypatch.setattr(following, "_SILENCE", 0.05)
    client = Silent([state("RUNNING"), state("RUNNING"), state("SUCCEEDED", 0)], log="one\ntwo\n")
    assert followed(client, monkeypatch)[1] == "one\ntwo\n"


def test_cluster_that_goes_away_ends_the_following(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PATIENCE", 0.0)
    with pytest.raises(RunError, match=r"job job-1 may still run: ray job logs"):
        followed(FakeClient([state("RUNNING"), ConnectionError("refused")]), monkeypatch)


def test_missing_module_on_the_cluster_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient([state("FAILED", 1)], log="ModuleNotFoundError: No module named 'msgspec'\n")
    assert any("--install-dependencies" in line for line in followed(client, monkeypatch)[2])


# -- end to end --------------------------------------------------------------------------------------------------------


class Head:
    """A Ray of this module, with a token."""

    def __init__(self, address: str, token: Path) -> None:
        self.address = address
        self.token = token


def environment_of_ray(token: Path) -> dict[str, str]:
    tools = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    return environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token), PATH=tools)


def answers(address: str, token: str) -> bool:
    try:
        check_cluster(address, token)
    except InputError:
        return False
    return True


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head of two processors on ports and in a folder of its own; ended by its own process id."""
    pytest.importorskip("ray")
    skip_where_ray_has_no_scripts()
    with temporary_folder() as folder:
        token = Path(folder) / "token"
        token.write_text("the token of the tests, which is long enough", encoding="utf-8")
        port, dashboard, agent, client = free_ports(4)
        command = [str(TOOLS / "ray"), "start", "--head", "--block", "--num-cpus=2"]
        places = [f"--port={port}", f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1"]
        log = (Path(folder) / "log").open("wb")
        process = subprocess.Popen(
            [*command, *places, f"--temp-dir={folder}/r", f"--dashboard-agent-listen-port={agent}",
             f"--ray-client-server-port={client}", "--min-worker-port=0", "--max-worker-port=0"],
            env={**environment_of_ray(token), **of_folder(folder)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{dashboard}"
            secret = token.read_text(encoding="utf-8")
            there = wait_until(lambda: process.poll() is not None or answers(address, secret))
            assert there
            assert process.poll() is None, (Path(folder) / "log").read_text(encoding="utf-8")[-2000:]
            yield Head(address, token)
            assert process.poll() is None, (Path(folder) / "log").read_text(encoding="utf-8")[-2000:]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)  # Ray gives what still runs 30 s
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(LIMIT)
            log.close()


def headrace(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return run([TOOLS / "headrace", *words])


@pytest.mark.ray
def test_script_on_the_cluster_gives_what_it_gives_here(head: Head, tmp_path: Path, generated: Path) -> None:
    folder = write(tmp_path / "work", script=SCRIPT, backer=STRATEGY)
    local = run([sys.executable, "script.py", generated, tmp_path / "here", "local"], cwd=folder)
    assert local.returncode == 0, local.stderr
    ended = headrace("submit", folder / "script.py", generated, tmp_path / "there", "ray", "--env", "GREETING=hello",
                     "--address", head.address, "--token-file", head.token)  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "greeting hello" in ended.stdout
    assert "joined True" in ended.stdout
    assert "py_modules_files" in ended.stdout  # the sender's headrace, not the one installed on the cluster
    assert re.findall("digest .*", ended.stdout) == re.findall("digest .*", local.stdout)
    assert f"headrace: tables in {tmp_path / 'there'}" in ended.stderr
    there = hr.Result.load(str(tmp_path / "there"))
    assert there.orders.num_rows > 0
    assert there.digest == hr.Result.load(str(tmp_path / "here")).digest


@pytest.mark.ray
@pytest.mark.parametrize(("words", "code"), [([], 1), (["2"], 2)])
def test_failing_script_fails_the_command(head: Head, tmp_path: Path, words: list[str], code: int) -> None:
    script = write(tmp_path, broken=BROKEN) / "broken.py"
    ended = headrace("submit", script, *words, "--address", head.address, "--token-file", head.token)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "so far so good" in ended.stdout
    assert ("FileNotFoundError" in ended.stdout) == (not words)


@pytest.mark.ray
def test_cluster_with_a_token_refuses_another(head: Head, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a wrong one", encoding="utf-8")
    script = write(tmp_path, broken=BROKEN) / "broken.py"
    ended = headrace("submit", script, "--address", head.address, "--token-file", tmp_path / "token")
    assert ended.returncode == 2
    assert "does not take this token" in ended.stderr


@pytest.mark.ray
def test_script_works_under_plain_ray_job_submit(head: Head, tmp_path: Path, generated: Path) -> None:
    folder = write(tmp_path / "work", script=SCRIPT, backer=STRATEGY)
    words = ["job", "submit", "--address", head.address, "--working-dir", str(folder), "--"]
    script = ["python", "script.py", str(generated), str(tmp_path / "out"), "ray"]
    ended = run([TOOLS / "ray", *words, *script], env=environment_of_ray(head.token))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert hr.Result.load(str(tmp_path / "out")).digest in ended.stdout
