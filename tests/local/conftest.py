"""One local cloud for all tests of this directory, started in a temporary project and stopped by its process id."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from deployer import local
from deployer.local import Endpoint

ACCOUNT = "000000000000"
Json = dict[str, Any]


@dataclass
class Cloud:
    """A running local cloud, and the vocabulary of the tests about it."""

    project_dir: Path
    endpoint: Endpoint

    def client(self, service: str, *, account: str = ACCOUNT, session: Mapping[str, str] | None = None) -> Any:
        """A boto3 client of an account (its id is the access key), or of temporary credentials."""
        keys = {"aws_access_key_id": account, "aws_secret_access_key": self.endpoint.secret_access_key}
        if session is not None:
            keys = {
                "aws_access_key_id": session["AccessKeyId"],
                "aws_secret_access_key": session["SecretAccessKey"],
                "aws_session_token": session["SessionToken"],
            }
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60)
        return boto3.client(
            service, endpoint_url=self.endpoint.url, region_name=self.endpoint.region, config=config, **keys
        )

    def bucket(self, name: str = "") -> str:
        """A new bucket's name."""
        bucket = f"{name or 'bucket'}-{uuid.uuid4().hex[:8]}"
        location = {"LocationConstraint": self.endpoint.region}
        self.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
        return bucket

    def deploy(
        self, resources: Json, *, name: str = "", parameters: Mapping[str, str] | None = None, **sections: Any
    ) -> Json:
        """Create or update a stack directly; the stack when it has come to rest."""
        cloudformation = self.client("cloudformation")
        stack_name = name or f"stack-{uuid.uuid4().hex[:8]}"
        arguments: Json = {
            "StackName": stack_name,
            "TemplateBody": json.dumps({"Resources": resources, **sections}),
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in (parameters or {}).items()],
        }
        known = {summary["StackName"] for summary in cloudformation.describe_stacks()["Stacks"]}
        (cloudformation.update_stack if stack_name in known else cloudformation.create_stack)(**arguments)
        return self.settled(stack_name)

    def settled(self, stack_name: str) -> Json:
        """The stack, once its operation has ended."""
        cloudformation = self.client("cloudformation")

        def stack() -> Json | None:
            found: Json = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
            return None if found["StackStatus"].endswith("_IN_PROGRESS") else found

        return eventually(stack, seconds=20)

    def outputs(self, stack: Json) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def kill(self) -> None:
        """End the launcher the hard way."""
        os.kill(self.endpoint.pid, signal.SIGKILL)
        eventually(lambda: local.find(self.project_dir) is None, seconds=10)

    def restart(self) -> None:
        self.endpoint = local.start(self.project_dir, say=lambda text: None)


def eventually(get: Callable[[], Any], *, seconds: float) -> Any:
    """What `get` returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := get()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The local cloud that the tests of this directory share; what a test makes in it has a name of its own."""
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
    """A local cloud, running, for tests that stop, kill or restart it."""
    second_cloud.restart()
    return second_cloud
