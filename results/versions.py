"""Which versions made a result."""

from __future__ import annotations


def versions() -> dict[str, str | None]:
    """Versions of Python, of headrace and of its dependencies; None for what is not installed as a package."""
    import platform

    names = ("headrace", "ray", "pyarrow", "msgspec")
    return {"python": platform.python_version(), **{name: version_of(name) for name in names}}


def version_of(name: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
