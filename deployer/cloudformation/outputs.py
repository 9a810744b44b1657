"""The outputs of an environment's stacks, and the one that names the bucket of releases and ledger. Pure.

Reading the stacks is environment.py's business, what the outputs mean for the lake that of deployed_lake.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deployer.cloudformation.port import StackState

ARTIFACTS_BUCKET_OUTPUT = "ArtifactsBucketName"  # of the bucket for releases and the ledger


def outputs_of(states: Mapping[str, StackState | None], renames: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Gather the outputs of all stacks that are there, each under the name that dataops.yml gives it for its stack."""
    return {
        renames[stack].get(name, name): value
        for stack, state in states.items()
        if state is not None
        for name, value in state.outputs.items()
    }


def artifacts_bucket(states: Iterable[StackState | None]) -> str | None:
    """Find the bucket of the releases and the ledger; None when no stack has made it. Takes no more states than it needs."""
    found = (state.outputs.get(ARTIFACTS_BUCKET_OUTPUT) for state in states if state)
    return next(filter(None, found), None)
