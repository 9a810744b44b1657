"""Runs tasks in Spark's Python workers, and explains in one line why one failed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

from refunds_lake.log_lines import JobFailure

Task = TypeVar("Task")
Result = TypeVar("Result")
_SHARES_PER_CORE: Final = 4


class WorkerFailed(JobFailure):
    """A task failed as often as Spark tries it; the message is that of its error."""


def on_workers(spark: SparkSession, function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """Return the function's results for the tasks, in their order; raise WorkerFailed.

    Tasks that lie behind one another in the list come to different workers, as far as there are any.
    """
    if not tasks:
        return []
    count = min(len(tasks), _SHARES_PER_CORE * spark.sparkContext.defaultParallelism)
    shares = [tasks[first::count] for first in range(count)]
    try:
        found = spark.sparkContext.parallelize(shares, count).map(lambda share: _results(function, share)).collect()
    except Py4JJavaError as error:
        raise WorkerFailed(last_line(str(error.java_exception.getMessage()))) from error
    return [found[place % count][place // count] for place in range(len(tasks))]


def _results(function: Callable[[Task], Result], share: Sequence[Task]) -> list[Result]:
    """Return the function's results, and let the worker forget its importers, which Python makes again when it needs them.

    Before each share Spark invalidates them: Python 3.11 then reads the directories of Spark's own archives, for 40 ms.
    """
    results = [function(task) for task in share]
    sys.path_importer_cache.clear()
    return results


def last_line(message: str) -> str:
    """Return the error of a Python task from Spark's message, which has the Python traceback above a Java one."""
    lines = message.partition("\n\tat ")[0].strip().splitlines()
    return lines[-1] if lines else "a task failed"
