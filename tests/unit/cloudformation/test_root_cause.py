"""The last line of a failure, over a corpus of reasons as CloudFormation words them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.cloudformation.port import StackEvent
from deployer.cloudformation.root_cause import likely_fix, property_in, request_refused, root_cause
from deployer.errors import DataopsError
from deployer.project.templates import parse_template

TEMPLATE = parse_template(
    """\
Resources:
  Data:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: x
      VersioningConfiguration:
        Status: Enabled
  Job:
    Type: AWS::Glue::Job
    Properties:
      Command: {Name: glueetl}
""",
    Path("templates/t.yaml"),
)

CASES = [
    (
        "WorkGroup refunds-lake-uat-athena is not empty (Service: Athena, Status Code: 400)",
        "",
        "query history would be",
    ),
    ("The bucket you tried to delete is not empty (Service: S3, Status Code: 409)", "", "empty the bucket first"),
    (
        "Properties validation failed for resource Data with message: #/VersioningConfiguration/Status: #: only 1 subschema matches",
        "VersioningConfiguration.Status",
        "correct the template",
    ),
    (
        "Properties validation failed for resource Data with message: #: required key [Role] not found",
        "Role",
        "correct the template",
    ),
    (
        "Properties validation failed for resource X with message: #: extraneous key [BucketNam] is not permitted",
        "BucketNam",
        "correct",
    ),
    ("Encountered unsupported property TopicNam", "TopicNam", "correct the template"),
    ("Value of property Tags must be a list", "Tags", ""),
    ("Property Role cannot be empty.", "Role", ""),
    ("my-bucket already exists", "", "something outside this stack has that name"),
    ("Resource of type 'AWS::Logs::LogGroup' with identifier '/x' already exists.", "", "something outside"),
    (
        "User: arn:aws:sts::1:assumed-role/ci is not authorized to perform: glue:CreateJob on resource: *",
        "",
        "grant glue:CreateJob",
    ),
    ("Access Denied (Service: Amazon S3; Status Code: 403)", "", "lacks a permission"),
    ("Rate exceeded (Service: AWSGlue; Status Code: 400)", "", "run the same command again"),
    ("Account limit exceeded: LimitExceededException", "", "service quota"),
    ("The specified key does not exist. (Service: S3, NoSuchKey)", "", "artifact is missing"),
    ("The specified bucket does not exist", "", "removed outside of CloudFormation"),
    ("Export x cannot be deleted as it is in use by y", "", "another stack still uses it"),
    ("The bucket you tried to delete is not empty", "", "empty the bucket first"),
    ('Invalid principal in policy: "AWS":"arn:aws:iam::9:role/x"', "", "does not exist"),
    ("The following hook(s) failed: [Guard::Rule]", "", "hook refused it"),
    ("Resource timed out waiting for completion", "", "did not become ready"),
    ("Something nobody has seen before", "", ""),
]


@pytest.mark.parametrize(("reason", "name", "fix"), CASES, ids=[case[0][:40] for case in CASES])
def test_property_and_fix_of_known_reasons(reason: str, name: str, fix: str) -> None:
    """Each known wording names its property where it has one, and the likely fix."""
    assert property_in(reason) == name
    assert fix in likely_fix(reason)
    assert fix or not likely_fix(reason)


def event(number: int, logical_id: str, status: str, reason: str = "", type: str = "AWS::S3::Bucket") -> StackEvent:
    physical = "arn:stack" if type == "AWS::CloudFormation::Stack" else ""
    return StackEvent(f"e{number}", logical_id, type, status, reason, physical)


STACK = "AWS::CloudFormation::Stack"


def test_the_cause_is_the_first_failure_of_the_last_operation() -> None:
    """Given an older failure, cancelled resources and the stack's own summary, then only the real cause is told."""
    events = [
        event(0, "s", "UPDATE_IN_PROGRESS", type=STACK),
        event(1, "Job", "UPDATE_FAILED", "an older story", "AWS::Glue::Job"),
        event(2, "s", "UPDATE_ROLLBACK_COMPLETE", type=STACK),
        event(3, "s", "UPDATE_IN_PROGRESS", type=STACK),
        event(4, "Job", "UPDATE_FAILED", "Resource update cancelled", "AWS::Glue::Job"),
        event(
            5,
            "Data",
            "UPDATE_FAILED",
            "Properties validation failed for resource Data with message: #/VersioningConfiguration/Status: bad",
        ),
        event(6, "s", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to update: [Data, Job].", STACK),
    ]
    cause = root_cause(events, TEMPLATE, fallback="?")
    assert str(cause) == (
        "Data.VersioningConfiguration.Status (AWS::S3::Bucket): Properties validation failed for resource Data with message: "
        "#/VersioningConfiguration/Status: bad [templates/t.yaml:7] -> correct the template; dataops validate finds most of these"
    )


def test_without_a_failed_resource_the_stack_speaks() -> None:
    """Given no failed resource, then the stack's own reason is told, and without any the fallback."""
    events = [
        event(0, "s", "CREATE_IN_PROGRESS", type=STACK),
        event(1, "s", "ROLLBACK_IN_PROGRESS", "Export 'x' not found", STACK),
    ]
    assert root_cause(events, TEMPLATE, fallback="?").reason == "Export 'x' not found"
    assert root_cause([], TEMPLATE, fallback="it ended as ROLLBACK_COMPLETE").reason == "it ended as ROLLBACK_COMPLETE"


@pytest.mark.parametrize(
    ("message", "where"),
    [
        (
            "Template format error: Unresolved resource dependencies [JobRol] in the Resources block",
            "templates/t.yaml:6",
        ),
        (
            "Template format error: Unresolved resource dependencies [Rol, Gone] in the Resources block",
            "templates/t.yaml:8",
        ),
        ("Unrecognized resource types: [AWS::S3::Buckt]", "templates/t.yaml:2"),
        (
            "Template format error: Unresolved resource dependencies [Nowhere] in the Resources block",
            "templates/t.yaml",
        ),
        ("Parameters: [Size] must have values", "templates/t.yaml"),
    ],
)
def test_a_template_that_is_refused_at_once_is_told_with_its_line(message: str, where: str) -> None:
    """Given names that a template does not have, when CloudFormation refuses it, then the line that mentions them is told."""
    template = parse_template(
        """\
Resources:
  Data:
    Type: AWS::S3::Buckt
    Properties:
      Tags:
        - {Key: k, Value: !GetAtt JobRol.Arn}
      Names:
        - !Sub "${Data}-${Rol}"
""",
        Path("templates/t.yaml"),
        shown_as="templates/t.yaml",
    )
    refused = request_refused(
        "lake", DataopsError(f"AWS refuses CreateChangeSet (ValidationError): {message}"), template
    )
    assert refused.where == where
