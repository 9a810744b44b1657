"""The Glue catalog calls that the emulator lacks or answers wrongly.

UpdatePartition, BatchDeletePartition, GetPartitions with Expression, Segment and pages, and the errors of partition
calls on tables that do not exist. Tables and databases themselves are the emulator's, but an answer leaves out what was
never set.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.glue.partition_filter import FilterError, matching

Data = dict[str, Any]
#: The size of AWS's pages, and the most entries that a batch call accepts.
PAGE_SIZE = 1000
BATCH_LIMITS = {"BatchCreatePartition": 100, "BatchUpdatePartition": 100, "BatchDeletePartition": 25}


def install(cloud: LocalCloud) -> None:
    """Answer the missing actions, replace GetPartitions, and check what the emulator leaves unchecked."""
    glue = load("services.glue")
    for name in ("_create_partition", "_delete_partition", "_batch_create_partition"):
        require(glue, name, ("data",))
    replace(glue, "_get_partitions", lambda data: get_partitions(glue, data))
    for name, key in (("_get_table", "Table"), ("_get_tables", "TableList"), ("_get_database", "Database")):
        setattr(glue, name, _shown(glue, require(glue, name, ("data",)), key))
    extra: dict[str, Callable[[Any, Data], Any]] = {
        "UpdatePartition": update_partition,
        "BatchDeletePartition": batch_delete_partition,
    }
    original = require(glue, "_handle_request_sync", ("method", "path", "headers", "body", "query_params"))

    def handle(method: str, path: str, headers: Data, body: bytes, query_params: Data) -> Any:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if "Partition" in action and not path.startswith("/iceberg"):
            data = json.loads(body or b"{}")
            if (refused := refusal(glue, action, data)) is not None:
                return glue.error_response_json(*refused, 400)
            if action in extra:
                return extra[action](glue, data)
        return original(method, path, headers, body, query_params)

    glue._handle_request_sync = handle  # type: ignore[attr-defined]


def _shown(glue: Any, original: Callable[[Data], Any], key: str) -> Callable[[Data], Any]:
    """Wrap a read so that its records have no empty texts: AWS leaves out a Description or Owner that was never set."""

    def read(data: Data) -> Any:
        answer = original(data)
        if answer[0] != 200:
            return answer
        content = json.loads(answer[2])
        for record in content[key] if isinstance(content[key], list) else [content[key]]:
            for name in ("Description", "Owner"):
                if record.get(name) == "":
                    del record[name]
        return glue.json_response(content)

    return read


def refusal(glue: Any, action: str, data: Data) -> tuple[str, str] | None:
    """Return the error code and message with which AWS refuses this partition call, or None."""
    limit = BATCH_LIMITS.get(action)
    entries: list[Any] = next(
        (data[name] for name in ("PartitionInputList", "Entries", "PartitionsToDelete") if name in data), []
    )
    if limit is not None and len(entries) > limit:
        return "ValidationException", f"Member must have length less than or equal to {limit}"
    if "TableName" in data and (table := _table(glue, data)) is None:
        return "EntityNotFoundException", f"Table {data['TableName']} not found."
    if "TableName" in data:
        keys = len(table.get("PartitionKeys") or [])
        inputs = [data["PartitionInput"]] if "PartitionInput" in data else data.get("PartitionInputList", [])
        if any(len(given.get("Values", [])) != keys for given in inputs):
            return "InvalidInputException", "The number of partition keys do not match the number of partition values"
    return None


def _table(glue: Any, data: Data) -> Any:
    return glue._tables.get(f"{data.get('DatabaseName')}/{data['TableName']}")


def update_partition(glue: Any, data: Data) -> Any:
    """Answer UpdatePartition with the emulator's BatchUpdatePartition."""
    entry = {"PartitionValueList": data["PartitionValueList"], "PartitionInput": data["PartitionInput"]}
    response = glue._batch_update_partition({**data, "Entries": [entry]})
    errors = json.loads(response[2])["Errors"]
    if not errors:
        return glue.json_response({})
    detail = errors[0]["ErrorDetail"]
    return glue.error_response_json(detail["ErrorCode"], detail["ErrorMessage"], 400)


def batch_delete_partition(glue: Any, data: Data) -> Any:
    """Answer BatchDeletePartition: report a missing value and delete the others."""
    key = f"{data['DatabaseName']}/{data['TableName']}"
    present = {tuple(partition["Values"]) for partition in glue._partitions.get(key, [])}
    errors = []
    for given in data["PartitionsToDelete"]:
        if tuple(given["Values"]) in present:
            glue._delete_partition({**data, "PartitionValues": given["Values"]})
        else:
            detail = {"ErrorCode": "EntityNotFoundException", "ErrorMessage": "Partition not found."}
            errors.append({"PartitionValues": given["Values"], "ErrorDetail": detail})
    return glue.json_response({"Errors": errors})


def get_partitions(glue: Any, data: Data) -> Any:
    """Answer GetPartitions with Expression, Segment, MaxResults and NextToken."""
    table = _table(glue, data)
    found = list(glue._partitions.get(f"{data['DatabaseName']}/{data['TableName']}", []))
    if expression := data.get("Expression"):
        names = [column["Name"] for column in table.get("PartitionKeys") or []]
        try:
            found = matching(expression, names, found)
        except FilterError as error:
            return glue.error_response_json("InvalidInputException", str(error), 400)
    if segment := data.get("Segment"):
        found = found[segment["SegmentNumber"] :: segment["TotalSegments"]]
    size = min(int(data.get("MaxResults", PAGE_SIZE)), PAGE_SIZE)
    begin = int(base64.b64decode(data["NextToken"])) if data.get("NextToken") else 0
    page: Data = {"Partitions": found[begin : begin + size]}
    if begin + size < len(found):
        page["NextToken"] = base64.b64encode(str(begin + size).encode()).decode()
    return glue.json_response(page)
