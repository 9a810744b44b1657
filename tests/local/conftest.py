"""One local cloud for all tests of this directory, started in a temporary project and stopped by its process id."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from local_cloud import Cloud

from deployer import local


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The local cloud that the tests of this directory share; each test uses names of its own in it."""
    project_dir = tmp_path_factory.mktemp("project")
    cloud = Cloud(project_dir, local.start(project_dir, say=lambda text: None))
    yield cloud
    local.stop(project_dir)


@pytest.fixture(scope="session")
def second_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    project_dir = tmp_path_factory.mktemp("second-project")
    cloud = Cloud(project_dir, local.start(project_dir, say=lambda text: None))
    yield cloud
    local.stop(project_dir)


@pytest.fixture
def own_cloud(second_cloud: Cloud) -> Cloud:
    """A running local cloud for tests that stop, kill or restart it."""
    second_cloud.restart()
    return second_cloud
