"""Why an operation failed, from its own events, and drift that is brought back: what no emulator tells.

Responses are checked against botocore's model of the service: a member that does not exist fails the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber
from deployments import World

from deployer.aws.cloudformation import AwsCloud
from deployer.cloudformation.failures import Ended, change_set_failed, change_set_warnings, stack_failed
from deployer.cloudformation.port import OperationError, StackRequest
from deployer.deploying.results import DeployOutcome
from deployer.documents import as_document
from deployer.errors import DataopsError, Refused
from deployer.planning.plan import Options
from deployer.planning.plan_text import plan_text
from deployer.planning.resource_changes import from_change_set
from deployer.project.templates import Template, parse_template

STACK = "arn:aws:cloudformation:eu-west-1:111111111111:stack/lake-uat-glue/1"
CHANGE_SET = "arn:aws:cloudformation:eu-west-1:111111111111:changeSet/dataops-1-glue/1"
WHEN = "2026-11-01T00:00:{:02}Z"


class Service:
    """CloudFormation as botocore models it; answers are given in order."""

    def __init__(self) -> None:
        client = botocore.session.get_session().create_client(
            "cloudformation", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.stub = Stubber(client)
        self.stub.activate()
        self.cloud = AwsCloud(client)
        self.said: list[str] = []

    def answers(self, operation: str, response: dict[str, Any], **request: Any) -> None:
        self.stub.add_response(operation, response, request or None)

    def denies(self, operation: str) -> None:
        self.stub.add_client_error(operation, "AccessDenied", "User: ci is not authorized to perform: it")

    def tells(self, *events: dict[str, Any], **request: Any) -> None:
        common = {"StackId": STACK, "OperationStatus": "FAILED"}
        numbered = [{"EventId": str(n), "Timestamp": WHEN.format(n), **common, **e} for n, e in enumerate(events)]
        self.answers("describe_events", {"OperationEvents": numbered[::-1]}, **request)  # newest first, as AWS does

    def stack(self, *operations: tuple[str, str]) -> Any:
        found = {"StackName": "lake-uat-glue", "StackId": STACK, "CreationTime": WHEN.format(0)}
        last = [{"OperationType": kind, "OperationId": name} for kind, name in operations]
        status = "UPDATE_ROLLBACK_COMPLETE"
        self.answers("describe_stacks", {"Stacks": [{**found, "StackStatus": status, "LastOperations": last}]})
        return self.cloud.describe(STACK)

    def failure(self, ended: Ended) -> str:
        error = stack_failed(self.cloud, ended, TEMPLATE, self.said.append)
        self.stub.assert_no_pending_responses()
        return str(error)

    def change_set(self, **members: Any) -> Any:
        self.answers("describe_change_set", {"ChangeSetId": CHANGE_SET, "StackId": STACK, **members})
        return self.cloud.change_set(CHANGE_SET)

    def refusal(self, change_set: Any) -> DataopsError:
        error = change_set_failed(self.cloud, "glue", change_set, TEMPLATE, self.said.append)
        self.stub.assert_no_pending_responses()
        return error


def template(text: str) -> Template:
    return parse_template(text, Path("templates/glue.yaml"))


TEMPLATE = template("""\
Resources:
  Job:
    Type: AWS::Glue::Job
    Properties:
      Role: r
      Command:
        Name: glueetl
  Log:
    Type: AWS::Logs::LogGroup
    Properties:
      RetentionInDays: 30
