"""Promises of deploy, against the in-memory cloud."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployments import PASSED, World, failing, passing
from fake_cloud import FakeCloud

from deployer.deploying.deployment import Deployment
from deployer.deploying.events import Said, StackEnded, StackStarted
from deployer.deploying.request import DeployRequest, IfBusy
from deployer.deploying.results import DeployOutcome, StackOutcome
from deployer.documents import as_document
from deployer.errors import DataopsError, Denied, Locked, Refused
from deployer.ledger.lock import EnvironmentLock
from deployer.ledger.verdict import SmokeOutcome
from deployer.planning.plan import Options


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "project")


@pytest.fixture
def deployed(world: World) -> World:
    world.smoke = passing
    assert world.deploy().outcome is DeployOutcome.DONE
    world.forget_calls()
    return world


def outcomes(report: object) -> dict[str, str]:
    return {result.stack: result.outcome.value for result in report.stacks}  # type: ignore[attr-defined]


def test_the_first_deployment_makes_every_stack_after_its_parents(world: World) -> None:
    """Given an empty account, when we deploy, then each stack is made once and after the stacks that it takes values of."""
    report = world.deploy()
    assert report.outcome is DeployOutcome.DONE
    assert outcomes(report) == dict.fromkeys(("base", "store", "job", "report"), "done")
    order = [e.stack for e in world.progress.events if isinstance(e, StackStarted)]
    assert order[0] == "base"
    assert order.index("store") < order.index("job")
    assert order.index("store") < order.index("report")
    assert sorted(world.cloud.executed) == ["base", "job", "report", "store"]
    assert world.cloud.left_behind == []


def test_the_first_lock_waits_until_aws_knows_our_right(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a bucket that the run has just made, when AWS denies the lock for a while, then it is waited for, and said."""
    monkeypatch.setattr("deployer.ledger.lock.RETRY_SECONDS", 0.001)
    denials = iter(range(3))

    def deny(name: str) -> None:
        if next(denials, None) is not None:
            raise Denied(f"AWS denies {name}")

    world.store.before_call = deny
    assert world.deploy().outcome is DeployOutcome.DONE
    said = [event.text for event in world.progress.events if isinstance(event, Said)]
    assert sum("the permission for the new bucket has not taken effect everywhere yet" in text for text in said) == 1


def test_a_denied_lock_of_a_known_bucket_ends_the_deployment(deployed: World) -> None:
    """Given an environment that was deployed before, when AWS denies its lock, then that is final."""
    deployed.write("job.py", "print(2)\n")

    def deny(name: str) -> None:
        if name == "create":
            raise Denied("AWS denies PutObject")

    deployed.store.before_call = deny
    with pytest.raises(Denied):
        deployed.deploy()


def test_what_is_in_the_way_of_the_first_deployment_stops_it_before_anything_is_made(world: World) -> None:
    """Given an account with two blockers, when we deploy for the first time, then both are said and nothing is made."""
    world.blockers = ["names: a database exists already", "quota of IAM: 7 roles are needed"]
    with pytest.raises(Refused, match="the account has 2 blockers for the first deployment") as raised:
        world.deploy()
    assert raised.value.hint is not None and "dataops doctor --env uat" in raised.value.hint
    said = [event.text for event in world.progress.events if isinstance(event, Said)]
    assert said == [f"blocker: {text}" for text in world.blockers]
    assert set(world.cloud.calls) == {"describe"}
    assert world.store.calls == []


def test_only_the_first_deployment_looks_at_the_account(deployed: World) -> None:
    """Given a deployed environment, when it is deployed again, changed or not, or planned, then the account is not asked."""
    assert deployed.examined == 1
    deployed.deploy()
    deployed.write("job.py", "print(2)\n")
    deployed.plan()
    deployed.deploy()
    assert deployed.examined == 1


def test_outputs_become_parameters(world: World) -> None:
    """Given a stack that takes another one's output, when we deploy, then it gets the real value."""
    world.deploy()
    state = world.cloud.describe("shop-uat-job")
    assert state is not None
    assert state.parameters["DataName"] == 'shop-uat-store/{"Ref": "Data"}'
    assert state.parameters["ScriptKey"].startswith("artifacts/")


def test_deploying_the_same_again_only_reads(deployed: World) -> None:
    """Given a deployed release, when we deploy it again, then one call per stack and one for the ledger, and no write."""
    report = deployed.deploy()
    assert report.outcome is DeployOutcome.UNCHANGED
    assert deployed.cloud.calls == ["describe"] * 4
    assert deployed.store.calls == ["get"]


