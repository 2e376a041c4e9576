"""What is installed, and what importing it costs."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_SHIPPED = {"benchmarks", "build", "deploy", "dist", "docs", "examples", "tests"}


def listed_packages() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return set(settings["tool"]["setuptools"]["packages"])


def packages_in_the_tree() -> set[str]:
    """The dotted name of each shipped folder that holds Python files."""
    found = {"headrace"}
    folders = [folder for folder in ROOT.iterdir() if folder.is_dir() and folder.name not in NOT_SHIPPED]
    while folders:
        folder = folders.pop()
        if not folder.name.isidentifier():  # .venv, .git, headrace.egg-info
            continue
        if any(folder.glob("*.py")):
            found.add(".".join(["headrace", *folder.relative_to(ROOT).parts]))
        folders.extend(inner for inner in folder.iterdir() if inner.is_dir())
    return found


@pytest.mark.parametrize("library", ["ray", "aiohttp", "pandas", "pyarrow", "rich", "IPython"])
def test_importing_headrace_does_not_import(library: str) -> None:
    # A process of its own: in this one another test may have imported the library.
    script = f"import sys, headrace; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=150).returncode == 0


def test_every_package_in_the_tree_is_listed_in_pyproject() -> None:
    assert packages_in_the_tree() - listed_packages() == set()


def test_every_package_listed_in_pyproject_is_in_the_tree() -> None:
    assert listed_packages() - packages_in_the_tree() == set()


def test_every_file_that_the_code_reads_beside_itself_is_shipped() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = settings["tool"]["setuptools"]["package-data"]
    for package in listed_packages():
        folder = ROOT.joinpath(*package.split(".")[1:])
        beside = {file.name for file in folder.iterdir() if file.suffix in (".js", ".css", ".typed", ".html")}
        assert beside == set(shipped.get(package, ())), package


@pytest.mark.parametrize("package", sorted(listed_packages()))
def test_every_listed_package_has_an_init(package: str) -> None:
    folder = ROOT.joinpath(*package.split(".")[1:])
    assert (folder / "__init__.py").is_file()


def test_help_of_the_command_loads_no_more_than_importing_headrace() -> None:
    script = (
        "import sys; from headrace.cli import main; main(['--help'], standalone_mode=False); "
        "sys.exit(str({'ray', 'aiohttp', 'pandas', 'pyarrow', 'rich'} & set(sys.modules) or ''))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=150)
    assert ended.stderr.strip() == ""
    assert "Commands:" in ended.stdout
