"""azure-pipelines.yml and .ci/rollback.yml as data: stages, script steps in order, and what their expressions mean.

tests/support/pipeline_agent.py runs the steps.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import yaml
from repository import ROOT

FILE = ROOT / "azure-pipelines.yml"
ROLLBACK = ROOT / ".ci" / "rollback.yml"


@dataclass(frozen=True)
class Step:
    """A script step of a stage; `name` is set when other steps use its output variables."""

    stage: str
    job: str
    title: str
    script: str
    name: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    condition: str = "succeeded()"
    is_deployment: bool = False


def document(file: Path = FILE) -> dict[str, Any]:
    """The whole file."""
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


def stages(file: Path = FILE) -> dict[str, dict[str, Any]]:
    """The stages by name, in order."""
    return {stage["stage"]: stage for stage in document(file)["stages"]}


def steps(stage: str, file: Path = FILE) -> list[dict[str, Any]]:
    """Every step of a stage, of all its jobs."""
    return [step for job in stages(file)[stage]["jobs"] for step in _steps_of(job)]


def scripts(file: Path = FILE) -> Iterator[Step]:
    """The script steps of all stages, in order."""
    for name, stage in stages(file).items():
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
                        condition=step.get("condition", "succeeded()"),
                        is_deployment="deployment" in job,
                    )


def _steps_of(job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = job["steps"] if "steps" in job else job["strategy"]["runOnce"]["deploy"]["steps"]
    return found


def holds(condition: str, variables: Mapping[str, str], *, succeeded: bool) -> bool:
    """Whether a condition of the file is true; `succeeded`: all that it depends on did. Raises for unknown functions.

    https://learn.microsoft.com/azure/devops/pipelines/process/expressions
    """
    known = {
        "all_of": lambda *parts: all(parts),
        "eq": lambda left, right: left.lower() == right.lower(),
        "ne": lambda left, right: left.lower() != right.lower(),
        "succeeded": lambda: succeeded,
        "succeededOrFailed": lambda: True,
        "variables": defaultdict(str, variables),
    }
    return bool(eval(condition.replace("and(", "all_of("), {"__builtins__": {}}, known))


def environments(stage: str, file: Path = FILE) -> list[str]:
    """The environments that a stage deploys to: their checks come before anything of the stage."""
    return [job["environment"] for job in stages(file)[stage]["jobs"] if "environment" in job]


def chosen(text: str, file: Path, given: Mapping[str, str]) -> str:
    """A text with the run's parameters, `${{ parameters.name }}`, replaced by what was given or the default."""
    values = {each["name"]: each["default"] for each in document(file).get("parameters", ())} | dict(given)
    return re.sub(r"\$\{\{ parameters\.(\w+) \}\}", lambda found: values[found.group(1)], text)


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """A text with its macros, `$(name)`, replaced. A name that is not set is an error here; Azure would leave it."""
    return re.sub(r"\$\(([A-Za-z][\w.]*)\)", lambda macro: variables[macro.group(1)], text)


def evaluated(value: str, outputs: Mapping[tuple[str, str, str], str]) -> str:
    """A variable's value; a runtime expression gives the output variable that it names, of (stage, job, name)."""
    found = re.fullmatch(r"\$\[ stageDependencies\.(\w+)\.(\w+)\.outputs\['([\w.]+)'\] \]", value)
    if found is None:
        assert "$[" not in value, value
        return value
    stage, job, name = found.groups()
    return outputs.get((stage, job, name), "")


@dataclass(frozen=True)
class Comment:
    """What was posted to a pull request."""

    path: str
    token: str | None
    body: Any


def no_token(connection_id: str) -> str:
    raise AssertionError("nobody asks for a token here")


@contextmanager
def azure_devops(issue: Callable[[str], str | None] = no_token) -> Iterator[tuple[dict[str, str], list[Comment]]]:
    """A server that accepts comments on pull request 7; yields the variables of a run for it, and the comments.

    `issue` makes the token of a service connection from the connection's id; None makes an answer without a token.
    """
    posted: list[Comment] = []

    class AzureDevOps(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.path.startswith("/oidctoken?"):
                assert self.headers["Authorization"] == "Bearer of-the-run"
                (asked,) = parse_qs(self.path.partition("?")[2])["serviceConnectionId"]
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"oidcToken": issue(asked)}).encode())
                return
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posted.append(Comment(self.path, self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), AzureDevOps)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    variables = {
        "System.CollectionUri": f"http://127.0.0.1:{server.server_port}/",
        "System.TeamProjectId": "project",
        "Build.Repository.Id": "repository",
        "System.PullRequest.PullRequestId": "7",
        "System.AccessToken": "of-the-run",
        "System.OidcRequestUri": f"http://127.0.0.1:{server.server_port}/oidctoken",
    }
    try:
        yield variables, posted
    finally:
        server.shutdown()
        server.server_close()


def as_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables as a script sees them in its environment."""
    return {name.upper().replace(".", "_"): value for name, value in variables.items()}
