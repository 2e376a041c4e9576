"""Advice in messages about runs, archives and results is followed here to the letter: it must help."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import priced, write
from common_strategies import BacksAtOnce
from headrace.archive.pack import write_pack
from headrace.archive.price_tables import write_prices
from headrace.archive.unpack import unpack
from headrace.cluster import job_package
from headrace.results.display.explain import explain

ROOT = Path(__file__).resolve().parents[1]


class ByEvent(BacksAtOnce):
    scope = "event"


class WithModel(BacksAtOnce):
    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, model=Path(hr.path("model.txt")).read_text())


class Case:
    """A folder with recordings, in which something is asked wrongly and then as advised."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.markets = folder / "markets"
        self.markets.mkdir()
        write(
            self.markets,
            *(
                priced(market_id=f"1.20000000{number}", eventId=f"{number % 2}").touch(400).close()
                for number in range(4)
            ),
        )
        (folder / "model.txt").write_text("1.5")

    def run(self, strategy: hr.Strategy | None = None, markets: Any = None, **settings: Any) -> hr.Result:
        return hr.backtest(
            strategy or BacksAtOnce(), self.markets if markets is None else markets, engine="local", **settings
        )

    def sweep(self, sets: Any = None, **settings: Any) -> hr.SweepResult:
        return hr.sweep(BacksAtOnce, sets or {"stake": [2.0, 3.0]}, self.markets, engine="local", **settings)

    def used(self) -> Path:
        folder = self.folder / "used"
        folder.mkdir(exist_ok=True)
        (folder / "notes.txt").write_text("mine")
        return folder

    def tar(self) -> Path:
        with tarfile.open(self.folder / "all.tar.gz", "w:gz") as archive:
            archive.add(self.markets, "all")
        return self.folder / "all.tar.gz"

    def decompressed(self) -> Path:
        subprocess.run(["gunzip", str(self.folder / "all.tar.gz")], check=True, timeout=60)
        return self.folder / "all.tar"

    def catalog(self) -> hr.Catalog:
        return hr.write_catalog(self.markets, self.folder / "catalog.parquet", engine="local", progress=False)

    def stale(self) -> hr.Catalog:
        catalog = self.catalog()
        (self.markets / "1.200000000").write_text(priced(market_id="1.200000000").touch(300).close().text())
        return catalog

    def stopped_packing(self) -> Path:
        folder = self.folder / "packed"
        (folder / ".unfinished").mkdir(parents=True)
        return folder

    def removed(self, folder: Path) -> Path:
        shutil.rmtree(folder)
        return folder

    def two_models(self) -> list[Path]:
        (self.folder / "other").mkdir(exist_ok=True)
        shutil.copy(self.folder / "model.txt", self.folder / "other" / "model.txt")
        return [self.folder / "model.txt", self.folder / "other" / "model.txt"]

    def renamed(self) -> list[Path]:
        first, second = self.two_models()
        return [first, second.rename(second.with_name("second.txt"))]


