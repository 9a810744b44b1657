"""The end of a deployment as text, and as the command's last line."""

from __future__ import annotations

from typing import assert_never

from deployer.deploying.results import DeployOutcome, DeployResult
from deployer.errors import DataopsError, Refused
from deployer.lake.report_formats import render_table
from deployer.ledger.verdict import Verdict
from deployer.pauses import Interrupted
from deployer.release.release import short


def result_text(result: DeployResult) -> str:
    """Return the end of a deployment as text: the outcome of each stack, the smoke test, and a summary line."""
    release = f"release {short(result.release)}"
    if result.outcome is DeployOutcome.UNCHANGED:
        head = f"nothing to do: {release} is deployed in {result.environment} and nothing was changed since"
        return "\n".join([head, *smoke_lines(result.smoke)])
    if result.outcome is DeployOutcome.DECLINED:
        return "nothing was changed"
    by_outcome: dict[str, list[str]] = {}
    for stack in result.stacks:
        by_outcome.setdefault(stack.outcome.value, []).append(stack.stack)
    lines = [f"{outcome}: {', '.join(stacks)}" for outcome, stacks in by_outcome.items()]
    lines += [*smoke_report(result.smoke), *smoke_lines(result.smoke)]
    if result.outcome in (DeployOutcome.DONE, DeployOutcome.SMOKE_FAILED):
        return "\n".join([*lines, f"{release} deployed to {result.environment} in {result.seconds:.1f} s"])
    end = f"{release} not deployed to {result.environment}: {result.outcome.value} after {result.seconds:.1f} s"
    return "\n".join([*lines, end])


def smoke_report(smoke: Verdict | None) -> list[str]:
    """Return the refund report of the smoke tables, as the test found it."""
    if smoke is None or not smoke.rows:
        return []
    return ["refund report of the smoke tables:", render_table(smoke.rows).rstrip("\n")]


def smoke_lines(smoke: Verdict | None) -> list[str]:
    return [f"smoke test: {smoke}"] if smoke else []


def failure_of(result: DeployResult) -> DataopsError | None:
    """Return the error for a result; None for a good one and for one that the operator declined."""
    match result.outcome:
        case DeployOutcome.DONE | DeployOutcome.UNCHANGED | DeployOutcome.DECLINED:
            return None
        case DeployOutcome.REFUSED:
            return result.error or Refused("a guard refused it")
        case DeployOutcome.SMOKE_FAILED:
            assert result.smoke is not None
            return result.smoke.error()
        case DeployOutcome.INTERRUPTED:
            assert result.interruption is not None
            return _broken_off(result, result.interruption)
        case DeployOutcome.FAILED:
            return result.error or DataopsError("the deployment failed")
        case _:
            assert_never(result.outcome)


def _broken_off(result: DeployResult, interruption: Interrupted) -> Interrupted:
    """Return what continues without us, and how to continue."""
    running = ", ".join(result.left_running)
    goes_on = f"CloudFormation continues with {running}" if running else "CloudFormation has nothing left to do"
    return Interrupted(
        f"{interruption.message}; {goes_on}",
        exit_code=interruption.exit_code,
        hint="run the same command again: it attaches to running operations and does the rest",
    )
