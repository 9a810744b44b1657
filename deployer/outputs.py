"""The outputs of an environment's stacks, by name, and what is said when none has the one that is needed.

Reading them from CloudFormation is aws.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from deployer.errors import DataopsError


class MissingOutput(DataopsError):
    """No deployed stack gives an output that a command needs."""


class LakeOutputs(dict[str, str]):
    """Outputs by name. Raises MissingOutput for one that is not there, so that a missing stack is no programming error."""

    def __init__(self, environment: str, outputs: Mapping[str, str]) -> None:
        super().__init__(outputs)
        self._environment = environment

    def __missing__(self, name: str) -> NoReturn:
        raise MissingOutput(
            f"no deployed stack has an output {name}",
            where=f"environment {self._environment}",
            hint=f"a template must declare it, or `outputs:` in dataops.yml give it that name; "
            f"then dataops deploy --env {self._environment}",
        )