def test_a_deployment_without_changes_reports_the_recorded_verdict(deployed: World) -> None:
    """Given a passed release, when we deploy it again, then the smoke test does not run again and its verdict is reported."""
    deployed.smoke = failing(SmokeOutcome.TIMEOUT)
    report = deployed.deploy()
    assert report.smoke == PASSED
    recorded = {"outcome": "pass", "message": "2 rows", "attempts": 1, "seconds": 0.1}
    assert as_document(report)["smoke"] == {**recorded, "bytes_scanned": 0, "differences": [], "rows": []}


def test_a_release_that_was_not_tested_is_tested_by_the_next_deployment(world: World) -> None:
    """Given a release deployed without smoke test, when we deploy it with one, then no stack changes and the test runs."""
    world.deploy()
    world.cloud.executed.clear()
    world.smoke = passing
    report = world.deploy()
    assert report.outcome is DeployOutcome.DONE
    assert report.smoke is not None
    assert world.cloud.executed == []


@pytest.mark.parametrize("how", ["touch", "recreated", "rolled back"])
def test_any_change_from_outside_defeats_the_skip(deployed: World, how: str) -> None:
    """Given a deployed release, when somebody changes a stack by hand, then the next deployment looks at it again."""
    match how:
        case "touch":
            deployed.cloud.touch("shop-uat-store")
        case "recreated":
            deployed.cloud.declare_stack("shop-uat-report")
        case _:
            deployed.cloud.set_status("shop-uat-store", "UPDATE_ROLLBACK_COMPLETE")
    deployed.deploy()
    assert "create_change_set" in deployed.cloud.calls


def test_a_template_that_reads_values_elsewhere_is_never_skipped(world: World) -> None:
    """Given a template with a dynamic reference, when nothing changed here, then CloudFormation is asked all the same."""
    world.edit("templates/report.yaml", "TopicName: !Ref DataName", "TopicName: '{{resolve:ssm:name}}'")
    world.deploy()
    world.forget_calls()
    report = world.deploy()
    assert world.cloud.calls.count("create_change_set") == 1
    assert outcomes(report)["report"] == "unchanged"


def test_a_changed_script_changes_one_stack(deployed: World) -> None:
    """Given a deployed release, when a script changes, then its own job changes, only its bytes are uploaded, nothing else."""
    deployed.write("job.py", "print(2)\n")
    report = deployed.deploy()
    assert deployed.cloud.executed == ["job"]
    assert outcomes(report) == {"base": "unchanged", "store": "unchanged", "report": "unchanged", "job": "done"}
    assert report.uploaded_bytes == len("print(2)\n")
    assert len([key for key in deployed.store.puts if key.startswith("artifacts/")]) == 1


def test_a_failure_stops_only_what_depends_on_it(world: World) -> None:
    """Given a stack that fails, when we deploy, then its descendants are not started, its siblings are finished."""
    world.write(
        "templates/report.yaml", "Parameters: {JobName: {Type: String}}\nResources: {T: {Type: 'AWS::SNS::Topic'}}\n"
    )
    world.write(
        "templates/side.yaml", "Parameters: {DataName: {Type: String}}\nResources: {T: {Type: 'AWS::SNS::Topic'}}\n"
    )
    world.write(
        "dataops.yml", (world.directory / "dataops.yml").read_text() + "  side: {template: templates/side.yaml}\n"
    )
    world.cloud.fails(
        "shop-uat-job", resource="Job", type="AWS::Glue::Job", reason="Encountered unsupported property Name"
    )
    report = world.deploy()
    assert report.outcome is DeployOutcome.FAILED
    assert outcomes(report) == {
        "base": "done",
        "store": "done",
        "job": "failed",
        "report": "not started",
        "side": "done",
    }


def test_the_failure_names_resource_property_reason_place_and_fix(world: World) -> None:
    """Given a failing resource among cancelled ones, when we deploy, then the error is about the one that failed."""
    world.cloud.fails(
        "shop-uat-job", resource="Job", type="AWS::Glue::Job", reason="Encountered unsupported property Name"
    )
    error = world.deploy().error
    assert str(error) == (
        "stack job ended as ROLLBACK_COMPLETE: Job.Name (AWS::Glue::Job): Encountered unsupported property Name "
        "[templates/job.yaml:5] -> correct the template; dataops validate finds most of these"
    )


