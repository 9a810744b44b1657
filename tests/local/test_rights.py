"""Permissions are enforced: exactly the printed policy deploys the lake, and each part does what its role allows.

In a copy of the templates, one statement is removed from each role's policy; the step that needs it is then refused.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud, eventually
from local_project import LocalProject
from repository import ROOT

from deployer import local

Keys = Mapping[str, str]
#: The statement that is removed from each role's policy in the templates.
FIRST = {"glue": "ReadCode", "ingest": "WriteFiles", "operations": "RunQueries", "drop": "DropNewFiles"}
SECOND = {
    "glue": "WriteBaseTables",
    "ingest": "DecryptThroughKinesis",
    "operations": "WriteReports",
    "drop": "EncryptThroughS3",
}


@dataclass
class Lake:
    """A project whose environment `local` is called by its URL, as the user whose keys are given."""

    project: LocalProject
    cloud: Cloud
    root: Keys

    def dataops(
        self, *arguments: str, keys: Keys | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return self.project.dataops(*arguments, "--env", "local", check=check, keys=keys or self.root)

    def outputs(self) -> dict[str, str]:
        stacks = self.cloud.client("cloudformation").describe_stacks()["Stacks"]
        live = [stack for stack in stacks if not stack["StackName"].endswith("-smoke-catalog")]
        return {each["OutputKey"]: each["OutputValue"] for stack in live for each in stack.get("Outputs", ())}

    def user_with_the_printed_policy(self) -> Keys:
        """The keys of a user who may do what `dataops iam-policy` prints, and nothing else."""
        iam = self.cloud.client("iam")
        self.dataops("iam-policy", "--out", "policies")
        iam.create_user(UserName="deployer")
        for file in sorted((self.project.directory / "policies").glob("policy-*.json")):
            policy = iam.create_policy(PolicyName=file.stem, PolicyDocument=file.read_text(encoding="utf-8"))["Policy"]
            iam.attach_user_policy(UserName="deployer", PolicyArn=policy["Arn"])
        key = iam.create_access_key(UserName="deployer")["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def deploy_without(self, statements: Mapping[str, str]) -> None:
        """Deploy the templates without these statements, one from each role's policy."""
        for name in ("glue", "ingest", "operations"):
            text = (ROOT / "templates" / f"{name}.yaml").read_text(encoding="utf-8")
            text = without(text, statements[name], rights={"ingest": "DeliveryRights"}.get(name, ""))
            if name == "ingest":
                text = without(text, statements["drop"], rights="DropRights")
            (self.project.directory / "templates" / f"{name}.yaml").write_text(text, encoding="utf-8")
        self.dataops("deploy", "--yes", "--no-smoke")


def without(template: str, sid: str, *, rights: str = "") -> str:
    """The template without the statement of this name; `rights` is its policy, if several have such a statement."""
    begin = template.index(f"\n  {rights}:\n") if rights else 0
    found = re.compile(rf"^( +)- Sid: {sid}\n(?:\1  .*\n|\s*\n)+", re.MULTILINE).search(template, begin)
    assert found is not None, sid
    return template[: found.start()] + template[found.end() :]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    project = LocalProject.copy_to(tmp_path_factory.mktemp("rights"))
    cloud = Cloud(project.directory, local.start(project.directory, say=lambda text: None))
    where = f"    endpoint: {cloud.endpoint.url}\n    region: {cloud.endpoint.region}\n"
    config = (ROOT / "dataops.yml").read_text(encoding="utf-8")
    (project.directory / "dataops.yml").write_text(config.replace("    endpoint: local\n", where, 1), encoding="utf-8")
    root = {
        "AWS_ACCESS_KEY_ID": cloud.endpoint.access_key_id,
        "AWS_SECRET_ACCESS_KEY": cloud.endpoint.secret_access_key,
    }
    try:
        yield Lake(project, cloud, root)
    finally:
        local.stop(project.directory)


def test_the_printed_policy_deploys_the_lake(lake: Lake) -> None:
    """Given a user with exactly the printed policy, when the lake is deployed for the first time, then the smoke test passes."""
    deployed = lake.dataops("deploy", "--yes", keys=lake.user_with_the_printed_policy())
    assert "smoke test: pass" in deployed.stdout
    nobody = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x"}
    assert lake.dataops("deploy", "--yes", keys=nobody, check=False).returncode == 1


@pytest.mark.parametrize(
    ("statements", "action", "refused"),
    [(FIRST, "s3:PutObject", "s3:GetObject"), (SECOND, "kms:GenerateDataKey", "s3:PutObject")],
    ids=["first", "second"],
)
def test_each_part_needs_each_statement_of_its_role(
    lake: Lake, statements: Mapping[str, str], action: str, refused: str
) -> None:
    """Given roles without one of their statements, then the partner's drop, the delivery, the job and the validation are
    refused what the statement allows, and say so.
    """
    lake.deploy_without(statements)
    outputs = lake.outputs()
    assert f"perform: {action} on" in dropped(lake, outputs)
    missing = {"WriteFiles": "s3:", "DecryptThroughKinesis": "kms:Decrypt"}[statements["ingest"]]
    assert f"is not authorized to perform: {missing}" in delivered(lake, outputs)
    run = lake.dataops("run", check=False)
    assert run.returncode == 1
    assert f"is not authorized to perform: {refused} on" in run.stdout + run.stderr
    validated = lake.cloud.client("lambda").invoke(FunctionName=outputs["ValidationFunctionName"], Payload=b"{}")
    message = json.loads(validated["Payload"].read())["errorMessage"]
    expected = {"RunQueries": "athena:StartQueryExecution", "WriteReports": "s3:PutObject"}[statements["operations"]]
    assert f"is not authorized to perform: {expected} on" in message


def dropped(lake: Lake, outputs: Mapping[str, str]) -> str:
    """The answer that the partner gets when it drops a file."""
    sts = lake.cloud.client("sts", account="999999999999")
    taken = sts.assume_role(RoleArn=outputs["DropRoleArn"], RoleSessionName="drop", ExternalId="local-partner")
    s3 = lake.cloud.client("s3", session=taken["Credentials"])
    with pytest.raises(ClientError) as refusal:
        s3.put_object(
            Bucket=outputs["RawBucketName"], Key=f"{outputs['DropPrefix']}a.jsonl", Body=b"{}\n", IfNoneMatch="*"
        )
    return str(refusal.value)


def delivered(lake: Lake, outputs: Mapping[str, str]) -> str:
    """The newest line of the delivery's error log after a record on the stream, which no file contains."""
    raw, s3, logs = outputs["RawBucketName"], lake.cloud.client("s3"), lake.cloud.client("logs")
    lake.cloud.client("kinesis").put_record(StreamName=outputs["TransactionStreamName"], Data=b"{}", PartitionKey="a")
    assert "Contents" not in s3.list_objects_v2(Bucket=raw, Prefix="transactions/source=stream/")
    stacks = lake.cloud.client("cloudformation")
    resources: Any = stacks.describe_stack_resources(StackName="refunds-lake-local-ingest")["StackResources"]
    group = next(each["PhysicalResourceId"] for each in resources if each["LogicalResourceId"] == "DeliveryLogGroup")
    events = eventually(lambda: logs.filter_log_events(logGroupName=group)["events"], seconds=10)
    return str(max(events, key=lambda event: event["timestamp"])["message"])
