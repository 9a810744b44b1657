"""A session proves whose account it is before anything else is called."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError

from deployer import local
from deployer.aws.session import Access, Session, connect
from deployer.errors import DataopsError, Refused, UsageError
from deployer.project.config import Environment, Partner, Project

PROJECT = Project("lake", Path("/project"), {}, {}, {})
UAT = Environment("uat", account="111111111111", region="eu-west-1")
KEYS = Access(access_key_id="AKIAEXAMPLE", secret_access_key="x")


class Cloud:
    """Answers every request of the sessions in place of AWS, and keeps what it was asked: calls, and their requests."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.calls: list[tuple[str, str]] = []
        self.requests: list[Any] = []

    def note(self, model: Any, **_: Any) -> None:
        self.calls.append((model.service_model.service_name, model.name))

    def answer(self, request: Any, **_: Any) -> AWSResponse:
        self.requests.append(request)
        body = (
            f"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>{self.account}</Account>"
            "</GetCallerIdentityResult></GetCallerIdentityResponse>"
            if "GetCallerIdentity" in str(request.body)
            else "<DescribeStacksResponse><DescribeStacksResult><Stacks/></DescribeStacksResult></DescribeStacksResponse>"
        )
        response = AWSResponse(request.url, 200, {}, None)
        response._content = body.encode()
        return response


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """AWS, as account 111111111111."""
    answers = Cloud("111111111111")
    made = boto3.Session

    def answered(*arguments: Any, **named: Any) -> boto3.Session:
        session = made(*arguments, **named)
        session.events.register("before-call", answers.note)
        session.events.register("before-send", answers.answer)
        return session

    monkeypatch.setattr(boto3, "Session", answered)
    return answers


def session(environment: Environment = UAT, access: Access = KEYS) -> Session:
    return Session(PROJECT, environment, access)


def test_the_identity_is_asked_once_and_first(cloud: Cloud) -> None:
    """Given a declared account, when clients are used, then the first call is for the identity, and it is made once."""
    used = session()
    used.client("cloudformation").describe_stacks()
    used.client("cloudformation").describe_stacks()
    assert used.verify_identity() == "111111111111"
    assert cloud.calls == [
        ("sts", "GetCallerIdentity"),
        ("cloudformation", "DescribeStacks"),
        ("cloudformation", "DescribeStacks"),
    ]
    assert used.client("cloudformation") is used.client("cloudformation")


