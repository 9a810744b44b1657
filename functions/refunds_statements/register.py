"""The issued statements, below statements/ of the base bucket.

A statement is issued when its record is written: under the next number, if that number is free. Its documents are
written before that, each once, under a prefix that names month, run, release and moment; an attempt that dies leaves
documents that no record names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from refunds_lake.storage.objects import ObjectStore, PreconditionFailed

from refunds_statements.documents import ADJUSTMENTS, LINES, parse_lines
from refunds_statements.lines import Line
from refunds_statements.statement import Document, Statement, StatementDamaged, parse_statement

PREFIX: Final = "statements/"
_RECORDS: Final = f"{PREFIX}issued/"
_REQUESTS_AT_ONCE: Final = 8


class IssuedMeanwhile(Exception):
    """Somebody else has written the statement of this number."""


def record_key(number: int) -> str:
    """Return the key of a statement's record."""
    return f"{_RECORDS}{number:06}.json"


def documents_prefix(statement: Statement) -> str:
    """Return the prefix of a statement's documents."""
    made_of = f"month={statement.month}/run={statement.run}/release={statement.release}"
    return f"{PREFIX}{made_of}/issued={statement.issued_at:%Y%m%dT%H%M%SZ}/"


def read_statements(store: ObjectStore) -> tuple[Statement, ...]:
    """Return all statements in the order of their numbers, which is also that of their months."""
    keys = [each.key for each in store.listing(_RECORDS)]
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        return tuple(pool.map(lambda key: parse_statement(store.get(key)[0], key), keys))


def write(store: ObjectStore, statement: Statement, documents: Mapping[str, bytes]) -> Statement:
    """Write the documents and then the record; return the statement with its documents. Raise IssuedMeanwhile."""
    prefix = documents_prefix(statement)
    kept = {name: Document(prefix + name, hashlib.sha256(body).hexdigest()) for name, body in documents.items()}
    issued = replace(statement, documents=kept)
    try:
        for name, body in documents.items():
            store.put(prefix + name, body, only_if_absent=True)
        store.put(record_key(issued.number), json.dumps(issued.document(), indent=1).encode(), only_if_absent=True)
    except PreconditionFailed as error:
        raise IssuedMeanwhile(str(error)) from error
    return issued


def read_document(store: ObjectStore, statement: Statement, name: str) -> bytes:
    """Return a document of a statement. Raise StatementDamaged if it is not the one that was written."""
    document = statement.documents[name]
    body = store.get(document.key)[0]
    if hashlib.sha256(body).hexdigest() != document.sha256:
        raise StatementDamaged(f"{document.key} differs from the document that was issued")
    return body


def issued_lines(store: ObjectStore, statements: Sequence[Statement], months: frozenset[str]) -> Iterator[Line]:
    """Return what statements have issued for some months: the lines of their own month, and adjustments of others."""
    for statement in statements:
        if statement.month in months:
            yield from own_lines(store, statement)
        if months & (statement.lines.keys() - {statement.month}):
            yield from (line for line in adjustment_lines(store, statement) if line.month in months)


def own_lines(store: ObjectStore, statement: Statement) -> Iterator[Line]:
    """Return the lines of the statement's own month."""
    return parse_lines(read_document(store, statement, LINES))


def adjustment_lines(store: ObjectStore, statement: Statement) -> Iterator[Line]:
    """Return the lines with which a statement adjusts earlier months."""
    return parse_lines(read_document(store, statement, ADJUSTMENTS))
