"""Where several processes run the tests, those that share something expensive are run by one."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from processes import environment, run

HERE = Path(__file__).parent
TESTS = """
import pytest

@pytest.fixture(scope="module")
def made_once():
    return object()

@pytest.fixture(scope="module")
def head():
    return object()

@pytest.mark.parametrize("number", range(9))
class TestAll:
    def test_single(self, number):
        pass

    @pytest.mark.slow
    def test_slow(self, number):
        pass

    def test_shared(self, made_once, number):
        pass

    @pytest.mark.ray
    def test_of_a_ray_of_its_own(self, head, number):
        pass

    @pytest.mark.ray
    def test_of_ray(self, number):
        pass
"""
KINDS = ("of_ray", "of_a_ray_of_its_own", "shared", "slow", "single")


def test_what_shares_something_is_run_by_one_process_and_begins_first(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_one.py").write_text(TESTS)
    (tmp_path / "test_two.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    ray: starts Ray\n    slow: takes seconds\n")
    paths = os.pathsep.join([str(HERE), *sys.path])
    words = ["-n", "2", "-v", "-p", "conftest", "--import-mode=importlib", "-p", "no:cacheprovider", "test_one.py"]
    ended = run(
        [sys.executable, "-m", "pytest", *words, "test_two.py"], cwd=tmp_path, env=environment(PYTHONPATH=paths)
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = re.findall(r"\[(gw\d)\] \[ *\d+%\] PASSED (\w+)\.py::TestAll::test_(\w+)\[", ended.stdout)
    assert len(found) == 2 * 9 * len(KINDS)
    for kind in ("of_ray", "of_a_ray_of_its_own"):
        assert len({worker for worker, _, each in found if each == kind}) == 1
    for module in ("test_one", "test_two"):
        assert len({worker for worker, where, each in found if (where, each) == (module, "shared")}) == 1
    for worker in ("gw0", "gw1"):
        order = [KINDS.index(kind) for each, _, kind in found if each == worker]
        assert order == sorted(order)
