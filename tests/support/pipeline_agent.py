"""Runs azure-pipelines.yml as Azure's agents do: each job in a fresh checkout, with the variables of the run.

Interpreted here: dependencies and conditions of stages and steps, variable groups, parameters, macros, output
variables, summaries, and the approval of environments. Left out: tasks other than scripts, and the settings of Azure
DevOps itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from call_record import FOLDER as RECORDING
from pipeline import (
    FILE,
    ROLLBACK,
    ROOT,
    Comment,
    Step,
    as_environment,
    azure_devops,
    chosen,
    document,
    environments,
    evaluated,
    expanded,
    holds,
    scripts,
    stages,
)

__all__ = ["ROLLBACK", "ROOT", "Comment", "Run", "azure_devops", "repository_files", "scripts", "write_agent_python"]

SUCCEEDED, FAILED, SKIPPED = "succeeded", "failed", "skipped"
REJECTED = "rejected"  # by a check, so that no step of the stage is executed
STEP_TIMEOUT_SECONDS = 600
NOT_INHERITED = ("AWS_", "PYTEST_", "VIRTUAL_ENV", "PYTHONPATH", "GIT_")  # an agent has none of our variables
# Variables that the agent's image sets: https://learn.microsoft.com/azure/devops/pipelines/agents/hosted
AGENT_VARIABLES = {
    "JAVA_HOME_17_X64": "/usr/lib/jvm/temurin-17-jdk-amd64",
    "Pipeline.Workspace": "/home/vsts/work/1",
}
# What the script tells the agent: https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
SET_OUTPUT = re.compile(r"^##vso\[task\.setvariable variable=(\w+);isOutput=true\](.*)$", re.MULTILINE)
UPLOAD_SUMMARY = re.compile(r"^##vso\[task\.uploadsummary\](.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Ran:
    """An executed step: its script as bash received it, and how it ended."""

    step: Step
    script: str
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"{self.step.stage}: {self.step.title} ended with {self.code}\n{self.script}\n{self.out}\n{self.err}"


@dataclass
class Run:
    """One run of the pipeline. `variables` are those that Azure sets; `results` are by stage."""

    checkout: Path
    variables: Mapping[str, str]
    groups: Mapping[str, Mapping[str, str]]
    programs: Path  # first on the scripts' PATH; holds the agent's `python`
    prepare: Callable[[str], None] = lambda stage: None  # called when a job of the stage has its checkout
    file: Path = FILE
    parameters: Mapping[str, str] = field(default_factory=dict)  # what the person who started the run typed
    refused: frozenset[str] = frozenset()  # environments whose approval a person refuses
    asked: list[str] = field(default_factory=list)  # environments whose approval the run waited for
    left_out: frozenset[str] = frozenset()  # titles of slow steps that another run executes
    endpoint: str = ""  # where AWS is
    outputs: dict[tuple[str, str, str], str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    summaries: list[str] = field(default_factory=list)
    ran: list[Ran] = field(default_factory=list)

    def all_stages(self) -> Run:
        """Run every stage that has no result yet, in order, as dependencies and conditions allow."""
        for name, stage in stages(self.file).items():
            if name not in self.results:
                needed = [stage["dependsOn"]] if "dependsOn" in stage else []
                succeeded = all(self.results[before] == SUCCEEDED for before in needed)
                goes = holds(stage.get("condition", "succeeded()"), self.variables, succeeded=succeeded)
                self.results[name] = self.stage(name) if goes else SKIPPED
        return self

    def stage(self, name: str) -> str:
        """Run the jobs of a stage, whatever ran before it, once the checks of all its environments have passed.

        https://learn.microsoft.com/azure/devops/pipelines/process/approvals
        """
        self.asked += environments(name, self.file)
        if self.refused.intersection(environments(name, self.file)):
            return REJECTED
        own = [step for step in scripts(self.file) if step.stage == name]
        results = [self._job(list(steps)) for _, steps in groupby(own, key=lambda step: step.job)]
        return SUCCEEDED if all(results) else FAILED

    def of(self, stage: str) -> list[Ran]:
        return [ran for ran in self.ran if ran.step.stage == stage]

    def last(self) -> Ran:
        return self.ran[-1]

    def fresh_checkout(self) -> None:
        """Remove what the last job left: jobs share only output variables. .dataops is the cloud, which is of no job."""
        for command in (["checkout", "--quiet", "--", "."], ["clean", "-xdfq", "-e", ".dataops"]):
            subprocess.run(["git", *command], cwd=self.checkout, check=True)

    def _job(self, steps: list[Step]) -> bool:
        self.fresh_checkout()
        self.prepare(steps[0].stage)
        succeeded = True
        for step in steps:
            if step.title not in self.left_out and holds(step.condition, self.variables, succeeded=succeeded):
                succeeded = self._step(step) and succeeded
        return succeeded

    def _step(self, step: Step) -> bool:
        variables = {**AGENT_VARIABLES, **self.variables, **self._declared(step.stage)}
        script = expanded(step.script, variables)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        open_variables = {name: value for name, value in self.variables.items() if name != "System.AccessToken"}
        environment = inherited | as_environment(open_variables)
        given = {name: chosen(value, self.file, self.parameters) for name, value in step.variables.items()}
        environment |= {name: expanded(value, variables) for name, value in given.items()}
        environment |= {"PATH": f"{self.programs}:{os.environ['PATH']}", "PYTEST_ADDOPTS": "--collect-only"}
        environment |= {"PYTHONPATH": str(RECORDING)}  # records the AWS calls of its programs
        environment |= {"AWS_ENDPOINT_URL": self.endpoint} if self.endpoint else {}  # where tokens are exchanged
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", script],
            cwd=self.checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_TIMEOUT_SECONDS,
            check=False,
        )
        self.ran.append(Ran(step, script, done.returncode, done.stdout, done.stderr))
        self._hear(step, done.stdout)
        return done.returncode == 0

    def _declared(self, stage: str) -> dict[str, str]:
        """The variables of the file and of the stage, with those of its variable groups."""
        declared = {name: expanded(value, AGENT_VARIABLES) for name, value in document(self.file)["variables"].items()}
        for item in stages(self.file)[stage].get("variables", ()):
            if "group" in item:
                declared |= self.groups[item["group"]]
            else:
                declared[item["name"]] = evaluated(item["value"], self.outputs)
        return declared

    def _hear(self, step: Step, said: str) -> None:
        """Obey logging commands; a deployment job's output variables begin with the job's name."""
        for name, value in SET_OUTPUT.findall(said):
            prefix = f"{step.job}." if step.is_deployment else ""
            self.outputs[step.stage, step.job, f"{prefix}{step.name}.{name}"] = value
        self.summaries += [Path(path).read_text(encoding="utf-8") for path in UPLOAD_SUMMARY.findall(said)]


def repository_files(root: Path) -> Iterator[Path]:
    """The files of the work tree that git has or would add, relative to its root."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, capture_output=True, check=True).stdout.decode().split("\0")
    yield from (Path(name) for name in names if name and (root / name).is_file())


