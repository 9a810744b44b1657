"""CloudFormation on the local cloud does what our templates rely on."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud, Json, eventually

KEY: Json = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": []}}}
TOPIC: Json = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "one"}}


def bucket(**properties: Any) -> Json:
    return {"Type": "AWS::S3::Bucket", "Properties": properties}


def change_set(cloud: Cloud, stack_name: str, template: Json, **arguments: Any) -> Json:
    """Create a change set and describe it."""
    cloudformation = cloud.client("cloudformation")
    created = cloudformation.create_change_set(
        StackName=stack_name, ChangeSetName=f"c-{uuid.uuid4().hex[:8]}", TemplateBody=json.dumps(template), **arguments
    )
    described: Json = cloudformation.describe_change_set(ChangeSetName=created["Id"])
    return described


def test_bucket_properties_are_kept(local_cloud: Cloud) -> None:
    """Given encryption, lifecycle, tags, logging and ownership, then S3 shows them, and objects are encrypted that way."""
    resources = {
        "Key": KEY,
        "Logs": bucket(),
        "Data": bucket(
            BucketEncryption={
                "ServerSideEncryptionConfiguration": [
                    {
                        "BucketKeyEnabled": True,
                        "ServerSideEncryptionByDefault": {
                            "SSEAlgorithm": "aws:kms",
                            "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]},
                        },
                        "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
                    }
                ]
            },
            LifecycleConfiguration={
                "Rules": [
                    {"Id": "old", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
                    {
                        "Id": "cool",
                        "Status": "Enabled",
                        "Prefix": "transactions/",
                        "Transitions": [{"StorageClass": "GLACIER_IR", "TransitionInDays": "90"}],
                    },
                    {"Id": "parts", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
                    {"Id": "smoke", "Status": "Enabled", "Prefix": "smoke/", "ExpirationInDays": 7},
                ]
            },
            LoggingConfiguration={"DestinationBucketName": {"Ref": "Logs"}, "LogFilePrefix": "data/"},
            OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            VersioningConfiguration={"Status": "Enabled"},
            Tags=[{"Key": "layer", "Value": "raw"}],
        ),
    }
    outputs = {"Data": {"Value": {"Ref": "Data"}}, "Arn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}}
    stack = local_cloud.deploy(resources, Outputs=outputs)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    made, s3 = local_cloud.outputs(stack), local_cloud.client("s3")
    name = made["Data"]
    rule = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["BucketKeyEnabled"] is True
    assert rule["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": made["Arn"]}
    rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]}
    assert rules["old"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert rules["cool"]["Filter"]["Prefix"] == "transactions/"
    assert rules["cool"]["Transitions"] == [{"Days": 90, "StorageClass": "GLACIER_IR"}]
    assert rules["parts"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
    assert rules["smoke"]["Expiration"]["Days"] == 7
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "layer", "Value": "raw"}]
    assert s3.get_bucket_logging(Bucket=name)["LoggingEnabled"]["TargetPrefix"] == "data/"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    ownership = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    head = s3.head_object(Bucket=name, Key="k")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", made["Arn"])

    resources["Data"]["Properties"].pop("LifecycleConfiguration")
    updated = local_cloud.deploy(resources, name=stack["StackName"], Outputs=outputs)
    assert updated["StackStatus"] == "UPDATE_COMPLETE"
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=name)


def test_a_bucket_with_data_is_not_deleted(local_cloud: Cloud) -> None:
    """Given objects, or versions of deleted ones, then deleting the stack fails as on AWS and the data stays."""
    resources = {"Data": bucket(VersioningConfiguration={"Status": "Enabled"})}
    stack = local_cloud.deploy(resources, Outputs={"Data": {"Value": {"Ref": "Data"}}})
    name, s3 = local_cloud.outputs(stack)["Data"], local_cloud.client("s3")
    version = s3.put_object(Bucket=name, Key="k", Body=b"kept")["VersionId"]
    s3.delete_object(Bucket=name, Key="k")
    cloudformation = local_cloud.client("cloudformation")
    cloudformation.delete_stack(StackName=stack["StackName"])
    assert local_cloud.settled(stack["StackId"])["StackStatus"] == "DELETE_FAILED"
    events = cloudformation.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in events if event["ResourceStatus"] == "DELETE_FAILED"]
    assert any("is not empty" in reason for reason in reasons)
    assert s3.get_object(Bucket=name, Key="k", VersionId=version)["Body"].read() == b"kept"

    for entry in s3.list_object_versions(Bucket=name)["Versions"]:
        s3.delete_object(Bucket=name, Key="k", VersionId=entry["VersionId"])
    for entry in s3.list_object_versions(Bucket=name).get("DeleteMarkers", []):
        s3.delete_object(Bucket=name, Key="k", VersionId=entry["VersionId"])
    cloudformation.delete_stack(StackName=stack["StackName"])
    assert local_cloud.settled(stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"


def test_a_replaced_bucket_keeps_its_data(local_cloud: Cloud) -> None:
    """Given a bucket with an object, when its name changes, then the change set says so and the old bucket stays."""
    old, new = (f"named-{uuid.uuid4().hex[:8]}" for _ in range(2))
    stack = local_cloud.deploy({"Data": bucket(BucketName=old)})
    s3 = local_cloud.client("s3")
    s3.put_object(Bucket=old, Key="k", Body=b"kept")
    renamed = {"Resources": {"Data": bucket(BucketName=new)}}
    described = change_set(local_cloud, stack["StackName"], renamed)
    assert described["Changes"][0]["ResourceChange"]["Replacement"] == "True"
    local_cloud.client("cloudformation").execute_change_set(ChangeSetName=described["ChangeSetId"])
    assert local_cloud.settled(stack["StackName"])["StackStatus"] == "UPDATE_COMPLETE"
    s3.head_bucket(Bucket=new)
    assert s3.get_object(Bucket=old, Key="k")["Body"].read() == b"kept"


def test_missing_types_and_properties(local_cloud: Cloud) -> None:
    """Given types and properties that the emulator lacks, then the services show them after create, update and delete."""
    suffix = uuid.uuid4().hex[:8]
    resources: Json = {
        "Key": KEY,
        "Configuration": {
            "Type": "AWS::Glue::SecurityConfiguration",
            "Properties": {
                "Name": f"sec-{suffix}",
                "EncryptionConfiguration": {"S3Encryptions": [{"S3EncryptionMode": "SSE-KMS", "KmsKeyArn": "k"}]},
            },
        },
        "Query": {
            "Type": "AWS::Athena::NamedQuery",
            "Properties": {"Name": "refunds", "Database": "d", "QueryString": "select 1"},
        },
        "Stream": {
            "Type": "AWS::Kinesis::Stream",
            "Properties": {"StreamEncryption": {"EncryptionType": "KMS", "KeyId": {"Fn::GetAtt": ["Key", "Arn"]}}},
        },
        "Job": {
            "Type": "AWS::Glue::Job",
            "Properties": {
                "Role": "r",
                "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/k"},
                "ExecutionProperty": {"MaxConcurrentRuns": 3},
                "ExecutionClass": "FLEX",
                "GlueVersion": "5.1",
            },
        },
    }
    outputs = {name: {"Value": {"Ref": name}} for name in resources if name != "Key"}
    stack = local_cloud.deploy(resources, Outputs=outputs)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    made = local_cloud.outputs(stack)
    glue, athena = local_cloud.client("glue"), local_cloud.client("athena")
    configuration = glue.get_security_configuration(Name=made["Configuration"])["SecurityConfiguration"]
    assert configuration["EncryptionConfiguration"]["S3Encryption"][0]["S3EncryptionMode"] == "SSE-KMS"
    assert athena.get_named_query(NamedQueryId=made["Query"])["NamedQuery"]["QueryString"] == "select 1"
    stream = local_cloud.client("kinesis").describe_stream(StreamName=made["Stream"])["StreamDescription"]
    assert stream["EncryptionType"] == "KMS"
    assert stream["KeyId"].startswith("arn:aws:kms:")
    job = glue.get_job(JobName=made["Job"])["Job"]
    assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 3}
    assert job["ExecutionClass"] == "FLEX"

    resources["Query"]["Properties"]["QueryString"] = "select 2"
    resources["Job"]["Properties"]["ExecutionProperty"] = {"MaxConcurrentRuns": 4}
    updated = local_cloud.deploy(resources, name=stack["StackName"], Outputs=outputs)
    assert updated["StackStatus"] == "UPDATE_COMPLETE"
    replaced = local_cloud.outputs(updated)
    assert replaced["Query"] != made["Query"]
    assert athena.get_named_query(NamedQueryId=replaced["Query"])["NamedQuery"]["QueryString"] == "select 2"
    with pytest.raises(ClientError):
        athena.get_named_query(NamedQueryId=made["Query"])
    assert glue.get_job(JobName=made["Job"])["Job"]["ExecutionProperty"] == {"MaxConcurrentRuns": 4}

    local_cloud.client("cloudformation").delete_stack(StackName=stack["StackName"])
    assert local_cloud.settled(stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    with pytest.raises(ClientError):
        glue.get_security_configuration(Name=made["Configuration"])


REFUSED: list[tuple[str, Json, str]] = [
    (
        "a Ref to nothing",
        {"T": {**TOPIC, "Properties": {"TopicName": {"Ref": "Nope"}}}},
        r"resource dependencies \[Nope\]",
    ),
    ("a Sub of nothing", {"T": {**TOPIC, "Properties": {"TopicName": {"Fn::Sub": "${Nope}-x"}}}}, r"\[Nope\]"),
    ("a dependency on nothing", {"T": {**TOPIC, "DependsOn": "Nope"}}, r"\[Nope\] in the Resources block"),
    ("an unknown condition", {"T": {**TOPIC, "Condition": "IsNope"}}, "condition dependency IsNope"),
    ("a cycle", {"A": {**TOPIC, "DependsOn": "B"}, "B": {**TOPIC, "DependsOn": "A"}}, "Circular dependency"),
    (
        "IAM without capability",
        {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}},
        "Requires capabilities",
    ),
]


@pytest.mark.parametrize(("resources", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_wrong_template_is_refused(local_cloud: Cloud, resources: Json, message: str) -> None:
    """Given a template that AWS refuses, then the change set is refused and leaves no stack behind."""
    name = f"wrong-{uuid.uuid4().hex[:8]}"
    with pytest.raises(ClientError, match=message):
        change_set(local_cloud, name, {"Resources": resources}, ChangeSetType="CREATE")
    with pytest.raises(ClientError, match="does not exist"):
        local_cloud.client("cloudformation").describe_stacks(StackName=name)


def test_parameters(local_cloud: Cloud) -> None:
    """Given a NoEcho value, then the change set masks it; given an undeclared parameter, then it is refused."""
    name = f"parameters-{uuid.uuid4().hex[:8]}"
    template = {"Parameters": {"Secret": {"Type": "String", "NoEcho": True}}, "Resources": {"T": TOPIC}}
    given = [{"ParameterKey": "Secret", "ParameterValue": "open sesame"}]
    described = change_set(local_cloud, name, template, ChangeSetType="CREATE", Parameters=given)
    assert described["Parameters"] == [{"ParameterKey": "Secret", "ParameterValue": "****"}]
    unknown = [*given, {"ParameterKey": "Nope", "ParameterValue": "x"}]
    with pytest.raises(ClientError, match=r"Parameters: \[Nope\] do not exist in the template"):
        change_set(local_cloud, f"{name}-2", template, ChangeSetType="CREATE", Parameters=unknown)


def test_output_and_condition_changes_are_changes(local_cloud: Cloud) -> None:
    """Given that only an output changes, or only a condition flips, then there is a change set that can be executed."""
    template: Json = {
        "Parameters": {"Extra": {"Type": "String", "Default": "no"}},
        "Conditions": {"HasExtra": {"Fn::Equals": [{"Ref": "Extra"}, "yes"]}},
        "Resources": {"T": TOPIC, "More": {**TOPIC, "Condition": "HasExtra"}},
        "Outputs": {"Shown": {"Value": "one"}},
    }
    sections = {name: part for name, part in template.items() if name != "Resources"}
    stack = local_cloud.deploy(template["Resources"], **sections)
    name, cloudformation = stack["StackName"], local_cloud.client("cloudformation")
    same = change_set(local_cloud, name, template)
    assert (same["Status"], same["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "didn't contain changes" in same["StatusReason"]

    template["Outputs"]["Shown"]["Value"] = "two"
    shown = change_set(local_cloud, name, template)
    assert (shown["Status"], shown["Changes"]) == ("CREATE_COMPLETE", [])
    cloudformation.execute_change_set(ChangeSetName=shown["ChangeSetId"])
    assert local_cloud.outputs(local_cloud.settled(name)) == {"Shown": "two"}

    extra = [{"ParameterKey": "Extra", "ParameterValue": "yes"}]
    flipped = change_set(local_cloud, name, template, Parameters=extra)
    changes = [change["ResourceChange"] for change in flipped["Changes"]]
    assert [(change["Action"], change["LogicalResourceId"]) for change in changes] == [("Add", "More")]
    cloudformation.execute_change_set(ChangeSetName=flipped["ChangeSetId"])
    assert local_cloud.settled(name)["StackStatus"] == "UPDATE_COMPLETE"
    assert cloudformation.describe_stack_resource(StackName=name, LogicalResourceId="More")


def test_a_rolled_back_stack_cannot_be_updated(local_cloud: Cloud) -> None:
    """Given a first deployment that failed, then only deleting the stack helps, as on AWS."""
    name = f"failed-{uuid.uuid4().hex[:8]}"
    failing = {"T": {**TOPIC, "Properties": {"DisplayName": {"Fn::ImportValue": "no-such-export"}}}}
    described = change_set(local_cloud, name, {"Resources": failing}, ChangeSetType="CREATE")
    local_cloud.client("cloudformation").execute_change_set(ChangeSetName=described["ChangeSetId"])

    def status() -> str | None:
        found = local_cloud.settled(name)["StackStatus"]
        return None if found == "REVIEW_IN_PROGRESS" else str(found)

    assert eventually(status, seconds=10) == "ROLLBACK_COMPLETE"
    for kind in ("UPDATE", "CREATE"):
        with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
            change_set(local_cloud, name, {"Resources": {"T": TOPIC}}, ChangeSetType=kind)


def test_a_log_group_without_a_name_begins_with_its_stack(local_cloud: Cloud) -> None:
    """Given a log group that CloudFormation names, then its name begins with the stack's, as on AWS, and never changes."""
    stack = f"named-{uuid.uuid4().hex[:8]}"
    cloudformation = local_cloud.client("cloudformation")

    def template(days: int) -> str:
        group = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": days}}
        return json.dumps({"Resources": {"Group": group}})

    names = []
    for call, days in ((cloudformation.create_stack, 1), (cloudformation.update_stack, 3)):
        call(StackName=stack, TemplateBody=template(days))
        assert local_cloud.settled(stack)["StackStatus"].endswith("_COMPLETE")
        (group,) = local_cloud.client("logs").describe_log_groups(logGroupNamePrefix=f"{stack}-Group-")["logGroups"]
        assert group["retentionInDays"] == days
        names.append(group["logGroupName"])
    assert names[0] == names[1]
