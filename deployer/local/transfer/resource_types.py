"""CloudFormation's AWS::Transfer::Server and AWS::Transfer::User, kept as the emulator's own records."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from deployer.local.emulator.private_parts import EmulatorChanged, load, require

Properties = Mapping[str, Any]
Created = tuple[str, dict[str, Any]]

#: The properties of a server that the emulator does not keep.
KEPT = ("LoggingRole", "ProtocolDetails", "SecurityPolicyName", "StructuredLogDestinations")
POLICY_CHARACTERS = 2048
CREATE_ONLY = {
    "AWS::Transfer::Server": ("Domain", "IdentityProviderType"),
    "AWS::Transfer::User": ("ServerId", "UserName"),
}


def register() -> None:
    """Give CloudFormation both types."""
    provisioners = load("services.cloudformation.provisioners")
    handlers = require(provisioners, "_RESOURCE_HANDLERS")
    replacing = require(provisioners, "_REPLACING_PROPERTIES")
    for call in ("_create_user", "_delete_user", "_import_ssh_public_key"):
        require(load("services.transfer"), call, ("data",))
    ours = {
        "AWS::Transfer::Server": {"create": create_server, "update": update_server, "delete": delete_server},
        "AWS::Transfer::User": {"create": create_user, "update": update_user, "delete": delete_user},
    }
    for name, handler in ours.items():
        if name in handlers:
            raise EmulatorChanged(f"the emulator has {name} now; remove our handler, or keep it on purpose")
        handlers[name] = handler
        replacing[name] = CREATE_ONLY[name]


def create_server(logical_id: str, props: Properties, stack_name: str) -> Created:
    """Create a server; it answers as soon as the event loop, on which this runs, has started it."""
    transfer = load("services.transfer")
    server_id = transfer._server_id()
    transfer._servers[server_id] = {
        "Arn": transfer._server_arn(server_id),
        "ServerId": server_id,
        "State": "ONLINE",
        "EndpointType": props.get("EndpointType", "PUBLIC"),
        "IdentityProviderType": props.get("IdentityProviderType", "SERVICE_MANAGED"),
        "Protocols": props.get("Protocols", ["SFTP"]),
        "Domain": props.get("Domain", "S3"),
        "Tags": list(props.get("Tags", [])),
        "UserCount": 0,
        **_kept(props),
    }
    task = asyncio.get_running_loop().create_task(transfer.sftp_start())
    _starting.add(task)
    task.add_done_callback(_starting.discard)
    return _server(server_id)


_starting: set[asyncio.Task[None]] = set()


def update_server(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    record = load("services.transfer")._servers[physical_id]
    for name in KEPT:
        record.pop(name, None)
    record.update(_kept(new), Tags=list(new.get("Tags", [])))
    return _server(physical_id)


def delete_server(physical_id: str, props: Properties) -> None:
    transfer = load("services.transfer")
    for key in [key for key in transfer._users if key.startswith(f"{physical_id}/")]:
        del transfer._users[key]
    transfer._servers.pop(physical_id, None)


def _kept(props: Properties) -> dict[str, Any]:
    return {name: props[name] for name in KEPT if name in props}


def _server(server_id: str) -> Created:
    return server_id, {"ServerId": server_id, "Arn": load("services.transfer")._servers[server_id]["Arn"]}


def create_user(logical_id: str, props: Properties, stack_name: str) -> Created:
    """Create a user with its keys; an unreadable key, or a policy that is too long, fails the stack as on AWS."""
    transfer = load("services.transfer")
    keys = [_checked_key(key) for key in props.get("SshPublicKeys", [])]
    policy = _checked_policy(props)
    named = {"ServerId": props["ServerId"], "UserName": props["UserName"]}
    _answer(transfer._create_user({name: value for name, value in props.items() if name != "SshPublicKeys"}))
    for key in keys:
        _answer(transfer._import_ssh_public_key({**named, "SshPublicKeyBody": key}))
    user = transfer._users[transfer._user_key(props["ServerId"], props["UserName"])]
    user["Policy"] = policy
    return user["Arn"], {"Arn": user["Arn"], **named}


def update_user(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    for key in new.get("SshPublicKeys", []):
        _checked_key(key)
    _checked_policy(new)
    delete_user(physical_id, old)
    return create_user("", new, stack_name)


def delete_user(physical_id: str, props: Properties) -> None:
    load("services.transfer")._delete_user({"ServerId": props["ServerId"], "UserName": props["UserName"]})


def _checked_key(text: str) -> str:
    import asyncssh  # imported late: most local clouds never see a key

    try:
        asyncssh.import_public_key(text)
    except (asyncssh.KeyImportError, ValueError) as error:
        raise ValueError(f"Unsupported or invalid SSH public key format: {error}") from error
    return text


def _checked_policy(props: Properties) -> str:
    policy = str(props.get("Policy") or "")
    if len(policy) > POLICY_CHARACTERS:
        raise ValueError(
            f"Value at 'policy' failed to satisfy constraint: length less than or equal to {POLICY_CHARACTERS}"
        )
    if policy:
        json.loads(policy)
    return policy


def _answer(response: tuple[int, Any, Any]) -> None:
    status, _, body = response
    if status >= 300:
        raise ValueError(json.loads(body).get("message") or str(body))
