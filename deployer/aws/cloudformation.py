"""The boto3 adapter of the `Cloud` port.
It translates and pages, nothing else: no decisions, no waiting, no retries beyond botocore's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from deployer.aws.calls import translating
from deployer.aws.cloudformation_answers import change_set, drift, operation_error, stack_event, stack_state
from deployer.cloudformation.port import (
    AlreadyThere,
    ChangeSet,
    Cloud,
    Drift,
    OperationError,
    StackEvent,
    StackRequest,
    StackState,
)


def _is_missing(error: Any) -> bool:
    return "does not exist" in error.response["Error"].get("Message", "")


def _pages(call: Callable[..., Mapping[str, Any]], member: str, **request: Any) -> Iterator[Any]:
    """Yield every element of `member` over all pages."""
    page = call(**request)
    yield from page.get(member, ())
    while token := page.get("NextToken"):
        page = call(**request, NextToken=token)
        yield from page.get(member, ())


@translating
class AwsCloud(Cloud):
    """`Cloud` over one CloudFormation client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def describe(self, stack: str) -> StackState | None:
        try:
            found = self._client.describe_stacks(StackName=stack)["Stacks"]
        except self._client.exceptions.ClientError as error:
            if _is_missing(error):
                return None
            raise
        if not found or found[0]["StackStatus"] == "DELETE_COMPLETE":
            return None
        return stack_state(found[0])

    def template_body(self, stack: str, *, change_set: str = "") -> str:
        of = {"ChangeSetName": change_set} if change_set else {}
        body = self._client.get_template(StackName=stack, TemplateStage="Original", **of)["TemplateBody"]
        if isinstance(body, str):
            return body
        return json.dumps(body)  # botocore parses JSON templates into mappings

    def create_change_set(self, request: StackRequest, *, name: str, creates: bool, reverts_drift: bool = False) -> str:
        mode = {"DeploymentMode": "REVERT_DRIFT"} if reverts_drift else {}
        try:
            answer = self._client.create_change_set(**self._change_set_request(request, name, creates), **mode)
        except self._client.exceptions.AlreadyExistsException as error:
            raise AlreadyThere(f"{request.stack_name} or its change set {name} is there already") from error
        return str(answer["Id"])

    def _change_set_request(self, request: StackRequest, name: str, creates: bool) -> dict[str, Any]:
        template = {"TemplateURL": request.template_url} if request.template_url else {"TemplateBody": request.body}
        return dict(
            StackName=request.stack_name,
            ChangeSetName=name,
            ChangeSetType="CREATE" if creates else "UPDATE",
            ClientToken=name,
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in sorted(request.parameters.items())],
            Tags=[{"Key": k, "Value": v} for k, v in sorted(request.tags.items())],
            Capabilities=list(request.capabilities),
            **template,
        )

    def change_set(self, change_set_id: str) -> ChangeSet:
        request = {"ChangeSetName": change_set_id, "IncludePropertyValues": True}
        pages = [self._client.describe_change_set(**request)]
        while token := pages[-1].get("NextToken"):
            pages.append(self._client.describe_change_set(**request, NextToken=token))
        return change_set(change_set_id, pages)

    def delete_change_set(self, change_set_id: str) -> None:
        try:
            self._client.delete_change_set(ChangeSetName=change_set_id)
        except self._client.exceptions.ClientError as error:
            if not _is_missing(error):
                raise

    def change_sets(self, stack: str) -> Sequence[tuple[str, str]]:
        found = _pages(self._client.list_change_sets, "Summaries", StackName=stack)
        return [(item["ChangeSetId"], item["ChangeSetName"]) for item in found]

    def execute_change_set(self, change_set_id: str, *, token: str, creates: bool) -> None:
        only_new = {"RetainExceptOnCreate": True} if creates else {}
        try:
            self._client.execute_change_set(ChangeSetName=change_set_id, ClientRequestToken=token, **only_new)
        except self._client.exceptions.InvalidChangeSetStatusException as error:
            if not self.change_set(change_set_id).execution_status.startswith("EXECUTE_"):
                raise
            raise AlreadyThere(f"change set {change_set_id} was started already") from error

    def events(self, stack: str, *, after: str | None = None) -> Sequence[StackEvent]:
        newest_first = []
        for event in _pages(self._client.describe_stack_events, "StackEvents", StackName=stack):
            if event["EventId"] == after:
                break
            newest_first.append(stack_event(event))
        return newest_first[::-1]

    def errors(self, *, stack: str = "", change_set: str = "") -> Sequence[OperationError]:
        # A stack's history is long. A change set's is short, and a finding that only warns need not count as failed.
        asked: dict[str, Any] = (
            {"StackName": stack, "Filters": {"FailedEvents": True}} if stack else {"ChangeSetName": change_set}
        )
        events = _pages(self._client.describe_events, "OperationEvents", **asked)
        return sorted(filter(None, map(operation_error, events)), key=lambda error: error.timestamp)

    def roll_back(self, stack: str, *, token: str) -> None:
        self._client.rollback_stack(StackName=stack, ClientRequestToken=token)

    def continue_rollback(self, stack: str, *, token: str) -> None:
        self._client.continue_update_rollback(StackName=stack, ClientRequestToken=token)

    def protect(self, stack: str) -> None:
        self._client.update_termination_protection(StackName=stack, EnableTerminationProtection=True)

    def delete_stack(self, stack: str, *, token: str) -> None:
        self._client.delete_stack(StackName=stack, ClientRequestToken=token)

    def resources(self, stack: str) -> Mapping[str, str]:
        pages = self._client.get_paginator("list_stack_resources").paginate(StackName=stack)
        found = [item for page in pages for item in page.get("StackResourceSummaries", ())]
        return {item["LogicalResourceId"]: item.get("PhysicalResourceId", "") for item in found}

    def detect_drift(self, stack: str) -> str:
        return str(self._client.detect_stack_drift(StackName=stack)["StackDriftDetectionId"])

    def drift_detection_status(self, detection_id: str) -> tuple[str, str]:
        answer = self._client.describe_stack_drift_detection_status(StackDriftDetectionId=detection_id)
        return answer["DetectionStatus"], answer.get("DetectionStatusReason", "")

    def drifts(self, stack: str) -> Sequence[Drift]:
        wanted = {"StackName": stack, "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"]}
        return [
            drift(item) for item in _pages(self._client.describe_stack_resource_drifts, "StackResourceDrifts", **wanted)
        ]
