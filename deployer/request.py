"""What goes into a deployment and what comes out of it: the ports it acts through, the request, the result."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.cloud import Cloud
from deployer.errors import DataopsError
from deployer.events import Progress
from deployer.identity import utc_now
from deployer.pauses import Pauses
from deployer.plan import Options, Plan
from deployer.release import Release
from deployer.results import StackResult
from deployer.store import RecordStore
from deployer.verdict import Verdict

Smoke = Callable[[Mapping[str, str], Release], Verdict]  # tests what is deployed, by the outputs of its stacks


@dataclass(frozen=True)
class Ports:
    """Everything outside the program that a deployment touches."""

    cloud: Cloud
    open_store: Callable[[str], RecordStore]
    smoke: Smoke | None
    progress: Progress
    pauses: Pauses = field(default_factory=Pauses)
    now: Callable[[], dt.datetime] = utc_now


@dataclass(frozen=True)
class DeployRequest:
    """What the operator asked for. `approve` shows the plan and asks; `saved_plan` is the only plan to be carried out."""

    command: str = "deploy"
    options: Options = field(default_factory=Options)
    approve: Callable[[Plan], bool] = lambda _: True
    saved_plan: Mapping[str, Any] | None = None
    lock_timeout_seconds: float = 0.0
    if_busy: str = "attach"  # wait | attach | fail
    notes: Mapping[str, Any] = field(
        default_factory=dict
    )  # for the record: account, region, where it was promoted from
    commit: Callable[[], str] = lambda: ""  # asked only when there is something to record


@dataclass(frozen=True)
class DeployResult:
    """How a deployment ended."""

    environment: str
    release: str
    outcome: str  # done | unchanged | failed | refused | declined | interrupted | smoke-failed
    run: str = ""
    plan: Plan | None = None
    results: tuple[StackResult, ...] = ()
    smoke: Verdict | None = None
    uploaded_bytes: int = 0
    seconds: float = 0.0
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def error(self) -> DataopsError | None:
        """The first failure."""
        return next((result.error for result in self.results if result.error is not None), None)

    def document(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "release": self.release,
            "outcome": self.outcome,
            "run": self.run,
            "stacks": [result.document() for result in self.results],
            "smoke": self.smoke.document() if self.smoke else None,
            "uploaded_bytes": self.uploaded_bytes,
            "seconds": round(self.seconds, 2),
            "error": str(self.error) if self.error else None,
        }
