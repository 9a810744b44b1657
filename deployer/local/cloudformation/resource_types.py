"""Resource types and properties that the emulator's CloudFormation lacks and our templates use.

New types are mapped onto the emulator's own service calls; dropped properties are added to its records.
Buckets are in buckets.py, rules about templates in template_rules.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import EmulatorChanged, load, require

Properties = Mapping[str, Any]
Created = tuple[str, dict[str, Any]]

#: The properties of AWS::Glue::Job that the emulator drops, with AWS's defaults.
JOB_PROPERTIES: dict[str, Any] = {
    "ExecutionProperty": {"MaxConcurrentRuns": 1},
    "ExecutionClass": "STANDARD",
    "NotificationProperty": {},
    "JobRunQueuingEnabled": False,
    "MaintenanceWindow": "",
}


def install(cloud: LocalCloud) -> None:
    """Register the new types, and extend the emulator's handlers."""
    provisioners = load("services.cloudformation.provisioners")
    handlers = require(provisioners, "_RESOURCE_HANDLERS")
    replacing = require(provisioners, "_REPLACING_PROPERTIES")
    for name, (handler, create_only) in new_types(provisioners).items():
        if name in handlers:
            raise EmulatorChanged(f"the emulator has {name} now; remove our handler, or keep it on purpose")
        handlers[name] = handler
        replacing[name] = create_only
    keep_stream_encryption(handlers)
    name_log_groups(provisioners, handlers)
    keep_job_properties(provisioners)


