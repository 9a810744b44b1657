"""The AWS calls that the deployer's code can make, read from its source: a second source besides the recorded calls.

botocore's method names are distinctive enough: whatever looks like `client.describe_stacks` is such a call.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import botocore.session
from botocore import xform_name
from repository import ROOT

SERVICES = (
    *(
        "athena",
        "cloudformation",
        "cloudwatch",
        "ec2",
        "glue",
        "iam",
        "kinesis",
        "kms",
        "lakeformation",
        "lambda",
        "logs",
        "s3",
    ),
    *("scheduler", "secretsmanager", "service-quotas", "sts", "transfer"),
)
NOT_THE_DEPLOYER = {"local", "local.py"}  # the local cloud answers calls
# Logs, Lambda and Athena have a method of this name, too.
AMBIGUOUS = {"get_query_results": "athena", "list_aliases": "kms", "get_database": "glue"}


def operations() -> dict[str, list[tuple[str, str]]]:
    """Python method -> each (service, operation) that it may be."""
    session = botocore.session.get_session()
    methods: dict[str, list[tuple[str, str]]] = {}
    for service in SERVICES:
        for operation in session.get_service_model(service).operation_names:
            methods.setdefault(xform_name(operation), []).append((service, operation))
    return methods


def calls_in_code() -> set[tuple[str, str]]:
    """Every (service, operation) that the code of the deployer and of the libraries it uses can call."""
    known = operations()
    found = set()
    for path in source_files():
        for method in _methods(ast.parse(path.read_text(encoding="utf-8"))):
            found |= {call for call in known.get(method, ()) if AMBIGUOUS.get(method, call[0]) == call[0]}
    return found


def source_files() -> Iterator[Path]:
    """The deployer without the local cloud, and what it uses of the job's library and of the checks."""
    yield from (p for p in (ROOT / "deployer").rglob("*.py") if not NOT_THE_DEPLOYER & set(p.parts))
    yield from (ROOT / "glue/refunds_lake").rglob("*.py")
    yield from (ROOT / "functions/refunds_checks").rglob("*.py")


def _methods(tree: ast.AST) -> Iterator[str]:
    """Names of attributes, and the names of paginators and waiters."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name):
                yield name
            case ast.Call(
                func=ast.Attribute(attr="get_paginator" | "get_waiter"), args=[ast.Constant(value=str(name))]
            ):
                yield name
