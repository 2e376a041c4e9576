"""The environments of the peers, apart from headrace's own: flumine pins old versions of what it needs.

    python -m benchmarks.peer                          make the environments
    python -m benchmarks.peer flumine SCRIPT [ARG ...]  run a script in one of them

They are made once in the cache folder (`.bench`, or HEADRACE_BENCH), from the index pip is set up for.
"""

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from .recordings import CHECKOUT, cache_folder

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "flumine": ("flumine==3.3.2", "betfairlightweight[speed]==2.24.0"),
    "betfair_data": ("betfair_data==0.3.4",),
    "nautilus_trader": ("nautilus_trader[betfair]==1.221.0",),
}


def python(name: str) -> Path:
    """The interpreter of an environment, made first if it is missing.

    Args:
        name: "flumine", "betfair_data" or "nautilus_trader".

    Raises:
        subprocess.CalledProcessError: pip could not install what the environment holds.
    """
    folder = cache_folder() / ("peer" if name == "flumine" else name)
    interpreter = folder / "bin" / "python"
    complete = folder / "installed.txt"
    wanted = "\n".join(REQUIREMENTS[name])
    if not complete.exists() or complete.read_text() != wanted:
        print(f"Making the environment {folder}: {', '.join(REQUIREMENTS[name])}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *REQUIREMENTS[name]], check=True)
        complete.write_text(wanted)
    return interpreter


def run(name: str, arguments: Sequence[str]) -> int:
    """Runs the interpreter of environment `name` from the checkout; returns its exit status."""
    return subprocess.run([str(python(name)), *arguments], cwd=CHECKOUT, check=False).returncode


def main() -> int:
    arguments = sys.argv[1:]
    if not arguments:
        for name in REQUIREMENTS:
            print(name, python(name))
        return 0
    if arguments[0] not in REQUIREMENTS:
        print(f"No environment {arguments[0]!r}: one of {', '.join(REQUIREMENTS)}.", file=sys.stderr)
        return 2
    return run(arguments[0], arguments[1:])


if __name__ == "__main__":
    raise SystemExit(main())
