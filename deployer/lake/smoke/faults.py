"""Whether a failed smoke test is the release's fault: two lists of how code and queries report that they are wrong.

Whatever is not on a list is no judgement: a held lock, a JVM that died, a full disk, a denied permission, a bucket that
is missing. So an unforeseen failure never rolls back a correct release.
"""

from __future__ import annotations

import builtins
import re
from typing import Final

from deployer.lake.queries import CUTOFF_TEXT, FailureKind, QueryFailed

_MISTAKES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)
CHECKS_OF_THE_JOB: Final = frozenset({"ArgumentsRefused", "CheckFailed", "SettingsRefused"})
_WRONG_CODE: Final = frozenset(
    [
        *CHECKS_OF_THE_JOB,
        "SystemExit",  # a script that ends itself
        # Mistakes in Python code. OSError, MemoryError and their like are the machine's.
        *(name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, _MISTAKES)),
        # What decimal, Arrow and Spark say of code that asks for what does not exist or does not fit.
        "InvalidOperation",
        "ArrowInvalid",
        "ArrowKeyError",
        "ArrowNotImplementedError",
        "ArrowTypeError",
        "AnalysisException",
        "ParseException",
        "PySparkAttributeError",
        "PySparkTypeError",
        "PySparkValueError",
    ]
)
WRAPPER_OF_THE_JOB: Final = "WorkerFailed"
"""The job's word for a task that failed in a worker; its message is the worker's error."""

_OF_A_LOST_MACHINE: Final = re.compile(
    r"PATH_NOT_FOUND|JavaPackage|SparkContext|'NoneType' object has no attribute '_?j?(sc|vm)'"
)
"""Errors of the types above that a dead JVM or a vanished store gives rise to."""

_GLUES_WORDS: Final = re.compile(
    r"(?:Error Category: \w+; ?)?(?:Failed Line Number: \d+; ?)?(?P<type>[\w.]*):? ?", re.MULTILINE
)

_OF_A_QUERY: Final = re.compile(
    r": (?:AMBIGUOUS_NAME|COLUMN_NOT_FOUND|DIVISION_BY_ZERO|DUPLICATE_COLUMN_NAME|EXPRESSION_NOT_AGGREGATE|EXPRESSION_NOT_SCALAR"
    r"|FUNCTION_NOT_FOUND|HIVE_BAD_DATA|HIVE_PARTITION_SCHEMA_MISMATCH|INVALID_ARGUMENTS|INVALID_CAST_ARGUMENT"
    r"|INVALID_FUNCTION_ARGUMENT|INVALID_LITERAL|INVALID_PARAMETER_USAGE|MISMATCHED_COLUMN_ALIASES|MISSING_COLUMN_NAME"
    r"|NOT_SUPPORTED|NUMERIC_VALUE_OUT_OF_RANGE|SCHEMA_NOT_FOUND|SUBQUERY_MULTIPLE_ROWS|SYNTAX_ERROR|TABLE_NOT_FOUND"
    r"|TYPE_MISMATCH)\b|: line \d+:\d+: "
)
"""Trino's names of what is wrong with a query or the data that it reads, https://trino.io/docs/current/develop/; a position
in the text alone is how Athena refuses to start one.
"""


_OF_RIGHTS: Final = re.compile(
    r"access ?denied|AccessDenied|not authorized|AWS denies|insufficient lake ?formation|lacks? permission|\b403\b"
    r"|unable to assume|cannot be assumed|could not assume",
    re.IGNORECASE,
)
"""How AWS's services report a denied permission; the job's and Athena's messages contain these words."""


def speaks_of_rights(message: str) -> bool:
    """Return whether a failure is due to a denied permission, which may have been granted too recently to take effect."""
    return bool(_OF_RIGHTS.search(message))


def speaks_of_the_code(error: str) -> bool:
    """Return whether the message of a failed job run shows that the job's code or its result is wrong.

    Glue's message is the type of the exception that ended the script, and what it said.
    """
    return _type_of(error) in _WRONG_CODE and not _OF_A_LOST_MACHINE.search(error)


def _type_of(error: str) -> str:
    """Return the name of the exception without its module; for a task that failed in a worker, of the task's error."""
    found = _GLUES_WORDS.match(error)
    assert found is not None  # every part of it may be absent
    name = found["type"].rpartition(".")[2]
    return _type_of(error[found.end() :]) if name == WRAPPER_OF_THE_JOB else name


def speaks_of_the_query(failure: QueryFailed) -> bool:
    """Return whether Athena's message shows that the query itself is wrong, or that it exceeds its workgroup's limit."""
    text = str(failure)
    return failure.kind is FailureKind.USER and (CUTOFF_TEXT in text.lower() or bool(_OF_A_QUERY.search(text)))
