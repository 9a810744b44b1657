"""The resources on which a call is evaluated, where the emulator and AWS differ.

Glue's catalog, Athena's workgroups, log streams. A call is allowed if it is allowed on each of its resources. Where
AWS's own examples use alternative ARNs for a resource, one of them is enough.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from deployer.local.emulator.private_parts import load

#: Each entry is a resource that must be allowed, by any of its alternative ARNs.
Resources = list[tuple[str, ...]]


@dataclass(frozen=True)
class Request:
    """A request as the emulator's router hands it on."""

    service: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, Any]
    region: str
    account: str

    @cached_property
    def data(self) -> Mapping[str, Any]:
        """The body of a JSON call; empty for others."""
        try:
            found = json.loads(self.body or b"{}")
        except (ValueError, UnicodeDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def parameter(self, name: str) -> str | None:
        """Return a parameter of a call in the query protocol."""
        value = self.query.get(name)
        return value[0] if isinstance(value, list) else value

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"


def resources_of(request: Request, action: str) -> Resources:
    """Return the resources of a call; empty if the emulator's own answer is right."""
    find = _BY_SERVICE.get(request.service)
    return find(request, action.partition(":")[2]) if find is not None else []


def _glue(request: Request, action: str) -> Resources:
    """Return the catalog, the database and the table, on all of which a call on the catalog is evaluated.

    https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html
    """
    data = request.data
    database = data.get("DatabaseName")
    for noun, name in (("Crawler", "Name"), ("Crawler", "CrawlerName"), ("Trigger", "Name"), ("Workflow", "Name")):
        if noun in action and isinstance(data.get(name), str):
            return _each(request.arn("glue", f"{noun.lower()}/{data[name]}"))
    if "JobRun" in action or action.endswith(("Job", "Jobs")):
        job = data.get("JobName") or data.get("Name")
        return _each(request.arn("glue", f"job/{job}")) if job else [("*",)]
    if "SecurityConfiguration" in action or "Classifier" in action:
        return [("*",)]
    if "Tag" in action:
        return _each(str(data.get("ResourceArn", "*")))
    if "Database" in action:
        database = data.get("Name") or (data.get("DatabaseInput") or {}).get("Name")
    found = [request.arn("glue", "catalog")]
    if database:
        found.append(request.arn("glue", f"database/{database}"))
        table = _table(data, action)
        found += [request.arn("glue", f"table/{database}/{table}")] if table else []
    if action == "DeleteDatabase":
        found += [request.arn("glue", f"{kind}/{database}/*") for kind in ("table", "userDefinedFunction")]
    return _each(*found)


def _table(data: Mapping[str, Any], action: str) -> str | None:
    if "TableName" in data:
        return str(data["TableName"])
    if "Table" not in action:
        return None
    return str(data.get("Name") or (data.get("TableInput") or {}).get("Name") or "*")


def _athena(request: Request, action: str) -> Resources:
    """Return the workgroup of a query or a named query, even if the call gives only its id."""
    athena, data = load("services.athena"), request.data
    if action in ("ListWorkGroups", "ListDataCatalogs", "ListEngineVersions"):
        return [("*",)]
    catalog = data.get("CatalogName")
    if catalog or "DataCatalog" in action:
        return _each(request.arn("athena", f"datacatalog/{catalog or data.get('Name', '*')}"))
    if "Tag" in action:
        return _each(str(data.get("ResourceARN", "*")))
    ids = [("QueryExecutionId", athena._executions), ("NamedQueryId", athena._named_queries)]
    records = [known.get(each) for name, known in ids for each in [data.get(name), *data.get(f"{name}s", [])] if each]
    if records or data.keys() & {"QueryExecutionId", "QueryExecutionIds", "NamedQueryId", "NamedQueryIds"}:
        groups = sorted({record["WorkGroup"] for record in records if record is not None}) or ["*"]
    else:
        groups = [data.get("WorkGroup") or (data.get("Name") if "WorkGroup" in action else None) or "primary"]
    return _each(*(request.arn("athena", f"workgroup/{group}") for group in groups))


def _logs(request: Request, action: str) -> Resources:
    """Return the ARN of a stream, and that of a group with and without the stream's part, as both are documented."""
    data = request.data
    if "resourceArn" in data:
        return _each(str(data["resourceArn"]).removesuffix(":*"))
    if action in ("StartQuery", "FilterLogEvents") and data.get("logGroupIdentifier"):
        return _each(str(data["logGroupIdentifier"]).removesuffix(":*"))
    name = data.get("logGroupName") or data.get("logGroupNamePrefix") or ""
    group = request.arn("logs", f"log-group:{name or '*'}")
    stream = f"{group}:log-stream:{data.get('logStreamName', '')}"
    if action in ("PutLogEvents", "GetLogEvents"):
        return [(stream,)]
    return [(group, f"{group}:*", stream)]


def _kinesis(request: Request, action: str) -> Resources:
    """Return the stream; calls with a shard iterator name it inside the iterator."""
    iterator = load("services.kinesis")._shard_iterators.get(request.data.get("ShardIterator"))
    return _each(iterator["stream_arn"]) if iterator else []


def _cloudformation(request: Request, action: str) -> Resources:
    """Return the stack of a change set, even if the call gives only the change set's ARN."""
    named = request.parameter("ChangeSetName")
    if request.parameter("StackName") or not named:
        return []
    _, found = load("services.cloudformation.changesets")._find_change_set(named)
    if found is None:
        return [("*",)]
    return [(str(found["StackId"]), request.arn("cloudformation", f"stack/{found['StackName']}/*"))]


def _iam(request: Request, action: str) -> Resources:
    """Return the ARN of a policy to be created, or of a simulation's principal."""
    given = request.parameter("PolicySourceArn" if action == "SimulatePrincipalPolicy" else "PolicyName")
    if given and action == "SimulatePrincipalPolicy":
        return _each(given)
    return _each(f"arn:aws:iam::{request.account}:policy/{given}") if action == "CreatePolicy" and given else []


def _each(*arns: str) -> Resources:
    return [(arn,) for arn in arns]


_BY_SERVICE: Mapping[str, Callable[[Request, str], Resources]] = {
    "glue": _glue,
    "athena": _athena,
    "logs": _logs,
    "kinesis": _kinesis,
    "cloudformation": _cloudformation,
    "iam": _iam,
}
