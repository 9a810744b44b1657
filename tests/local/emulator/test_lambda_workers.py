"""Functions find what Lambda has, their code, boto3 and their own variables, and log as LoggingConfig says."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from local_cloud import Cloud, eventually

from deployer import local

LOOK_AROUND = """
import json, logging, os, sys
import boto3

def handle(event, context):
    logging.getLogger("teller").info("called with %s", event)
    print("printed")
    return {"variables": dict(os.environ), "path": sys.path, "buckets": len(boto3.client("s3").list_buckets()["Buckets"])}
"""


def invoke(cloud: Cloud, name: str, event: Any = None) -> tuple[bool, Any]:
    """Whether the function succeeded, and its answer."""
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return "FunctionError" not in answer, json.loads(answer["Payload"].read())


@pytest.mark.parametrize("package", ["pyarrow", "duckdb", "yaml", "click", "deployer", "ministack"])
def test_a_function_that_imports_what_it_lacks_fails(local_cloud: Cloud, package: str) -> None:
    """Given a function that imports a package of this machine, when it is invoked, then it fails as on AWS."""
    name = local_cloud.function(f"import {package}\ndef handle(event, context):\n    return 1\n")
    ended_well, answer = invoke(local_cloud, name)
    assert not ended_well
    assert f"No module named '{package}'" in answer["errorMessage"]


def test_a_function_has_boto3_and_its_own_variables_alone(local_cloud: Cloud) -> None:
    """Given a function with a variable, when it looks around, then it finds only boto3, its variable and Lambda's."""
    name = local_cloud.function(LOOK_AROUND, Environment={"Variables": {"STREAM": "s", "HOME": "/mine"}})
    ended_well, told = invoke(local_cloud, name)
    assert ended_well, told
    variables = told["variables"]
    assert variables["STREAM"] == "s"
    assert variables["HOME"] == "/mine"
    assert name.endswith(f":{variables['AWS_LAMBDA_FUNCTION_NAME']}")
    foreign = {"STATE_DIR", "S3_DATA_DIR", "PERSIST_STATE", "GATEWAY_PORT", "VIRTUAL_ENV", "USER", "DOCKER_HOST"}
    assert not foreign & set(variables)
    assert not [entry for entry in told["path"] if entry.endswith("-packages")]


def test_a_function_ends_with_the_local_cloud(own_cloud: Cloud) -> None:
    """Given a running function, when the local cloud is killed and started, or stopped, then its process is gone."""
    name = f"sleeper-{uuid.uuid4().hex[:8]}"
    source = "import time\ndef handle(event, context):\n    time.sleep(600)\n"
    own_cloud.function(source, FunctionName=name, Timeout=900)

    def at_work() -> list[Path]:
        return [process for process in Path("/proc").glob("[0-9]*") if name.encode() in command(process)]

    own_cloud.client("lambda").invoke(FunctionName=name, InvocationType="Event")
    (killed,) = eventually(at_work, seconds=10)
    own_cloud.kill()
    own_cloud.restart()
    assert killed not in at_work()
    own_cloud.client("lambda").invoke(FunctionName=name, InvocationType="Event")
    eventually(at_work, seconds=10)
    local.stop(own_cloud.project_dir)
    assert not at_work()


def command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


@pytest.mark.parametrize("log_format", ["JSON", "Text"])
def test_logs_follow_the_functions_own_setting(local_cloud: Cloud, log_format: str) -> None:
    """Given JSON logs, or plain ones, when a function logs, then its lines have that form; what it prints stays as it is."""
    group = f"/functions/{uuid.uuid4().hex[:8]}"
    logs = local_cloud.client("logs")
    logs.create_log_group(logGroupName=group)
    level = {"ApplicationLogLevel": "INFO"} if log_format == "JSON" else {}
    source = LOOK_AROUND if level else LOOK_AROUND.replace(".info(", ".warning(")
    name = local_cloud.function(source, LoggingConfig={"LogFormat": log_format, "LogGroup": group, **level})
    assert invoke(local_cloud, name, {"n": 1})[0]
    lines = [event["message"].strip() for event in logs.filter_log_events(logGroupName=group)["events"]]
    assert "printed" in lines
    (told,) = [line for line in lines if "called with" in line]
    if log_format == "JSON":
        assert json.loads(told)["message"] == "called with {'n': 1}"
        assert (json.loads(told)["level"], json.loads(told)["logger"]) == ("INFO", "teller")
    else:
        assert told.startswith("[WARNING]\t")
