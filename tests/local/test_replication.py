"""Prod's raw files in UAT's raw bucket: replicated as they arrive, with prod's times, by the only role that may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from local_project import LocalProject

from deployer import local

ACCOUNTS = {"uat": "111111111111", "prod": "222222222222"}
ROW = "id,type,timestamp,amount,customer_id,merchant_id\nreplicated,purchase,2026-07-01T10:00:00Z,1.00,anna,m1\n"


class TwoAccounts(LocalProject):
    """The project with uat and prod in the local cloud; prod's raw bucket is replicated to uat's."""

    def configure(self, **parameters: dict[str, str]) -> None:
        """Write dataops.yml with these parameters of the two environments."""
        file = self.directory / "dataops.yml"
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        document["environments"] = {
            name: {
                "endpoint": "local",
                "account": account,
                "partner": {"account": "999999999999"},
                "parameters": {
                    "PartnerAccountId": "999999999999",
                    "PartnerExternalId": "agreed-with-both",
                    **parameters[name],
                },
            }
            for name, account in ACCOUNTS.items()
        }
        file.write_text(yaml.safe_dump(document), encoding="utf-8")

    def storage(self, name: str) -> dict[str, str]:
        """The outputs of an environment's storage stack."""
        cloudformation = self.client("cloudformation", account=ACCOUNTS[name])
        (stack,) = cloudformation.describe_stacks(StackName=f"refunds-lake-{name}-storage")["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    def head(self, name: str, key: str) -> dict[str, Any]:
        s3 = self.client("s3", account=ACCOUNTS[name])
        found: dict[str, Any] = s3.head_object(Bucket=self.storage(name)["RawBucketName"], Key=key)
        return found

    def keys(self, name: str) -> set[str]:
        s3 = self.client("s3", account=ACCOUNTS[name])
        listed = s3.list_objects_v2(Bucket=self.storage(name)["RawBucketName"]).get("Contents", [])
        return {each["Key"] for each in listed}

    def ingest(self, name: str, file: str, content: str) -> str:
        """Deliver a file to an environment; its key."""
        (self.directory / file).write_text(content, encoding="utf-8")
        key: str = self.document("ingest", "--env", name, file)["files"][0]["target"]
        return key


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoAccounts]:
    """UAT is deployed first, as the destination of replicas; then prod, which sends them there."""
    project = TwoAccounts.copy_to(tmp_path_factory.mktemp("replication"))
    try:
        takes = {"ReplicaSourceAccountId": ACCOUNTS["prod"]}
        project.configure(uat=takes, prod={})
        project.dataops("deploy", "--env", "uat", "--yes", "--no-smoke")
        there = project.storage("uat")
        gives = {
            "ReplicaAccountId": ACCOUNTS["uat"],
            "ReplicaBucketName": there["RawBucketName"],
            "ReplicaKeyId": there["DataKeyArn"].rpartition("/")[2],
        }
        project.configure(uat=takes, prod=gives)
        project.dataops("deploy", "--env", "prod", "--yes", "--no-smoke")
        yield project
    finally:
        local.stop(project.directory)


def test_a_file_of_prod_is_in_uats_next_run(project: TwoAccounts) -> None:
    """Given a file that arrives in prod, then UAT has it with prod's time and its own key, and its next run counts it."""
    key = project.ingest("prod", "day.csv", ROW)
    here, there = project.head("prod", key), project.head("uat", key)
    assert (here["ReplicationStatus"], there["ReplicationStatus"]) == ("COMPLETED", "REPLICA")
    assert here["LastModified"] == there["LastModified"] and here["ETag"] == there["ETag"]
    assert here["SSEKMSKeyId"] == project.storage("prod")["DataKeyArn"]
    assert there["SSEKMSKeyId"] == project.storage("uat")["DataKeyArn"]
    assert project.document("run", "--env", "uat")["counts"]["kept"] == 1


def test_uats_own_files_stay_in_uat(project: TwoAccounts) -> None:
    """Given a file that arrives in UAT, then prod does not get it; a deletion in prod leaves the replica."""
    key = project.ingest("uat", "own.csv", ROW.replace("replicated", "of-uat"))
    assert key in project.keys("uat") and key not in project.keys("prod")
    shared = project.ingest("prod", "gone.csv", ROW.replace("replicated", "gone"))
    project.client("s3", account=ACCOUNTS["prod"]).delete_object(
        Bucket=project.storage("prod")["RawBucketName"], Key=shared
    )
    assert shared in project.keys("uat") and shared not in project.keys("prod")


def test_without_its_rights_the_role_replicates_nothing(project: TwoAccounts) -> None:
    """Given a replication role without permissions, then prod keeps the file, marked FAILED, and UAT does not get it."""
    iam = project.client("iam", account=ACCOUNTS["prod"])
    (role,) = [each["RoleName"] for each in iam.list_roles()["Roles"] if "ReplicationRole" in each["RoleName"]]
    (policy,) = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    try:
        key = project.ingest("prod", "denied.csv", ROW.replace("replicated", "denied"))
    finally:
        iam.attach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    assert project.head("prod", key)["ReplicationStatus"] == "FAILED"
    assert key not in project.keys("uat")


def test_uat_decides_who_replicates_into_it(project: TwoAccounts) -> None:
    """Given that UAT has withdrawn its consent, then prod's next file does not arrive there."""
    s3 = project.client("s3", account=ACCOUNTS["uat"])
    bucket = project.storage("uat")["RawBucketName"]
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    document = json.loads(policy)
    document["Statement"] = [each for each in document["Statement"] if each["Sid"] != "ReplicasOfTheSource"]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    try:
        key = project.ingest("prod", "refused.csv", ROW.replace("replicated", "refused"))
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert project.head("prod", key)["ReplicationStatus"] == "FAILED"
    assert key not in project.keys("uat")
