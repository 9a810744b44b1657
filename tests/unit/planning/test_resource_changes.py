"""What a change set says, property by property; responses are checked against botocore's own model of the service."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from deployer.aws.cloudformation import AwsCloud
from deployer.planning.data_guard import STATEFUL_TYPES, data_risks
from deployer.planning.permission_changes import iam_changes
from deployer.planning.render import render, visible_parameters
from deployer.planning.resource_changes import Action, Replacement, from_change_set, from_templates
from deployer.project.templates import parse_template

MODEL = botocore.session.get_session().get_service_model("cloudformation")


def change_set(*changes: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "ChangeSetId": "arn:aws:cloudformation:eu-west-1:111111111111:changeSet/c/1",
        "StackId": "arn:s",
        "Status": "CREATE_COMPLETE",
        "ExecutionStatus": "AVAILABLE",
        "Changes": [{"Type": "Resource", "ResourceChange": change} for change in changes],
        **members,
    }


def described(*pages: dict[str, Any]) -> AwsCloud:
    """A cloud that answers DescribeChangeSet with these pages; a member that the service does not have fails the test."""
    client = botocore.session.get_session().create_client(
        "cloudformation", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    stubber = Stubber(client)
    for page in pages:
        stubber.add_response("describe_change_set", page)
    stubber.activate()
    return AwsCloud(client)


def modify(
    logical_id: str = "Bucket",
    type: str = "AWS::S3::Bucket",
    replacement: str = "False",
    *details: dict[str, Any],
    **members: Any,
) -> dict[str, Any]:
    return {
        "Action": "Modify",
        "LogicalResourceId": logical_id,
        "ResourceType": type,
        "Replacement": replacement,
        "Details": list(details),
        **members,
    }


def test_values_before_and_after_come_from_cloudformation() -> None:
    """Given a change set with property values, then each property is told with old and new, and what forces the replacement."""
    raw = modify(
        "Bucket",
        "AWS::S3::Bucket",
        "True",
        {
            "Target": {
                "Attribute": "Properties",
                "Name": "BucketName",
                "Path": "/Properties/BucketName",
                "RequiresRecreation": "Always",
                "BeforeValue": "a",
                "AfterValue": "b",
                "AttributeChangeType": "Modify",
            },
            "Evaluation": "Static",
            "ChangeSource": "ParameterReference",
            "CausingEntity": "Name",
        },
        PolicyAction="ReplaceAndRetain",
    )
    (change,) = from_change_set(described(change_set(raw)).change_set("c").changes, {}, {})
    assert change.replacement is Replacement.YES
    assert change.causes == ("BucketName",)
    assert change.policy_action == "ReplaceAndRetain"
    (name,) = change.properties
    assert (name.path, name.before, name.after, name.cause) == ("BucketName", "a", "b", "parameter Name")


def test_a_value_that_is_known_after_apply_is_told_apart() -> None:
    """Given CloudFormation's placeholder, then it is no value."""
    raw = modify(
        "Job",
        "AWS::Glue::Job",
        "False",
        {
            "Target": {
                "Attribute": "Properties",
                "Name": "Role",
                "Path": "/Properties/Role",
                "RequiresRecreation": "Never",
                "BeforeValue": "r",
                "AfterValue": "{{changeSet:KNOWN_AFTER_APPLY}}",
            },
            "Evaluation": "Dynamic",
            "ChangeSource": "ResourceAttribute",
            "CausingEntity": "JobRole.Arn",
        },
    )
    (change,) = from_change_set(described(change_set(raw)).change_set("c").changes, {}, {})
    assert change.properties[0].after == "(known after apply)"
    assert change.properties[0].cause == "follows JobRole.Arn"


def test_all_pages_are_read() -> None:
    """Given a change set of two pages, then both pages' changes are there."""
    cloud = described(change_set(modify("A"), NextToken="n"), change_set(modify("B")))
    assert [c["LogicalResourceId"] for c in cloud.change_set("c").changes] == ["A", "B"]


def test_every_word_of_the_api_is_understood() -> None:
    """Each action, replacement and policy action of botocore's model becomes a change, with no word left out."""

    def words(shape: str) -> list[str]:
        return list(MODEL.shape_for(shape).enum)

    assert {a.value for a in Action} == set(words("ChangeAction"))
    assert {r.value for r in Replacement} == set(words("Replacement"))
    raws = [
        {
            "Action": a,
            "LogicalResourceId": f"R{i}",
            "ResourceType": "AWS::SNS::Topic",
            "Replacement": r,
            "PolicyAction": p,
        }
        for i, (a, r, p) in enumerate(product(words("ChangeAction"), words("Replacement"), words("PolicyAction")))
    ]
    changes = from_change_set(described(change_set(*raws)).change_set("c").changes, {}, {})
    assert len(changes) == len(raws)


