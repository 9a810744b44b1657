"""What holds for every template, and for all buckets, keys, log groups, roles and policies in them.

The emulator accepts and drops much of this without a word, so it is asserted here, on the templates.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ingest_api.call import MOST_RECORDS
from refunds_lake.publishing.manifests import STAGING
from refunds_lake.schema.columns import PARTITION_KEY, TABLES
from template_model import (
    LONGEST_ENVIRONMENT,
    ROOT,
    SAMPLES,
    TEMPLATES,
    Filled,
    Resource,
    all_resources,
    as_list,
    one_resource,
    policy_documents,
    role_rights,
    statements,
)

from deployer.local.glue.job_runs import log_group_prefix
from deployer.planning.data_guard import STATEFUL_TYPES
from deployer.project.config import load_project
from deployer.project.templates import load_templates
from deployer.project.wiring import wire
from deployer.release.release import ARTIFACTS_PREFIX

PROJECT = load_project(ROOT)
BUCKETS = all_resources("AWS::S3::Bucket")
KEYS = all_resources("AWS::KMS::Key")
LOG_GROUPS = all_resources("AWS::Logs::LogGroup")
ROLES = all_resources("AWS::IAM::Role")
MANAGED_POLICIES = all_resources("AWS::IAM::ManagedPolicy")
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = {
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
}  # fmt: skip

SECTIONS = (
    "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Conditions", "Resources", "Outputs",
)  # fmt: skip

# AWS::Glue and AWS::Athena names are what SQL and people type; the others AWS demands, or gives no way around.
NAMED_ON_PURPOSE = {
    "AWS::ApiGateway::RestApi",  # metrics have the name as their dimension; without one, it is the same everywhere
    "AWS::Athena::NamedQuery",
    "AWS::Athena::WorkGroup",
    "AWS::CloudWatch::Dashboard",  # CloudFormation's own name for it does not begin with the stack's
    "AWS::Glue::Crawler",  # nor does its name for a crawler
    "AWS::Glue::Job",  # nor for a job; policies name it, and nothing about a job needs its replacement
    "AWS::Glue::SecurityConfiguration",
    "AWS::KMS::Alias",
    "AWS::SecretsManager::Secret",  # as for the dashboard
    "crawlers/CrawlerLogs",
    "glue/ErrorLogGroup",
    "glue/OutputLogGroup",
    "glue/ReviewErrorLogGroup",
    "glue/ReviewOutputLogGroup",
}
PHYSICAL_NAMES = (
    "AlarmName", "AliasName", "BucketName", "DashboardName", "DeliveryStreamName", "LogGroupName", "ManagedPolicyName",
    "Name", "QueueName", "RoleName", "TopicName",
)  # fmt: skip

# Where a statement may say Resource "*": template/resource/Sid and why.
ANY_RESOURCE = {
    "bootstrap/ArtifactsKey/IamPoliciesOfThisAccountDecide": "in a key policy * is the key itself",
    "storage/DataKey/IamPoliciesOfThisAccountDecide": "in a key policy * is the key itself",
    "storage/DataKey/ReplicationOfTheSource": "in a key policy * is the key itself",
    "storage/LogsKey/IamPoliciesOfThisAccountDecide": "in a key policy * is the key itself",
    "storage/LogsKey/CloudWatchLogsOfThisAccount": "in a key policy * is the key itself",
    "storage/LogsKey/AlertsOfThisAccount": "in a key policy * is the key itself",
    "glue/RunRights/CountForGlue": "PutMetricData knows no resource; the namespace is the fence",
    "glue/JobRights/Count": "PutMetricData knows no resource; the namespace is the fence",
    "athena/ReportReaders/BrowseLists": "lists of names know no resource",
}


def each(resources: list[Resource]) -> pytest.MarkDecorator:
    """One case per resource; a list that is empty by mistake must not pass in silence."""
    assert resources
    return pytest.mark.parametrize("resource", resources, ids=str)


def walk(node: Any) -> Iterator[Any]:
    yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from walk(child)


# The grammar of a template


@pytest.mark.parametrize("name", TEMPLATES)
def test_sections_stand_in_the_house_order(name: str) -> None:
    """Given a template, then it has the house's sections in the house's order."""
    present = list(TEMPLATES[name].document)
    assert present == [section for section in SECTIONS if section in present]
    assert {"Description", "Metadata", "Parameters", "Outputs"} <= set(present)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_parameter_is_described_labelled_and_grouped_once(name: str) -> None:
    """Given a template, then each parameter has a description, a label and a place in one group."""
    document = TEMPLATES[name].document
    interface = document["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [parameter for group in interface["ParameterGroups"] for parameter in group["Parameters"]]
    assert sorted(grouped) == sorted(document["Parameters"]) == sorted(interface["ParameterLabels"])
    assert all(parameter["Description"].strip() for parameter in document["Parameters"].values())
    assert all(output["Description"].strip() for output in document["Outputs"].values())


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_the_same_in_every_environment(name: str) -> None:
    """Given a template, then no condition looks at the environment's name: local deploys what prod deploys."""
    document = TEMPLATES[name].document
    conditions = document.get("Conditions", {})
    assert all(re.match(r"(Has|Is)[A-Z]", condition) for condition in conditions)
    assert {"Ref": "EnvironmentName"} not in list(walk([conditions, document.get("Rules", {})]))


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_partition_is_hard_coded_and_nothing_is_exported(name: str) -> None:
    """Given a template, then it deploys in every AWS partition, and no export ties its stack to others."""
    assert "arn:aws:" not in TEMPLATES[name].body
    assert "Fn::ImportValue" not in TEMPLATES[name].body and "!ImportValue" not in TEMPLATES[name].body
    assert all("Export" not in output for output in TEMPLATES[name].document["Outputs"].values())


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_fits_into_the_request(name: str) -> None:
    """Given a template, then its body is within CloudFormation's 51,200 bytes for a body sent inline."""
    assert len(TEMPLATES[name].body.encode()) <= 51_200


