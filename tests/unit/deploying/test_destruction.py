"""What destroy says before it asks: by name, what stays and what goes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from deployments import World
from repository import ROOT

from deployer.commands.destroy import destroy
from deployer.deploying.destruction import Destruction, Doomed, destruction_text
from deployer.ledger.ledger import Ledger
from deployer.pauses import Interrupted
from deployer.project.templates import parse_template


def doomed(world: World) -> tuple[Doomed, ...]:
    return Destruction(world.ports(), world.target()).doomed()


def text_of(world: World) -> str:
    return destruction_text(world.target().environment, doomed(world))


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.cloud.physical_ids["Artifacts"] = "artifacts"
    world.deploy()
    world.forget_calls()
    return world


def test_everything_is_named_before_the_question(world: World) -> None:
    """Given a deployed environment, then each stack with what goes is listed, those that others need last, and what stays."""
    assert text_of(world).splitlines() == [
        "environment uat (account 111111111111, eu-west-1): these stacks would be deleted, in this order",
        "  report           Query",
        "  job              Job",
        "  store            keeps all its resources",
        "  base             keeps all its resources",
        "kept with all their contents:",
        "  store/Data  AWS::S3::Bucket  shop-uat-store-Data",
        "  base/Artifacts  AWS::S3::Bucket  artifacts",
        "releases and ledger stay in artifacts; a later deployment creates new buckets and starts a new ledger",
    ]


def test_what_goes_with_its_data_is_listed_apart(world: World) -> None:
    """Given a stream that no template retains, then it is listed with what is lost."""
    world.edit("templates/report.yaml", "AWS::SNS::Topic", "AWS::Kinesis::Stream")
    world.deploy()
    lines = text_of(world).splitlines()
    (title,) = [line for line in lines if line.startswith("deleted with their contents")]
    assert lines[lines.index(title) + 1] == "  report/Query  AWS::Kinesis::Stream  shop-uat-report-Query"


def test_the_stack_says_what_there_is_and_not_its_log(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a retained resource whose condition is off, then it is not listed; the log, which ends some day, is not read."""
    monkeypatch.setattr(world.cloud, "resources", lambda stack: {})
    assert "kept" not in text_of(world)
    assert "events" not in world.cloud.calls


@pytest.mark.parametrize(
    ("keeps", "said"),
    [(True, "releases and ledger stay in artifacts"), (False, "releases and ledger are deleted with artifacts")],
)
def test_the_fate_of_the_ledger_is_said(world: World, keeps: bool, said: str) -> None:
    """Given an artifacts bucket that the template retains or not, then what becomes of the ledger is said as it is."""
    if not keeps:
        world.edit("templates/base.yaml", "DeletionPolicy: Retain", "DeletionPolicy: Delete")
        world.deploy()
    assert text_of(world).splitlines()[-1].startswith(said)


def test_the_ledger_records_the_end(world: World) -> None:
    """Given a destroyed environment, then its ledger, which stayed, says so, and what was deleted."""
    world.now += timedelta(hours=1)
    Destruction(world.ports(), world.target()).run(doomed(world))
    ledger = Ledger(world.store, "uat")
    current, newest = ledger.current(), ledger.runs()[0]
    assert current is not None and current.outcome == "destroyed"
    assert (newest.start["command"], newest.outcome) == ("destroy", "done")
    assert newest.end is not None and newest.end["stacks"] == ["report", "job", "store", "base"]


def test_an_interrupted_destruction_says_what_goes_on(world: World) -> None:
    """Given a stack that is being deleted, when Ctrl-C comes, then the exit code is the signal's and the stack is named."""
    ports = world.ports()

    before = doomed(world)
    world.cloud.delete_stack = lambda stack, token: ports.pauses.stop(exit_code=130)  # type: ignore[method-assign]
    with pytest.raises(Interrupted, match="interrupted; CloudFormation continues to delete report") as caught:
        Destruction(ports, world.target()).run(before)
    assert caught.value.exit_code == 130


def test_a_second_try_without_the_artifacts_stack_says_that_nothing_is_recorded(world: World) -> None:
    """Given that the artifacts stack went in an earlier try, then the rest is listed, and that nobody will record it."""
    world.cloud.delete_stack("arn:shop-uat-base", token="t")
    assert text_of(world).endswith("the stack that names their bucket is already gone; nothing is recorded")


def test_help_says_what_the_templates_say() -> None:
    """Given this repository's templates, then what they retain are buckets, their policies and keys, and the role by which
    API Gateway logs in the whole region, as the help has it.
    """
    policies: Mapping[str, set[bool]] = {}
    for path in (ROOT / "templates").glob("*.yaml"):
        for resource in parse_template(path.read_text(encoding="utf-8"), path).resources.values():
            stays = str(resource.deletion_policy).startswith("Retain")
            policies = {**policies, resource.type: policies.get(resource.type, set()) | {stays}}
    kept = {kind for kind, stays in policies.items() if True in stays}
    data = {"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::KMS::Key"}
    assert kept == data | {"AWS::ApiGateway::Account", "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}
    assert all(policies[kind] == {True} for kind in data)
    text = " ".join(str(destroy.help).split())
    for words in ("buckets with every object", "their policies", "the keys that encrypt them", "the ledger"):
        assert words in text.split("Deleted:")[0]
    for words in ("streams", "log groups", "databases and tables", "workgroup"):
        assert words in text.split("Deleted:")[1]
