"""A fuzz target under atheris, which looks for bytes that reach new code: `make fuzz TARGET=journal MINUTES=10`.

    python tests/fuzz_coverage.py TARGET FOLDER [options of libFuzzer]

What reached new code is kept in FOLDER/corpus, and tried first the next time; what failed is in FOLDER as crash-*.
Exit codes are libFuzzer's: 0 nothing was found; others: something was.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path


def main() -> None:
    import atheris

    name, folder, options = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    with atheris.instrument_imports(include=["headrace", "aiohttp"]):
        from fuzz_targets import TARGETS
    logging.getLogger("headrace").propagate = False
    target = TARGETS[name]
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    settings = [f"-artifact_prefix={folder}/", "-timeout=30", "-rss_limit_mb=4096", *options]
    if target.words:
        words = folder / "words"
        words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words))
        settings.append(f"-dict={words}")
    atheris.Setup([sys.argv[0], *settings, str(corpus)], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