def test_after_a_failure_the_next_deployment_does_the_rest(world: World) -> None:
    """Given a failed update, when its cause is gone and we deploy again, then only what is missing is done."""
    world.deploy()
    world.write("job.py", "print(2)\n")
    world.cloud.fails("shop-uat-job", resource="Job", reason="Rate exceeded")
    assert world.deploy().outcome is DeployOutcome.FAILED
    world.cloud.heals("shop-uat-job")
    world.forget_calls()
    assert world.deploy().outcome is DeployOutcome.DONE
    assert world.cloud.executed == ["job"]


def test_a_rolled_back_creation_is_only_deleted_with_consent(world: World) -> None:
    """Given a stack in ROLLBACK_COMPLETE, when we deploy, then it is refused; with --recreate it is deleted and created."""
    world.cloud.fails("shop-uat-job", resource="Job", reason="no")
    world.deploy()
    world.cloud.heals("shop-uat-job")
    with pytest.raises(Refused, match="--recreate"):
        world.deploy()
    assert "delete_stack" not in world.cloud.calls
    assert world.deploy(options=Options(recreate=frozenset({"job"}))).outcome is DeployOutcome.DONE
    assert world.cloud.calls.count("delete_stack") == 1


@pytest.mark.parametrize(
    ("status", "call"), [("UPDATE_FAILED", "roll_back"), ("UPDATE_ROLLBACK_FAILED", "continue_rollback")]
)
def test_a_stuck_update_is_recovered_with_the_right_call(deployed: World, status: str, call: str) -> None:
    """Given a stack stuck in an update, when we deploy, then it is brought back by the one call for that and then updated."""
    deployed.cloud.set_status("shop-uat-job", status)
    report = deployed.deploy()
    assert report.outcome is DeployOutcome.DONE
    assert [c for c in deployed.cloud.writes if c in ("roll_back", "continue_rollback", "delete_stack")] == [call]


def test_data_is_guarded_before_anything_changes(deployed: World) -> None:
    """Given a change that replaces a bucket, when we deploy, then it is refused and no stack was touched."""
    deployed.edit("templates/store.yaml", "Retain}", "Retain, Properties: {BucketName: other}}")
    deployed.cloud.replaces("shop-uat-store", "Data")
    deployed.write("job.py", "print(2)\n")
    with pytest.raises(Refused, match=r"store/Data \(AWS::S3::Bucket\) would be replaced"):
        deployed.deploy()
    assert deployed.cloud.executed == []
    assert deployed.cloud.left_behind == []
    assert deployed.deploy(options=Options(allow_replace=frozenset({"Data"}))).outcome is DeployOutcome.DONE


def test_stale_reads_are_not_taken_for_the_end(world: World) -> None:
    """Given reads that lag behind, when we deploy, then the old status is not taken for success or failure."""
    world.cloud.stale_reads = 3
    assert world.deploy().outcome is DeployOutcome.DONE
    world.write("job.py", "print(2)\n")
    report = world.deploy()
    assert report.outcome is DeployOutcome.DONE
    assert next(r for r in report.stacks if r.stack == "job").state.status == "UPDATE_COMPLETE"


def test_a_locked_environment_is_left_alone(deployed: World) -> None:
    """Given a lock of somebody else, when we deploy a change, then nothing is done and the owner is named."""
    EnvironmentLock(deployed.store, "uat").take("their-run")
    deployed.write("job.py", "print(2)\n")
    with pytest.raises(Locked, match="their-run"):
        deployed.deploy()
    assert deployed.cloud.writes == []


def test_a_declined_plan_changes_nothing(deployed: World) -> None:
    """Given a change, when the operator says no, then no stack is executed and no change set is left."""
    deployed.write("job.py", "print(2)\n")
    assert deployed.deploy(approve=lambda plan: False).outcome is DeployOutcome.DECLINED
    assert deployed.cloud.executed == []
    assert deployed.cloud.left_behind == []


def test_a_wrong_answer_is_recorded_and_fails_the_deployment(world: World) -> None:
    """Given a release that computes wrong refunds, when we deploy it, then the record says so."""
    world.smoke = failing(SmokeOutcome.WRONG_ANSWER)
    report = world.deploy()
    assert report.outcome is DeployOutcome.SMOKE_FAILED
    assert world.deploy().outcome is DeployOutcome.SMOKE_FAILED  # not skipped: it has not passed


