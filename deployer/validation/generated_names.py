"""Names that CloudFormation would cut: the printed policies go by their beginning, which is project and environment.

It makes a name of the stack's, the logical id and a random part, and shortens the first two where that is too long:
https://github.com/convox/rack/issues/2297 shows 25, 24 and 13 characters of a function's 64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from deployer.errors import Location
from deployer.project.config import Environment
from deployer.project.finding import Finding, Level
from deployer.project.templates import Template

#: Type -> the property that would name it, and how long a name AWS takes.
LIMITS: Final = {
    "AWS::Events::Rule": ("Name", 64),
    "AWS::IAM::Role": ("RoleName", 64),
    "AWS::KinesisFirehose::DeliveryStream": ("DeliveryStreamName", 64),
    "AWS::Lambda::Function": ("FunctionName", 64),
    "AWS::S3::Bucket": ("BucketName", 63),
    "AWS::SQS::Queue": ("QueueName", 80),
    "AWS::Scheduler::Schedule": ("Name", 64),
}
RANDOM_PART: Final = len("-1GRP3N0TVA1LD")
LOGICAL_ID_AT_MOST: Final = 24


def names_cut(project: str, environment: Environment, templates: Mapping[str, Template]) -> Iterator[Finding]:
    """Yield a finding of an environment in AWS when a name would be cut, for the resource with the least room."""
    if environment.account is None:
        return
    prefix = f"{project}-{environment.name}-"
    rooms = [(room, name) for template in templates.values() for name, room in _rooms(template)]
    room, name = min(rooms, default=(len(prefix), ""))
    if len(prefix) > room:
        message = (
            f"CloudFormation would cut the name of {name} after '{prefix[:room]}', and the rights that `dataops "
            f"iam-policy` prints go by '{prefix}'"
        )
        hint = f"'{project}' and the environment's name may have {room - 2} characters together"
        file, line, column = environment.where.rsplit(":", 2)
        yield Finding.at(Location(file, int(line), int(column)), Level.ERROR, "name-cut", message, hint)


def _rooms(template: Template) -> Iterator[tuple[str, int]]:
    """Yield each resource that CloudFormation names, with the characters that it leaves for the stack's name."""
    for logical_id, resource in template.document["Resources"].items():
        named, limit = LIMITS.get(resource.get("Type"), ("", 0))
        if named and named not in (resource.get("Properties") or {}):
            yield logical_id, limit - RANDOM_PART - 1 - min(len(logical_id), LOGICAL_ID_AT_MOST)