def test_another_account_is_refused_before_any_other_call(cloud: Cloud) -> None:
    """Given credentials of another account, when a client is asked for, then it is refused, and nothing else is called."""
    cloud.account = "222222222222"
    used = session()
    with pytest.raises(
        Refused, match="uat is account 111111111111, but these credentials belong to account 2222"
    ) as why:
        used.client("cloudformation")
    assert why.value.exit_code == 6
    assert cloud.calls == [("sts", "GetCallerIdentity")]


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_another_region_is_refused_before_any_call(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Given a region of the process that is not the declared one, when a client is asked for, then nothing is called."""
    monkeypatch.setenv(variable, "us-east-1")
    used = session()
    with pytest.raises(Refused, match=f"uat is in eu-west-1, but {variable} says us-east-1"):
        used.client("cloudformation")
    assert cloud.requests == []


def test_without_a_declared_account_nobody_is_asked(cloud: Cloud) -> None:
    """Given an environment without an account, when a client is used, then the identity costs no call unless asked for."""
    used = session(Environment("local", region="eu-west-1"))
    used.client("cloudformation").describe_stacks()
    assert cloud.calls == [("cloudformation", "DescribeStacks")]
    assert cloud.requests[0].url.startswith("https://cloudformation.eu-west-1.")


def test_requests_say_who_makes_them_and_where_they_go(cloud: Cloud) -> None:
    """Given an endpoint, when a call is made, then it goes there, in the declared region, and names dataops."""
    used = session(access=Access("http://127.0.0.1:4566", "111111111111", "x"))
    used.client("cloudformation").describe_stacks()
    assert {request.url for request in cloud.requests} == {"http://127.0.0.1:4566/"}
    assert all(b" dataops/" in request.headers["User-Agent"] for request in cloud.requests)
    assert all(b"111111111111" in request.headers["Authorization"] for request in cloud.requests)
    assert all(b"/eu-west-1/" in request.headers["Authorization"] for request in cloud.requests)
    config = used.client("s3").meta.config
    assert config.retries["mode"] == "adaptive"
    assert config.s3["addressing_style"] == "path"


SHELL = {
    "AWS_PROFILE": "nonexistent",
    "AWS_CONFIG_FILE": "{broken}",
    "AWS_SHARED_CREDENTIALS_FILE": "{broken}",
    "AWS_ENDPOINT_URL_CLOUDFORMATION": "https://example.org",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_CA_BUNDLE": "/nowhere",
    "AWS_MAX_ATTEMPTS": "no number",
    "AWS_SESSION_TOKEN": "real",
    "AWS_CSM_ENABLED": "true",
}


@pytest.mark.parametrize("variable", SHELL)
def test_the_shell_decides_nothing_on_this_machine(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Given a local endpoint with keys of its own, then no AWS variable of the shell reaches or stops a request."""
    broken = tmp_path / "broken"
    broken.write_text("this is no configuration", encoding="utf-8")
    monkeypatch.setenv(variable, SHELL[variable].format(broken=broken))
    near = Environment("local", region="eu-west-1", endpoint="http://127.0.0.1:4566")
    session(near, Access(near.endpoint, "000000000000", "x")).client("cloudformation").describe_stacks()
    (request,) = [found for found in cloud.requests if "DescribeStacks" in str(found.body)]
    assert request.url == "http://127.0.0.1:4566/"
    assert b"Credential=000000000000/" in request.headers["Authorization"]
    assert b"/eu-west-1/" in request.headers["Authorization"]
    assert "X-Amz-Security-Token" not in request.headers


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://localhost:{port}", "http://x.localhost:{port}"])
def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Given a proxy in the shell, when the endpoint is on this machine, then the proxy is not asked; otherwise it is."""
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    near = session(access=Access(url.format(port=4566), "000000000000", "x"))._new_client("s3")
    far = session(access=Access("http://emulator.example:4566", "000000000000", "x"))._new_client("s3")
    assert near._endpoint.http_session._proxy_config.proxy_url_for(url.format(port=4566)) is None
    assert far._endpoint.http_session._proxy_config.proxy_url_for("http://emulator.example:4566") is not None


def test_who_has_ended_is_not_asked_for_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a local endpoint that has gone, then a call ends within seconds, the next one at once; a restart is waited for."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append, time=time.time))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    used = session(Environment("local", region="eu-west-1"), Access(f"http://127.0.0.1:{port}", "000000000000", "x"))
    with pytest.raises(EndpointConnectionError):
        used.client("s3").list_buckets()
    assert (len(pauses), sum(pauses) <= 1 + 2 + 4) == (3, True)
    with pytest.raises(EndpointConnectionError):
        used.client("cloudformation").describe_stacks()
    assert len(pauses) == 3


def endpoint() -> Any:
    class Endpoint:
        url, access_key_id, secret_access_key = "http://127.0.0.1:4566", "000000000000", "local"
        ports: ClassVar = {"gateway": 4566, "sftp": 2222}

    return Endpoint()


@pytest.mark.parametrize(("account", "key"), [(None, "000000000000"), ("111111111111", "111111111111")])
def test_the_local_cloud_knows_accounts_by_their_key(
    monkeypatch: pytest.MonkeyPatch, account: str | None, key: str
) -> None:
    """Given an environment in the local cloud, when a session is made, then its key is the declared account."""
    said: list[str] = []

    def start(directory: Path, *, say: Any) -> Any:
        say("starting")
        return endpoint()

    user = local.SftpUser("trial", Path("/project/.dataops/local/sftp/trial_ed25519"), "ssh-ed25519 AAAA")
    monkeypatch.setattr(local, "start", start)
    monkeypatch.setattr(local, "trial_user", lambda directory: user)
    made = connect(PROJECT, Environment("uat", account=account, endpoint="local"), say=said.append)
    assert made.environment.sftp_users == {"trial": ("ssh-ed25519 AAAA",)}
    assert made.sftp_login == ("trial", user.private_key)
    assert made.sftp_address("s-1.server.transfer.eu-west-1.amazonaws.com") == ("127.0.0.1", 2222)
    assert (made._access.url, made._access.access_key_id) == ("http://127.0.0.1:4566", key)
    assert said == ["starting"]


def test_a_local_cloud_that_must_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no local cloud, when a session must not start one, then the error says which command does."""
    monkeypatch.setattr(local, "find", lambda directory: None)
    with pytest.raises(DataopsError) as raised:
        connect(PROJECT, Environment("local", endpoint="local"), start_local=False)
    assert raised.value.hint == "dataops deploy --env local"


def test_the_partner_has_credentials_of_its_own(cloud: Cloud) -> None:
    """Given a partner, when its session is made, then it uses the partner's account at the same endpoint."""
    partner = Partner(account="999999999999")
    ours = session(
        Environment("local", region="eu-west-1", endpoint="local", partner=partner),
        Access("http://127.0.0.1:4566", "000000000000", "x"),
    )
    theirs = ours.as_partner()
    cloud.account = "999999999999"
    assert theirs.verify_identity() == "999999999999"
    (request,) = cloud.requests
    assert b"999999999999" in request.headers["Authorization"]


@pytest.mark.parametrize("key", ["partner", "third_party"])
def test_an_environment_without_a_sender_says_so(key: str) -> None:
    """Given no partner or no tool, when its session is asked for, then the hint shows what to add to dataops.yml."""
    with pytest.raises(UsageError, match=f"has no {key}") as raised:
        session().as_partner() if key == "partner" else session().as_third_party()
    assert f"{key}: {{profile: ...}}" in str(raised.value.hint)
