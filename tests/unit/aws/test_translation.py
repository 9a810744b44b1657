"""What AWS and botocore raise reaches the operator as one line and a next step; a bug stays a bug."""

from __future__ import annotations

import pytest
from botocore import exceptions as raised

from deployer.aws.translation import explain
from deployer.errors import DataopsError, Refused


def answer(code: str, message: str = "said AWS") -> raised.ClientError:
    return raised.ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


URL = "https://cloudformation.eu-west-1.amazonaws.com"

EXPLAINED: list[tuple[Exception, str, str]] = [
    (raised.NoCredentialsError(), "no AWS credentials were found", "aws sso login"),
    (
        raised.PartialCredentialsError(provider="env", cred_var="x"),
        "no AWS credentials were found",
        "aws configure",
    ),
    (
        raised.CredentialRetrievalError(provider="x", error_msg="y"),
        "no AWS credentials were found",
        "aws configure",
    ),
    (raised.UnauthorizedSSOTokenError(), "no AWS credentials were found", "aws sso login"),
    (raised.SSOTokenLoadError(error_msg="gone"), "no AWS credentials were found", "aws sso login"),
    (raised.ProfileNotFound(profile="uta"), "(uta) could not be found", "`profile` in dataops.yml"),
    (
        raised.EndpointConnectionError(endpoint_url=URL),
        f'no answer: Could not connect to the endpoint URL: "{URL}"',
        "network",
    ),
    (raised.ConnectTimeoutError(endpoint_url=URL), "no answer", "dataops local status"),
    (raised.ReadTimeoutError(endpoint_url=URL), "no answer", "network"),
    (raised.ConnectionClosedError(endpoint_url=URL), "no answer", "network"),
    (raised.SSLError(endpoint_url=URL, error="bad"), "no secure connection", "AWS_CA_BUNDLE"),
    (raised.ProxyConnectionError(proxy_url=URL), "no secure connection", "HTTPS_PROXY"),
    (raised.NoRegionError(), "You must specify a region", "region"),
    (answer("ExpiredToken"), "the AWS credentials have expired (DescribeStacks: said AWS)", "aws sso login"),
    (answer("ExpiredTokenException"), "the AWS credentials have expired", "aws sso login"),
    (answer("InvalidClientTokenId"), "AWS does not accept these credentials", "aws sts get-caller-identity"),
    (answer("SignatureDoesNotMatch"), "AWS does not accept these credentials", "aws sts get-caller-identity"),
    (answer("RequestTimeTooSkewed"), "AWS refuses DescribeStacks: said AWS", "clock"),
    (answer("Throttling"), "AWS throttles DescribeStacks", "run the command again"),
    (answer("ValidationError"), "AWS refuses DescribeStacks (ValidationError): said AWS", "-vv"),
    (raised.ClientError({}, "DescribeStacks"), "AWS refuses DescribeStacks (unknown): no message", "-vv"),
]


@pytest.mark.parametrize(("error", "message", "hint"), EXPLAINED, ids=lambda value: type(value).__name__)
def test_an_answer_is_explained_with_the_next_step(error: Exception, message: str, hint: str) -> None:
    """Given an error of AWS or of the way there, when it is explained, then it says what happened and what to do."""
    explained = explain(error)
    assert isinstance(explained, DataopsError)
    assert message in str(explained)
    assert hint in str(explained.hint)
    assert explained.exit_code == 1


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"])
def test_a_denied_call_is_a_refusal_that_names_the_policy(code: str) -> None:
    """Given a call that AWS denies, when it is explained, then the exit code is a guard's and iam-policy is named."""
    explained = explain(answer(code, "User x is not authorized to perform: y"))
    assert isinstance(explained, Refused)
    assert "AWS denies DescribeStacks: User x is not authorized" in str(explained)
    assert "dataops iam-policy" in str(explained.hint)


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), OSError("x"), raised.ParamValidationError(report="x")]
)
def test_a_bug_is_not_explained(error: Exception) -> None:
    """Given an error that no operator can act on, when it is explained, then it is not: it keeps its traceback."""
    assert explain(error) is None


def test_every_botocore_error_is_explained() -> None:
    """Given any error class of botocore, when one is raised, then it is explained or known to be a bug."""
    kinds = [
        kind for kind in vars(raised).values() if isinstance(kind, type) and issubclass(kind, raised.BotoCoreError)
    ]
    for kind in kinds:
        error = kind.__new__(kind)
        Exception.__init__(error, "said botocore")
        assert (explain(error) is None) == issubclass(kind, raised.ParamValidationError), kind
