"""The catalog's databases and tables as the deployed templates declare them; those that were deleted are created again.

They then have the names that CloudFormation knows. Existing ones are not changed: a difference is drift, and a deployment
corrects it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.aws.calls import translated
from deployer.planning.render import RenderedResource


@dataclass(frozen=True)
class Definition:
    """A database, or a table in one. `properties` are Glue's input for it."""

    database: str
    table: str | None
    properties: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.database}.{self.table}" if self.table else self.database


def definitions_of(stacks: Iterable[Mapping[str, RenderedResource]]) -> list[Definition]:
    """Return what the resources of stacks declare, databases before tables."""
    found = [each for resources in stacks for each in _of_stack(resources)]
    return sorted(found, key=lambda each: each.table is not None)


def _of_stack(resources: Mapping[str, RenderedResource]) -> Iterator[Definition]:
    databases = {
        logical_id: each.properties["DatabaseInput"]
        for logical_id, each in resources.items()
        if each.type == "AWS::Glue::Database"
    }
    for properties in databases.values():
        yield Definition(properties["Name"], None, properties)
    for each in resources.values():
        if each.type == "AWS::Glue::Table":
            owner, table = each.properties["DatabaseName"], each.properties["TableInput"]
            declared = databases.get(owner.strip("${}"))
            yield Definition(declared["Name"] if declared else owner, table["Name"], table)


@translated
def create_missing(glue: Any, definitions: Iterable[Definition]) -> tuple[str, ...]:
    """Create the databases and tables that are missing; return their names. `glue` is boto3's client."""
    created = []
    for each in definitions:
        try:
            if each.table is None:
                glue.get_database(Name=each.database)
            else:
                glue.get_table(DatabaseName=each.database, Name=each.table)
        except glue.exceptions.EntityNotFoundException:
            if each.table is None:
                glue.create_database(DatabaseInput=each.properties)
            else:
                glue.create_table(DatabaseName=each.database, TableInput=each.properties)
            created.append(str(each))
    return tuple(created)
