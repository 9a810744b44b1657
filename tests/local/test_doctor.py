"""dataops doctor against an account: an empty one, and one with blockers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from local_project import LocalProject

REGION = "ap-southeast-2"


class Account:
    """A project whose environment `uat` is an account of a local cloud, with the keys of a user in it."""

    def __init__(self, directory: Path) -> None:
        self.project = LocalProject.copy_to(directory)
        self.project.dataops("doctor", "--env", "local")
        self.status = self.project.document("local", "status")
        text = (directory / "dataops.yml").read_text()
        declared = 'account: "111111111111"\n    region: ap-southeast-2\n    profile: refunds-lake-uat\n'
        assert declared in text
        account = f'account: "000000000000"\n    region: {REGION}\n    endpoint: {self.status["url"]}\n'
        (directory / "dataops.yml").write_text(text.replace(declared, account))

    def client(self, service: str) -> Any:
        return self.project.client(service)

    def user(self, name: str, policies: list[dict[str, Any]]) -> dict[str, str]:
        """The variables of a user with these policies."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        for number, document in enumerate(policies):
            iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def dataops(self, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.project.dataops(*arguments, keys=variables, check=False)

    def printed_policy(self) -> dict[str, Any]:
        found: dict[str, Any] = self.project.document("iam-policy", "--env", "uat")["policy"]
        return found


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    made = Account(tmp_path_factory.mktemp("account"))
    try:
        yield made
    finally:
        made.project.dataops("local", "stop", check=False)


def findings(done: subprocess.CompletedProcess[str], subject: str) -> list[dict[str, str]]:
    return [check for check in json.loads(done.stdout)["checks"] if check["subject"] == subject]


def trusting_anyone() -> str:
    """A trust policy for roles of these tests."""
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_an_empty_account_is_ready(account: Account) -> None:
    """Given an empty account, then every line is ok, each question was answered, and the exit code is 0."""
    done = account.project.dataops("doctor", "--env", "local")
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines[:-1]} == {"ok"}
    assert lines[-1] == f"environment local: {len(lines) - 1} ok, 0 warning, 0 blocker"
    assert "next: dataops plan --env local" in done.stderr


def test_the_printed_policy_is_enough(account: Account) -> None:
    """Given a user with exactly the policy that iam-policy prints, then every question is answered and no statement is missing."""
    policy = account.printed_policy()
    done = account.dataops(account.user("pipeline", [policy]), "--output", "json", "doctor", "--env", "uat")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "could not be checked" not in done.stdout
    (rights,) = findings(done, "rights")
    assert rights["level"] == "ok"
    assert rights["finding"].endswith(
        f"user/pipeline has all {len(policy['Statement'])} statements of the printed policy"
    )


def test_a_role_is_found_behind_its_session(account: Account) -> None:
    """Given a session of a role with a path, then the role itself is checked, and what it lacks is named."""
    iam = account.client("iam")
    made = iam.create_role(RoleName="deployer", Path="/ci/", AssumeRolePolicyDocument=trusting_anyone())
    arn = made["Role"]["Arn"]
    asking = {"Effect": "Allow", "Action": ["iam:GetRole", "iam:SimulatePrincipalPolicy"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [asking]})
    iam.put_role_policy(RoleName="deployer", PolicyName="asking", PolicyDocument=policy)
    taken = boto3.client(
        "sts",
        endpoint_url=account.status["url"],
        region_name=REGION,
        aws_access_key_id=account.status["access_key_id"],
        aws_secret_access_key=account.status["secret_access_key"],
    ).assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    variables = {
        "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"],
        "AWS_SESSION_TOKEN": taken["SessionToken"],
    }
    done = account.dataops(variables, "--output", "json", "doctor", "--env", "uat")
    assert done.returncode == 6
    assert findings(done, "rights")[0]["finding"].startswith(f"{arn} may not ")


def test_the_role_of_the_pipeline_has_a_line_of_its_own(account: Account) -> None:
    """Given the pipeline's role with what iam-policy prints, then it is said to have it; without one action that one is named."""
    iam, policy = account.client("iam"), account.printed_policy()
    person = account.user("person", [policy])
    iam.create_role(RoleName="refunds-lake-deploy-uat", AssumeRolePolicyDocument=trusting_anyone())
    said = []
    for left_out in ("", "cloudformation:ExecuteChangeSet"):
        for statement in policy["Statement"]:
            statement["Action"] = [each for each in statement["Action"] if each != left_out]
        iam.put_role_policy(RoleName="refunds-lake-deploy-uat", PolicyName="all", PolicyDocument=json.dumps(policy))
        done = account.dataops(person, "--output", "json", "doctor", "--env", "uat")
        assert done.returncode == 0, done.stdout + done.stderr
        said.append([each for each in findings(done, "rights") if "refunds-lake-deploy-uat" in each["finding"]])
    iam.delete_role_policy(RoleName="refunds-lake-deploy-uat", PolicyName="all")
    iam.delete_role(RoleName="refunds-lake-deploy-uat")
    ((has_all,), (lacks_one,)) = said
    assert has_all["level"] == "ok" and "has all" in has_all["finding"]
    assert lacks_one["level"] == "warning" and lacks_one["finding"].endswith(" may not cloudformation:ExecuteChangeSet")


