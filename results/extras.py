"""Modules that extras of the package bring, such as plotly and DuckDB."""

from __future__ import annotations

import importlib
from typing import Any

from ..strategies.errors import RunError


def needed(module: str, extra: str, what: str) -> Any:
    """A module that an extra brings.

    Raises:
        RunError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise RunError(f"{what} needs {error.name}: pip install 'headrace[{extra}]'") from None
