"""What an account's answers mean, question by question, with the answers in the shapes of AWS's service models."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from repository import ROOT

from deployer.account import catalog, doctor, names, quotas, region, rights
from deployer.account.checks import Level, asked
from deployer.project.config import load_project
from deployer.project.templates import load_template
from deployer.release.release import build_release
from deployer.release.target import target_of
from deployer.security.pipeline_roles import TEMPLATE, deploy_role

ROLE = "arn:aws:iam::111111111111:role/refunds-lake-deploy"
OK, WARNING, BLOCKER = Level


def answering(**answers: Any) -> Any:
    """A client whose calls give these answers, whatever they are asked; paginators give them as one page."""
    calls = {name: lambda answer=answer, **_: answer for name, answer in answers.items()}
    pages = {name: SimpleNamespace(paginate=lambda answer=answer, **_: [answer]) for name, answer in answers.items()}
    return SimpleNamespace(**calls, get_paginator=pages.__getitem__)


def levels(checks: Any) -> list[Level]:
    return [check.level for check in checks]


def settings(*default: str, admins: tuple[str, ...] = ()) -> dict[str, Any]:
    permissions = [{"Principal": {"DataLakePrincipalIdentifier": each}, "Permissions": ["ALL"]} for each in default]
    administrators = [{"DataLakePrincipalIdentifier": each} for each in admins]
    return {"DataLakeSettings": {"DataLakeAdmins": administrators, "CreateDatabaseDefaultPermissions": permissions}}


def granted(*permissions: str) -> dict[str, Any]:
    return {"PrincipalResourcePermissions": [{"Permissions": list(permissions)}] if permissions else []}


@pytest.mark.parametrize(
    ("account", "grants", "level"),
    [
        (settings("IAM_ALLOWED_PRINCIPALS"), granted(), OK),
        (settings(), granted(), BLOCKER),
        (settings("arn:aws:iam::111111111111:role/other"), granted("DESCRIBE"), BLOCKER),
        (settings(), granted("CREATE_DATABASE"), OK),
        (settings(admins=(ROLE,)), granted(), OK),
    ],
)
def test_who_may_make_databases(account: dict[str, Any], grants: dict[str, Any], level: Level) -> None:
    """Given Lake Formation's defaults and grants, then the first database can be made, or who must grant what is said."""
    client = answering(get_data_lake_settings=account, list_permissions=grants)
    (check,) = catalog.lake_formation(client, ROLE, "iam")
    assert check.level is level
    assert (ROLE in check.advice) is (level is BLOCKER)


def test_tables_that_lake_formation_grants_need_somebody_to_do_so() -> None:
    client = answering(get_data_lake_settings=settings("IAM_ALLOWED_PRINCIPALS"))
    assert levels(catalog.lake_formation(client, ROLE, "lake-formation")) == [OK, WARNING]


@pytest.mark.parametrize(("mode", "level"), [("DISABLED", OK), ("SSE-KMS-WITH-SERVICE-ROLE", OK), ("SSE-KMS", WARNING)])
def test_an_encrypted_catalog_needs_its_key(mode: str, level: Level) -> None:
    at_rest = {"CatalogEncryptionMode": mode, "SseAwsKmsKeyId": "arn:aws:kms:eu-west-1:111111111111:key/k"}
    answer = {"DataCatalogEncryptionSettings": {"EncryptionAtRest": at_rest}}
    (check,) = catalog.encryption(answering(get_data_catalog_encryption_settings=answer))
    assert check.level is level


@pytest.mark.parametrize(
    ("status", "level"), [("opt-in-not-required", OK), ("opted-in", OK), ("not-opted-in", BLOCKER)]
)
def test_a_region_must_be_on(status: str, level: Level) -> None:
    client = answering(describe_regions={"Regions": [{"RegionName": "ap-southeast-4", "OptInStatus": status}]})
    assert levels(region.region_is_on(client, "ap-southeast-4")) == [level]


def test_services_are_looked_for_where_they_have_regions() -> None:
    """Given a service that boto3 knows elsewhere, then it is named; a service without regions is everywhere."""
    regions = {"glue": ["eu-west-1"], "firehose": ["eu-west-1", "eu-west-2"], "iam": []}
    types = ["AWS::Glue::Job", "AWS::KinesisFirehose::DeliveryStream", "AWS::IAM::Role", "Custom::Thing"]
    assert levels(region.services_in(regions.__getitem__, "eu-west-1", types)) == [OK]
    (check,) = region.services_in(regions.__getitem__, "eu-west-2", types)
    assert check.level is WARNING and check.finding.endswith("for Glue")