""")
UPDATE = {"OperationId": "op-2", "OperationType": "UPDATE_STACK"}
ROLLBACK = {"OperationId": "op-3", "OperationType": "ROLLBACK"}
FAILED = {"EventType": "PROVISIONING_ERROR", "ResourceStatus": "UPDATE_FAILED"}
LOG = {"LogicalResourceId": "Log", "ResourceType": "AWS::Logs::LogGroup"}
JOB = {"LogicalResourceId": "Job", "ResourceType": "AWS::Glue::Job"}


def test_the_operation_itself_says_what_failed() -> None:
    """Given events of this and of an earlier operation, then one call tells this one's failure, with file and line."""
    service = Service()
    before = service.stack(("UPDATE_STACK", "op-1"))
    after = service.stack(("ROLLBACK", "op-3"), ("UPDATE_STACK", "op-2"), ("UPDATE_STACK", "op-1"))
    service.tells(
        {**JOB, **FAILED, "OperationId": "op-1", "ResourceStatusReason": "an older story"},
        {**LOG, **FAILED, **UPDATE, "ResourceStatusReason": "Property RetentionInDays must be one of 1, 3, 5"},
        {**JOB, **FAILED, **UPDATE, "ResourceStatusReason": "Resource update cancelled"},
        {**ROLLBACK, "EventType": "STACK_EVENT", "ResourceStatus": "UPDATE_ROLLBACK_COMPLETE"},
        StackName=STACK,
        Filters={"FailedEvents": True},
    )
    assert service.failure(Ended("glue", STACK, after, before)) == (
        "stack glue ended as UPDATE_ROLLBACK_COMPLETE: Log.RetentionInDays (AWS::Logs::LogGroup): "
        "Property RetentionInDays must be one of 1, 3, 5 [templates/glue.yaml:11]"
    )


def test_an_earlier_operation_is_another_story() -> None:
    """Given events of an earlier operation only, then they are not told, and the stack's log is asked."""
    service = Service()
    before = service.stack(("UPDATE_STACK", "op-1"))
    after = service.stack(("UPDATE_STACK", "op-2"), ("UPDATE_STACK", "op-1"))
    service.tells({**JOB, **FAILED, "OperationId": "op-1", "ResourceStatusReason": "an older story"})
    failed = {"ResourceStatus": "UPDATE_FAILED", "ResourceStatusReason": "no such role"}
    event = {"StackId": STACK, "StackName": "s", "EventId": "1", "Timestamp": WHEN.format(1), **JOB, **failed}
    service.answers("describe_stack_events", {"StackEvents": [event]})
    assert "no such role" in service.failure(Ended("glue", STACK, after, before))


def test_a_hook_that_said_no_is_named_with_its_reason() -> None:
    """Given a hook that refused a resource, then its name and its reason are told, not that a hook failed."""
    service = Service()
    hook = {"HookType": "Guard::Encryption", "HookStatus": "HOOK_COMPLETE_FAILED", "HookFailureMode": "FAIL"}
    reason = {"EventType": "HOOK_INVOCATION_ERROR", "HookStatusReason": "log groups need a key"}
    service.tells({**LOG, **UPDATE, **hook, **reason})
    text = service.failure(Ended("glue", STACK, service_state(service)))
    assert "Log (AWS::Logs::LogGroup): log groups need a key (Guard::Encryption) [templates/glue.yaml:8]" in text


def service_state(service: Service) -> Any:
    """A stack of which CloudFormation does not tell the last operations."""
    other = Service()
    return other.stack()


def test_a_warning_is_no_cause() -> None:
    """Given a hook that only warns beside a real failure, then the failure is told."""
    service = Service()
    hook = {
        "EventType": "HOOK_INVOCATION_ERROR",
        "HookStatusReason": "a name would be nicer",
        "HookFailureMode": "WARN",
    }
    service.tells({**JOB, **FAILED, **UPDATE, "ResourceStatusReason": "no such role"}, {**LOG, **UPDATE, **hook})
    text = service.failure(Ended("glue", STACK, service_state(service)))
    assert "no such role" in text
    assert "nicer" not in text