AGENT_PYTHON = """#!{python}
# The agent's `python`: the virtual environments it makes hold the packages of the one that runs the tests.
import subprocess, sys
from pathlib import Path

assert sys.argv[1:3] == ["-m", "venv"], sys.argv
checkout, place = Path.cwd(), Path(sys.argv[3]).resolve()
subprocess.run([{python!r}, "-m", "venv", "--without-pip", place], check=True)
packages = next(place.glob("lib/python*/site-packages"))
(packages / "checkout.pth").write_text("\\n".join([*map(str, (checkout, checkout / "glue", checkout / "functions")), *{packages!r}]))
programs = {{
    "dataops": "import sys\\nfrom deployer.cli import main\\nsys.exit(main())\\n",
    "pytest": "import sys, pytest\\nsys.exit(pytest.main())\\n",
    "pip": "import sys\\nprint('not executed, the packages are there: pip', *sys.argv[1:])\\n",
}}
for name, code in programs.items():
    (place / "bin" / name).write_text(f"#!{{place}}/bin/python\\n{{code}}")
    (place / "bin" / name).chmod(0o755)
"""


def write_agent_python(directory: Path) -> None:
    """Put the agent's `python` into a directory, and an `npm` that installs nothing."""
    packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    programs = {
        "python": AGENT_PYTHON.format(python=sys.executable, packages=packages),
        "npm": '#!/bin/sh\necho "not executed: npm" "$@"\n',
    }
    for name, code in programs.items():
        (directory / name).write_text(code, encoding="utf-8")
        (directory / name).chmod(0o755)