@pytest.mark.parametrize(
    ("version", "name", "level"),
    [
        ("5.0", "eu-west-1", BLOCKER),
        ("5.1", "eu-west-1", OK),
        ("6.0", "eu-west-1", OK),
        ("6.0", "cn-north-1", WARNING),
    ],
)
def test_the_glue_version(version: str, name: str, level: Level) -> None:
    assert levels(region.glue_version(version, name)) == [level]


def needs(types: dict[str, int], reserved: int = 0, **values: str) -> quotas.Needs:
    return quotas.Needs(Counter(types), values, reserved)


SUMMARY = {"SummaryMap": {"Roles": 994, "RolesQuota": 1000, "Policies": 3, "PoliciesQuota": 1500}}


@pytest.mark.parametrize(("roles", "level"), [(6, OK), (7, BLOCKER)])
def test_roles_must_fit_into_the_account(roles: int, level: Level) -> None:
    """Given room for six roles, then six are ok and seven are in the way, and both numbers are said."""
    (check,) = quotas.iam(answering(get_account_summary=SUMMARY), needs({"AWS::IAM::Role": roles}))
    assert check.level is level
    assert check.finding == f"{roles} roles are needed, 994 of 1000 are in use"


LIMITS = {"ShardLimit": 20, "OpenShardCount": 19, "OnDemandStreamCount": 50, "OnDemandStreamCountLimit": 50}
STREAM = {"AWS::Kinesis::Stream": 1}


@pytest.mark.parametrize(
    ("needed", "expected"),
    [
        (needs(STREAM), [BLOCKER]),
        (needs(STREAM, StreamMode="PROVISIONED", ShardCount="1"), [OK]),
        (needs(STREAM, StreamMode="PROVISIONED", ShardCount="2"), [BLOCKER]),
        (needs(STREAM, StreamMode="OFF"), []),
        (needs({}), []),
    ],
)
def test_streams_count_by_their_mode(needed: quotas.Needs, expected: list[Level]) -> None:
    assert levels(quotas.streams(answering(describe_limits=LIMITS), needed)) == expected


@pytest.mark.parametrize(
    ("free", "reserved", "level"), [(10, 0, OK), (10, 1, BLOCKER), (102, 2, OK), (101, 2, BLOCKER)]
)
def test_a_new_account_cannot_reserve_executions(free: int, reserved: int, level: Level) -> None:
    limit = {"AccountLimit": {"ConcurrentExecutions": free, "UnreservedConcurrentExecutions": free}}
    client = answering(get_account_settings=limit)
    assert levels(quotas.functions(client, needs({"AWS::Lambda::Function": 1}, reserved))) == [level]


@pytest.mark.parametrize(
    ("listed", "kind", "level"),
    [(10.0, "G.1X", OK), (10.0, "G.2X", BLOCKER), (None, "G.1X", WARNING)],
)
def test_a_run_must_get_its_workers(listed: float | None, kind: str, level: Level) -> None:
    """Given the quota of DPUs, then ten workers of the chosen kind fit, or are in the way; a quota unknown is said."""
    quota = [{"QuotaName": "Max task DPUs per account", "Value": listed}] if listed else []
    client = answering(list_service_quotas={"Quotas": quota})
    needed = needs({"AWS::Glue::Job": 2}, WorkerType=kind, MaximumWorkers="10")
    assert levels(quotas.workers(client, needed)) == [level]


RESOURCES: list[dict[str, Any]] = [
    {"Type": "AWS::Athena::WorkGroup", "Properties": {"Name": {"Ref": "AWS::StackName"}}},
    {
        "Type": "AWS::Glue::Database",
        "Properties": {"DatabaseInput": {"Name": {"Fn::Sub": "refunds_${TableSet}_${EnvironmentName}"}}},
    },
    {"Type": "AWS::KMS::Alias", "Properties": {"AliasName": {"Fn::Sub": "alias/${AWS::StackName}-${Key}"}}},
    {"Type": "AWS::Glue::Job", "Properties": {}},
    {"Type": "AWS::S3::Bucket"},
]


def test_names_follow_from_what_is_known_before_the_deployment() -> None:
    """Given names made of parameters, then those are known whose every part is; what AWS names is no clash."""
    values = {"AWS::StackName": "lake-uat-athena", "TableSet": "base", "EnvironmentName": "uat"}
    found = list(names.named_resources("athena", RESOURCES, values))
    assert [(each.type, each.name) for each in found] == [
        ("AWS::Athena::WorkGroup", "lake-uat-athena"),
        ("AWS::Glue::Database", "refunds_base_uat"),
    ]


PROJECT = load_project(ROOT)


