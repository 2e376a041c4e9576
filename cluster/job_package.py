"""What travels with a job: the script's folder, and headrace as modules of the job."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import shlex
import shutil
import tomllib
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from ..results.display.formats import readable_size
from ..strategies.errors import InputError

#: Names that never travel, at any depth: what can be made again, results, and what must not leave the machine.
LEFT_OUT = (".*", "__pycache__", "*.py[co]", "*.egg-info", "venv", "node_modules", "results", "*.pem", "*.key", "*.p12")
#: Most that a working directory may hold, in bytes. Ray takes packages under 512 MiB and sends them to every node.
MAX_WORKING_DIR = 200 * 1024 * 1024

_REQUIREMENT = re.compile(r"^[A-Za-z0-9._-]+")


def find_script(script: str, working_dir: str | None) -> tuple[Path, Path]:
    """The script, relative to the working directory, and the working directory.

    Args:
        working_dir: None: the script's folder.

    Raises:
        InputError: one of them is not there, or the script is not in the folder.
    """
    path = Path(script).expanduser().resolve()
    if not path.is_file():
        raise InputError(f"{script}: no such file")
    folder = Path(working_dir).expanduser().resolve() if working_dir else path.parent
    if not folder.is_dir():
        raise InputError(f"{working_dir}: no such folder")
    if not path.is_relative_to(folder):
        raise InputError(f"{script} is not in the working directory {folder}")
    return path.relative_to(folder), folder


def working_files(folder: Path, exclude: Sequence[str] = ()) -> list[Path]:
    """The files of a working directory that travel, relative to it, in order.

    Args:
        exclude: names, or patterns of names or relative paths, that stay here beside `LEFT_OUT`.

    Raises:
        InputError: they are more than `MAX_WORKING_DIR`; names the largest folder or file.
    """
    patterns = (*LEFT_OUT, *(pattern.rstrip("/") for pattern in exclude))
    files: list[Path] = []
    sizes: dict[str, int] = {}
    for place, folders, names in os.walk(folder):
        inside = Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not _left_out(inside / name, patterns))
        for name in sorted(names):
            relative = inside / name
            if _left_out(relative, patterns) or not (folder / relative).is_file():
                continue
            files.append(relative)
            top = relative.parts[0]
            sizes[top] = sizes.get(top, 0) + (folder / relative).stat().st_size
            if sum(sizes.values()) > MAX_WORKING_DIR:
                largest = max(sizes, key=lambda each: sizes[each])
                raise InputError(
                    f"the working directory {folder} holds more than {readable_size(MAX_WORKING_DIR)}, most of it in "
                    f"{largest}: recordings belong where every node sees them; --exclude {shlex.quote(largest)} "
                    f"leaves it here, --working-dir names another folder"
                )
    return files


def _left_out(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(path.name, each) or fnmatch.fnmatch(path.as_posix(), each) for each in patterns)


def write_zip(folder: Path, files: Sequence[Path], target: Path) -> int:
    """Pack files, equal ones to equal bytes: Ray names a package by its content, and sends it once.

    Returns:
        The size of the package in bytes.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for file in files:
            entry = zipfile.ZipInfo(file.as_posix())
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = ((folder / file).stat().st_mode & 0o777) << 16
            package.writestr(entry, (folder / file).read_bytes())
    return target.stat().st_size


def headrace_modules(target: Path, wheel: str | None = None) -> list[Path]:
    """Lay out headrace's code, and its metadata, as folders that travel as modules of the job.

    They are folders rather than a wheel because Ray installs a wheel of a job with all it requires, Ray included, from
    the network on each node.

    Raises:
        InputError: the wheel cannot be read, or is not one of headrace.
    """
    target.mkdir(parents=True)
    if wheel is None:
        _copy_package(target / "headrace")
        _copy_metadata(target)
    else:
        try:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(target)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{wheel} cannot be read as a wheel: {error}") from None
        if not (target / "headrace" / "__init__.py").is_file():
            raise InputError(f"{wheel} is not a wheel of headrace")
    return [target / "headrace", *sorted(target.glob("headrace-*.dist-info"))]


def _copy_package(target: Path) -> None:
    source = Path(__file__).resolve().parents[1]
    for package in _packages(source):
        folder = Path(*package.split(".")[1:])
        (target / folder).mkdir(parents=True)
        for file in (source / folder).iterdir():
            if file.suffix in (".py", ".js", ".css") or file.name == "py.typed":
                shutil.copyfile(file, target / folder / file.name)


def _packages(source: Path) -> list[str]:
    """The packages of an installed headrace, or of a checkout, where other folders lie beside them."""
    settings = source / "pyproject.toml"
    if settings.is_file():
        listed = tomllib.loads(settings.read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
        return [str(name) for name in listed]
    folders = (file.parent.relative_to(source) for file in source.rglob("__init__.py"))
    return sorted(".".join(["headrace", *folder.parts]) for folder in folders)


def _copy_metadata(target: Path) -> None:
    """So that the manifest of a result tells the version."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        installed = metadata.distribution("headrace")
        folder = target / f"headrace-{installed.version}.dist-info"
        folder.mkdir()
        text = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""
        (folder / "METADATA").write_text(text, encoding="utf-8")


def requirements(modules: Sequence[Path]) -> list[str]:
    """What headrace requires, without extras, and without Ray, which a cluster has.

    Raises:
        InputError: the metadata is missing.
    """
    texts = [file.read_text(encoding="utf-8") for module in modules for file in module.glob("METADATA")]
    if not texts:
        raise InputError("headrace's metadata is missing here, so its dependencies are unknown: give --wheel")
    head = texts[0].partition("\n\n")[0]
    wanted = [line.removeprefix("Requires-Dist:").strip() for line in head.splitlines() if "Requires-Dist:" in line]
    return [each for each in wanted if "extra ==" not in each and _name(each) != "ray"]


def _name(requirement: str) -> str:
    found = _REQUIREMENT.match(requirement)
    return found.group().lower() if found else ""
