"""REST APIs do what their templates say: validators, models, refusals, limits, access logs, an address that works here."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from local_cloud import ACCOUNT, Cloud, eventually

from deployer.local.api_gateway.calls import is_proxy_answer, log_line

FUNCTION = """
import json, time
def handle(event, context):
    asked = json.loads(event["body"])
    if asked.get("do") == "fail":
        raise RuntimeError("a secret of the function")
    if asked.get("do") == "sleep":
        time.sleep(3)
    if asked.get("do") == "odd":
        return {"answer": 1}
    return {"statusCode": 202, "body": json.dumps({"asked": asked, "id": event["requestContext"]["requestId"]})}
"""
REFUSAL = '{"reason":"$context.error.responseType","id":"$context.requestId"}'
LOG_FORMAT = (
    '{"id":"$context.requestId","status":"$context.status","error":"$context.error.responseType",'
    '"integration":"$context.integration.error","none":"$context.nothing"}'
)


def body(minimum: int = 1, **schema: Any) -> dict[str, Any]:
    """An OpenAPI document with a validator, a model and error responses of its own."""
    uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
    return {
        "openapi": "3.0.1",
        "info": {"title": "things", "version": "1"},
        "paths": {
            "/things": {
                "post": {
                    "security": [{"sigv4": []}],
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Call"}}}},
                    "x-amazon-apigateway-request-validator": "body",
                    "x-amazon-apigateway-integration": {
                        "type": "aws_proxy",
                        "httpMethod": "POST",
                        "uri": {"Fn::Sub": uri},
                        "timeoutInMillis": 1500,
                    },
                }
            }
        },
        "components": {
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
            "schemas": {
                "Call": {
                    "type": "object",
                    "required": ["things"],
                    "properties": {
                        "things": {
                            "type": "array",
                            "minItems": minimum,
                            "items": {"$ref": "#/components/schemas/Thing"},
                        }
                    },
                },
                "Thing": {"type": "object", **schema},
            },
        },
        "x-amazon-apigateway-request-validators": {
            "body": {"validateRequestBody": True, "validateRequestParameters": False}
        },
        "x-amazon-apigateway-gateway-responses": {
            kind: {"responseTemplates": {"application/json": REFUSAL}} for kind in ("DEFAULT_4XX", "DEFAULT_5XX")
        },
    }


def permission(method: str, **properties: Any) -> dict[str, Any]:
    """A permission for a method of the API to call the function."""
    called = {"Fn::Sub": f"arn:aws:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{Api}}{method}"}
    usual = {"Principal": "apigateway.amazonaws.com", "SourceArn": called, "Action": "lambda:InvokeFunction"}
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {"FunctionName": {"Ref": "Function"}, **usual, **properties},
    }


def resources(**changes: Any) -> dict[str, Any]:
    role = {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/any"}
    return {
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "index.handle",
                "Role": role,
                "Timeout": 20,
                "Code": {"ZipFile": FUNCTION},
            },
        },
        "Calls": permission("/*/POST/things"),
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {}},
        "Account": {"Type": "AWS::ApiGateway::Account", "Properties": {"CloudWatchRoleArn": role}},
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "things", "Body": body()}},
        "Deployment": {
            "Type": "AWS::ApiGateway::Deployment",
            "Properties": {"RestApiId": {"Ref": "Api"}},
        },
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "DependsOn": "Account",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "DeploymentId": {"Ref": "Deployment"},
                "StageName": "v1",
                "AccessLogSetting": {"DestinationArn": {"Fn::GetAtt": ["Logs", "Arn"]}, "Format": LOG_FORMAT},
                "MethodSettings": [
                    {"ResourcePath": "/*", "HttpMethod": "*", "ThrottlingRateLimit": 1000, "ThrottlingBurstLimit": 1000}
                ],
            },
        },
        **changes,
    }


OUTPUTS = {
    "Url": {"Value": {"Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${Stage}"}},
    "Group": {"Value": {"Ref": "Logs"}},
}


class Api:
    """A deployed API and its caller."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self.cloud, self.name = cloud, name

    def deploy(self, **changes: Any) -> dict[str, str]:
        stack = self.cloud.deploy(resources(**changes), name=self.name, Outputs=OUTPUTS)
        assert stack["StackStatus"].endswith("E_COMPLETE") and "ROLLBACK" not in stack["StackStatus"], stack
        return self.outputs()

    def outputs(self) -> dict[str, str]:
        stacks = self.cloud.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return self.cloud.outputs(stacks[0])

    def call(self, document: Any, *, signed: bool = True, account: str = ACCOUNT) -> tuple[int, dict[str, Any]]:
        text = document if isinstance(document, bytes) else json.dumps(document).encode()
        request = AWSRequest("POST", self.outputs()["Url"] + "/things", data=text)
        request.headers["Content-Type"] = "application/json"
        if signed:
            keys = boto3.Session(account, self.cloud.endpoint.secret_access_key, region_name=self.cloud.endpoint.region)
            SigV4Auth(keys.get_credentials(), "execute-api", self.cloud.endpoint.region).add_auth(request)
        prepared = request.prepare()
        sent = urllib.request.Request(prepared.url, data=text, headers=dict(prepared.headers.items()), method="POST")
        try:
            with urllib.request.urlopen(sent) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def lines(self) -> list[dict[str, Any]]:
        events = self.cloud.client("logs").filter_log_events(logGroupName=self.outputs()["Group"])["events"]
        return [json.loads(event["message"]) for event in events]