def doctors_names(states: dict[str, Any], **parameters: str) -> set[tuple[str, str]]:
    """Type and name of what a doctor looks for in prod."""
    prod = PROJECT.environments["prod"]
    environment = replace(prod, parameters={**prod.parameters, **parameters})
    target = target_of(PROJECT, environment, build_release(PROJECT))
    patient = doctor.Patient(target, states, answering, list)
    return {(each.type, each.name) for each in doctor._named(patient)}


def test_every_name_that_the_templates_choose_is_looked_for() -> None:
    """Given this project, when its names are collected, then crawlers, the secret and the log group of all crawlers are there."""
    found = doctors_names(dict.fromkeys(PROJECT.stacks))
    assert found >= {
        ("AWS::Glue::Crawler", "refunds-lake-prod-crawlers-base"),
        ("AWS::Glue::Crawler", "refunds-lake-prod-crawlers-raw"),
        ("AWS::Logs::LogGroup", "/aws-glue/crawlers"),
        ("AWS::SecretsManager::Secret", "refunds-lake-prod-alerts-slack-webhook"),
    }


def test_what_is_not_built_has_no_name() -> None:
    """Given a log group that another environment owns, when names are collected, then it is not looked for."""
    others = doctors_names(dict.fromkeys(PROJECT.stacks), CrawlerLogGroup="others")
    assert "AWS::Logs::LogGroup" not in {type_ for type_, _ in others}


class Missing(Exception):
    """What a service raises for a name that is not there."""


def holding(taken: str) -> names.Client:
    """The clients of an account in which something of each type has this name."""

    def look(**asked: str) -> dict[str, Any]:
        if taken not in asked.values():
            raise Missing
        return {}

    calls = (
        "get_work_group",
        "get_crawler",
        "get_database",
        "get_job",
        "get_security_configuration",
        "describe_secret",
    )
    raised = ("InvalidRequestException", "EntityNotFoundException", "ResourceNotFoundException")
    pages = {"list_aliases": {"Aliases": [{"AliasName": taken}]}}
    pages["describe_log_groups"] = {"logGroups": [{"logGroupName": f"{taken}-2"}, {"logGroupName": taken}]}
    client = answering(**pages)
    return lambda service: SimpleNamespace(
        **dict.fromkeys(calls, look),
        exceptions=SimpleNamespace(**dict.fromkeys(raised, Missing)),
        get_paginator=client.get_paginator,
    )


@pytest.mark.parametrize("type_", names._NAMED)
def test_a_name_that_is_taken_is_a_blocker(type_: str) -> None:
    """Given something of a name, when each type is asked for it and for another, then only the taken one is in the way."""
    client = holding("taken")
    assert levels(names.clashes(client, [names.Named("s", type_, "free")])) == [OK]
    (check,) = names.clashes(client, [names.Named("s", type_, "taken"), names.Named("s", type_, "free")])
    assert (check.level, f"{type_} taken already exists" in check.finding, bool(check.advice)) == (BLOCKER, True, True)


