"""What an environment would have that is billed, read from dataops.yml and the templates without calling AWS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refunds_checks.registry import Source, load_checks

from deployer.project.conditions import known_values, resources_of
from deployer.project.config import Environment, Project
from deployer.project.templates import load_templates
from deployer.project.wiring import wire

CHECKS_FOLDER = "athena/checks"


@dataclass(frozen=True)
class Inventory:
    """The billed parts of an environment: resources by type, the parameters that are known, the checks and those in SQL."""

    resources: Mapping[str, int]
    values: Mapping[str, str]
    checks: int
    sql_checks: int

    def has(self, resource_type: str) -> bool:
        """Return whether there is such a resource."""
        return self.resources.get(resource_type, 0) > 0


def take_inventory(project: Project, environment: Environment) -> Inventory:
    """Return what the checkout would deploy to an environment. Raise ConfigError if a template cannot be read."""
    counts: Counter[str] = Counter()
    values: dict[str, Any] = {}
    for wiring in wire(project, load_templates(project), environment).stacks.values():
        values |= known_values(wiring)
        counts.update(str(resource["Type"]) for resource in resources_of(wiring))
    known = {name: value for name, value in values.items() if isinstance(value, str)}
    folder = project.directory / CHECKS_FOLDER
    checks = load_checks(folder) if folder.is_dir() else ()
    return Inventory(counts, known, len(checks), sum(check.source is Source.SQL for check in checks))