def new_types(provisioners: Any) -> dict[str, tuple[dict[str, Any], tuple[str, ...]]]:
    """Return type name -> (its handler, its create-only properties)."""
    athena, glue, iam = load("services.athena"), load("services.glue"), load("services.iam")
    require(iam, "_create_oidc_provider", ("p",))
    require(iam, "_oidc_providers")
    for module, calls in {
        athena: ("_create_named_query", "_delete_named_query"),
        glue: ("_create_security_configuration", "_delete_security_configuration"),
    }.items():
        for call in calls:
            require(module, call, ("data",))
    physical_name = require(provisioners, "_physical_name")

    def create_named_query(logical_id: str, props: Properties, stack_name: str) -> Created:
        data = {"Name": physical_name(stack_name, logical_id), **props}
        query_id = _answer(athena._create_named_query(data))["NamedQueryId"]
        return query_id, {"NamedQueryId": query_id}

    def delete_named_query(physical_id: str, props: Properties) -> None:
        athena._delete_named_query({"NamedQueryId": physical_id})

    def create_security_configuration(logical_id: str, props: Properties, stack_name: str) -> Created:
        name = props.get("Name") or physical_name(stack_name, logical_id, max_len=255)
        encryption = _security_configuration(props["EncryptionConfiguration"])
        _answer(glue._create_security_configuration({"Name": name, "EncryptionConfiguration": encryption}))
        return name, {}

    def delete_security_configuration(physical_id: str, props: Properties) -> None:
        glue._delete_security_configuration({"Name": physical_id})

    def create_oidc_provider(logical_id: str, props: Properties, stack_name: str) -> Created:
        members = {f"ClientIDList.member.{n}": [each] for n, each in enumerate(props.get("ClientIdList", ()), start=1)}
        status, _, body = iam._create_oidc_provider({"Url": [props["Url"]], **members})
        if status >= 300:
            raise ValueError(f"Provider with url {props['Url']} already exists.")
        arn = re.search(r"<OpenIDConnectProviderArn>(.+?)<", body if isinstance(body, str) else body.decode())
        assert arn is not None
        return arn[1], {"Arn": arn[1]}

    def update_oidc_provider(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
        iam._oidc_providers[physical_id]["ClientIDList"] = list(new.get("ClientIdList", ()))
        return physical_id, {"Arn": physical_id}

    def delete_oidc_provider(physical_id: str, props: Properties) -> None:
        iam._oidc_providers.pop(physical_id, None)

    return {
        "AWS::IAM::OIDCProvider": (
            {"create": create_oidc_provider, "update": update_oidc_provider, "delete": delete_oidc_provider},
            ("Url",),
        ),
        # Every property of both types is create-only: an SQL edit gives a new NamedQueryId, as on AWS.
        "AWS::Athena::NamedQuery": (
            _replace_only(create_named_query, delete_named_query),
            ("Database", "Description", "Name", "QueryString", "WorkGroup"),
        ),
        "AWS::Glue::SecurityConfiguration": (
            _replace_only(create_security_configuration, delete_security_configuration),
            ("EncryptionConfiguration", "Name"),
        ),
    }


def _replace_only(
    create: Callable[[str, Properties, str], Created], delete: Callable[[str, Properties], None]
) -> dict[str, Any]:
    """Return a handler for a type without in-place updates; the engine replaces the resource instead of updating it."""

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
        raise ValueError(f"{physical_id} cannot be updated in place")

    return {"create": create, "update": update, "delete": delete}


def _security_configuration(value: Properties) -> dict[str, Any]:
    """Translate S3Encryptions, CloudFormation's name, to the API's S3Encryption."""
    renamed = {"S3Encryptions": "S3Encryption"}
    return {renamed.get(name, name): part for name, part in value.items()}


def keep_stream_encryption(handlers: dict[str, dict[str, Any]]) -> None:
    """Let StreamEncryption of AWS::Kinesis::Stream reach DescribeStream."""
    kinesis = load("services.kinesis")
    handler = handlers["AWS::Kinesis::Stream"]
    create, update = handler["create"], handler["update"]

    def apply(created: Created, props: Properties) -> Created:
        wanted = props.get("StreamEncryption") or {}
        stream = kinesis._streams[created[0]]
        stream["EncryptionType"] = wanted.get("EncryptionType", "NONE")
        stream.pop("KeyId", None)
        if "KeyId" in wanted:
            stream["KeyId"] = wanted["KeyId"]
        return created

    handler["create"] = lambda logical_id, props, stack: apply(create(logical_id, props, stack), props)
    handler["update"] = lambda physical_id, old, new, stack: apply(update(physical_id, old, new, stack), new)


def name_log_groups(provisioners: Any, handlers: dict[str, dict[str, Any]]) -> None:
    """Name an AWS::Logs::LogGroup without a name as AWS does: after its stack, which policies rely on, and for good."""
    handler = handlers["AWS::Logs::LogGroup"]
    create, update = handler["create"], handler["update"]
    physical_name = require(provisioners, "_physical_name")

    def named(props: Properties, name: str) -> Properties:
        return props if props.get("LogGroupName") else {**props, "LogGroupName": name}

    def create_group(logical_id: str, props: Properties, stack_name: str) -> Any:
        return create(logical_id, named(props, physical_name(stack_name, logical_id)), stack_name)

    def update_group(physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Any:
        name = physical_name(stack_name, logical_id) if old.get("LogGroupName") else physical_id
        return update(physical_id, named(old, physical_id), named(new, name), stack_name, logical_id)

    handler.update(create=create_group, update=update_group)


def keep_job_properties(provisioners: Any) -> None:
    """Keep the properties in `JOB_PROPERTIES` for AWS::Glue::Job, CreateJob and UpdateJob."""
    glue = load("services.glue")
    require(provisioners, "_GLUE_JOB_DEFAULTS").update(JOB_PROPERTIES)
    require(provisioners, "_glue_job_fields", ("props",))
    create_job, update_job = require(glue, "_create_job", ("data",)), require(glue, "_update_job", ("data",))

    def create(data: dict[str, Any]) -> Any:
        response = create_job(data)
        if response[0] == 200:
            glue._jobs[data["Name"]].update({name: data.get(name, usual) for name, usual in JOB_PROPERTIES.items()})
        return response

    def update(data: dict[str, Any]) -> Any:
        response = update_job(data)
        if response[0] == 200:
            wanted = data.get("JobUpdate", {})
            glue._jobs[data["JobName"]].update({name: wanted[name] for name in JOB_PROPERTIES if name in wanted})
        return response

    glue._create_job, glue._update_job = create, update  # type: ignore[attr-defined]


def _answer(response: tuple[int, Any, Any]) -> dict[str, Any]:
    """Return the body of a service call of the emulator; raise what CloudFormation would report."""
    status, _, body = response
    document: dict[str, Any] = json.loads(body or b"{}")
    if status >= 300:
        raise ValueError(document.get("message") or document.get("Message") or str(body))
    return document