def test_a_question_that_may_not_be_asked_is_a_warning() -> None:
    """Given a denied call, then the finding says so and the examination goes on; a mistake of ours stays one."""

    def denied() -> list[Any]:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetAccountSummary")

    (check,) = asked("quota of IAM", denied)
    assert check.level is WARNING
    assert check.finding == "could not be checked: AWS denies GetAccountSummary: no"
    with pytest.raises(ZeroDivisionError):
        asked("quota of IAM", lambda: 1 // 0)  # type: ignore[return-value, arg-type]


class Simulator:
    """IAM's simulator, which allows what it is told, under a context that it remembers."""

    def __init__(self, allowed: set[tuple[str, str]]) -> None:
        self.allowed, self.contexts = allowed, list[Any]()
        self.roles = {"lake-deploy": ROLE}
        self.exceptions = SimpleNamespace(NoSuchEntityException=KeyError)

    def get_role(self, RoleName: str) -> Any:
        return {"Role": {"Arn": self.roles[RoleName]}}

    def get_paginator(self, name: str) -> Any:
        assert name == "simulate_principal_policy"
        return SimpleNamespace(paginate=self._simulate)

    def _simulate(self, PolicySourceArn: str, ActionNames: Any, ResourceArns: Any, ContextEntries: Any) -> Any:
        self.contexts += ContextEntries
        yield {
            "EvaluationResults": [
                {
                    "EvalActionName": a,
                    "EvalDecision": "allowed" if (a, ResourceArns[0]) in self.allowed else "implicitDeny",
                }
                for a in ActionNames
            ]
        }


def policy(*statements: tuple[str, list[str], Any, Any]) -> dict[str, Any]:
    return {
        "Statement": [
            {"Sid": sid, "Action": actions, "Resource": resource, **({"Condition": when} if when else {})}
            for sid, actions, resource, when in statements
        ]
    }


def test_an_action_is_missing_when_none_of_its_places_allows_it() -> None:
    """Given a statement with two places, then an action that one of them allows is there; another one is in the way."""
    printed = policy(("Dataops1", ["glue:GetTable", "glue:GetJob"], ["arn:t/*", "arn:j"], None))
    (check,) = rights.rights(Simulator({("glue:GetTable", "arn:t/example")}), ROLE, printed)
    assert (check.level, check.finding) == (BLOCKER, f"{ROLE} may not glue:GetJob")


def test_the_role_of_the_pipeline_is_asked_beside_the_credentials() -> None:
    """Given the pipeline's role, then what it lacks is a warning with the command that repairs it; without one nothing is said."""
    printed = policy(("Dataops1", ["glue:GetTable"], "*", None), ("CloudFormation1", ["kms:CreateKey"], "*", None))
    lacking, enough = Simulator({("glue:GetTable", "*")}), Simulator({("glue:GetTable", "*"), ("kms:CreateKey", "*")})
    (check,) = rights.rights_of_the_pipeline(lacking, "lake-deploy", "arn:user", printed)
    assert (check.level, check.finding) == (WARNING, f"the pipeline's role {ROLE} may not kms:CreateKey")
    assert "dataops bootstrap" in check.advice
    (check,) = rights.rights_of_the_pipeline(enough, "lake-deploy", "arn:user", printed)
    assert (check.level, check.finding) == (
        OK,
        f"the pipeline's role {ROLE} has all 2 statements of the printed policy",
    )
    assert not list(rights.rights_of_the_pipeline(lacking, "lake-deploy", ROLE, printed))
    assert not list(rights.rights_of_the_pipeline(lacking, "other-deploy", "arn:user", printed))


def test_the_role_of_the_pipeline_has_the_name_of_its_template() -> None:
    """Given the template of the roles, when the deploying one's name is filled in, then the doctor looks for that name."""
    resources = load_template(ROOT / TEMPLATE, shown_as=TEMPLATE).document["Resources"]
    named = resources["DeployRole"]["Properties"]["RoleName"]["Fn::Sub"]
    filled = named.replace("${RolePrefix}", PROJECT.name).replace("${EnvironmentName}", "uat")
    assert filled == deploy_role(PROJECT, "uat")


def test_what_cloudformation_does_is_simulated_less_surely() -> None:
    printed = policy(
        ("CloudFormation1", ["kms:CreateKey"], "*", {"ForAnyValue:StringEquals": {"aws:CalledVia": "cloudformation"}})
    )
    assert levels(rights.rights(Simulator(set()), ROLE, printed)) == [WARNING]
    assert levels(rights.rights(Simulator({("kms:CreateKey", "*")}), ROLE, printed)) == [OK]


def test_conditions_are_simulated_with_values_that_fulfil_them() -> None:
    """Given the operators of the printed policy, then each key has a value that fits; what must be absent has none."""
    when = {
        "StringLike": {"cloudformation:ChangeSetName": "dataops-*"},
        "StringNotLike": {"cloudformation:ChangeSetName": "dataops-first-*"},
        "Null": {"cloudformation:ImportResourceTypes": "true"},
        "ForAnyValue:StringEquals": {"aws:CalledVia": ["cloudformation.amazonaws.com"]},
    }
    simulator = Simulator(set())
    list(rights.rights(simulator, ROLE, policy(("Dataops1", ["a:B"], "*", when))))
    assert [(e["ContextKeyName"], e["ContextKeyValues"], e["ContextKeyType"]) for e in simulator.contexts] == [
        ("cloudformation:ChangeSetName", ["dataops-example"], "string"),
        ("aws:CalledVia", ["cloudformation.amazonaws.com"], "stringList"),
    ]


@pytest.mark.parametrize(
    ("caller", "principal"),
    [
        ("arn:aws:iam::111111111111:root", None),
        ("arn:aws:iam::111111111111:user/ci/robot", "arn:aws:iam::111111111111:user/ci/robot"),
        ("arn:aws:sts::111111111111:assumed-role/deploy/session", "arn:aws:iam::111111111111:role/ci/deploy"),
    ],
)
def test_who_is_behind_the_credentials(caller: str, principal: str | None) -> None:
    iam = SimpleNamespace(get_role=lambda RoleName: {"Role": {"Arn": f"arn:aws:iam::111111111111:role/ci/{RoleName}"}})
    assert rights.principal_of(iam, caller) == principal
