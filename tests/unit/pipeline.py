"""azure-pipelines.yml as data: its stages, and the script steps of each in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "azure-pipelines.yml"


@dataclass(frozen=True)
class Step:
    """A script step of a stage; `name` is set when other steps use its output variables."""

    stage: str
    job: str
    title: str
    script: str
    name: str | None = None
    variables: dict[str, str] = field(default_factory=dict)


def document() -> dict[str, Any]:
    """The whole file."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def stages() -> dict[str, dict[str, Any]]:
    """The stages by name, in order."""
    return {stage["stage"]: stage for stage in document()["stages"]}


def steps(stage: str) -> list[dict[str, Any]]:
    """Every step of a stage, of all its jobs."""
    return [step for job in stages()[stage]["jobs"] for step in _steps_of(job)]


def scripts() -> Iterator[Step]:
    """The script steps of all stages, in order."""
    for name, stage in stages().items():
        for job in stage["jobs"]:
            for step in _steps_of(job):
                if "script" in step:
                    yield Step(
                        stage=name,
                        job=job.get("job") or job["deployment"],
                        title=step["displayName"],
                        script=step["script"].strip(),
                        name=step.get("name"),
                        variables=step.get("env", {}),
                    )


def _steps_of(job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = job["steps"] if "steps" in job else job["strategy"]["runOnce"]["deploy"]["steps"]
    return found
