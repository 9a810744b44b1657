"""Tasks in Spark's Python workers: run them, and say in one line why one failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerFailed(Exception):
    """A task failed as often as Spark tries it; the message is that of its error."""


def on_workers(spark: SparkSession, function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """The function's results for the tasks, each of which runs alone; raises WorkerFailed."""
    if not tasks:
        return []
    try:
        return spark.sparkContext.parallelize(tasks, len(tasks)).map(function).collect()
    except Py4JJavaError as error:
        raise WorkerFailed(last_line(str(error.java_exception.getMessage()))) from error


def last_line(message: str) -> str:
    """The error of a Python task in Spark's message, which holds the Python traceback above a Java one."""
    lines = message.partition("\n\tat ")[0].strip().splitlines()
    return lines[-1] if lines else "a task failed"
