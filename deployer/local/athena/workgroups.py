"""The rules of a workgroup for a query: whether it is usable, where results go, how many bytes may be scanned.

Pure; the records are the emulator's, their values come from CloudFormation or UpdateWorkGroup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NO_LOCATION = (
    "No output location provided. An output location is required either through the Workgroup result configuration "
    "setting or as an API input."
)


class Unusable(Exception):
    """StartQueryExecution refuses the query; the message is AWS's."""


@dataclass(frozen=True)
class Rules:
    """The settings that one query runs under."""

    workgroup: str
    output_location: str
    encryption: Mapping[str, Any]
    cutoff_bytes: int | None
    engine_version: str


def rules_of(workgroups: Any, data: Mapping[str, Any]) -> Rules:
    """Return the settings for this StartQueryExecution; raise `Unusable`."""
    name = data.get("WorkGroup") or "primary"
    workgroup = workgroups.get(name)
    if workgroup is None:
        raise Unusable(f"WorkGroup {name} is not found.")
    if workgroup.get("State") == "DISABLED":
        raise Unusable(f"WorkGroup {name} is disabled.")
    configuration = workgroup.get("Configuration") or {}
    own = configuration.get("ResultConfiguration") or {}
    given = data.get("ResultConfiguration") or {}
    # The client's settings count only if the workgroup does not enforce its own, which it does by default.
    enforced = str(configuration.get("EnforceWorkGroupConfiguration", name != "primary")).lower() == "true"
    used = own if enforced else {**own, **given}
    if not used.get("OutputLocation"):
        raise Unusable(NO_LOCATION)
    cutoff = configuration.get("BytesScannedCutoffPerQuery")
    return Rules(
        workgroup=name,
        output_location=used["OutputLocation"],
        encryption=used.get("EncryptionConfiguration") or {},
        cutoff_bytes=int(cutoff) if cutoff is not None else None,
        engine_version=(configuration.get("EngineVersion") or {}).get("SelectedEngineVersion", "AUTO"),
    )
