"""One run at a time: a lock object in the bucket, taken with a conditional write, so that a second run fails early.

A courtesy: what keeps two writers apart is the number of a manifest. So the lock of a run that has ended blocks no one; Glue is
asked about job runs, the lock of anybody else expires.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Self

from refunds_lake.log_lines import JobFailure
from refunds_lake.storage.objects import ObjectMissing, ObjectStore, PreconditionFailed, utc_moment, utc_text

AT_WORK: Final = "is at work on these tables"
"""In the message of every LockHeld."""
LIFETIME: Final = timedelta(minutes=5)
ACTIVE_STATES: Final = frozenset({"STARTING", "RUNNING", "STOPPING", "WAITING"})
"""https://docs.aws.amazon.com/glue/latest/dg/job-run-statuses.html"""

IsOver = Callable[[str], bool | None]
"""Whether a run has ended; None for an unknown run."""


class LockHeld(JobFailure):
    """Another run is at work; the message names it."""


@dataclasses.dataclass
class Lock:
    """A context manager that holds the lock."""

    store: ObjectStore
    key: str
    holder: str
    clock: Callable[[], datetime]
    is_over: IsOver
    etag: str = ""
    """Of the lock while it is held."""

    def __enter__(self) -> Self:
        try:
            self.etag = self._put(only_if_absent=True)
        except PreconditionFailed:
            try:
                self.etag = self._put(**self._condition())
            except PreconditionFailed as error:
                words = f"another run {AT_WORK}, it has just taken the lock {self.key}. Start again later."
                raise LockHeld(words) from error
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ObjectMissing):
            if self.store.get(self.key)[1] == self.etag:
                self.store.delete([self.key])

    def _condition(self) -> dict[str, Any]:
        """Return the condition for replacing the lock; raise LockHeld while its holder is active."""
        try:
            body, etag = self.store.get(self.key)
        except ObjectMissing:
            return {"only_if_absent": True}
        document = json.loads(body)
        holder, expires_at = str(document["holder"]), utc_moment(document["expires_at"])
        if holder.partition("_attempt_")[0] != self.holder.partition("_attempt_")[0]:
            is_over = self.is_over(holder)
            if is_over is False:
                raise LockHeld(f"run {holder} {AT_WORK}. Start again when it has ended.")
            if is_over is None and self.clock() < expires_at:
                raise LockHeld(f"run {holder} {AT_WORK}. Its lock {self.key} holds until {utc_text(expires_at)}.")
        return {"only_if_etag": etag}

    def _put(self, **condition: Any) -> str:
        now = self.clock()
        document = {"holder": self.holder, "taken_at": utc_text(now), "expires_at": utc_text(now + LIFETIME)}
        return self.store.put(self.key, json.dumps(document).encode(), **condition)


@dataclasses.dataclass(frozen=True)
class GlueJobRuns:
    """The runs of one Glue job through a boto3 client."""

    client: Any
    job_name: str

    def is_over(self, run_id: str) -> bool | None:
        """Return whether a run of the job has ended; None if it is not a run of the job."""
        if not run_id.startswith("jr_"):
            return None
        try:
            response = self.client.get_job_run(JobName=self.job_name, RunId=run_id)
        except self.client.exceptions.EntityNotFoundException:
            return None
        return str(response["JobRun"]["JobRunState"]) not in ACTIVE_STATES