def test_a_missing_right_stops_the_first_deployment_before_anything_is_made(account: Account) -> None:
    """Given a user who may not execute change sets, then doctor and deploy name the permission and end with exit code 6."""
    policy = account.printed_policy()
    for statement in policy["Statement"]:
        statement["Action"] = [each for each in statement["Action"] if each != "cloudformation:ExecuteChangeSet"]
    variables = account.user("lacking", [policy])
    done = account.dataops(variables, "--output", "json", "doctor", "--env", "uat")
    assert done.returncode == 6, done.stdout + done.stderr
    (rights,) = findings(done, "rights")
    assert (rights["level"], "may not cloudformation:ExecuteChangeSet" in rights["finding"]) == ("blocker", True)
    assert "iam-policy" in rights["advice"]
    deployed = account.dataops(variables, "deploy", "--env", "uat", "--yes")
    assert deployed.returncode == 6
    assert "blocker: rights: " in deployed.stderr and "nothing was created" in deployed.stderr
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []


def test_a_governed_catalog_is_a_blocker(account: Account) -> None:
    """Given a landing zone that cleared Lake Formation's defaults, then doctor says who must grant what to whom."""
    lake_formation = account.client("lakeformation")
    before = lake_formation.get_data_lake_settings()["DataLakeSettings"]
    lake_formation.put_data_lake_settings(DataLakeSettings={"CreateDatabaseDefaultPermissions": []})
    done = account.project.dataops("doctor", "--env", "local", check=False)
    lake_formation.put_data_lake_settings(DataLakeSettings=before)
    assert done.returncode == 6
    assert (
        "blocker  Lake Formation: Lake Formation decides who may create databases, and these credentials may not"
        in done.stdout
    )
    assert (
        "a data lake administrator grants CREATE_DATABASE on the catalog to arn:aws:iam::000000000000:root"
        in done.stdout
    )


def test_names_that_are_taken_are_found(account: Account) -> None:
    """Given something of each kind with a name that the templates choose, then each is a blocker."""
    glue, athena, kms = account.client("glue"), account.client("athena"), account.client("kms")
    logs, secrets = account.client("logs"), account.client("secretsmanager")
    glue.create_database(DatabaseInput={"Name": "refunds_base_local"})
    athena.create_work_group(Name="refunds-lake-local-athena")
    kms.create_alias(
        AliasName="alias/refunds-lake-local-storage-data", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"]
    )
    logs.create_log_group(logGroupName="/aws-glue/crawlers")
    secrets.create_secret(Name="refunds-lake-local-alerts-slack-webhook", SecretString="address")
    role = account.client("iam").create_role(RoleName="crawler", AssumeRolePolicyDocument=trusting_anyone())["Role"]
    targets = {"S3Targets": [{"Path": "s3://bucket/"}]}
    glue.create_crawler(Name="refunds-lake-local-crawlers-raw", Role=role["Arn"], DatabaseName="raw", Targets=targets)
    done = account.project.dataops("--output", "json", "doctor", "--env", "local", check=False)
    glue.delete_crawler(Name="refunds-lake-local-crawlers-raw")
    secrets.delete_secret(SecretId="refunds-lake-local-alerts-slack-webhook", ForceDeleteWithoutRecovery=True)
    logs.delete_log_group(logGroupName="/aws-glue/crawlers")
    glue.delete_database(Name="refunds_base_local")
    athena.delete_work_group(WorkGroup="refunds-lake-local-athena")
    kms.delete_alias(AliasName="alias/refunds-lake-local-storage-data")
    assert done.returncode == 6
    found = findings(done, "names")
    assert {check["level"] for check in found} == {"blocker"}
    assert sorted(check["finding"].split(" already exists")[0] for check in found) == [
        "AWS::Athena::WorkGroup refunds-lake-local-athena",
        "AWS::Glue::Crawler refunds-lake-local-crawlers-raw",
        "AWS::Glue::Database refunds_base_local",
        "AWS::KMS::Alias alias/refunds-lake-local-storage-data",
        "AWS::Logs::LogGroup /aws-glue/crawlers",
        "AWS::SecretsManager::Secret refunds-lake-local-alerts-slack-webhook",
    ]
