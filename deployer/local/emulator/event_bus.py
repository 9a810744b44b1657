"""Events that AWS services put on the default event bus and the emulator does not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deployer.local.emulator.private_parts import load, require


def emit(source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
    """Put one event as the service `source` (``aws.glue``) of the caller's account and region."""
    put_events = require(load("services.eventbridge"), "_put_events", ("data", "allow_aws_source"))
    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": list(resources)}
    put_events({"Entries": [entry]}, allow_aws_source=True)
