"""The pipeline's roles are assumed only with a token of the right issuer, audience and subject that has not expired."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_cloud import ACCOUNT, Cloud
from repository import ROOT
from token_issuer import AUDIENCE, HOST, Issuer, subject

TEMPLATE = ROOT / "templates/account/pipeline.yaml"
PARAMETERS = {
    "EnvironmentName": "uat",
    "IssuerHost": HOST,
    "DeploySubject": subject("refunds-lake-uat"),
    "ReviewSubjects": f"{subject('refunds-lake-uat')},{subject('refunds-lake-prod')}",
}


@pytest.fixture(scope="module")
def issuer(local_cloud: Cloud) -> Issuer:
    """An issuer whose provider and roles are deployed from the template."""
    issuer = Issuer()
    issuer.make_known(local_cloud.project_dir)
    local_cloud.client("cloudformation").create_stack(
        StackName="refunds-lake-pipeline-uat",
        TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in PARAMETERS.items()],
    )
    stack = local_cloud.settled("refunds-lake-pipeline-uat")
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    assert local_cloud.outputs(stack)["DeployRoleArn"] == arn("deploy")
    return issuer


def arn(role: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/refunds-lake-{role}-uat"


def take(cloud: Cloud, token: str, role: str = "deploy") -> Any:
    return cloud.client("sts").assume_role_with_web_identity(
        RoleArn=arn(role), RoleSessionName="azure-pipelines", WebIdentityToken=token
    )


@pytest.mark.parametrize(
    ("connection", "role"),
    [("refunds-lake-uat", "deploy"), ("refunds-lake-uat", "review"), ("refunds-lake-prod", "review")],
)
def test_a_service_connection_takes_its_role(local_cloud: Cloud, issuer: Issuer, connection: str, role: str) -> None:
    """Given a token of a service connection that a role trusts, when it is assumed, then the session is the role's."""
    found = take(local_cloud, issuer.token(connection), role)
    session = local_cloud.client("sts", session=found["Credentials"])
    assert session.get_caller_identity()["Arn"].endswith(f"assumed-role/refunds-lake-{role}-uat/azure-pipelines")


OTHER = Issuer(HOST)
REFUSED = {
    "another subject": (lambda issuer: issuer.token("refunds-lake-prod"), "AccessDenied"),
    "a subject with a wildcard": (lambda issuer: issuer.token(sub="sc://acme/refunds/*"), "AccessDenied"),
    "another audience": (lambda issuer: issuer.token(aud="sts.amazonaws.com"), "InvalidIdentityToken"),
    "an expired token": (lambda issuer: issuer.token(exp=int(time.time()) - 1), "ExpiredTokenException"),
    "a token without an end": (lambda issuer: issuer.token(exp=0), "ExpiredTokenException"),
    "another key": (lambda issuer: OTHER.token(), "InvalidIdentityToken"),
    "claims that were changed": (
        lambda issuer: ".".join(
            (issuer.token("x").split(".")[0], issuer.token().split(".")[1], issuer.token("x").split(".")[2])
        ),
        "InvalidIdentityToken",
    ),
    "an issuer without a provider": (lambda issuer: issuer.token(iss="https://example.com"), "InvalidIdentityToken"),
    "no token": (lambda issuer: "none of it", "InvalidIdentityToken"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_nothing_else_takes_it(local_cloud: Cloud, issuer: Issuer, what: str) -> None:
    """Given a token that differs from the trusted one in some way, when the role is assumed with it, then STS refuses."""
    make, code = REFUSED[what]
    with pytest.raises(ClientError) as caught:
        take(local_cloud, make(issuer))
    assert caught.value.response["Error"]["Code"] == code, caught.value


def test_an_issuer_whose_keys_nobody_has(local_cloud: Cloud, issuer: Issuer) -> None:
    """Given a provider for an issuer that cannot be reached, when its token is used, then STS says that it has no key."""
    unknown = Issuer("tokens.example.com")
    iam = local_cloud.client("iam")
    iam.create_open_id_connect_provider(Url=unknown.url, ClientIDList=[AUDIENCE])
    with pytest.raises(ClientError, match="Couldn't retrieve verification key"):
        take(local_cloud, unknown.token())
