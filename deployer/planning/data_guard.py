"""What a plan may not do without permission: replace or delete resources that hold data. Pure decisions over changes.
The account and region guard is the session's; the environment's lock is lock.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from deployer.planning.resource_changes import Action, ResourceChange

# What holds data, or the key to it, and cannot be made again from the templates.
STATEFUL_TYPES = frozenset(
    {
        "AWS::Athena::WorkGroup",
        "AWS::DynamoDB::Table",
        "AWS::Glue::Database",
        "AWS::Glue::Table",
        "AWS::Kinesis::Stream",
        "AWS::KMS::Key",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
        "AWS::SQS::Queue",
        "AWS::Transfer::Server",
    }
)


@dataclass(frozen=True)
class DataRisk:
    """One resource that would be lost, or left behind by its replacement."""

    stack: str  #: its stack in dataops.yml
    logical_id: str  #: its name in the template
    type: str  #: the resource's type
    what: str  #: what would become of it and its data

    def __str__(self) -> str:
        return f"{self.stack}/{self.logical_id} ({self.type}) {self.what}"


def data_risks(stack: str, changes: Iterable[ResourceChange], allowed: Collection[str] = ()) -> tuple[DataRisk, ...]:
    """Return replacements and deletions of stateful resources that the operator has not allowed by logical id.

    A retained resource counts too: its data survives, but the stack continues with an empty one.
    """
    return tuple(
        DataRisk(stack, change.logical_id, change.type, what)
        for change in changes
        if change.type in STATEFUL_TYPES and change.logical_id not in allowed and (what := _risk(change))
    )


def _risk(change: ResourceChange) -> str:
    if change.action is Action.REMOVE:
        return _fate("would be removed from the stack", change.deletion_policy)
    if change.may_replace:
        certainty = "would be replaced" if change.replacement.value == "True" else "may be replaced"
        because = f" because {', '.join(change.causes)} changes" if change.causes else ""
        return _fate(certainty + because, change.update_replace_policy)
    return ""


def _fate(what: str, policy: str) -> str:
    return (
        f"{what}; its data stays in the old resource" if policy.startswith("Retain") else f"{what} and its data deleted"
    )
