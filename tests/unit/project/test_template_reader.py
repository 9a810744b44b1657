"""Templates become data that knows its lines, and a template that cannot be read is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.errors import ConfigError
from deployer.project.templates import Output, Parameter, Resource, load_template, load_templates, parse_template

BODY = """\
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Name: {Type: String}
  Days:
    Type: Number
    Default: 30
  Secret: {Type: String, NoEcho: true, Default: ""}
  Flag: {Type: String, Default: false}
Conditions:
  HasName: !Not [!Equals [!Ref Name, ""]]
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    UpdateReplacePolicy: RetainExceptOnCreate
    Condition: HasName
    Properties:
      BucketName: !Sub "x-${Name}"
      Tags:
        - Key: a
          Value: !GetAtt Topic.Nested.Name
        - Key: b
          Value: !Select
            - 0
            - !GetAZs ""
      Policy:
        Version: 2012-10-17
        Statement:
          Fn::Transform: {Name: x}
  Topic: {Type: AWS::SNS::Topic}
Outputs:
  BucketName: {Value: !Ref Bucket, Condition: HasName}
  TopicArn:
    Value: !If [HasName, !Ref Topic, !Ref AWS::NoValue]
"""
TEMPLATE = parse_template(BODY, Path("t.yaml"))


def test_intrinsics_take_their_long_form() -> None:
    """Given short intrinsics, when the template is read, then the document has the long ones, and dates are text."""
    bucket = TEMPLATE.document["Resources"]["Bucket"]
    assert TEMPLATE.document["AWSTemplateFormatVersion"] == "2010-09-09"
    assert TEMPLATE.document["Conditions"]["HasName"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Name"}, ""]}]}
    assert bucket["Properties"]["BucketName"] == {"Fn::Sub": "x-${Name}"}
    assert bucket["Properties"]["Tags"] == [
        {"Key": "a", "Value": {"Fn::GetAtt": ["Topic", "Nested.Name"]}},
        {"Key": "b", "Value": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}},
    ]
    assert bucket["Properties"]["Policy"] == {
        "Version": "2012-10-17",
        "Statement": {"Fn::Transform": {"Name": "x"}},
    }


def test_parameters_outputs_and_resources_know_their_lines() -> None:
    """Given a template, when it is read, then what the deployer needs of it is there, with lines."""
    assert TEMPLATE.parameters == {
        "Name": Parameter("Name", "String", None, False, 3),
        "Days": Parameter("Days", "Number", "30", False, 4),
        "Secret": Parameter("Secret", "String", "", True, 7),
        "Flag": Parameter("Flag", "String", "false", False, 8),
    }
    assert TEMPLATE.outputs == {
        "BucketName": Output("BucketName", 32, "HasName"),
        "TopicArn": Output("TopicArn", 33, None),
    }
    assert TEMPLATE.resources == {
        "Bucket": Resource("Bucket", "AWS::S3::Bucket", 12, "Retain", "RetainExceptOnCreate"),
        "Topic": Resource("Topic", "AWS::SNS::Topic", 30),
    }


@pytest.mark.parametrize(
    ("logical_id", "path", "line"),
    [
        ("Bucket", (), 12),
        ("Bucket", ("BucketName",), 18),
        ("Bucket", ("Properties", "Tags", "1", "Value"), 23),
        ("Bucket", ("Tags", "0"), 20),
        ("Bucket", ("Tags", "7", "Value"), 19),
        ("Bucket", ("Policy", "Nowhere"), 26),
        ("Bucket", ("Nowhere",), 17),
        ("Topic", ("TopicName",), 30),
        ("Nothing", ("X",), 1),
    ],
)
def test_a_property_is_found_as_near_as_the_file_has_it(logical_id: str, path: tuple[str, ...], line: int) -> None:
    """Given a resource and a property's path, when its line is asked for, then it is that of the deepest key there."""
    assert TEMPLATE.line_of(logical_id, path) == line


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Resources:\n  A: {Type: [}\n", "t.yaml:2:14: this is not YAML"),
        ("Resources:\n  A: {Type: X}\n  A: {Type: Y}\n", "t.yaml:3:3: duplicate key 'A'"),
        ("Resources: {A: {Type: X, ? [a] : 1}}\n", "t.yaml:1:28: a key must be text"),
        ("- Resources\n", "t.yaml: a template must be a mapping"),
        ("", "t.yaml: a template must be a mapping"),
        ("Description: x\n", "t.yaml:1:1: 'Resources' must be a mapping with at least one entry"),
        ("Resources:\n  A: AWS::SNS::Topic\n", "t.yaml:2:6: 'A' must be a mapping"),
        (
            "Resources: {A: {Type: X}}\nOutputs: []\n",
            "t.yaml:2:10: 'Outputs' must be a mapping with at least one entry",
        ),
        ("Resources: {A: {Type: X, P: !!int x}}\n", "t.yaml:1:29: 'x' is no int"),
        ("Resources: &r\n  A: *r\n", "t.yaml: nested too deeply: does an alias contain itself?"),
    ],
)
def test_a_template_that_cannot_be_read_is_told_with_its_place(body: str, message: str) -> None:
    """Given a broken template, when it is read, then the message has file, line and column."""
    with pytest.raises(ConfigError) as raised:
        parse_template(body, Path("t.yaml"), shown_as="t.yaml")
    assert str(raised.value).startswith(message)


def test_a_missing_template_is_told(tmp_path: Path) -> None:
    """Given a path without a file, when it is loaded, then the message names it."""
    with pytest.raises(ConfigError, match=r"a\.yaml: there is no such template"):
        load_template(tmp_path / "a.yaml")


def test_stacks_may_share_a_template(tmp_path: Path) -> None:
    """Given two stacks of one template, when the project's templates are loaded, then it is read once."""
    from deployer.project.config import parse_project

    (tmp_path / "t.yaml").write_text(BODY, encoding="utf-8")
    text = "project: x\nenvironments: {a: {endpoint: local}}\nstacks: {a: {template: t.yaml}, b: {template: t.yaml}}"
    templates = load_templates(parse_project(text, tmp_path, {}))
    assert templates["a"] is templates["b"]
    assert templates["a"].file == "t.yaml"
