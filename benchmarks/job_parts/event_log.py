"""Where a Spark run's time goes: its event log, added up by stage and by SQL query. Reads uncompressed logs only."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import defaultdict
from pathlib import Path


@dataclasses.dataclass
class Stage:
    """What the tasks of one stage took together."""

    name: str
    query: str
    submitted_ms: int = 0
    wall_seconds: float = 0.0
    tasks: int = 0
    cpu_seconds: float = 0.0
    gc_seconds: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    shuffle_bytes: int = 0
    spilled_bytes: int = 0


def stages(log: Path) -> list[Stage]:
    """The stages that ran, in order of submission."""
    found: dict[int, Stage] = {}
    queries: dict[str, str] = {}
    query_of_stage: dict[int, str] = {}
    totals: dict[int, Stage] = defaultdict(lambda: Stage("", ""))
    for line in log.read_text().splitlines():
        event = json.loads(line)
        match event["Event"]:
            case "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart":
                queries[str(event["executionId"])] = event["description"]
            case "SparkListenerJobStart":
                execution = event.get("Properties", {}).get("spark.sql.execution.id", "-")
                for number in event["Stage IDs"]:
                    query_of_stage.setdefault(number, execution)
            case "SparkListenerTaskEnd" if metrics := event.get("Task Metrics"):
                stage = totals[event["Stage ID"]]
                stage.tasks += 1
                stage.cpu_seconds += (metrics["Executor CPU Time"] + metrics["Executor Deserialize CPU Time"]) / 1e9
                stage.gc_seconds += metrics["JVM GC Time"] / 1e3
                stage.bytes_read += metrics["Input Metrics"]["Bytes Read"]
                stage.bytes_written += metrics["Output Metrics"]["Bytes Written"]
                stage.shuffle_bytes += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
                stage.spilled_bytes += metrics["Disk Bytes Spilled"]
            case "SparkListenerStageCompleted":
                info = event["Stage Info"]
                number = info["Stage ID"]
                stage = totals[number]
                stage.name = info["Stage Name"]
                stage.query = query_of_stage.get(number, "-")
                stage.submitted_ms = info["Submission Time"]
                stage.wall_seconds = (info["Completion Time"] - info["Submission Time"]) / 1e3
                found[number] = stage
    return sorted(found.values(), key=lambda stage: stage.submitted_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    entries = stages(parser.parse_args().log)
    first = min(stage.submitted_ms for stage in entries)
    print("at s   wall s  tasks  cpu s   gc s  read MB  written MB  shuffle MB  spill MB  query  stage")
    for stage in entries:
        megabytes = [n / 1e6 for n in (stage.bytes_read, stage.bytes_written, stage.shuffle_bytes, stage.spilled_bytes)]
        print(
            f"{(stage.submitted_ms - first) / 1e3:5.1f} {stage.wall_seconds:7.1f} {stage.tasks:6d} {stage.cpu_seconds:6.1f}"
            f" {stage.gc_seconds:6.1f} {megabytes[0]:8.1f} {megabytes[1]:11.1f} {megabytes[2]:11.1f} {megabytes[3]:9.1f}"
            f"  {stage.query:>5}  {stage.name}"
        )
    total = sum(stage.cpu_seconds for stage in entries)
    print(f"{len(entries)} stages, {sum(stage.tasks for stage in entries)} tasks, {total:.1f} CPU seconds in tasks")


if __name__ == "__main__":
    main()
