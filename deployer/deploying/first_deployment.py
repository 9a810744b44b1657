"""The first deployment ever: the artifacts bucket comes before there is anything to lock or to upload to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deployer.cloudformation.outputs import artifacts_bucket
from deployer.deploying.results import DeployOutcome, StackOutcome, StackResult, outcome_of
from deployer.deploying.tools import Tools
from deployer.errors import Refused
from deployer.planning.facts import PlanFacts
from deployer.planning.plan import Plan, require_allowed


@dataclass(frozen=True)
class FirstStack:
    """The stack with the artifacts bucket after its deployment; None when the operator declined the plan."""

    plan: Plan
    result: StackResult | None

    @property
    def bucket(self) -> str | None:
        """The bucket, once there is one that the deployment can go on with."""
        return artifacts_bucket([self.result.state]) if self.result and self.result.is_good else None

    @property
    def outcome(self) -> DeployOutcome:
        return outcome_of([self.result]) if self.result else DeployOutcome.DECLINED

    @property
    def stacks(self) -> tuple[StackResult, ...]:
        """This stack, and the others, of which none was started."""
        if self.result is None:
            return ()
        others = (step.stack for step in self.plan.steps if step.stack != self.result.stack)
        return (self.result, *(StackResult(stack, StackOutcome.NOT_STARTED) for stack in others))


def require_ready(tools: Tools) -> None:
    """Raise Refused if the account has a blocker; nothing has been created yet."""
    blockers = tools.ports.blockers(tools.target)
    for text in blockers:
        tools.say(f"blocker: {text}")
    if blockers:
        name = tools.target.environment.name
        raise Refused(
            f"the account has {len(blockers)} blocker{'' if len(blockers) == 1 else 's'} for the first "
            "deployment; nothing was created",
            hint=f"fix the blockers above; dataops doctor --env {name} shows all checks",
        )


def deploy_first_stack(tools: Tools, facts: PlanFacts) -> FirstStack:
    """Plan everything, ask, and deploy the stack with the artifacts bucket alone."""
    require_ready(tools)
    with tools.planner(facts) as planner:
        plan = planner.plan()
    require_allowed(plan, tools.request.saved_plan)
    if not tools.request.approve(plan):
        return FirstStack(plan, None)
    first = replace(plan.step(tools.target.artifacts_stack), parents=())
    executor = tools.executor(facts, tools.change_sets())
    return FirstStack(plan, executor.execute(replace(plan, steps=(first,)), facts.states)[first.stack])
