"""What dataops.yml may contain, as data: used by the loader, and to generate the JSON schema for editors.

What the values mean, and what must fit together across keys, is config.py's business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, assert_never

SCHEMA_FILE = "dataops.schema.json"
DEFAULT_RELEASE_MAX_AGE_DAYS = 30


@dataclass(frozen=True)
class Text:
    """Text that matches `pattern`; `expected` says in words what that is."""

    description: str
    pattern: str = r"^[\s\S]+$"
    expected: str = "text"


@dataclass(frozen=True)
class Number:
    """A whole number in a range."""

    description: str
    minimum: int
    maximum: int


@dataclass(frozen=True)
class Flag:
    """true or false."""

    description: str


@dataclass(frozen=True)
class Value:
    """The value of a template's parameter: text, number or true/false, taken as it is written.

    `from_environment`: it may also be ``{from_environment: NAME}``, the value of a variable of the process.
    """

    description: str
    from_environment: bool = False


@dataclass(frozen=True)
class Record:
    """A mapping with known keys. `any_of`: at least one of these groups of keys is complete."""

    description: str
    keys: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    any_of: tuple[tuple[str, ...], ...] = ()
    exactly_one: bool = False


@dataclass(frozen=True)
class Table:
    """A mapping whose keys are names that the author chooses."""

    description: str
    name: Text
    value: Shape
    minimum: int = 0


@dataclass(frozen=True)
class Items:
    """A list."""

    description: str
    item: Shape
    minimum: int = 0


Shape = Text | Number | Flag | Value | Record | Table | Items

VARIABLE = Text("The name of an environment variable.", r"^[A-Za-z_][A-Za-z0-9_]*$", "a variable's name")
FROM_ENVIRONMENT = Record("The value of an environment variable.", {"from_environment": VARIABLE}, exactly_one=True)

# What the templates' parameter EnvironmentName allows: the name becomes part of the databases' names.
ENVIRONMENT_NAME = Text(
    "An environment.", r"^[a-z][a-z0-9]{0,15}$", "1 to 16 lower-case letters and digits, a letter first"
)
_ACCOUNT = Text("The AWS account's id: 12 digits, in quotes.", r"^[0-9]{12}$", "a 12-digit account id in quotes")
_PARAMETER_NAME = Text("A template's parameter.", r"^[A-Za-z0-9]{1,255}$", "letters and digits")
_OUTPUT_NAME = Text("A template's output.", r"^[A-Za-z0-9]{1,255}$", "letters and digits")
_PATH = Text(
    "A path in the project.", r"^(?!/)(?!(.*/)?\.\.(/|$))[^\\]+$", "a relative path inside the project, with '/'"
)
_TAG_KEY = Text("A tag's key.", r"^(?!aws:)[A-Za-z0-9 _.:/=+@-]{1,128}$", "a tag key of at most 128 characters")
_TAG_VALUE = Text("A tag's value.", r"^[A-Za-z0-9 _.:/=+@-]{0,256}$", "a tag value of at most 256 characters")

_SENDER = {"account": _ACCOUNT, "profile": Text("The sender's profile in the AWS configuration.")}
_THIRD_PARTY = Record(
    "Who delivers files over the third-party route in a trial, with its own credentials.",
    _SENDER,
    any_of=(("account",), ("profile",)),
)
_PARTNER = Record(
    "Who delivers files over the cross-account route, with its own credentials.",
    {
        **_SENDER,
        "role": Text(
            "The partner's role that may read its bucket, for `dataops ingest --from`.",
            r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$",
            "the ARN of a role",
        ),
        "external_id_variable": replace(
            VARIABLE, description="The environment variable that holds the external id for this role."
        ),
    },
    any_of=(("account",), ("profile",), ("role",)),
)

# Part of keys, of logical ids and of a policy, so narrower than what Transfer Family takes.
SFTP_USER = Text(
    "A user of the SFTP route.",
    r"^[a-z0-9][a-z0-9-]{2,31}$",
    "3 to 32 lower-case letters, digits and hyphens, a letter or a digit first",
)
_SFTP_KEYS = Items(
    "The user's public keys, each a line as in OpenSSH's .pub files.",
    Text("A public key.", r"^[a-z0-9-]+ [A-Za-z0-9+/=]+( .*)?$", "a public key in OpenSSH's form"),
    minimum=1,
)

_DRIFT_IGNORE = Record(
    "A difference that `dataops drift` does not report until a given date.",
    {
        "resource": Text(
            "STACK/LOGICAL_ID.", r"^[a-z][a-z0-9-]*/[A-Za-z0-9]+$", "STACK/LOGICAL_ID, like storage/RawBucket"
        ),
        "property": Text("A property's path, like Tags; without it, the whole resource."),
        "reason": Text("Why the difference is intended.", r"\S", "a reason"),
        "until": Text(
            "The last day on which it is ignored.", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a date like 2027-01-31"
        ),
    },
    required=("resource", "reason", "until"),
)

# A route is the part of a raw key behind `source=`; records of the API come with the stream.
_ROUTE = Text("A route.", r"^(s3|sftp|stream|third-party)$", "s3, sftp, stream or third-party")
_ROUTE_SETTINGS = Record(
    "Settings of a route in this environment.",
    {
        "expected_every_hours": Number(
            "The hours within which the route is expected to deliver; the daily validation watches it.", 1, 744
        )
    },
    required=("expected_every_hours",),
)

ENVIRONMENT = Record(
    "Where a release is deployed.",
    {
        "account": _ACCOUNT,
        "region": Text("The AWS region.", r"^[a-z]{2}(-[a-z]+)+-[0-9]$", "a region like ap-southeast-2"),
        "profile": Text("A profile in the AWS configuration; without it, boto3 searches for credentials as usual."),
        "endpoint": Text(
            "`local`: the local cloud of this checkout. A URL: another endpoint.",
            r"^(local|https?://[^\s/]+/?)$",
            "local or an http(s) URL",
        ),
        "promotes_from": replace(
            ENVIRONMENT_NAME, description="The environment from which `dataops promote` takes tested releases."
        ),
        "release_max_age_days": Number(
            f"`promote` refuses a release whose test is older; the default is {DEFAULT_RELEASE_MAX_AGE_DAYS}.", 1, 3650
        ),
        "parameters": Table(
            "Values of template parameters in this environment.",
            _PARAMETER_NAME,
            Value("The parameter's value.", from_environment=True),
        ),
        "partner": _PARTNER,
        "third_party": _THIRD_PARTY,
        "sftp_users": Table("Users of the SFTP route, by their keys.", SFTP_USER, _SFTP_KEYS),
        "routes": Table("Routes that are expected to deliver regularly.", _ROUTE, _ROUTE_SETTINGS),
        "tags": Table("Tags of every stack and of the resources in it.", _TAG_KEY, _TAG_VALUE),
        "termination_protection": Flag(
            "Whether CloudFormation refuses to delete the stacks that hold data; `deploy` turns this on, nothing turns it off."
        ),
        "drift_ignore": Items("Differences that are known and intended.", _DRIFT_IGNORE),
    },
    any_of=(("account", "region"), ("endpoint",)),
)

ARTIFACT = Record(
    "A file of the release, passed to the template parameter of the same name.",
    {
        "file": _PATH,
        "zip": _PATH,
        "bundle": Items("Directories to be put side by side into one zip.", _PATH, minimum=1),
        "text": _PATH,
    },
    exactly_one=True,
)

STACK = Record(
    "A CloudFormation stack.",
    {
        "template": _PATH,
        "parameters": Table(
            "Values of the template's parameters, the same in every environment; part of the release.",
            _PARAMETER_NAME,
            Value("The parameter's value."),
        ),
        "outputs": Table("Outputs that other stacks use under a different name.", _OUTPUT_NAME, _OUTPUT_NAME),
    },
    required=("template",),
)

PROJECT = Record(
    "The environments and stacks of a lakehouse.",
    {
        "project": Text(
            "The first part of every stack's name.",
            r"^[a-z][a-z0-9-]{0,39}$",
            "at most 40 lower-case letters, digits and '-'",
        ),
        "environments": Table(
            "Where releases are deployed.",
            ENVIRONMENT_NAME,
            ENVIRONMENT,
            minimum=1,
        ),
        "artifacts": Table("Files of a release that templates refer to.", _PARAMETER_NAME, ARTIFACT),
        "stacks": Table(
            "Stacks; their order follows from outputs and parameters.",
            Text("A stack.", r"^[a-z][a-z0-9-]{0,39}$", "at most 40 lower-case letters, digits and '-'"),
            STACK,
            minimum=1,
        ),
    },
    required=("project", "environments", "stacks"),
)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of dataops.yml for editors."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "dataops.yml"}
    return head | _schema_of(PROJECT)


def schema_text() -> str:
    """Return the content of the schema's file; made by ``python -m deployer.project.shapes``."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _schema_of(shape: Shape) -> dict[str, Any]:
    described: dict[str, Any] = {"description": shape.description}
    match shape:
        case Text():
            return described | {"type": "string", "pattern": shape.pattern}
        case Number():
            return described | {"type": "integer", "minimum": shape.minimum, "maximum": shape.maximum}
        case Flag():
            return described | {"type": "boolean"}
        case Value():
            plain = {"type": ["string", "number", "boolean"]}
            return described | ({"anyOf": [plain, _schema_of(FROM_ENVIRONMENT)]} if shape.from_environment else plain)
        case Items():
            return described | {"type": "array", "items": _schema_of(shape.item), "minItems": shape.minimum}
        case Table():
            names = {"propertyNames": {"pattern": shape.name.pattern}, "minProperties": shape.minimum}
            return described | {"type": "object", **names, "additionalProperties": _schema_of(shape.value)}
        case Record():
            return described | _record_schema(shape)
        case _:
            assert_never(shape)


def _record_schema(record: Record) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
    schema["properties"] = {name: _schema_of(shape) for name, shape in record.keys.items()}
    if record.required:
        schema["required"] = list(record.required)
    if record.any_of:
        schema["anyOf"] = [{"required": list(group)} for group in record.any_of]
    if record.exactly_one:
        schema |= {"minProperties": 1, "maxProperties": 1}
    return schema


if __name__ == "__main__":
    from pathlib import Path

    Path(__file__).with_name(SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")
