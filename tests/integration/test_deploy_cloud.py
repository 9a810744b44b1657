"""Deployments over boto3 against an emulator: calls counted, faults injected at botocore's own events."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from five_stacks import NAMES, bare_emulator, deploy, session_of, write_project
from session_calls import calls_of

from deployer.aws.cloudformation import AwsCloud
from deployer.aws.session import Session
from deployer.composition.environment import artifacts_store, cloud_of, stack_outputs
from deployer.deploying.results import DeployOutcome
from deployer.errors import DataopsError

WRITES = ("Create", "Update", "Delete", "Put", "Execute")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bare_emulator(tmp_path_factory.mktemp("emulator")) as found:
        yield found


@pytest.fixture(autouse=True)
def hasty_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore repeats as ever, without its pauses."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None, time=time.time))


@pytest.fixture
def project(tmp_path: Path, url: str, request: pytest.FixtureRequest) -> Path:
    """The five stacks under a project name of the test's own."""
    directory = tmp_path / "project"
    write_project(directory, url)
    name = "t" + format(abs(hash(request.node.nodeid)) % 16**10, "x")
    config = directory / "dataops.yml"
    config.write_text(config.read_text().replace("project: five", f"project: {name}"))
    return directory


def test_a_deployment_without_changes_makes_seven_calls_and_no_write(project: Path) -> None:
    """Given five deployed stacks, when they are deployed again, then: one identity, five stacks, one ledger, nothing else."""
    assert deploy(session_of(project)).outcome is DeployOutcome.DONE
    session = session_of(project)
    calls = calls_of(session)
    session.verify_identity()
    assert deploy(session).outcome is DeployOutcome.UNCHANGED
    assert Counter(name for _, name in calls) == {"GetCallerIdentity": 1, "DescribeStacks": 5, "GetObject": 1}


def test_an_outside_update_defeats_the_skip(project: Path) -> None:
    """Given five deployed stacks, when one is updated by hand, then the next deployment notices and puts it right."""
    deploy(session_of(project))
    session = session_of(project)
    client = session.client("cloudformation")
    name = f"{session.project.name}-uat-ingest"
    body = (project / "templates/ingest.yaml").read_text().replace("Value: !Ref BaseTopic", "Value: by-hand")
    topic = cloud_of(session).describe(f"{session.project.name}-uat-base").outputs["BaseTopic"]  # type: ignore[union-attr]
    client.update_stack(
        StackName=name,
        TemplateBody=body,
        Parameters=[
            {"ParameterKey": "EnvironmentName", "ParameterValue": "uat"},
            {"ParameterKey": "BaseTopic", "ParameterValue": topic},
        ],
    )
    client.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    report = deploy(session_of(project))
    assert {r.stack: r.outcome.value for r in report.stacks if r.outcome.value != "unchanged"} == {"ingest": "done"}


def test_one_changed_script_changes_one_stack_and_moves_its_bytes_only(project: Path) -> None:
    """Given a deployed release, when its script changes, then one stack is updated and only the script is uploaded."""
    deploy(session_of(project))
    (project / "script.py").write_text("print(2)\n")
    report = deploy(session_of(project))
    assert {r.stack for r in report.stacks if r.outcome.value == "done"} == {"glue"}
    assert report.uploaded_bytes == len("print(2)\n")


def test_a_failed_stack_is_rolled_back_and_named(project: Path) -> None:
    """Given a stack that cannot be made, when we deploy, then later ones are not started and the cause has file and line."""
    template = project / "templates/glue.yaml"
    template.write_text(
        template.read_text().replace("Value: !Ref ScriptKey", "Value: !ImportValue there-is-no-such-export")
    )
    report = deploy(session_of(project))
    assert report.outcome is DeployOutcome.FAILED
    assert [r.outcome.value for r in report.stacks] == ["done", "done", "failed", "not started", "not started"]
    assert "Setting" in str(report.error)
    assert "templates/glue.yaml:" in str(report.error)


# Faults at botocore's events.

Respond = Callable[[str, int], AWSResponse | None]


def inject(session: Session, service: str, operation: str, respond: Callable[[int], AWSResponse | None]) -> None:
    """Answer the nth request of an operation in place of the service, or let it pass with None."""
    count = itertools.count()
    client = session.client(service)
    client.meta.events.register_first(f"before-send.{service}.{operation}", lambda request, **_: respond(next(count)))


def answer(status: int, code: str, *, xml: str = "ErrorResponse") -> AWSResponse:
    body = f"<{xml}><Error><Type>Sender</Type><Code>{code}</Code><Message>told by the test</Message></Error></{xml}>"
    if xml == "Error":
        body = f"<Error><Code>{code}</Code><Message>told by the test</Message></Error>"

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            yield body.encode()

    return AWSResponse("http://test", status, {"content-type": "text/xml"}, Raw())


def test_throttling_is_waited_out(project: Path) -> None:
    """Given an API that throttles, when we deploy, then the calls are repeated and every stack is made once."""
    session = session_of(project)
    for operation in ("CreateChangeSet", "ExecuteChangeSet", "DescribeStacks"):
        inject(session, "cloudformation", operation, lambda n: answer(400, "Throttling") if n % 5 == 1 else None)
    report = deploy(session)
    assert [r.outcome.value for r in report.stacks] == ["done"] * 5