@pytest.fixture(scope="module")
def api(local_cloud: Cloud) -> Api:
    made = Api(local_cloud, f"things-{uuid.uuid4().hex[:8]}")
    made.deploy()
    return made


def test_the_address_in_the_outputs_answers(api: Api) -> None:
    """Given an API's address as templates write it, when the outputs are read, then a signed call to it is answered."""
    assert api.outputs()["Url"].startswith(api.cloud.endpoint.url)
    status, document = api.call({"things": [{}]})
    assert (status, document["asked"]) == (202, {"things": [{}]})


@pytest.mark.parametrize(
    ("document", "signed", "status", "reason"),
    [
        ({"things": [{}]}, False, 403, "MISSING_AUTHENTICATION_TOKEN"),
        ({"things": []}, True, 400, "BAD_REQUEST_BODY"),
        ({"things": [1]}, True, 400, "BAD_REQUEST_BODY"),
        ({}, True, 400, "BAD_REQUEST_BODY"),
        (b"{", True, 400, "BAD_REQUEST_BODY"),
        ({"things": [{"x": "y" * (6 << 20)}]}, True, 413, "REQUEST_TOO_LARGE"),
        ({"things": [{}], "do": "sleep"}, True, 504, "INTEGRATION_TIMEOUT"),
    ],
)
def test_the_gateway_refuses_in_the_shape_of_the_body(
    api: Api, document: Any, signed: bool, status: int, reason: str
) -> None:
    """Given what the gateway itself refuses, when it is sent, then the status is AWS's and the answer that of the body."""
    found, answer = api.call(document, signed=signed)
    assert (found, answer["reason"]) == (status, reason)


def test_a_caller_of_another_account_is_refused(api: Api) -> None:
    """Given an API without a resource policy, when another account calls it, then 403, as on AWS."""
    status, answer = api.call({"things": [{}]}, account="999999999999")
    assert (status, answer["reason"]) == (403, "ACCESS_DENIED")


@pytest.mark.parametrize(
    "wrong",
    [
        permission("/*/GET/things"),
        permission("/*/POST/other"),
        permission("/*/POST/things", Principal="events.amazonaws.com"),
        permission("/*/POST/things", SourceAccount=ACCOUNT),  # it is not documented that API Gateway sends it
    ],
    ids=["method", "path", "service", "account"],
)
def test_a_function_that_does_not_permit_the_method_is_not_called(api: Api, wrong: dict[str, Any]) -> None:
    """Given a permission for something else, when the API is called, then 500, and only its log says why."""
    try:
        api.deploy(Calls=wrong)
        status, answer = api.call({"things": [{}]})
        assert (status, answer["reason"]) == (500, "API_CONFIGURATION_ERROR")
        (line,) = (line for line in api.lines() if line["id"] == answer["id"])
        assert "Invalid permissions on Lambda function" in line["integration"]
    finally:
        api.deploy()
    assert api.call({"things": [{}]})[0] == 202


