"""The users of the SFTP route in its template: the resource that stands for a user becomes one for each user.

CloudFormation has no loop over a list that differs between environments. The template says it once, with two parameters
that stand for a user; here its lines are written out with each user's values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from deployer.project.templates import Template

USER_TYPE = "AWS::Transfer::User"
NAME, KEYS = "SftpUserName", "SftpUserKeys"


def with_users(template: Template, users: Mapping[str, Sequence[str]]) -> str:
    """Return the template's text with a resource for each user; a template without the parameter for names stays unchanged."""
    if NAME not in template.parameters:
        return template.body
    lines = template.body.splitlines(keepends=True)
    for resource in sorted(template.resources.values(), key=lambda each: -each.line):
        if resource.type == USER_TYPE:
            first = resource.line - 1
            last = next((n for n in range(first + 1, len(lines)) if re.match(r" {0,2}[^ \n]", lines[n])), len(lines))
            block = "".join(lines[first:last]).rstrip("\n") + "\n\n"
            written = [_written_out(block, resource.logical_id, user, keys) for user, keys in sorted(users.items())]
            lines[first:last] = written
    return "".join(lines)


def logical_id(user: str) -> str:
    """Return the logical id of a user's resource; user names have no upper case, so no two users share one."""
    return "User" + user.replace("-", "X")


def _written_out(block: str, id_: str, user: str, keys: Sequence[str]) -> str:
    """Return one user's lines. A key's comment, which may be anything, is left out."""
    plain = [" ".join(key.split()[:2]) for key in keys]
    return (
        block.replace(f"  {id_}:", f"  {logical_id(user)}:", 1)
        .replace(f"!Ref {NAME}", json.dumps(user))
        .replace(f"${{{NAME}}}", user)
        .replace(f"!Ref {KEYS}", json.dumps(plain))
    )