def test_without_the_right_to_ask_the_log_of_the_stack_answers() -> None:
    """Given no right to DescribeEvents, then that is a warning, and all pages of the stack's log tell the cause."""
    service = Service()
    service.denies("describe_events")
    event = {"StackId": STACK, "StackName": "lake-uat-glue", "Timestamp": WHEN.format(1)}
    about_it = {"ResourceType": "AWS::CloudFormation::Stack", "PhysicalResourceId": STACK}
    page = {**event, "EventId": "2", **about_it, "ResourceStatus": "UPDATE_ROLLBACK_IN_PROGRESS"}
    failed = {**event, **JOB, "EventId": "1", "ResourceStatus": "UPDATE_FAILED", "ResourceStatusReason": "no such role"}
    started = {**event, "EventId": "0", **about_it, "ResourceStatus": "UPDATE_IN_PROGRESS"}
    service.answers("describe_stack_events", {"StackEvents": [page], "NextToken": "more"})
    service.answers("describe_stack_events", {"StackEvents": [failed, started]})
    text = service.failure(Ended("glue", STACK, service_state(service)))
    assert text.endswith("Job (AWS::Glue::Job): no such role [templates/glue.yaml:2]")
    assert "authorized" not in text
    assert len(service.said) == 1 and service.said[0].startswith("warning: the operation events of stack glue")


def test_without_any_right_to_ask_the_status_is_told() -> None:
    """Given no right to either, then two warnings, and the failure is the stack's own status, not the missing right."""
    service = Service()
    service.denies("describe_events")
    service.denies("describe_stack_events")
    text = service.failure(Ended("glue", STACK, service_state(service)))
    assert text == "stack glue ended as UPDATE_ROLLBACK_COMPLETE: the stack: it ended as UPDATE_ROLLBACK_COMPLETE"
    assert len(service.said) == 2


EARLY = (
    "The following hook(s)/validation failed: [AWS::EarlyValidation::PropertyValidation]. "
    "To troubleshoot Early Validation errors, use the DescribeEvents API for detailed failure information."
)
VALIDATION = {
    "EventType": "VALIDATION_ERROR",
    "OperationId": "op-9",
    "OperationType": "CREATE_CHANGESET",
    "ValidationName": "AWS::EarlyValidation::PropertyValidation",
    "ValidationStatus": "FAILED",
    "ValidationFailureMode": "FAIL",
}


def test_early_validation_is_shown_property_by_property() -> None:
    """Given a change set that failed early validation, then each finding is told with property path, file and line."""
    service = Service()
    refused = service.change_set(Status="FAILED", StatusReason=EARLY)
    name, days = "/Resources/Job/Properties/Command/Name", "/Resources/Log/Properties/RetentionInDays"
    service.tells(
        {**VALIDATION, **JOB, "ValidationStatusReason": "Nam is no property", "ValidationPath": name},
        {**VALIDATION, **LOG, "ValidationStatusReason": "31 is not allowed", "ValidationPath": days},
        {**VALIDATION, **LOG, "ValidationStatusReason": "quota is near", "ValidationFailureMode": "WARN"},
        ChangeSetName=CHANGE_SET,
    )
    error = service.refusal(refused)
    assert error.message == (
        "stack glue: CloudFormation refuses the change set: "
        "Job.Command.Name (AWS::Glue::Job): Nam is no property (AWS::EarlyValidation::PropertyValidation) "
        "[templates/glue.yaml:7]; Log.RetentionInDays (AWS::Logs::LogGroup): 31 is not allowed "
        "(AWS::EarlyValidation::PropertyValidation) [templates/glue.yaml:11]"
    )
    assert error.where == "templates/glue.yaml:7"


def test_a_resource_without_an_id_is_known_by_its_path() -> None:
    """Given a finding that names only a path, then the resource and a property with a slash are read from it."""
    service = Service()
    refused = service.change_set(Status="FAILED", StatusReason=EARLY)
    path = "/Resources/Job/Properties/Tags/a~1b"
    service.tells({**VALIDATION, "ValidationStatusReason": "no such tag", "ValidationPath": path})
    assert "Job.Tags.a/b: no such tag" in service.refusal(refused).message


