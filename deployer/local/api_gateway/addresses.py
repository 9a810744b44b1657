"""The address of an API in a stack's outputs: on AWS a host name of its own, here a path below the local cloud's URL.

It is filled in when the outputs are read, because the local cloud may listen on another port after its next start.
"""

from __future__ import annotations

import re
from typing import Any, Final

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, require

ADDRESS: Final = re.compile(r"https://([a-f0-9]{8})\.execute-api\.[a-z0-9-]+\.amazonaws\.com/([A-Za-z0-9_-]+)")


def install(cloud: LocalCloud) -> None:
    """Wrap DescribeStacks."""
    handlers = load("services.cloudformation.handlers")
    actions = require(handlers, "_ACTION_HANDLERS")
    describe = actions["DescribeStacks"]

    def describe_stacks(params: Any) -> Any:
        status, headers, body = describe(params)
        text = body if isinstance(body, str) else body.decode()
        local = ADDRESS.sub(lambda found: address(cloud.url, found[1], found[2]), text)
        return status, headers, local if isinstance(body, str) else local.encode()

    actions["DescribeStacks"] = describe_stacks


def address(url: str, api_id: str, stage: str) -> str:
    """Return the address of an API's stage."""
    return f"{url}/restapis/{api_id}/{stage}/_user_request_"
