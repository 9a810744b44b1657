"""The whole examination of an account, for one target: every question, in the order in which the answers matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from deployer.account import catalog, names, quotas, region, rights
from deployer.account.checks import AccountCheck, asked, ok, warning
from deployer.cloudformation.port import StackState
from deployer.errors import ConfigError
from deployer.project.conditions import resources_of
from deployer.release.target import Target
from deployer.security.iam_policy import Role, policy
from deployer.security.pipeline_roles import deploy_role

IDENTITY = "identity"


@dataclass(frozen=True)
class Patient:
    """What is examined: the account behind clients, and what would be deployed there."""

    target: Target
    states: Mapping[str, StackState | None]
    client: Callable[[str], Any]
    available_regions: Callable[[str], list[str]]

    @property
    def new_stacks(self) -> list[str]:
        """The stacks that are not there yet."""
        return [stack for stack, state in self.states.items() if state is None or state.status == "REVIEW_IN_PROGRESS"]

    def values(self, stack: str) -> dict[str, str]:
        """Return what is known of a stack's parameters, and the pseudo-parameters."""
        outputs = {name: state.outputs for name, state in self.states.items() if state}
        known = {name: value for name, value in self.target.values(stack, outputs).items() if isinstance(value, str)}
        return {**known, "AWS::StackName": self.target.stack_names[stack], "AWS::Region": self.region}

    @property
    def region(self) -> str:
        return self.target.environment.region


def examine(patient: Patient) -> list[AccountCheck]:
    """Return every finding, and change nothing."""
    client, caller = patient.client, patient.client("sts").get_caller_identity()
    found = [*_identity(patient, caller)]
    found += asked(region.REGION, lambda: region.region_is_on(client("ec2"), patient.region))
    found += _services(patient)
    principal = cache(lambda: rights.principal_of(client("iam"), caller["Arn"]))
    found += asked(rights.RIGHTS, lambda: _rights(patient, caller["Account"], principal()))
    who_grants = _everything(patient).get("WhoGrants", "iam")
    found += asked(
        catalog.LAKE_FORMATION,
        lambda: catalog.lake_formation(client("lakeformation"), principal() or caller["Arn"], who_grants),
    )
    found += asked(catalog.ENCRYPTION, lambda: catalog.encryption(client("glue")))
    needs = _needs(patient)
    found += asked(quotas.IAM, lambda: quotas.iam(client("iam"), needs))
    found += asked(quotas.STREAMS, lambda: quotas.streams(client("kinesis"), needs))
    found += asked(quotas.FUNCTIONS, lambda: quotas.functions(client("lambda"), needs))
    found += asked(quotas.WORKERS, lambda: quotas.workers(client("service-quotas"), needs))
    found += asked(names.NAMES, lambda: names.clashes(client, _named(patient)))
    return found


def _identity(patient: Patient, caller: Mapping[str, str]) -> Iterator[AccountCheck]:
    environment = patient.target.environment
    if environment.account is None and environment.endpoint is None:
        yield warning(
            IDENTITY,
            f"dataops.yml declares no account for {environment.name}: any credentials would be accepted",
            f'write `account: "{caller["Account"]}"` if that is the one',
        )
    yield ok(IDENTITY, f"{caller['Arn']} in account {caller['Account']}")


def _services(patient: Patient) -> Iterator[AccountCheck]:
    types = {
        resource.type for template in patient.target.templates.values() for resource in template.resources.values()
    }
    yield from region.services_in(patient.available_regions, patient.region, types)
    if version := _everything(patient).get("JobVersion"):
        yield from region.glue_version(version, patient.region)


def _rights(patient: Patient, account: str, principal: str | None) -> Iterator[AccountCheck]:
    environment, templates = replace(patient.target.environment, account=account), patient.target.templates.values()
    try:
        printed = policy(patient.target.project, environment, templates, Role.DEPLOY)
    except ConfigError as error:
        yield warning(rights.RIGHTS, f"the policy cannot be printed: {error}", error.hint or "correct dataops.yml")
        return
    iam = patient.client("iam")
    yield from rights.rights(iam, principal, printed)
    role = deploy_role(patient.target.project, environment.name)
    yield from rights.rights_of_the_pipeline(iam, role, principal, printed)


def _everything(patient: Patient) -> dict[str, str]:
    """Return the values of all stacks' parameters; the ones needed here mean the same in every stack."""
    return {name: value for stack in patient.target.templates for name, value in patient.values(stack).items()}


def _needs(patient: Patient) -> quotas.Needs:
    templates = [patient.target.templates[stack] for stack in patient.new_stacks]
    types = Counter(resource.type for template in templates for resource in template.resources.values())
    reserved = [
        (resource.get("Properties") or {}).get("ReservedConcurrentExecutions")
        for template in templates
        for resource in template.document.get("Resources", {}).values()
    ]
    return quotas.Needs(types, _everything(patient), sum(number for number in reserved if isinstance(number, int)))


def _named(patient: Patient) -> list[names.Named]:
    return [
        named
        for stack in patient.new_stacks
        for named in names.named_resources(
            stack, resources_of(patient.target.wiring.stacks[stack]), patient.values(stack)
        )
    ]