@pytest.mark.parametrize("environment", PROJECT.environments.values(), ids=lambda environment: environment.name)
def test_every_parameter_is_fed(environment: Any) -> None:
    """Given dataops.yml, when the stacks are wired for an environment, then nothing is unfed, clashing or circular."""
    wiring = wire(PROJECT, load_templates(PROJECT), environment)
    assert not wiring.findings
    assert wiring.order()


def test_the_queries_fit_into_a_parameter() -> None:
    """Given the SQL that athena.yaml takes as parameters, then each is within CloudFormation's 4,096 bytes."""
    assert all(len((ROOT / f"athena/{name}.sql").read_bytes()) <= 4096 for name in ("refunds", "monthly_refunds"))


# What is kept, what has a name


@each([resource for resource in all_resources() if resource.type in STATEFUL_TYPES])
def test_what_holds_data_says_what_becomes_of_it(resource: Resource) -> None:
    """Given a resource that the data guard protects, then its template states both policies."""
    assert resource.body.get("DeletionPolicy") and resource.body.get("UpdateReplacePolicy")


@each([*BUCKETS, *KEYS, *all_resources("AWS::S3::BucketPolicy")])
def test_data_and_its_keys_outlive_the_stack(resource: Resource) -> None:
    """Given a bucket, its policy or a key, when its stack is deleted, then it stays, unless it was never in use."""
    policies = resource.body["DeletionPolicy"], resource.body["UpdateReplacePolicy"]
    assert policies == ("RetainExceptOnCreate", "Retain")


@each(all_resources())
def test_only_what_needs_a_name_has_one(resource: Resource) -> None:
    """Given a resource, then it has a name of our choice only where AWS or the SQL needs one."""
    of_a_group = resource.type in ("AWS::Logs::LogStream", "AWS::Logs::MetricFilter")
    named = [name for name in PHYSICAL_NAMES if name in resource.properties and not of_a_group]
    assert not named or {resource.type, str(resource)} & NAMED_ON_PURPOSE


WITHOUT_THE_STACKS_NAME = (
    "AWS::CloudWatch::Dashboard", "AWS::Glue::Crawler", "AWS::Glue::Job", "AWS::SecretsManager::Secret",
)  # fmt: skip


@each(all_resources(*WITHOUT_THE_STACKS_NAME))
def test_what_policies_find_by_its_name_begins_with_the_stacks(resource: Resource) -> None:
    """Given a type whose name CloudFormation would choose without the stack's, then ours begins with the stack's."""
    name = resource.properties["DashboardName" if "Dashboard" in resource.type else "Name"]
    assert name.startswith(f"stack-{resource.template}")


