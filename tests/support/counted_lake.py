"""A bucket and a catalog whose requests are counted in every process, over the job's own adapters; Spark reads files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local_lake import DirectoryStore, file_catalog
from refunds_lake.publishing.catalog import GlueCatalog
from wire import Wire


class CountedStore(DirectoryStore):
    """A bucket in a directory, which Spark reads by its path."""

    def __init__(self, root: Path, wire: Wire) -> None:
        super().__init__("counted", root, wire)
        self.root, self._wire = root, wire

    def __reduce__(self) -> tuple[Any, ...]:
        return CountedStore, (self.root, self._wire)

    def uri(self, key: str) -> str:
        return f"file:{self.root}/{key}"


def counted_catalog(directory: Path, wire: Wire) -> GlueCatalog:
    return file_catalog(directory / "catalog.json", wire)
