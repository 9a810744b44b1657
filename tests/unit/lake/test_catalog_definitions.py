"""What the deployed templates declare of the catalog, and what of it is created again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from refunds_lake.schema.columns import TABLES
from repository import ROOT

from deployer.lake.catalog_definitions import Definition, create_missing, definitions_of
from deployer.planning.render import RenderedResource, render
from deployer.project.templates import load_template

PARAMETERS = {"EnvironmentName": "uat", "TableSet": "base", "BaseBucketName": "lake"}


class NotFound(Exception):
    """Glue knows no such thing."""


class Catalog:
    """Glue with these databases and tables."""

    exceptions = SimpleNamespace(EntityNotFoundException=NotFound)

    def __init__(self, *there: str) -> None:
        self.there, self.made = set(there), dict[str, Any]()

    def _find(self, name: str) -> None:
        if name not in self.there:
            raise NotFound(name)

    def get_database(self, Name: str) -> None:
        self._find(Name)

    def get_table(self, DatabaseName: str, Name: str) -> None:
        self._find(f"{DatabaseName}.{Name}")

    def create_database(self, DatabaseInput: Any) -> None:
        self.made[DatabaseInput["Name"]] = DatabaseInput

    def create_table(self, DatabaseName: str, TableInput: Any) -> None:
        self.made[f"{DatabaseName}.{TableInput['Name']}"] = TableInput


@pytest.fixture
def definitions() -> list[Definition]:
    """What the template of the catalog declares."""
    return definitions_of([{}, render(load_template(ROOT / "templates" / "catalog.yaml").document, PARAMETERS)])


def test_the_template_declares_the_database_before_its_tables(definitions: list[Definition]) -> None:
    """Given the catalog's template, then the database comes first, and each table of the library with its own columns."""
    assert str(definitions[0]) == "refunds_base_uat"
    assert {each.table for each in definitions[1:]} == set(TABLES)
    for each in definitions[1:]:
        storage = each.properties["StorageDescriptor"]
        assert each.database == "refunds_base_uat" and each.table is not None
        assert [(column["Name"], column["Type"]) for column in storage["Columns"]] == list(TABLES[each.table])
        assert storage["Location"] == f"s3://lake/base/{each.table}/"


def test_what_is_missing_is_created_and_nothing_else(definitions: list[Definition]) -> None:
    """Given a catalog without one table, or without anything, then that is created, and what is there is left as it is."""
    there = {str(each) for each in definitions} - {"refunds_base_uat.void"}
    catalog = Catalog(*there)
    assert create_missing(catalog, definitions) == ("refunds_base_uat.void",)
    assert list(catalog.made) == ["refunds_base_uat.void"]
    catalog = Catalog()
    assert len(create_missing(catalog, definitions)) == len(definitions) == len(catalog.made)


def test_a_table_of_a_database_of_another_stack() -> None:
    """Given a table whose database is a parameter, then it is that one's."""
    properties = {"DatabaseName": "other", "TableInput": {"Name": "t"}}
    table = RenderedResource("T", "AWS::Glue::Table", properties, "Delete", "Delete")
    assert [str(each) for each in definitions_of([{"T": table}])] == ["other.t"]
