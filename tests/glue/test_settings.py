"""What the library's settings of Spark save, counted."""

from __future__ import annotations

from typing import Any

import pytest
from py4j.clientserver import ClientServerConnection
from pyspark.sql import functions as F

MOST_REQUESTS = 30
"""What a statement of five calls may request of Java: Spark 4 needs 14 or 15, and made some 70 to name its line in errors."""


def test_a_statement_requests_little_of_java(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a DataFrame, when it is filtered, then the driver asks Java for the filter, and not for the script's line."""
    frame, asked, send = spark.range(1), list[str](), ClientServerConnection.send_command
    monkeypatch.setattr(
        ClientServerConnection, "send_command", lambda self, command: asked.append(command) or send(self, command)
    )
    found = frame.where((F.col("id") == 1) & F.col("id").isNotNull())
    assert 0 < len(asked) <= MOST_REQUESTS
    assert found.count() == 0
