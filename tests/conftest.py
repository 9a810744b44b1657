"""For every test: AWS calls of the deployer's code are written down, and tests marked `last` run after all others."""

from __future__ import annotations

import os
import tempfile

import pytest
from call_record import FOLDER, VARIABLE, install
from hypothesis import settings

# Machines are noisy: what a property says does not depend on how long an example takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Name the folder of calls and watch for them; programs that tests start inherit both."""
    config.addinivalue_line("markers", "last: runs after all other tests")
    folder = tempfile.TemporaryDirectory(prefix="dataops-calls-")
    os.environ.setdefault(VARIABLE, folder.name)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")]))
    install()
    config.add_cleanup(folder.cleanup)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order, but for the last ones."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
