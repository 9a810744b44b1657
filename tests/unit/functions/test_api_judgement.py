"""The two renderings of the record contract are one: what Arrow says of a record, plain Python says too, reason for reason."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_api.judgement import broken_rules
from random_records import json_file
from reading import NOW, judged
from refunds_lake.schema.contract import FIELDS, ID_LENGTH, LINE_TOO_LONG, NOT_JSON, RULES, too_late
from refunds_lake.schema.plain_values import DECODER

GOOD = {"id": "a", "type": "void", "timestamp": "2026-09-05T10:00:00Z", "amount": "1", "parent_id": "p"}


def reasons(line: str) -> list[str]:
    """What plain Python says of a line that is an object."""
    return list(dict.fromkeys(rule.reason for rule in broken_rules(DECODER.decode(line.strip()), too_late(NOW))))


@settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 1 << 40))
def test_random_lines_have_the_same_reasons_in_both_renderings(seed: int) -> None:
    """Given valid, mutated and mangled lines, when both judge those that are objects, then their reasons are the same."""
    body = json_file(Random(seed))
    lines = body.decode("utf-8", "surrogateescape").split("\n")
    compared = 0
    for row in judged("a.json", body):
        line = lines[row["line_number"] - 1].strip(" \t\r\n\ufeff")
        found = sorted(row["reasons"] or [])
        try:
            value = DECODER.decode(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and not {NOT_JSON, LINE_TOO_LONG} & set(found):
            assert sorted(reasons(line)) == found, line
            compared += 1
    assert compared or len(body) < 2_000


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.reason}-{rule.field}")
def test_every_rule_of_the_table_has_an_example(rule: Any) -> None:
    """Given a rule of the table, then a record breaks it and is told so, with field and reason."""
    kind = "purchase" if rule.types and "purchase" in rule.types else "void"
    record: dict[str, Any] = {**GOOD, "type": kind}
    if kind == "purchase":
        record = {**record, "customer_id": "c", "merchant_id": "m", "parent_id": None}
    record[rule.field] = {
        "INVALID_UTF8": "\ud800",
        "NOT_TEXT": [],
        "MISSING": " " if rule.field not in ("timestamp", "amount") else "",
        "TOO_LONG": "é" * (ID_LENGTH + 1),
        "UNKNOWN": "sale",
        "INVALID": "2026-02-30T00:00:00Z" if rule.field == "timestamp" else "1e2",
        "TOO_EARLY": "1999-12-31T23:59:59.999999999Z",
        "TOO_LATE": f"{too_late(NOW):%Y-%m-%dT%H:%M:%S}",
        "NOT_POSITIVE": "0.00",
        "PRESENT": "p",
    }[rule.fault.name]
    assert rule in broken_rules(record, too_late(NOW))
    assert set(record) <= set(FIELDS)


def test_a_transaction_breaks_no_rule() -> None:
    """Given records that the contract takes, then nothing is said of them."""
    assert not broken_rules(GOOD, too_late(NOW))
    assert not broken_rules({**GOOD, "type": " VoID\n", "id": " a ", "amount": "0007.5", "x": {}}, too_late(NOW))