@pytest.mark.parametrize("do", ["fail", "odd"])
def test_a_function_that_fails_says_nothing_to_the_caller(api: Api, do: str) -> None:
    """Given a function that fails or answers oddly, when it is called, then the answer is 502 and hides what happened."""
    status, answer = api.call({"things": [{}], "do": do})
    assert (status, answer) == (502, {"message": "Internal server error"})


def test_each_call_is_a_line_of_the_log_and_counted(api: Api) -> None:
    """Given calls, when they are answered, then each has a line in the stage's log with its id, and metrics count them."""
    _, taken = api.call({"things": [{}]})
    _, refused = api.call({})
    lines = {line["id"]: line for line in api.lines()}
    unknown = {"integration": "-", "none": "-"}
    assert lines[taken["id"]] == {"id": taken["id"], "status": "202", "error": "-", **unknown}
    assert lines[refused["id"]] == {"id": refused["id"], "status": "400", "error": "BAD_REQUEST_BODY", **unknown}
    metrics = api.cloud.client("cloudwatch").list_metrics(Namespace="AWS/ApiGateway")["Metrics"]
    assert {"Count", "4XXError", "5XXError", "Latency"} <= {metric["MetricName"] for metric in metrics}


def test_a_changed_body_is_the_same_api(api: Api) -> None:
    """Given an API whose body changes, when it is deployed, then its address stays and its new model applies."""
    before = api.outputs()["Url"]
    changed = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "things", "Body": body(2, required=["a"])}}
    try:
        assert api.deploy(Api=changed)["Url"] == before
        assert api.call({"things": [{"a": 1}]})[0] == 400
        assert api.call({"things": [{"a": 1}, {}]})[0] == 400
        assert api.call({"things": [{"a": 1}, {"a": 2}]})[0] == 202
    finally:
        api.deploy()


def test_a_stage_without_the_accounts_role_cannot_log(own_cloud: Cloud) -> None:
    """Given an account without a role for logs, when a stage has an access log, then its stack fails, as on AWS."""
    wanted = resources()
    del wanted["Account"], wanted["Stage"]["DependsOn"]
    name = f"unlogged-{uuid.uuid4().hex[:8]}"
    stack = own_cloud.deploy(wanted, name=name)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = own_cloud.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    assert any("CloudWatch Logs role ARN must be set" in event.get("ResourceStatusReason", "") for event in events)


def test_an_api_outlives_a_kill(own_cloud: Cloud) -> None:
    """Given an API, when the local cloud is killed and started, then the same address validates and answers."""
    api = Api(own_cloud, f"things-{uuid.uuid4().hex[:8]}")
    api.deploy()
    own_cloud.kill()
    own_cloud.restart()
    assert api.call({"things": []})[0] == 400
    assert eventually(lambda: api.call({"things": [{}]})[0] == 202, seconds=5)


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        ({"statusCode": 200}, True),
        ({"statusCode": "404", "headers": {}, "body": None, "isBase64Encoded": False}, True),
        ('{"statusCode": 200, "body": "x"}', True),
        ({"statusCode": 99}, False),
        ({"statusCode": 200, "body": {"a": 1}}, False),
        ({"statusCode": 200, "other": 1}, False),
        ("text", False),
        (None, False),
    ],
)
def test_what_is_a_proxy_answer(answer: Any, is_one: bool) -> None:
    """Given what a function returned, then API Gateway can turn it into a response, or not."""
    assert is_proxy_answer(answer) is is_one


def test_a_log_line_shows_known_variables() -> None:
    """Given a format, when a line is written, then variables have their values, and unknown ones are dashes."""
    assert log_line("$context.a.b $context.c, $context.a.b.", {"a.b": "1"}) == "1 -, 1."
