"""Repairs after a kill: unfinished work is set to failed, so that nothing stays RUNNING forever.

Runs, crawls, queries and stack operations end in the state that AWS has for "failed", with a reason; an S3 object whose
overwrite was interrupted gets the size and ETag of the bytes on disk.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any

from deployer.local.emulator.private_parts import load

REASON = "the local cloud was stopped during this operation"
#: Status of an interrupted operation -> the status in which it ends.
STACK_OUTCOMES = {
    "CREATE_IN_PROGRESS": "CREATE_FAILED",
    "UPDATE_IN_PROGRESS": "UPDATE_FAILED",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_COMPLETE",
    "ROLLBACK_IN_PROGRESS": "ROLLBACK_FAILED",
    "UPDATE_ROLLBACK_IN_PROGRESS": "UPDATE_ROLLBACK_FAILED",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "DELETE_IN_PROGRESS": "DELETE_FAILED",
    "IMPORT_IN_PROGRESS": "IMPORT_ROLLBACK_FAILED",
}


def repair() -> None:
    """Settle everything that the restored state says is under way."""
    settle_job_runs(load("services.glue")._job_runs._data)
    settle_crawlers(load("services.glue")._crawlers._data)
    settle_queries(load("services.athena")._executions._data)
    settle_stacks(load("services.cloudformation")._stacks._data)
    settle_objects(load("services.s3"))


def settle_job_runs(runs_by_job: dict[Any, list[dict[str, Any]]]) -> None:
    """Set unfinished Glue runs to FAILED with a reason (STOPPED if a stop was requested)."""
    now = int(time.time())
    for runs in runs_by_job.values():
        for run in runs:
            if run["JobRunState"] in ("STARTING", "RUNNING", "WAITING"):
                run.update(JobRunState="FAILED", ErrorMessage=f"Job run failed: {REASON}", CompletedOn=now)
            elif run["JobRunState"] == "STOPPING":
                run.update(JobRunState="STOPPED", CompletedOn=now)


def settle_crawlers(crawlers: dict[Any, dict[str, Any]]) -> None:
    """Set unfinished crawlers to READY, with their last crawl FAILED and a reason."""
    for crawler in crawlers.values():
        if crawler["State"] != "READY":
            crawler.update(State="READY", LastCrawl={"Status": "FAILED", "ErrorMessage": f"Crawl failed: {REASON}"})


def settle_queries(executions: dict[Any, dict[str, Any]]) -> None:
    """Set unfinished queries of Athena to FAILED with a reason."""
    for execution in executions.values():
        status = execution["Status"]
        if status["State"] in ("QUEUED", "RUNNING"):
            status.update(State="FAILED", StateChangeReason=f"Query failed: {REASON}", CompletionDateTime=time.time())


def settle_stacks(stacks: dict[Any, dict[str, Any]]) -> None:
    """Set unfinished stack operations, and the resources they were working on, to their failed states."""
    for stack in stacks.values():
        outcome = STACK_OUTCOMES.get(stack.get("StackStatus", ""))
        if outcome is not None:
            stack.update(StackStatus=outcome, StackStatusReason=REASON)
            for resource in (stack.get("_resources") or {}).values():
                status = str(resource.get("ResourceStatus", ""))
                if status.endswith("_IN_PROGRESS"):
                    resource["ResourceStatus"] = status.replace("_IN_PROGRESS", "_FAILED")


def settle_objects(s3: Any) -> None:
    """Update an S3 object's description if its data is newer, as after an interrupted overwrite."""
    for (account, bucket), record in list(s3._buckets._data.items()):
        for key, found in record["objects"].items():
            path = s3._object_disk_path(bucket, key, account)
            try:
                data, description = os.stat(path), os.stat(path + ".meta.json")
            except FileNotFoundError:
                continue
            if data.st_mtime_ns > description.st_mtime_ns or data.st_size != found["size"]:
                with open(path, "rb") as stream:
                    digest = hashlib.file_digest(stream, "md5").hexdigest()
                found.update(size=data.st_size, etag=f'"{digest}"', checksums={})