#: By what is said: what is asked wrongly, what the message says, and the same as advised.
ADVICE: dict[str, tuple[Callable[[Case], Any], str, Callable[[Case], Any]]] = {
    "decompress a tar": (
        lambda case: case.run(ByEvent(), case.tar()),
        "decompress it (gunzip, bunzip2, zstd -d): a plain tar will do",
        lambda case: case.run(ByEvent(), case.decompressed()),
    ),
    "name another folder for a result": (
        lambda case: case.run(out=case.used()),
        "name another folder for the result",
        lambda case: case.run(out=case.folder / "another"),
    ),
    "remove the folder of a result": (
        lambda case: case.run(out=case.used()),
        "remove it",
        lambda case: case.run(out=case.removed(case.used())),
    ),
    "resume a run": (
        lambda case: (case.run(out=case.folder / "out"), case.run(out=case.folder / "out")),
        "or resume the run that it holds (resume=True, --resume)",
        lambda case: case.run(out=case.folder / "out", resume=True),
    ),
    "name another folder for a sweep": (
        lambda case: case.sweep(out=case.used()),
        "name another folder for the result, remove it, or resume the run that it holds",
        lambda case: case.sweep(out=case.folder / "another"),
    ),
    "remove the folder of a sweep": (
        lambda case: case.sweep(out=case.used()),
        "name another folder for the result, remove it, or resume the run that it holds",
        lambda case: case.sweep(out=case.removed(case.used())),
    ),
    "name another folder for prices": (
        lambda case: write_prices(str(case.markets), case.used(), 1.0, "local", progress=False),
        "name another folder for the prices, or remove it",
        lambda case: write_prices(str(case.markets), case.removed(case.used()), 1.0, "local", progress=False),
    ),
    "name another folder for packing": (
        lambda case: write_pack(str(case.markets), case.used(), engine="local", progress=False),
        "name another folder, or remove it",
        lambda case: write_pack(str(case.markets), case.removed(case.used()), engine="local", progress=False),
    ),
    "unpack what pack wrote": (
        lambda case: unpack(case.markets, case.folder / "back", progress=False),
        "expected a folder that `headrace pack` wrote",
        lambda case: (
            write_pack(str(case.markets), case.folder / "packed", engine="local", progress=False),
            unpack(case.folder / "packed", case.folder / "back", progress=False),
        ),
    ),
    "name each file by itself": (
        lambda case: case.run(WithModel(), files=case.two_models()),
        "give each file a name of its own",
        lambda case: case.run(WithModel(), files=case.renamed()),
    ),
    "give the files": (
        lambda case: failing(case.run(WithModel())),
        "give files=[...]",
        lambda case: case.run(WithModel(), files=[case.folder / "model.txt"]),
    ),
    "write a catalog": (
        lambda case: hr.Catalog(case.folder / "catalog.parquet"),
        "`headrace catalog` writes one",
        lambda case: (headrace("catalog", case.markets, "--out", case.folder / "catalog.parquet"),
                      hr.Catalog(case.folder / "catalog.parquet")),
    ),
    "write the catalog again": (
        lambda case: case.run(markets=case.stale().select()),
        "write the catalog again",
        lambda case: case.run(markets=case.catalog().select()),
    ),
    "select from a catalog": (
        lambda case: case.run(markets=case.catalog()),
        "`select()` of a catalog",
        lambda case: case.run(markets=case.catalog().select()),
    ),
    "widen a selection": (
        lambda case: case.run(markets=case.catalog().select(country="FR")),
        "widen its conditions",
        lambda case: case.run(markets=case.catalog().select(country=["FR", "GB"])),
    ),
    "split a sweep": (
        lambda case: case.sweep().best("out_of_sample_net_profit"),
        "give the sweep split=0.5",
        lambda case: case.sweep(split=0.5).best("out_of_sample_net_profit"),
    ),
    "keep orders": (
        lambda case: case.sweep().result(0).orders,
        "run it with orders=True",
        lambda case: case.sweep(orders=True).result(0).orders,
    ),
    "draw from a range": (
        lambda case: case.sweep({"stake": hr.log_range(2.0, 3.0)}),
        "give the sweep random=N to draw from it",
        lambda case: case.sweep({"stake": hr.log_range(2.0, 3.0)}, random=2),
    ),
    "give a list of values": (
        lambda case: case.sweep({"stake": 2.0}),
        "expected a list of values, such as [2.0]",
        lambda case: case.sweep({"stake": [2.0]}),
    ),
    "name the same parameters": (
        lambda case: case.sweep([{"stake": 2.0}, {"max_order_exposure": 5}]),
        "name the same ones in each",
        lambda case: case.sweep([{"stake": 2.0, "max_order_exposure": 5}, {"stake": 3.0, "max_order_exposure": 5}]),
    ),
    "say which market": (
        lambda case: explain(case.run(), "100000000001"),
        "say which with --market",
        lambda case: explain(case.run(), "100000000001", "1.200000002"),
    ),
}  # fmt: skip


def failing(result: hr.Result) -> None:
    """Raise what a strategy's first failure says."""
    raise hr.InputError(result.failures["message"][0].as_py())


def headrace(*words: object) -> None:
    command = str(Path(sys.executable).with_name("headrace"))
    subprocess.run([command, *map(str, words)], check=True, capture_output=True, timeout=60)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.delenv("HEADRACE_FILES", raising=False)  # the files of a run before
    return Case(tmp_path)


@pytest.mark.parametrize(("wrongly", "says", "advised"), ADVICE.values(), ids=ADVICE)
def test_what_a_message_advises_helps(
    wrongly: Callable[[Case], Any], says: str, advised: Callable[[Case], Any], case: Case
) -> None:
    with pytest.raises(hr.HeadraceError, match=re.escape(says)):
        wrongly(case)
    found = advised(case)
    if isinstance(found, (hr.Result, hr.SweepResult)):
        assert found.failures.num_rows == 0
        assert found.markets.num_rows


def test_a_working_folder_that_is_too_large_travels_once_the_largest_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_package, "MAX_WORKING_DIR", 100)
    (tmp_path / "my archive").mkdir()
    (tmp_path / "my archive" / "1.2").write_bytes(bytes(1000))
    (tmp_path / "script.py").write_text("print()")
    with pytest.raises(hr.InputError, match="--exclude 'my archive' leaves it here"):
        job_package.working_files(tmp_path)
    assert job_package.working_files(tmp_path, ["my archive"]) == [Path("script.py")]


def test_extras_that_messages_name_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    folders = ("strategies", "actors", "simulate", "results", "tuning", "cluster", "archive", "cli")
    sources = [*ROOT.glob("*.py"), *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))]
    told = re.compile(r"""pip install 'headrace\[([a-z]+)\]'|needed\("[\w.]+", "([a-z]+)\"""")
    named = {one or other for path in sources for one, other in told.findall(path.read_text())}
    assert {"tune", "report", "sql"} <= named <= set(extras)


@pytest.mark.ray
def test_workers_find_recordings_by_paths_relative_to_the_folder_of_the_run(
    ray_local: None, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray was started in another folder."""
    monkeypatch.chdir(case.folder)
    result = hr.backtest(WithModelBeside(), "markets", engine="ray")
    assert result.failures.num_rows == 0
    assert result.records.num_rows == 4


class WithModelBeside(BacksAtOnce):
    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, model=Path("model.txt").read_text())
