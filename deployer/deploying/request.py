"""What goes into a deployment: the ports it acts through, and the operator's request."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployer.cloudformation.port import Cloud
from deployer.deploying.events import Progress
from deployer.ledger.identity import utc_now
from deployer.ledger.store import RecordStore
from deployer.ledger.verdict import Verdict
from deployer.pauses import Pauses
from deployer.planning.plan import Options, Plan
from deployer.release.release import Release
from deployer.release.target import Target

Smoke = Callable[[Mapping[str, str], Release], Verdict]  # tests what is deployed, by the outputs of its stacks
Blockers = Callable[[Target], Sequence[str]]  # what in an account prevents a target's first deployment
OpenStore = Callable[[str], RecordStore]


class IfBusy(enum.Enum):
    """What to do about a stack that someone else is changing."""

    ATTACH = "attach"  # wait, and show what happens to it
    WAIT = "wait"
    FAIL = "fail"


@dataclass(frozen=True)
class Ports:
    """Everything outside the program that a deployment touches."""

    cloud: Cloud
    open_store: OpenStore
    smoke: Smoke | None
    progress: Progress
    pauses: Pauses = field(default_factory=Pauses)
    now: Callable[[], dt.datetime] = utc_now
    blockers: Blockers = lambda _: ()


@dataclass(frozen=True)
class DeployRequest:
    """The operator's request. `approve` shows the plan and asks; `saved_plan` is the only plan to be carried out.

    `notes` are for the record (account, region, where it was promoted from), as is `commit`, which is asked only when
    there is something to record.
    """

    command: str = "deploy"
    options: Options = field(default_factory=Options)
    approve: Callable[[Plan], bool] = lambda _: True
    saved_plan: Mapping[str, Any] | None = None
    lock_timeout_seconds: float = 0.0
    if_busy: IfBusy = IfBusy.ATTACH
    notes: Mapping[str, Any] = field(default_factory=dict)
    commit: Callable[[], str] = lambda: ""
