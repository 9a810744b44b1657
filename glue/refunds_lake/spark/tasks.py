"""Runs tasks in Spark's Python workers, and explains in one line why one failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

from refunds_lake.log_lines import JobFailure

Task = TypeVar("Task")
Result = TypeVar("Result")
_SHARES_PER_CORE: Final = 4
"""Each share of the tasks costs a worker some 60 ms: Spark has it read the directories of its libraries' archives again."""


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
        found = spark.sparkContext.parallelize(shares, count).map(lambda share: [*map(function, share)]).collect()
    except Py4JJavaError as error:
        raise WorkerFailed(last_line(str(error.java_exception.getMessage()))) from error
    return [found[place % count][place // count] for place in range(len(tasks))]


def last_line(message: str) -> str:
    """Return the error of a Python task from Spark's message, which has the Python traceback above a Java one."""
    lines = message.partition("\n\tat ")[0].strip().splitlines()
    return lines[-1] if lines else "a task failed"