def test_a_busy_s3_is_waited_out(project: Path) -> None:
    """Given an S3 that answers 503, when we deploy, then uploads and ledger are repeated."""
    session = session_of(project)
    inject(session, "s3", "PutObject", lambda n: answer(503, "SlowDown", xml="Error") if n in (0, 3) else None)
    assert deploy(session).outcome is DeployOutcome.DONE


@pytest.mark.parametrize("at", [0, 2, 6])
def test_expired_credentials_stop_cleanly_and_the_next_run_goes_on(project: Path, at: int) -> None:
    """Given credentials that expire on the way, when we deploy, then it stops with a next step; deployed again, it ends well."""
    session = session_of(project)
    inject(session, "cloudformation", "DescribeStacks", lambda n: answer(403, "ExpiredToken") if n >= at else None)
    with pytest.raises(DataopsError, match="expired") as raised:
        report = deploy(session)
        assert report.error is not None
        raise report.error
    assert raised.value.hint
    unlock(project)
    assert deploy(session_of(project)).outcome is DeployOutcome.DONE
    assert nothing_left(project)


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("cloudformation", "DescribeStacks"),
        ("cloudformation", "CreateChangeSet"),
        ("cloudformation", "ExecuteChangeSet"),
        ("s3", "PutObject"),
        ("s3", "HeadObject"),
        ("s3", "GetObject"),
    ],
)
def test_a_lost_endpoint_stops_cleanly_and_the_next_run_goes_on(project: Path, service: str, operation: str) -> None:
    """Given an endpoint that goes away at some call, when we deploy, then no traceback; deployed again, it ends well."""
    session = session_of(project)

    def gone(_: int) -> AWSResponse | None:
        raise EndpointConnectionError(endpoint_url="http://gone")

    inject(session, service, operation, gone)
    with pytest.raises(DataopsError, match="no answer"):
        report = deploy(session)
        assert report.error is not None
        raise report.error
    unlock(project)
    assert deploy(session_of(project)).outcome is DeployOutcome.DONE
    assert nothing_left(project)


def unlock(project: Path) -> None:
    """The run of the test lives on in this process; its lock is removed as an operator would."""
    session = session_of(project)
    try:
        store = artifacts_store(session)
    except DataopsError:
        return
    if found := store.get("locks/uat.json"):
        store.delete("locks/uat.json", found.etag)


def nothing_left(project: Path) -> bool:
    session = session_of(project)
    client = session.client("cloudformation")
    names = [f"{session.project.name}-uat-{name}" for name in NAMES]
    open_ones = [
        c
        for n in names
        for c in client.list_change_sets(StackName=n)["Summaries"]
        if c["ExecutionStatus"] == "AVAILABLE"
    ]
    return open_ones == []


def test_outputs_are_there_for_other_commands(project: Path) -> None:
    """Given a deployed environment, then its outputs are known by name; before, the next step is told."""
    with pytest.raises(DataopsError, match="not deployed yet"):
        stack_outputs(session_of(project))
    deploy(session_of(project))
    assert set(stack_outputs(session_of(project))) == {
        "ArtifactsBucketName",
        *(f"{name.title()}Topic" for name in NAMES),
    }


# Second pages, from responses that fit botocore's model.


def paged(operation: str, *pages: dict[str, Any]) -> AwsCloud:
    client = botocore.session.get_session().create_client(
        "cloudformation", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    stubber = Stubber(client)
    for page in pages:
        stubber.add_response(operation, page)
    stubber.activate()
    return AwsCloud(client)


def test_second_pages_are_read_everywhere() -> None:
    """Given answers of two pages, then the second one counts: events, change sets, resources, drifts."""
    when = "2026-01-01T00:00:00Z"
    event = {"StackId": "s", "StackName": "s", "Timestamp": when}
    cloud = paged(
        "describe_stack_events",
        {"StackEvents": [{**event, "EventId": "2"}], "NextToken": "n"},
        {"StackEvents": [{**event, "EventId": "1"}]},
    )
    assert [e.event_id for e in cloud.events("s")] == ["1", "2"]
    name = {"ChangeSetName": "n", "ChangeSetId": "arn:aws:cloudformation:eu-west-1:1:changeSet/n/1"}
    cloud = paged("list_change_sets", {"Summaries": [name], "NextToken": "n"}, {"Summaries": [name]})
    assert len(cloud.change_sets("s")) == 2
    resource = {"ResourceType": "t", "LastUpdatedTimestamp": when, "ResourceStatus": "CREATE_COMPLETE"}
    cloud = paged(
        "list_stack_resources",
        {"StackResourceSummaries": [{**resource, "LogicalResourceId": "A"}], "NextToken": "n"},
        {"StackResourceSummaries": [{**resource, "LogicalResourceId": "B"}]},
    )
    assert set(cloud.resources("s")) == {"A", "B"}
    drift = {"StackId": "s", "ResourceType": "t", "StackResourceDriftStatus": "MODIFIED", "Timestamp": when}
    cloud = paged(
        "describe_stack_resource_drifts",
        {"StackResourceDrifts": [{**drift, "LogicalResourceId": "A"}], "NextToken": "n"},
        {"StackResourceDrifts": [{**drift, "LogicalResourceId": "B"}]},
    )
    assert [d.logical_id for d in cloud.drifts("s")] == ["A", "B"]
