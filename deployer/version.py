"""The version of dataops, from the installed package's metadata; read only when somebody asks."""

from __future__ import annotations


def version() -> str:
    """The version, or 0 when the package is not installed."""
    from importlib import metadata  # slow to import

    try:
        return metadata.version("refunds-lakehouse")
    except metadata.PackageNotFoundError:
        return "0"
