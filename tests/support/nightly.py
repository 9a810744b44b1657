"""How long properties and fuzzers run: briefly with the suite, long with `pytest --nightly`."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "DATAOPS_NIGHTLY_TESTS"
TIMES: Final = 20
"""How many times more examples are tried at night."""


def examples(count: int) -> int:
    """How many examples to try if the daily suite tries `count`."""
    return count * TIMES if os.environ.get(VARIABLE) else count
