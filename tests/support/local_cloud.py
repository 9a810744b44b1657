"""A running local cloud, with a vocabulary for its tests: clients, buckets, stacks, lakes, jobs.

The fixtures that start and stop it are in tests/local/conftest.py.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from deployer import local
from deployer.local import Endpoint

ACCOUNT = "000000000000"
Json = dict[str, Any]


@dataclass
class Cloud:
    """A running local cloud, and the vocabulary of its tests."""

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
        """The name of a new bucket."""
        bucket = f"{name or 'bucket'}-{uuid.uuid4().hex[:8]}"
        location = {"LocationConstraint": self.endpoint.region}
        self.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
        return bucket

    def role(self, *services: str, allow: Json | None = None, accounts: tuple[str, ...] = ()) -> str:
        """The ARN of a new role that services (``glue``) or accounts may assume; `allow`: action -> resource, or all."""
        iam, name = self.client("iam"), f"role-{uuid.uuid4().hex[:8]}"
        principal = {
            **({"Service": [f"{service}.amazonaws.com" for service in services]} if services else {}),
            **({"AWS": [f"arn:aws:iam::{account}:root" for account in accounts]} if accounts else {}),
        }
        trust = {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        self.allow(arn, {"*": "*"} if allow is None else allow)
        return str(arn)

    def allow(self, role_arn: str, actions: Json) -> None:
        """Allow a role these actions (action -> resource) and no others."""
        allowed = [{"Effect": "Allow", "Action": action, "Resource": place} for action, place in actions.items()]
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        name = role_arn.rpartition("/")[2]
        self.client("iam").put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=policy)

    def function(self, source: str, **settings: Any) -> str:
        """The ARN of a new function: one file with a `handle(event, context)`."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("code.py", source)
        usual = {"Runtime": "python3.13", "Handler": "code.handle", "Code": {"ZipFile": code.getvalue()}}
        name = settings.pop("FunctionName", f"f-{uuid.uuid4().hex[:8]}")
        role = settings.pop("Role", None) or self.role("lambda")
        made = self.client("lambda").create_function(FunctionName=name, Role=role, **usual, **settings)
        return str(made["FunctionArn"])

    def permit(self, function: str, service: str, source: str) -> None:
        """Let a service (``sns``) call a function for one resource, in place of what was permitted before."""
        functions, principal = self.client("lambda"), f"{service}.amazonaws.com"
        with contextlib.suppress(functions.exceptions.ResourceNotFoundException):
            functions.remove_permission(FunctionName=function, StatementId="one")
        functions.add_permission(
            FunctionName=function,
            StatementId="one",
            Action="lambda:InvokeFunction",
            Principal=principal,
            SourceArn=source,
        )

    def deploy(
        self, resources: Json, *, name: str = "", parameters: Mapping[str, str] | None = None, **sections: Any
    ) -> Json:
        """Create or update a stack directly; the stack once the operation has ended."""
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
        """The stack once its operation has ended."""
        cloudformation = self.client("cloudformation")

        def stack() -> Json | None:
            found: Json = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
            return None if found["StackStatus"].endswith("_IN_PROGRESS") else found

        return eventually(stack, seconds=20)

    def outputs(self, stack: Json) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def kill(self) -> None:
        """Kill the launcher with SIGKILL."""
        os.kill(self.endpoint.pid, signal.SIGKILL)
        eventually(lambda: local.find(self.project_dir) is None, seconds=10)

    def restart(self) -> None:
        self.endpoint = local.start(self.project_dir, say=lambda text: None)


def eventually(get: Callable[[], Any], *, seconds: float) -> Any:
    """The first true value that `get` returns."""
    deadline = time.monotonic() + seconds
    while not (found := get()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        time.sleep(0.05)
    return found


def settled(get: Callable[[], Any], wanted: Any, *, seconds: float = 30, quiet_seconds: float = 3) -> None:
    """Wait until `get` returns what is wanted, and check that it stays so."""
    eventually(lambda: get() == wanted, seconds=seconds)
    time.sleep(quiet_seconds)
    assert get() == wanted


@dataclass
class Lake:
    """A database with one table whose partitions have unusual locations."""

    cloud: Cloud
    database: str
    bucket: str
    workgroup: str

    def start(self, sql: str, **arguments: Any) -> str:
        arguments.setdefault("WorkGroup", self.workgroup)
        context = {"Database": self.database}
        athena = self.cloud.client("athena")
        started = athena.start_query_execution(QueryString=sql, QueryExecutionContext=context, **arguments)
        return str(started["QueryExecutionId"])

    def finished(self, query_id: str) -> Json:
        def execution() -> Json | None:
            found: Json = self.cloud.client("athena").get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            return None if found["Status"]["State"] in ("QUEUED", "RUNNING") else found

        return eventually(execution, seconds=30)

    def run(self, sql: str, *parameters: str, **arguments: Any) -> Json:
        """The execution of a query once it has ended."""
        if parameters:
            arguments["ExecutionParameters"] = list(parameters)
        return self.finished(self.start(sql, **arguments))

    def rows(self, sql: str, *parameters: str) -> list[list[str | None]]:
        """The values of a query, which must succeed, without the header."""
        execution = self.run(sql, *parameters)
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
        answer = self.cloud.client("athena").get_query_results(QueryExecutionId=execution["QueryExecutionId"])
        return [[value.get("VarCharValue") for value in row["Data"]] for row in answer["ResultSet"]["Rows"][1:]]

    def reason(self, sql: str, *parameters: str) -> str:
        """The reason why a query fails."""
        status = self.run(sql, *parameters)["Status"]
        assert status["State"] == "FAILED", status
        assert status["AthenaError"]["ErrorMessage"] == status["StateChangeReason"]
        return str(status["StateChangeReason"])


class Jobs:
    """Jobs with plain scripts."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.bucket = cloud.bucket("jobs")
        self.glue = cloud.client("glue")
        self.role = cloud.role("glue")

    def job(self, script: str, **properties: Any) -> str:
        name = f"job-{uuid.uuid4().hex[:8]}"
        key = f"code/{name}.py"
        self.cloud.client("s3").put_object(Bucket=self.bucket, Key=key, Body=script.encode())
        command = {"Name": "glueetl", "ScriptLocation": f"s3://{self.bucket}/{key}"}
        self.glue.create_job(Name=name, Role=self.role, Command=command, **properties)
        return name

    def run(self, name: str, *, seconds: float = 60, **arguments: Any) -> Json:
        return self.ended(name, self.glue.start_job_run(JobName=name, **arguments)["JobRunId"], seconds)

    def ended(self, name: str, run_id: str, seconds: float = 60) -> Json:
        def run() -> Json | None:
            found: Json = self.glue.get_job_run(JobName=name, RunId=run_id)["JobRun"]
            return None if found["JobRunState"] in ("STARTING", "RUNNING", "STOPPING") else found

        return eventually(run, seconds=seconds)

    def lines(self, group: str, run_id: str) -> list[str]:
        logs = self.cloud.client("logs")
        events = logs.get_log_events(logGroupName=group, logStreamName=f"{run_id}-driver", startFromHead=True)["events"]
        return [event["message"] for event in events]