def test_many_findings_are_counted() -> None:
    """Given more findings than fit into a message, then the first ones are told and the others counted."""
    service = Service()
    refused = service.change_set(Status="FAILED", StatusReason=EARLY)
    service.tells(*({**VALIDATION, **JOB, "ValidationStatusReason": f"finding {n}"} for n in range(8)))
    message = service.refusal(refused).message
    assert "finding 4" in message and "finding 5" not in message
    assert message.endswith("; and 3 more")


def test_without_the_right_to_ask_the_change_set_speaks() -> None:
    """Given no right to DescribeEvents, then that is a warning, and the change set's own reason is told."""
    service = Service()
    refused = service.change_set(Status="FAILED", StatusReason=EARLY)
    service.denies("describe_events")
    message = service.refusal(refused).message
    assert "AWS::EarlyValidation::PropertyValidation" in message
    assert "authorized" not in message
    assert service.said[0].startswith("warning: the events of the change set of stack glue cannot be read")


WARNED = {**VALIDATION, "ValidationName": "AWS::EarlyValidation::BucketEmptiness", "ValidationFailureMode": "WARN"}


def test_a_change_set_that_may_be_executed_tells_what_its_validation_warns_of() -> None:
    """Given a change set in order, then findings that only warn are read, each once, with property, file and line."""
    service = Service()
    made = service.change_set(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE")
    hook = {"EventType": "HOOK_INVOCATION_ERROR", "HookType": "Guard::Names", "HookFailureMode": "WARN"}
    path = {"ValidationPath": "/Resources/Log/Properties/RetentionInDays"}
    finding = {**WARNED, **LOG, **path, "OperationStatus": "SUCCEEDED", "ValidationStatusReason": "holds 3 objects"}
    service.tells(
        {"EventType": "PROGRESS_EVENT", "OperationStatus": "IN_PROGRESS"},
        finding,
        finding,
        {**WARNED, **JOB, "ValidationStatus": "SKIPPED", "ValidationStatusReason": "no right to list the bucket"},
        {**JOB, **hook, "HookStatusReason": "a name would be nicer"},
        ChangeSetName=CHANGE_SET,
    )
    warnings = change_set_warnings(service.cloud, "glue", made, TEMPLATE, service.said.append)
    service.stub.assert_no_pending_responses()
    assert list(map(str, warnings)) == [
        "Log.RetentionInDays (AWS::Logs::LogGroup): holds 3 objects (AWS::EarlyValidation::BucketEmptiness) [templates/glue.yaml:11]",
        "Job (AWS::Glue::Job): a name would be nicer (Guard::Names) [templates/glue.yaml:2]",
    ]
    assert service.said == []


def test_a_plan_does_without_warnings_that_may_not_be_read() -> None:
    """Given no right to DescribeEvents, then that is said, and the plan has no warnings."""
    service = Service()
    made = service.change_set(Status="CREATE_COMPLETE")
    service.denies("describe_events")
    assert change_set_warnings(service.cloud, "glue", made, TEMPLATE, service.said.append) == ()
    assert service.said[0].startswith("warning: the events of the change set of stack glue cannot be read")


def test_a_skipped_validation_is_no_cause() -> None:
    """Given a refused change set, then a validation that did not take place is not told as a reason."""
    service = Service()
    refused = service.change_set(Status="FAILED", StatusReason=EARLY)
    skipped = {**VALIDATION, **LOG, "ValidationStatus": "SKIPPED", "ValidationStatusReason": "not looked at"}
    service.tells(skipped, {**VALIDATION, **JOB, "ValidationStatusReason": "Nam is no property"})
    message = service.refusal(refused).message
    assert "Nam is no property" in message and "not looked at" not in message


# Through a deployment.


NAMES = OperationError("op-9", "Job", "AWS::Glue::Job", "not our style", check="Guard::Names", is_warning=True)
NAMES_TEXT = "job/Job (AWS::Glue::Job): not our style (Guard::Names) [templates/job.yaml:5]"


def warned(tmp_path: Path) -> World:
    """A deployed project whose job has changed and is warned about."""
    world = World(tmp_path)
    world.deploy()
    world.write("job.py", "print(2)\n")
    world.cloud.told["shop-uat-job"] = [NAMES]
    world.forget_calls()
    return world


def test_the_plan_shows_what_cloudformation_warns_of(tmp_path: Path) -> None:
    """Given a change that is warned about, then text and document say so, for one call more of that stack alone."""
    world = warned(tmp_path)
    plan = world.plan()
    lines = plan_text(plan).splitlines()
    title = "WARNINGS of CloudFormation's validation (they stop nothing):"
    assert lines[lines.index(title) + 1] == f"  {NAMES_TEXT}"
    steps = {step["stack"]: step["warnings"] for step in as_document(plan)["steps"]}
    (warning,) = steps.pop("job")
    assert (warning["logical_id"], warning["where"]) == ("Job", "templates/job.yaml:5")
    assert set(map(tuple, steps.values())) == {()}
    assert world.cloud.calls.count("errors") == 1


def test_a_warning_stops_no_deployment(tmp_path: Path) -> None:
    """Given a change that is warned about, then it is deployed, and the events are read once."""
    world = warned(tmp_path)
    assert world.deploy().outcome is DeployOutcome.DONE
    assert world.cloud.calls.count("errors") == 1


def test_stacks_without_changes_are_not_asked_about_warnings(tmp_path: Path) -> None:
    """Given a change set that changes nothing, then no events are read, whatever there was to warn of."""
    world = World(tmp_path)
    world.deploy()
    world.cloud.touch("shop-uat-job")
    world.cloud.told["shop-uat-job"] = [NAMES]
    world.forget_calls()
    assert not world.plan().has_changes
    assert "create_change_set" in world.cloud.calls
    assert "errors" not in world.cloud.calls


def test_a_new_warning_makes_a_saved_plan_stale_and_one_that_is_gone_does_not(tmp_path: Path) -> None:
    """Given a saved plan, when CloudFormation warns of something that nobody saw in it, then it is refused, else not."""
    world = warned(tmp_path)
    with_warning = as_document(world.plan())
    world.cloud.told.clear()
    without = as_document(world.plan())
    world.cloud.told["shop-uat-job"] = [NAMES]
    with pytest.raises(Refused, match=r"CloudFormation now warns about stack job: not our style \(Guard::Names\)"):
        world.deploy(saved_plan=without)
    world.cloud.told.clear()
    assert world.deploy(saved_plan=with_warning).outcome is DeployOutcome.DONE


def test_a_failed_deployment_ends_with_the_cause_of_its_own_operation(tmp_path: Path) -> None:
    """Given operation events, when a stack fails, then they are told in place of the log, and once."""
    world = World(tmp_path)
    world.deploy()
    world.write("job.py", "print(2)\n")
    world.cloud.fails("shop-uat-job", resource="Job", reason="told by the log")
    told = OperationError("op-2", "Job", "AWS::Glue::Job", "told by the operation")
    world.cloud.told["shop-uat-job"] = [told, told]
    world.forget_calls()
    error = str(world.deploy().error)
    assert error.count("told by the operation") == 1
    assert "told by the log" not in error


def test_a_refused_change_set_is_asked_before_it_is_deleted(tmp_path: Path) -> None:
    """Given a change set that fails validation, then its events are read first, and it is deleted all the same."""
    world = World(tmp_path)
    world.deploy()
    world.write("job.py", "print(2)\n")
    world.cloud.refuses("shop-uat-job", EARLY)
    world.forget_calls()
    with pytest.raises(DataopsError, match="refuses the change set"):
        world.plan()
    assert world.cloud.calls.index("errors") < world.cloud.calls.index("delete_change_set")
    assert world.cloud.left_behind == []


# Drift.

BY_HAND: dict[str, Any] = {
    "Action": "Modify",
    "LogicalResourceId": "Job",
    "ResourceType": "AWS::Glue::Job",
    "Replacement": "False",
    "ResourceDriftStatus": "MODIFIED",
    "Details": [
        {
            "Target": {
                "Attribute": "Properties",
                "Name": "Command",
                "Path": "/Properties/Command/ScriptLocation",
                "RequiresRecreation": "Never",
                "BeforeValue": "s3://elsewhere/x.py",
                "AfterValue": "s3://artifacts/job.py",
                "BeforeValueFrom": "ACTUAL_STATE",
                "AfterValueFrom": "TEMPLATE",
                "Drift": {"PreviousValue": "s3://artifacts/old.py", "ActualValue": "s3://elsewhere/x.py"},
            },
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
    ],
}


def test_a_change_set_that_reverts_drift_is_asked_for_as_such() -> None:
    """Given the wish to revert drift, then an update asks for it, and a creation, which cannot have drifted, does not."""
    for reverts in (True, False):
        service = Service()
        common = {"StackName": "s", "ChangeSetName": "n", "ClientToken": "n", "TemplateBody": "{}"}
        lists: dict[str, Any] = {"Parameters": [], "Tags": [], "Capabilities": []}
        mode = {"DeploymentMode": "REVERT_DRIFT"} if reverts else {}
        request = {**common, **lists, "ChangeSetType": "UPDATE", **mode}
        service.answers("create_change_set", {"Id": CHANGE_SET}, **request)
        asked = StackRequest("glue", "s", "{}", {}, {})
        assert service.cloud.create_change_set(asked, name="n", creates=False, reverts_drift=reverts) == CHANGE_SET


def test_drift_is_read_from_the_change_set() -> None:
    """Given a change set that reverts drift, then what is there, what was deployed and what will be are known."""
    changes = [{"Type": "Resource", "ResourceChange": BY_HAND}]
    found = Service().change_set(
        Status="CREATE_COMPLETE", DeploymentMode="REVERT_DRIFT", StackDriftStatus="DRIFTED", Changes=changes
    )
    assert found.drift_status == "DRIFTED"
    (change,) = from_change_set(found.changes, {}, {})
    assert change.drift == "MODIFIED"
    (property_,) = change.properties
    assert (property_.before, property_.after) == ("s3://elsewhere/x.py", "s3://artifacts/job.py")
    assert (property_.is_drifted, property_.deployed) == (True, "s3://artifacts/old.py")


def drifted(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.deploy()
    world.cloud.live_changes["shop-uat-job"] = [BY_HAND]
    world.forget_calls()
    return world


WISH = Options(revert_drift=True)


def test_the_plan_shows_drift(tmp_path: Path) -> None:
    """Given a job changed by hand, then the plan says so; without the wish nobody looks."""
    world = drifted(tmp_path)
    assert not world.plan().has_changes
    text = plan_text(world.plan(options=WISH))
    assert "changes made by hand are reverted to the templates" in text
    assert "~ Job  AWS::Glue::Job  [changed by hand]" in text
    assert (
        "Command.ScriptLocation: s3://elsewhere/x.py -> s3://artifacts/job.py  "
        "(changed by hand: s3://artifacts/old.py was deployed)" in text
    )


def test_drift_is_reverted_although_the_ledger_sees_no_change(tmp_path: Path) -> None:
    """Given an unchanged release and a job changed by hand, when drift is reverted, then only that stack is updated."""
    world = drifted(tmp_path)
    report = world.deploy(options=WISH)
    assert {r.stack: r.outcome.value for r in report.stacks if r.outcome.value != "unchanged"} == {"job": "done"}
    assert set(world.cloud.reverting) == {"base", "store", "job", "report"}
    assert world.cloud.left_behind == []


def test_a_saved_plan_that_reverts_drift_is_another_plan(tmp_path: Path) -> None:
    """Given a plan made with the wish, when it is carried out without, then it is stale, and why is said."""
    world = drifted(tmp_path)
    saved = as_document(world.plan(options=WISH))
    with pytest.raises(Refused, match="it was made with --revert-drift"):
        world.deploy(saved_plan=saved)
    assert world.deploy(saved_plan=saved, options=WISH).outcome is DeployOutcome.DONE
