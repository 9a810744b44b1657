"""What a user of the SFTP server may do: what both its role and its session policy allow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from deployer.local.emulator.private_parts import load
from deployer.local.rights.judging import Denied
from deployer.local.rights.objects import ObjectRights
from deployer.local.rights.roles import taken_by

SERVICE = "transfer.amazonaws.com"


def rights_of(user: Mapping[str, Any]) -> ObjectRights:
    """Return the permissions of the user's session; raise `Denied` if the role does not trust Transfer Family."""
    if not user.get("Role"):
        raise Denied(f"user {user['UserName']} has no role")
    role = taken_by(SERVICE, str(user["Role"]), str(user["UserName"]), {"aws:SourceArn": user["Arn"]})
    principal = role.principal()
    if user.get("Policy"):
        session = load("core.iam_evaluator").parse_policy_document(str(user["Policy"]))
        principal = dataclasses.replace(principal, limits=[*principal.limits, [session]])
    return ObjectRights(principal)