# Length and form of the names that we choose, for the longest environment name and stack name.
LONGEST_STACK = f"refunds-lake-{LONGEST_ENVIRONMENT}-smoke-catalog"
NAME_RULES = {
    "AWS::Athena::WorkGroup": ("Name", r"[a-zA-Z0-9._-]{1,128}"),
    "AWS::Glue::Crawler": ("Name", r"[a-zA-Z0-9._-]{1,255}"),
    "AWS::Glue::Job": ("Name", r"[a-zA-Z0-9._-]{1,255}"),
    "AWS::Glue::SecurityConfiguration": ("Name", r"[a-zA-Z0-9_-]{1,255}"),
    "AWS::KMS::Alias": ("AliasName", r"alias/[a-zA-Z0-9/_-]{1,250}"),
    "AWS::Logs::LogGroup": ("LogGroupName", r"[.\-_/#A-Za-z0-9]{1,512}"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_chosen_names_fit_for_the_longest_environment(name: str) -> None:
    """Given the longest names that dataops.yml allows, then each chosen name is one that AWS takes."""
    for resource in Filled(name, LONGEST_STACK).resources():
        key, pattern = NAME_RULES.get(resource.type, ("", ""))
        if key in resource.properties:
            assert re.fullmatch(pattern, resource.properties[key]), f"{resource}: {resource.properties[key]}"
        if resource.type == "AWS::Glue::Database":
            assert re.fullmatch(r"[a-z0-9_]{1,255}", resource.properties["DatabaseInput"]["Name"])


# Buckets


@each(BUCKETS)
def test_a_bucket_is_private_versioned_and_owned_by_us(resource: Resource) -> None:
    """Given a bucket, then all public access is blocked, versions are kept, and every object belongs to the account."""
    blocked = resource.properties["PublicAccessBlockConfiguration"]
    names = {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    assert blocked == dict.fromkeys(names, True)
    assert resource.properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert resource.properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


@each(BUCKETS)
def test_a_bucket_encrypts_and_refuses_keys_of_customers(resource: Resource) -> None:
    """Given a bucket, then its default is our KMS key (SSE-S3 where access logs go), and SSE-C is blocked."""
    (rule,) = resource.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}
    default = rule["ServerSideEncryptionByDefault"]
    if resource.id == "AccessLogBucket":
        assert default == {"SSEAlgorithm": "AES256"}
    else:
        assert default["SSEAlgorithm"] == "aws:kms" and rule["BucketKeyEnabled"] is True
        assert default["KMSMasterKeyID"].startswith("arn:aws:kms:")


@each(BUCKETS)
def test_a_bucket_clears_up_after_itself(resource: Resource) -> None:
    """Given a bucket, then stale multipart uploads are aborted and previous versions expire."""
    rules = resource.properties["LifecycleConfiguration"]["Rules"]
    whole_bucket = [rule for rule in rules if "Prefix" not in rule]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    assert any("AbortIncompleteMultipartUpload" in rule for rule in whole_bucket)
    if str(resource) == "storage/RawBucket":  # what was overwritten below transactions/ is a part of raw
        former = {rule.get("Prefix") for rule in rules if "NoncurrentVersionExpiration" in rule}
        assert former == {"smoke/", "delivery-errors/"}
    else:
        assert any("NoncurrentVersionExpiration" in rule for rule in whole_bucket)


# Bucket -> the prefixes whose current objects expire; "" is the whole bucket.
EXPIRING = {
    "bootstrap/ArtifactsBucket": set(),
    "bootstrap/AccessLogBucket": {""},
    "storage/RawBucket": {"smoke/"},
    "storage/BaseBucket": {"smoke/", "alerts/told/"},
    "storage/ResultsBucket": {""},
    "storage/AccessLogBucket": {""},
}


@each(BUCKETS)
def test_only_what_can_be_made_again_expires(resource: Resource) -> None:
    """Given a bucket, then releases, raw files and base tables never expire; smoke files, results and logs do."""
    rules = resource.properties["LifecycleConfiguration"]["Rules"]
    assert {rule.get("Prefix", "") for rule in rules if "ExpirationInDays" in rule} == EXPIRING[str(resource)]


def test_raw_files_cool_but_stay_readable() -> None:
    """Given raw files, then they move to colder classes that still answer at once, in an order that S3 accepts."""
    rules = one_resource("storage", "RawBucket").properties["LifecycleConfiguration"]["Rules"]
    (cooling,) = [rule["Transitions"] for rule in rules if "Transitions" in rule]
    assert [step["StorageClass"] for step in cooling] == ["STANDARD_IA", "GLACIER_IR"]
    first, second = (int(step["TransitionInDays"]) for step in cooling)
    assert first >= 30 and second >= first + 30


def test_only_pairs_of_days_that_s3_accepts_can_be_chosen() -> None:
    """Given every pair of values that the two parameters offer, then the template's rules admit those 30 days apart."""
    document = TEMPLATES["storage"].document
    cooling, archiving = (
        document["Parameters"][name]["AllowedValues"] for name in ("RawInfrequentAccessDays", "RawArchiveDays")
    )
    admitted = {(first, second) for first in cooling for second in archiving if rules_admit(first, second)}
    assert admitted == {(first, second) for first in cooling for second in archiving if second >= first + 30}


def rules_admit(first: int, second: int) -> bool:
    """What CloudFormation decides of a pair of days."""
    for rule in TEMPLATES["storage"].document["Rules"].values():
        (condition,) = rule["RuleCondition"].values()
        if condition == [{"Ref": "RawInfrequentAccessDays"}, str(first)]:
            (assertion,) = rule["Assertions"]
            allowed, asked = assertion["Assert"]["Fn::Contains"]
            assert asked == {"Ref": "RawArchiveDays"}
            return str(second) in allowed
    return True


@each([bucket for bucket in BUCKETS if bucket.id != "AccessLogBucket"])
def test_access_to_a_bucket_is_logged_where_the_log_bucket_allows_it(resource: Resource) -> None:
    """Given a bucket, then its access logs go to its template's log bucket, whose policy lets exactly them in."""
    logging = resource.properties["LoggingConfiguration"]
    log_bucket = one_resource(resource.template, "AccessLogBucket")
    assert logging["DestinationBucketName"] == Filled(resource.template).value({"Ref": log_bucket.id})
    policy = statements(one_resource(resource.template, "AccessLogBucketPolicy"))
    (allow,) = [statement for statement in policy if statement["Effect"] == "Allow"]
    arn = Filled(resource.template).value({"Fn::GetAtt": [resource.id, "Arn"]})
    log_arn = Filled(resource.template).value({"Fn::GetAtt": [log_bucket.id, "Arn"]})
    assert arn in as_list(allow["Condition"]["ArnLike"]["aws:SourceArn"])
    assert allow["Condition"]["StringEquals"]["aws:SourceAccount"] == SAMPLES["AWS::AccountId"]
    assert f"{log_arn}/{logging['LogFilePrefix']}*" in as_list(allow["Resource"])


def test_arrivals_are_announced_where_somebody_listens() -> None:
    """Given that each event is billed, then EventBridge hears of raw on request only, and of the job's writes never."""
    announced = one_resource("storage", "RawBucket").properties["NotificationConfiguration"]
    assert announced == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    assert TEMPLATES["storage"].parameters["RawEvents"].default == "false"
    silent = one_resource("storage", "RawBucket", without={"HasRawEvents"}).properties
    assert "NotificationConfiguration" not in silent
    assert "NotificationConfiguration" not in one_resource("storage", "BaseBucket").properties


def test_what_was_staged_is_not_kept_for_long() -> None:
    """Given that every run stages files, when it has deleted them, then they are gone a day later."""
    rules = one_resource("storage", "BaseBucket").properties["LifecycleConfiguration"]["Rules"]
    (staging,) = [rule for rule in rules if rule.get("Prefix") == f"base/{STAGING}"]
    assert staging["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


# Keys, log groups


@each(KEYS)
def test_a_key_rotates_and_leaves_time_to_repent(resource: Resource) -> None:
    """Given a key, then it rotates every year and its deletion waits 30 days."""
    assert resource.properties["EnableKeyRotation"] is True
    assert resource.properties["PendingWindowInDays"] == 30


@each(KEYS)
def test_a_key_admits_only_this_account_and_conditioned_services(resource: Resource) -> None:
    """Given a key policy, then it names the account, or a service or one role of another account under a condition."""
    for statement in statements(resource):
        match statement["Principal"]:
            case {"AWS": account}:
                of_ours = account == f"arn:aws:iam::{SAMPLES['AWS::AccountId']}:root"
                assert of_ours or "aws:PrincipalArn" in statement["Condition"]["ArnLike"]
            case {"Service": _}:
                assert statement["Condition"]
            case other:
                pytest.fail(f"{resource}: {other}")


@each(LOG_GROUPS)
def test_a_log_group_is_encrypted_and_forgets(resource: Resource) -> None:
    """Given a log group, then it has our key and a retention that CloudWatch Logs accepts."""
    assert resource.properties["KmsKeyId"] == SAMPLES["LogsKeyArn"]
    assert int(resource.properties["RetentionInDays"]) in RETENTION_DAYS


@pytest.mark.parametrize("name", [name for name in TEMPLATES if "LogRetentionDays" in TEMPLATES[name].parameters])
def test_log_retention_offers_what_cloudwatch_logs_accepts(name: str) -> None:
    """Given the retention parameter, then its values are the service's list."""
    assert set(TEMPLATES[name].document["Parameters"]["LogRetentionDays"]["AllowedValues"]) == RETENTION_DAYS


# Roles and policies


@each(ROLES)
def test_a_role_is_taken_under_a_condition(resource: Resource) -> None:
    """Given a role, then its trust asks for our account or an agreed external id."""
    for statement in statements(resource):
        keys = {key for operator in statement["Condition"].values() for key in operator}
        assert keys & {"aws:SourceAccount", "sts:ExternalId"}
        assert statement["Principal"] != "*" and statement["Principal"].get("AWS") != "*"


@each(ROLES)
def test_a_role_has_managed_policies_of_its_template_only(resource: Resource) -> None:
    """Given a role, then its rights stand in managed policies of the same template: none of AWS's, none inline."""
    ours = {Filled(resource.template).value({"Ref": p.id}) for p in MANAGED_POLICIES if p.template == resource.template}
    assert set(resource.properties.get("ManagedPolicyArns", ())) <= ours
    assert role_rights(resource.template, resource.id), "by its own list, or by policies that name it"
    assert "Policies" not in resource.properties
    assert resource.properties["MaxSessionDuration"] == 3600


@each(ROLES)
def test_a_role_has_a_boundary_where_there_is_one(resource: Resource) -> None:
    """Given a boundary, then every role has it; given none, no role names one."""
    assert resource.properties["PermissionsBoundary"] == SAMPLES["PermissionsBoundaryArn"]
    unbounded = one_resource(resource.template, resource.id, without={"HasPermissionsBoundary"})
    assert "PermissionsBoundary" not in unbounded.properties
    assert TEMPLATES[resource.template].parameters["PermissionsBoundaryArn"].default == ""


@each([resource for resource in all_resources() if list(policy_documents(resource))])
def test_policies_name_their_actions_and_resources(resource: Resource) -> None:
    """Given an allowing statement, then it has no wildcard action, and "*" as resource only where it is explained."""
    for statement in statements(resource):
        place = f"{resource}/{statement['Sid']}"
        if statement["Effect"] == "Deny":
            continue
        whole_key = resource.type == "AWS::KMS::Key" and statement["Action"] == "kms:*"
        assert whole_key or not any("*" in action for action in as_list(statement["Action"])), place
        if "Resource" in statement:
            assert "*" not in as_list(statement["Resource"]) or place in ANY_RESOURCE, place


def test_every_exception_is_still_needed() -> None:
    """Given the list of statements that may say "*", then each of them is there and does."""
    found = {
        f"{resource}/{statement['Sid']}"
        for resource in all_resources()
        for statement in statements(resource)
        if statement["Effect"] == "Allow" and "*" in as_list(statement.get("Resource", []))
    }
    assert found == set(ANY_RESOURCE)


@each(MANAGED_POLICIES)
def test_a_managed_policy_is_within_its_quota(resource: Resource) -> None:
    """Given a managed policy, then it has at most 6,144 characters, blanks not counted, even with long names."""
    longer_names = 60 * len(re.findall("-(bucket|physical)|_database", str(resource.properties["PolicyDocument"])))
    assert len(re.sub(r"\s", "", str(resource.properties["PolicyDocument"]))) + longer_names <= 6144


# Stream and delivery


def test_the_stream_is_encrypted_and_scales_by_itself_unless_it_is_provisioned() -> None:
    """Given the stream, then it has our key, and shards to count only where the parameter asks for them."""
    stream = one_resource("ingest", "TransactionStream", without={"IsProvisioned"}).properties
    assert stream["StreamEncryption"] == {"EncryptionType": "KMS", "KeyId": SAMPLES["DataKeyArn"]}
    assert stream["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"} and "ShardCount" not in stream
    provisioned = one_resource("ingest", "TransactionStream").properties
    assert provisioned["StreamModeDetails"] == {"StreamMode": "PROVISIONED"} and int(provisioned["ShardCount"]) == 1


def test_without_a_stream_nothing_of_route_4_is_built() -> None:
    """Given StreamMode OFF, then of route 4 nothing but its log group is there, and the other routes are as they were."""
    left = {resource.id for resource in Filled("ingest", without={"HasStream"}).resources()}
    assert left == {"DeliveryLogGroup", "DropRights", "DropRole", "ThirdPartyRights", "ThirdPartyRole"}
    outputs = TEMPLATES["ingest"].document["Outputs"]
    assert {name for name, output in outputs.items() if output.get("Condition") == "HasStream"} == {
        "TransactionStreamName",
        "StreamWritersPolicyArn",
        "DeliveryStreamName",
    }


def test_delivery_writes_what_the_job_reads() -> None:
    """Given the delivery stream, then it writes gzip JSON Lines below transactions/, and errors outside of it."""
    delivery = one_resource("ingest", "Delivery").properties
    s3 = delivery["ExtendedS3DestinationConfiguration"]
    assert delivery["DeliveryStreamType"] == "KinesisStreamAsSource"
    assert s3["Prefix"] == "transactions/source=stream/ingest_date=!{timestamp:yyyy-MM-dd}/"
    assert (s3["CompressionFormat"], s3["FileExtension"]) == ("GZIP", ".jsonl.gz")
    (processor,) = s3["ProcessingConfiguration"]["Processors"]
    assert processor["Type"] == "AppendDelimiterToRecord" and s3["ProcessingConfiguration"]["Enabled"] is True
    assert not s3["ErrorOutputPrefix"].startswith(("transactions/", "smoke/"))
    assert "!{firehose:error-output-type}" in s3["ErrorOutputPrefix"]
    assert s3["EncryptionConfiguration"]["KMSEncryptionConfig"]["AWSKMSKeyARN"] == SAMPLES["DataKeyArn"]
    assert s3["CloudWatchLoggingOptions"]["Enabled"] is True
    assert 0 <= int(s3["BufferingHints"]["IntervalInSeconds"]) <= 900
    assert 1 <= int(s3["BufferingHints"]["SizeInMBs"]) <= 128


@pytest.mark.parametrize(("sender", "parts"), [("Partner", "Drop"), ("ThirdParty", "ThirdParty")])
def test_a_route_of_others_is_off_without_them(sender: str, parts: str) -> None:
    """Given no account of theirs, then neither role nor rights of the route exist; given one, an external id is demanded."""
    document = TEMPLATES["ingest"].document
    assert TEMPLATES["ingest"].parameters[f"{sender}AccountId"].default == ""
    assert TEMPLATES["ingest"].parameters[f"{sender}ExternalId"].no_echo
    for part in (document["Resources"][f"{parts}Role"], document["Resources"][f"{parts}Rights"]):
        assert part["Condition"] == f"Has{sender}"
    assert document["Outputs"][f"{parts}RoleArn"]["Condition"] == f"Has{sender}"
    assert f"{sender}NeedsExternalId" in document["Rules"]


# API


def test_a_changed_api_is_deployed() -> None:
    """Given the API, then its deployment's id ends in the hash of it: another API is another deployment, and goes live."""
    resources = TEMPLATES["api"].document["Resources"]
    pictured = json.dumps(resources["Api"]["Properties"], sort_keys=True)
    expected = f"ApiDeployment{hashlib.sha256(pictured.encode()).hexdigest()[:8]}"
    (deployment,) = [name for name, body in resources.items() if body["Type"] == "AWS::ApiGateway::Deployment"]
    assert deployment == expected, f"name it {expected} in templates/api.yaml, in both places"
    assert resources["ApiStage"]["Properties"]["DeploymentId"] == {"Ref": expected}


def test_the_api_takes_signed_calls_judges_the_envelope_and_logs_no_data() -> None:
    """Given the API, then each method asks for a signature and has a model of the envelope; no log has a body."""
    body = one_resource("api", "Api").properties["Body"]
    operations = [operation for path in body["paths"].values() for operation in path.values()]
    assert operations and all(operation["security"] == [{"sigv4": []}] for operation in operations)
    assert all(operation["x-amazon-apigateway-request-validator"] == "body" for operation in operations)
    assert body["components"]["schemas"]["Transactions"]["properties"]["records"]["maxItems"] == MOST_RECORDS
    stage = one_resource("api", "ApiStage").properties
    assert "body" not in stage["AccessLogSetting"]["Format"].lower()
    (settings,) = stage["MethodSettings"]
    assert (settings["LoggingLevel"], settings["DataTraceEnabled"]) == ("OFF", False)
    assert settings["ThrottlingRateLimit"] and settings["ThrottlingBurstLimit"]


def test_refusals_of_the_gateway_have_the_shape_of_the_functions() -> None:
    """Given what the gateway itself refuses, then the answer has accepted, errors and request_id, and 429 says when again."""
    responses = one_resource("api", "Api").properties["Body"]["x-amazon-apigateway-gateway-responses"]
    for response in responses.values():
        document = json.loads(response["responseTemplates"]["application/json"])
        assert set(document) == {"accepted", "errors", "request_id"} and document["accepted"] == 0
        assert set(document["errors"][0]) == {"index", "field", "reason"}
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "BAD_REQUEST_BODY", "REQUEST_TOO_LARGE"} <= set(responses)
    assert "gatewayresponse.header.Retry-After" in responses["THROTTLED"]["responseParameters"]


def test_a_stage_with_a_log_waits_for_the_accounts_role() -> None:
    """Given an account without a role for API Gateway's logs, then the stage refers to the setting, so that comes first."""
    resources = TEMPLATES["api"].document["Resources"]
    (account,) = [name for name, each in resources.items() if each["Type"] == "AWS::ApiGateway::Account"]
    (stage,) = [each for each in resources.values() if each["Type"] == "AWS::ApiGateway::Stage"]
    assert "AccessLogSetting" in stage["Properties"]
    condition, own, _ = stage["Properties"]["Variables"]["logRole"]["Fn::If"]
    assert own == {"Ref": account}
    assert condition == resources[account]["Condition"]


@pytest.mark.parametrize("without", [{"HasApi", "HasOwnLogRole"}, {"HasOwnLogRole"}], ids=["off", "role is given"])
def test_the_api_is_off_unless_it_is_asked_for(without: set[str]) -> None:
    """Given ApiMode OFF, then nothing of route 3 is built; given the account's own role for logs, that one is left alone."""
    left = {resource.id for resource in Filled("api", without=without).resources()}
    own_role = {"ApiAccount", "ApiLogRole", "ApiLogRights"}
    assert left == {"ApiLogGroup"} if "HasApi" in without else not left & own_role
    assert TEMPLATES["api"].parameters["ApiMode"].default == "OFF"
    outputs = TEMPLATES["api"].outputs.values()
    assert {output.name for output in outputs if output.condition != "HasApi"} == {"ApiLogGroupName"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_stack_has_a_resource_whatever_is_switched_off(name: str) -> None:
    """Given a template with everything switched off, then a resource is left: CloudFormation makes no stack without one."""
    document = TEMPLATES[name].document
    assert any("Condition" not in body for body in document["Resources"].values())


# Catalog


def test_the_catalog_has_the_columns_of_the_library() -> None:
    """Given the tables of the catalog, then names, columns, types and partition key are those of the job's library."""
    tables = [table.properties["TableInput"] for table in all_resources("AWS::Glue::Table")]
    columns = {
        table["Name"]: tuple((column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"])
        for table in tables
    }
    assert columns == dict(TABLES)
    for table in tables:
        assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [(PARTITION_KEY, "string")]


def test_iam_decides_on_the_tables_unless_lake_formation_is_asked_for() -> None:
    """Given an account whose Lake Formation gives new tables to nobody, then IAM policies still hold for ours."""
    database = one_resource("catalog", "Database").properties["DatabaseInput"]
    everybody = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
    assert database["CreateTableDefaultPermissions"] == [{"Principal": everybody, "Permissions": ["ALL"]}]
    governed = one_resource("catalog", "Database", without={"IsGrantedByIam"}).properties["DatabaseInput"]
    assert "CreateTableDefaultPermissions" not in governed
    assert TEMPLATES["catalog"].parameters["WhoGrants"].default == "iam"


@each(all_resources("AWS::Glue::Table"))
def test_a_table_is_parquet_below_its_set_and_its_columns_are_explained(resource: Resource) -> None:
    """Given a table, then it is Parquet at <set>/<table>/, and each column has a comment that Glue takes."""
    table = resource.properties["TableInput"]
    storage = table["StorageDescriptor"]
    assert storage["Location"] == f"s3://base-bucket/base/{table['Name']}/"
    assert "parquet" in storage["SerdeInfo"]["SerializationLibrary"].lower() + storage["InputFormat"].lower()
    assert table["Parameters"]["classification"] == "parquet"
    assert not any(name.startswith("projection.") for name in table["Parameters"])
    assert all(1 <= len(column["Comment"]) <= 255 for column in [*storage["Columns"], *table["PartitionKeys"]])


# Job


JOBS = {"BaseTablesJob": "JobRole", "ReviewJob": "ReviewRole"}
LOG_PREFIXES = {"BaseTablesJob": "JobLogGroupPrefix", "ReviewJob": "ReviewLogGroupPrefix"}


@pytest.mark.parametrize("job_id", JOBS)
def test_a_job_runs_once_at_a_time_and_ends(job_id: str) -> None:
    """Given a job, then it has its stack's name, one run at a time, no retries, a timeout and auto-scaling."""
    job = one_resource("glue", job_id).properties
    assert job["Name"].startswith("stack-glue-")
    assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
    assert job["MaxRetries"] == 0 and job["JobRunQueuingEnabled"] is False
    assert 0 < int(job["Timeout"]) <= 480
    assert (job["Command"]["Name"], job["GlueVersion"], job["WorkerType"]) == ("glueetl", "6.0", "G.1X")
    assert job["DefaultArguments"]["--enable-auto-scaling"] == "true"


SPARK_SETTINGS = {
    "spark.hadoop.fs.s3a.endpoint.region": "ap-southeast-2",
    "spark.hadoop.fs.s3a.encryption.algorithm": "SSE-KMS",
    "spark.hadoop.fs.s3a.encryption.key": SAMPLES["DataKeyArn"],
    "spark.sql.catalogImplementation": "in-memory",
}


@pytest.mark.parametrize("job_id", JOBS)
def test_spark_is_told_region_and_key(job_id: str) -> None:
    """Given a job, then S3A gets the region (its own default is us-east-2) and the data key, which no run may change."""
    conf = one_resource("glue", job_id).properties["NonOverridableArguments"]["--conf"]
    assert dict(setting.split("=", 1) for setting in re.split(r"\s+--conf\s+", conf)) == SPARK_SETTINGS


def test_the_job_s_code_and_buckets_are_not_for_a_run_to_choose() -> None:
    """Given the job, then script, library, buckets, Spark's settings and the log's place are the template's."""
    job = one_resource("glue", "BaseTablesJob").properties
    fixed = job["NonOverridableArguments"]
    assert fixed["--scriptLocation"] == job["Command"]["ScriptLocation"]
    assert fixed["--extra-py-files"] == f"s3://artifacts-bucket/{SAMPLES['JobLibraryKey']}"
    assert (fixed["--raw_bucket"], fixed["--base_bucket"]) == ("raw-bucket", "base-bucket")
    # Every run sweeps what is superseded for as long: a run that chose the days could take away what a rollback needs.
    assert fixed["--retention_days"] == TEMPLATES["glue"].parameters["RetentionDays"].default
    assert "--custom-logGroup-prefix" in fixed
    assert not fixed.keys() & job["DefaultArguments"].keys()


def test_a_review_chooses_the_code_and_nothing_else() -> None:
    """Given the job of reviews, then a run may bring script and library, and writes the side tables whatever it asks."""
    job = one_resource("glue", "ReviewJob").properties
    fixed = job["NonOverridableArguments"]
    assert (fixed["--base_prefix"], fixed["--database"]) == (SAMPLES["SmokePrefix"], SAMPLES["SmokeDatabaseName"])
    assert (fixed["--raw_bucket"], fixed["--base_bucket"], fixed["--full_refresh"]) == (
        "raw-bucket",
        "base-bucket",
        "true",
    )
    assert {"--scriptLocation", "--extra-py-files"}.isdisjoint(fixed)


@pytest.mark.parametrize("job_id", JOBS)
def test_a_job_s_code_comes_by_its_content(job_id: str) -> None:
    """Given a job, then script and library are the released artifacts, which its role may read."""
    job = one_resource("glue", job_id).properties
    arguments = {**job["DefaultArguments"], **job["NonOverridableArguments"]}
    assert job["Command"]["ScriptLocation"] == f"s3://artifacts-bucket/{SAMPLES['JobScriptKey']}"
    assert arguments["--extra-py-files"] == f"s3://artifacts-bucket/{SAMPLES['JobLibraryKey']}"
    (reading,) = [s for s in role_rights("glue", JOBS[job_id]) if s["Sid"] == "ReadCode"]
    assert reading["Resource"] == f"arn:aws:s3:::artifacts-bucket/{ARTIFACTS_PREFIX}*"


def test_glue_5_0_is_refused_with_the_reason() -> None:
    """Given Glue 5.0, whose boto3 knows no conditional writes, then the template refuses it and says why."""
    version = TEMPLATES["glue"].document["Parameters"]["JobVersion"]
    assert version["AllowedValues"] == ["5.1", "6.0"]
    assert "conditional writes" in version["ConstraintDescription"]


@pytest.mark.parametrize("job_id", JOBS)
def test_a_job_s_log_groups_have_the_names_that_glue_writes_to(job_id: str) -> None:
    """Given log encryption in the security configuration, then the groups carry its name and the role's, as Glue does."""
    fixed = one_resource("glue", job_id).properties["NonOverridableArguments"]["--custom-logGroup-prefix"]
    filled = Filled("glue")
    security, role = filled.value({"Ref": "SecurityConfiguration"}), filled.value({"Ref": JOBS[job_id]})
    prefix = f"{fixed}/{security}-role/{role}"
    groups = {group.properties["LogGroupName"] for group in LOG_GROUPS if group.template == "glue"}
    assert {name for name in groups if name.startswith(f"{fixed}/")} == {f"{prefix}/error", f"{prefix}/output"}
    assert filled.outputs()[LOG_PREFIXES[job_id]] == prefix
    assert len(fixed) <= 400


@pytest.mark.parametrize("job_id", JOBS)
@pytest.mark.parametrize(("mode", "ours"), [("SSE-KMS", True), ("DISABLED", False)])
def test_the_local_cloud_logs_where_glue_does(mode: str, ours: bool, job_id: str) -> None:
    """Given a job, when it runs in the local cloud, then its logs go by Glue's rule: here to the template's groups."""
    properties = one_resource("glue", job_id).properties
    role = {"Role": f"arn:aws:iam::111111111111:role/{Filled('glue').value({'Ref': JOBS[job_id]})}"}
    encryption = {"EncryptionConfiguration": {"CloudWatchEncryption": {"CloudWatchEncryptionMode": mode}}}
    configurations = {properties["SecurityConfiguration"]: encryption}
    prefix = log_group_prefix({**properties, **role}, properties["NonOverridableArguments"], configurations)
    groups = {group.properties["LogGroupName"] for group in LOG_GROUPS if group.template == "glue"}
    assert (f"{prefix}/error" in groups) is ours


def test_the_job_encrypts_files_logs_and_bookmarks() -> None:
    """Given the job, then its security configuration encrypts all three with our keys."""
    configuration = one_resource("glue", "SecurityConfiguration").properties
    job = one_resource("glue", "BaseTablesJob").properties
    assert job["SecurityConfiguration"] == configuration["Name"]
    encryption = configuration["EncryptionConfiguration"]
    data, logs = SAMPLES["DataKeyArn"], SAMPLES["LogsKeyArn"]
    assert encryption["S3Encryptions"] == [{"S3EncryptionMode": "SSE-KMS", "KmsKeyArn": data}]
    assert encryption["CloudWatchEncryption"] == {"CloudWatchEncryptionMode": "SSE-KMS", "KmsKeyArn": logs}
    assert encryption["JobBookmarksEncryption"] == {"JobBookmarksEncryptionMode": "CSE-KMS", "KmsKeyArn": data}


# Workgroup


def test_the_workgroup_enforces_its_settings() -> None:
    """Given the workgroup, then place, encryption, owner, engine and limit hold whatever a client asks for."""
    group = one_resource("athena", "WorkGroup").properties
    settings = group["WorkGroupConfiguration"]
    assert settings["EnforceWorkGroupConfiguration"] is True
    assert settings["EngineVersion"] == {"SelectedEngineVersion": "Athena engine version 3"}
    assert int(settings["BytesScannedCutoffPerQuery"]) >= 10_000_000
    assert settings["PublishCloudWatchMetricsEnabled"] is True
    results = settings["ResultConfiguration"]
    assert results["OutputLocation"].startswith("s3://results-bucket/")
    assert results["ExpectedBucketOwner"] == SAMPLES["AWS::AccountId"]
    assert results["EncryptionConfiguration"] == {"EncryptionOption": "SSE_KMS", "KmsKey": SAMPLES["DataKeyArn"]}
    assert group["RecursiveDeleteOption"] == "false"


def test_the_named_queries_are_the_released_sql() -> None:
    """Given the named queries, then their text is the parameter that dataops fills with the released file."""
    queries = all_resources("AWS::Athena::NamedQuery")
    texts = {query.properties["Name"]: query.body["Properties"]["QueryString"] for query in queries}
    assert texts == {"refunds": {"Ref": "RefundsSql"}, "monthly_refunds": {"Ref": "MonthlyRefundsSql"}}