def test_secrets_are_masked() -> None:
    """Given a NoEcho value in a property, then it is never shown."""
    raw = modify(
        "Role",
        "AWS::IAM::Role",
        "False",
        {
            "Target": {
                "Attribute": "Properties",
                "Name": "P",
                "Path": "/Properties/P",
                "BeforeValue": "id=hunter2",
                "AfterValue": "id=hunter3",
            }
        },
    )
    (change,) = from_change_set([raw], {}, {}, secrets=("hunter2", "hunter3"))
    assert (change.properties[0].before, change.properties[0].after) == ("id=****", "id=****")
    document = {"Parameters": {"S": {"Type": "String", "NoEcho": True}}}
    assert visible_parameters(document, {"S": "hunter2"}) == {"S": "****"}


# Templates alone.

ROLE = """
Parameters: {Data: {Type: String}, Partner: {Type: String, Default: ''}}
Conditions: {HasPartner: !Not [!Equals [!Ref Partner, '']]}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: glue.amazonaws.com}, Action: 'sts:AssumeRole'}]}
      Policies:
        - PolicyName: p
          PolicyDocument: {Statement: [{Effect: Allow, Action: ['s3:GetObject'], Resource: !Sub 'arn:${AWS::Partition}:s3:::${Data}/in/*'}]}
  Extra: {Type: 'AWS::SNS::Topic', Condition: HasPartner}
"""


def rendered(body: str, **parameters: str) -> Any:
    return render(parse_template(body, Path("t.yaml")).document, parameters)


def test_conditions_decide_what_is_made() -> None:
    """Given a condition on a parameter, then the resource is there only when it holds, and stays while that is unknown."""
    assert "Extra" not in rendered(ROLE, Data="d")
    assert "Extra" in rendered(ROLE, Data="d", Partner="999999999999")
    assert "Extra" in rendered(ROLE, Data="d", Partner="(known after apply)")


def test_property_changes_between_templates() -> None:
    """Given another parameter value, then the property is told with old and new."""
    (change,) = from_templates(rendered(ROLE, Data="old"), rendered(ROLE, Data="new"))
    (p,) = change.properties
    assert p.path == "Policies[0].PolicyDocument.Statement[0].Resource"
    assert (p.before, p.after) == ("arn:${AWS::Partition}:s3:::old/in/*", "arn:${AWS::Partition}:s3:::new/in/*")


@pytest.mark.parametrize(
    ("old", "new", "added", "removed", "broadens"),
    [
        ("'s3:GetObject'", "'s3:GetObject'", 0, 0, False),
        ("'s3:GetObject'", "'s3:GetObject', 's3:PutObject'", 1, 0, True),
        ("'s3:GetObject', 's3:PutObject'", "'s3:GetObject'", 0, 1, False),
        ("'s3:GetObject'", "'s3:*'", 1, 1, True),
        ("'s3:*'", "'s3:GetObject'", 1, 1, False),
    ],
)
def test_broadening_is_marked(old: str, new: str, added: int, removed: int, broadens: bool) -> None:
    """Given a changed policy, then what is added and removed is told, and broadening only when nothing covered it before."""
    before, after = (rendered(ROLE.replace("'s3:GetObject'", actions), Data="d") for actions in (old, new))
    changes = iam_changes(before, after)
    assert (sum(c.is_added for c in changes), sum(not c.is_added for c in changes)) == (added, removed)
    assert any(c.is_broadening for c in changes) is broadens


def test_a_lost_condition_and_a_lost_deny_broaden() -> None:
    """Given a statement that loses its condition, or a Deny that goes, then access is broader."""
    policy = "Resources: {{P: {{Type: 'AWS::S3::BucketPolicy', Properties: {{PolicyDocument: {{Statement: [{}]}}}}}}}}"
    allow = "{Effect: Allow, Principal: '*', Action: 's3:GetObject', Resource: 'a'%s}"
    held, free = (policy.format(allow % c) for c in (", Condition: {Bool: {x: 'true'}}", ""))
    assert any(c.is_broadening for c in iam_changes(rendered(held), rendered(free)))
    assert not any(c.is_broadening for c in iam_changes(rendered(free), rendered(held)))
    deny = policy.format(allow % "" + ", {Effect: Deny, Principal: '*', Action: '*', Resource: 'a'}")
    assert any(c.is_broadening for c in iam_changes(rendered(deny), rendered(free)))


# The data guard.


@pytest.mark.parametrize("type", sorted(STATEFUL_TYPES))
@pytest.mark.parametrize(
    ("raw", "is_risk"),
    [
        ({"Action": "Modify", "Replacement": "True"}, True),
        ({"Action": "Modify", "Replacement": "Conditional"}, True),
        ({"Action": "Modify", "Replacement": "False"}, False),
        ({"Action": "Remove"}, True),
        ({"Action": "Add"}, False),
        ({"Action": "Import"}, False),
    ],
    ids=str,
)
def test_what_holds_data_is_guarded(type: str, raw: dict[str, Any], is_risk: bool) -> None:
    """Given a change to a resource that holds data, then replacing and deleting are risks unless allowed by name."""
    changes = from_change_set([{"LogicalResourceId": "R", "ResourceType": type, **raw}], {}, {})
    assert bool(data_risks("s", changes)) is is_risk
    assert not data_risks("s", changes, allowed={"R"})


def test_what_holds_nothing_is_not_guarded() -> None:
    changes = from_change_set([modify("Job", "AWS::Glue::Job", "True")], {}, {})
    assert data_risks("s", changes) == ()