def test_a_refused_change_set_says_where(deployed: World) -> None:
    """Given a template that CloudFormation refuses, when we deploy, then the error has file and line and nothing is left."""
    deployed.write("job.py", "print(2)\n")
    deployed.cloud.refuses(
        "shop-uat-job", "Properties validation failed for resource Job with message: #: required key [Role]"
    )
    with pytest.raises(DataopsError, match=r"templates/job.yaml:5: stack job: CloudFormation refuses"):
        deployed.deploy()
    assert deployed.cloud.executed == []
    assert "job" not in " ".join(deployed.cloud.left_behind)


def test_a_stack_in_progress_is_waited_for_or_refused(deployed: World) -> None:
    """Given a stack that somebody else is updating, when we deploy, then we wait for it, or refuse when asked to."""
    deployed.cloud.set_status("shop-uat-job", "UPDATE_IN_PROGRESS")
    with pytest.raises(Refused, match="being updated"):
        deployed.deploy(if_busy=IfBusy.FAIL)

    def finish(name: str) -> None:
        if deployed.cloud.calls.count("describe") > 8:
            deployed.cloud.set_status("shop-uat-job", "UPDATE_COMPLETE")
            deployed.cloud.before_call = lambda name: None

    deployed.cloud.calls.clear()
    deployed.cloud.before_call = finish
    assert deployed.deploy().outcome is DeployOutcome.DONE


def test_every_end_is_told_once(world: World) -> None:
    """Given any deployment, then each stack's end is told."""
    world.deploy()
    told = [
        e.stack for e in world.progress.events if isinstance(e, StackEnded) and e.outcome == StackOutcome.DONE.value
    ]
    assert sorted(told) == ["base", "job", "report", "store"]


def test_the_fake_refuses_what_aws_refuses() -> None:
    """The fake is no more generous than AWS: no update of a rolled-back creation."""
    cloud = FakeCloud()
    cloud.declare_stack("x", status="ROLLBACK_COMPLETE")
    with pytest.raises(AssertionError):
        cloud.roll_back("x", token="t")


def test_an_interrupted_run_clears_up_and_the_next_one_attaches(deployed: World) -> None:
    """Given Ctrl-C while a stack is being updated, then it is left running, nothing else starts, no lock and no change set
    stay; run again, the deployment waits for that stack and executes nothing twice."""
    deployed.write("job.py", "print(2)\n")
    deployed.edit("templates/report.yaml", "TopicName: !Ref DataName", "TopicName: other")
    deployed.edit("templates/report.yaml", "{Type: String}", "{Type: String}\n  JobName: {Type: String}")
    ports = deployed.ports()

    def interrupt(stack: str) -> None:
        deployed.cloud.set_status(stack, "UPDATE_IN_PROGRESS")
        ports.pauses.stop()

    deployed.cloud.after_execution = interrupt
    report = Deployment(ports, deployed.target(), DeployRequest()).run()
    assert report.outcome is DeployOutcome.INTERRUPTED
    assert outcomes(report)["job"] == "left running"
    assert outcomes(report)["report"] == "not started"
    assert deployed.cloud.left_behind == []
    assert "locks/uat.json" not in deployed.store.objects
    deployed.cloud.after_execution = lambda stack: None
    deployed.cloud.set_status("shop-uat-job", "UPDATE_COMPLETE")
    assert deployed.deploy().outcome is DeployOutcome.DONE
    assert deployed.cloud.executed == ["job", "report"]


PROTECTED = ("promotes_from: uat}", "promotes_from: uat, termination_protection: true}")


def test_stacks_that_keep_data_are_protected_where_the_environment_asks(world: World) -> None:
    """Given an environment that asks for it, when it is deployed, then the stacks that retain something are protected."""
    world.environment = "prod"
    world.edit("dataops.yml", *PROTECTED)
    assert world.deploy().outcome is DeployOutcome.DONE
    protected = {name for name in ("base", "store", "job", "report") if is_protected(world, f"shop-prod-{name}")}
    assert protected == {"base", "store"}
    world.forget_calls()
    assert world.deploy().outcome is DeployOutcome.UNCHANGED
    assert world.cloud.writes == []


def is_protected(world: World, stack: str) -> bool:
    state = world.cloud.describe(stack)
    return state is not None and state.is_protected


def test_protection_that_is_asked_for_later_needs_no_change_of_a_stack(world: World) -> None:
    """Given a deployed environment, when it begins to ask for protection, then only that is done, and once."""
    world.environment = "prod"
    world.deploy()
    assert not is_protected(world, "shop-prod-store")
    world.edit("dataops.yml", *PROTECTED)
    world.forget_calls()
    assert world.deploy().outcome is DeployOutcome.DONE
    assert world.cloud.writes == ["protect", "protect"]
    assert is_protected(world, "shop-prod-store")
