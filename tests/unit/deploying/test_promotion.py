"""Which release may go on, and why another one may not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deployments import World, failing, passing

from deployer.cloudformation.port import describe_all
from deployer.deploying.promotion import Evidence, previous_release, refusals
from deployer.ledger.ledger import Ledger
from deployer.ledger.verdict import SmokeOutcome


def evidence_of(world: World, **changes: Any) -> Evidence:
    states = describe_all(world.cloud, world.target().stack_names)
    current = Ledger(world.store, world.environment).current()
    return replace(Evidence(world.environment, current, states, world.now, 14), **changes)


@pytest.fixture
def uat(tmp_path: Path) -> World:
    world = World(tmp_path / "uat", smoke=passing)
    world.deploy()
    return world


def test_a_release_that_passed_may_go_on(uat: World) -> None:
    """Given a release that was deployed and tested in uat, untouched since, then nothing speaks against it."""
    assert refusals(evidence_of(uat)) == ()


def test_an_empty_environment_proves_nothing(tmp_path: Path) -> None:
    assert refusals(evidence_of(World(tmp_path))) == ("nothing was deployed to uat",)


def test_a_release_without_smoke_test_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy()
    (why,) = refusals(evidence_of(world))
    assert why.endswith("has no smoke test in uat")


@pytest.mark.parametrize("outcome", [o for o in SmokeOutcome if o is not SmokeOutcome.PASS], ids=str)
def test_a_release_that_did_not_pass_is_refused(tmp_path: Path, outcome: SmokeOutcome) -> None:
    world = World(tmp_path, smoke=failing(outcome))
    world.deploy()
    (why,) = refusals(evidence_of(world))
    assert why == f"its smoke test in uat ended as {outcome}: not what was expected"


def test_a_failed_deployment_is_refused(uat: World) -> None:
    uat.write("job.py", "print(2)\n")
    uat.cloud.fails("shop-uat-job", resource="Job", reason="no")
    uat.deploy()
    assert "the last deployment to uat ended as failed" in refusals(evidence_of(uat))


def test_a_release_that_is_no_longer_deployed_is_refused(uat: World) -> None:
    """Given a release that was superseded or rolled back in uat, when it is asked for, then it is refused."""
    first = uat.target().release.id
    uat.write("job.py", "print(2)\n")
    uat.deploy()
    (why,) = refusals(evidence_of(uat, wanted=first))
    assert why.startswith(f"release {first[:12]} is not deployed in uat, which now has")


@pytest.mark.parametrize("how", ["touched", "gone"])
def test_an_environment_that_was_changed_since_proves_nothing(uat: World, how: str) -> None:
    if how == "touched":
        uat.cloud.touch("shop-uat-store")
    else:
        del uat.cloud._stacks["shop-uat-store"]
    (why,) = refusals(evidence_of(uat))
    assert why.startswith(
        "stack store of uat is gone" if how == "gone" else "stack store of uat was changed since it was tested"
    )


def test_an_old_proof_is_refused(uat: World) -> None:
    assert refusals(evidence_of(uat, now=uat.now + dt.timedelta(days=14))) == ()
    (why,) = refusals(evidence_of(uat, now=uat.now + dt.timedelta(days=15)))
    assert why == "it passed in uat 15 days ago; the limit is 14 days (release_max_age_days)"


def test_all_reasons_are_told_at_once(uat: World) -> None:
    uat.cloud.touch("shop-uat-store")
    assert len(refusals(evidence_of(uat, now=uat.now + dt.timedelta(days=15), wanted="0000"))) == 3


def test_rollback_goes_to_the_last_good_release(uat: World) -> None:
    """Given a good, a failed and a current release, when we roll back, then the good one is chosen."""
    good = uat.target().release.id
    ledger = Ledger(uat.store, "uat")
    assert previous_release(good, ledger.runs()) is None
    for text, smoke in (("2", failing(SmokeOutcome.WRONG_ANSWER)), ("3", passing)):
        uat.now += dt.timedelta(seconds=1)
        uat.smoke = smoke
        uat.write("job.py", text)
        uat.deploy()
    assert previous_release(uat.target().release.id, ledger.runs()) == good
