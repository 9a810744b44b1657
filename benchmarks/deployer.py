"""How fast the deployer is, beside a floor and beside tools of others in the same run: five small chained stacks on a
bare emulator.

Prints seconds, API calls and ratios for a first deployment, one without changes, and one with one changed stack of five.
The floor is what any boto3 program needs to know that nothing has changed: one identity and five DescribeStacks in threads.
CDK, Sceptre, SAM CLI and the AWS CLI take part where their commands are found. All runs are whole processes, one after the
other in turn, so that a busy machine is busy for all. The others get their parameters as constants or, in Sceptre, by
its own resolver; none of them uploads, locks, records or tests anything.

    python benchmarks/deployer.py [--repeat 5] [--only-ours]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

# In place of this directory, where this very file would be found as `deployer`.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests" / "support")

from five_stacks import NAMES, bare_emulator, deploy, session_of, write_project
from session_calls import calls_of

from deployer.project.templates import load_template

FLOOR = """\
import sys, boto3
from concurrent.futures import ThreadPoolExecutor
from botocore.config import Config
session = boto3.Session(region_name="ap-southeast-2", aws_access_key_id="111111111111", aws_secret_access_key="x")
make = lambda service: session.client(service, endpoint_url=sys.argv[1], config=Config(max_pool_connections=32))
make("sts").get_caller_identity()
client = make("cloudformation")
with ThreadPoolExecutor(5) as pool:
    list(pool.map(lambda name: client.describe_stacks(StackName=name), sys.argv[2:]))
"""
GOAL_CALLS, GOAL_RATIO = 7, 1.5
SLOW_REPEATS = 2  # of the others, which take tens of seconds
Deploy = Callable[[Path, str], None]  # a project at an endpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each measurement; medians are printed")
    parser.add_argument("--only-ours", action="store_true", help="leave the tools of others out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, bare_emulator(Path(name, "emulator")) as url:
        calls = measure(Path(name), url, options.repeat, with_others=not options.only_ours)
    if calls["unchanged"] > GOAL_CALLS:
        sys.exit(f"a deployment without changes makes {calls['unchanged']} calls, the goal is {GOAL_CALLS}")


def measure(directory: Path, url: str, repeat: int, *, with_others: bool = True) -> Mapping[str, int]:
    """Print the measurements; the calls of the three deployments."""
    others = {name: tool for name, tool in OTHERS.items() if with_others and shutil.which(COMMANDS[name])}
    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(repeat):
        taking_part = {"dataops": dataops, **(others if number < SLOW_REPEATS else {})}
        for name, tool in taking_part.items():
            project = made(directory, url, f"five-{name}{number}")  # SSM takes no name that starts with aws
            for what in ("first", "unchanged"):
                taken = timed_or_told(name, lambda t=tool, p=project: t(p, url))
                seconds.setdefault((name, what), []).append(taken)
        project = directory / f"five-dataops{number}"
        floor = [sys.executable, "-c", FLOOR, url, *(f"five-dataops{number}-uat-{stack}" for stack in NAMES)]
        seconds.setdefault(("floor", ""), []).append(timed(lambda f=floor: run(f, url)))
        seconds.setdefault(("dataops", "changed"), []).append(timed(lambda p=project: change(p, url)))
    calls = counts(directory, url)
    report({key: statistics.median(times) for key, times in seconds.items()}, calls, others)
    for name in OTHERS.keys() - others.keys():
        print(f"{name}: left out" if not with_others else f"{name}: not installed")
    return calls


def report(seconds: Mapping[tuple[str, str], float], calls: Mapping[str, int], others: Mapping[str, Deploy]) -> None:
    floor = seconds["floor", ""]
    print(f"{'':<36}{'seconds':>8}{'calls':>7}")
    print(f"{'floor (identity + 5 DescribeStacks)':<36}{floor:>8.2f}{6:>7}")
    for what, title in (("first", "first deployment"), ("unchanged", "no change"), ("changed", "one stack of five")):
        ours = seconds["dataops", what]
        print(f"{'dataops: ' + title:<36}{ours:>8.2f}{calls[what]:>7}   {ours / floor:.2f} x floor")
    for name in others:
        for what, title in (("first", "first deployment"), ("unchanged", "no change")):
            theirs = seconds[name, what]
            ratio = f"{theirs / seconds['dataops', what]:.1f} x dataops" if not math.isnan(theirs) else "failed here"
            print(f"{name + ': ' + title:<36}{theirs:>8.2f}{'':>7}   {ratio}")
    ratio = seconds["dataops", "unchanged"] / floor
    print(f"no change: {ratio:.2f} x floor (goal: {GOAL_RATIO}), {calls['unchanged']} calls (goal: {GOAL_CALLS})")


def made(directory: Path, url: str, name: str) -> Path:
    """A project of its own, so that every first deployment is one."""
    project = directory / name
    write_project(project, url)
    config = project / "dataops.yml"
    config.write_text(config.read_text().replace("project: five", f"project: {name}"))
    return project


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def timed_or_told(name: str, action: Callable[[], object]) -> float:
    """The seconds; not a number when the tool fails, whose last line is told."""
    try:
        return timed(action)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).decode().strip().splitlines()
        print(f"{name} failed: {' '.join(said[-3:]) if said else error}", file=sys.stderr)
        return float("nan")


def run(command: list[str], url: str, directory: Path | None = None, **more: str) -> None:
    """One process, with the settings of the account at this endpoint and none of this process's."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    settings |= {
        "AWS_ACCESS_KEY_ID": "111111111111",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "ap-southeast-2",
        "AWS_ENDPOINT_URL": url,
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(directory or "."),
        **more,
    }
    subprocess.run(command, check=True, capture_output=True, cwd=directory, env=settings, stdin=subprocess.DEVNULL)


# dataops.


def dataops(project: Path, url: str) -> None:
    credentials = project / "credentials"
    if not credentials.exists():
        credentials.write_text("[uat]\naws_access_key_id=111111111111\naws_secret_access_key=x\n")
    command = [sys.executable, "-m", "deployer.cli", "--project-dir", str(project)]
    options = ["deploy", "--env", "uat", "--yes", "--no-smoke"]
    run([*command, *options], url, AWS_SHARED_CREDENTIALS_FILE=str(credentials))


def change(project: Path, url: str) -> None:
    (project / "script.py").write_text(f"print({time.time_ns()})\n")
    dataops(project, url)


def counts(directory: Path, url: str) -> dict[str, int]:
    """The calls of the three deployments, counted in this process."""
    project = made(directory, url, "counted")
    first, unchanged = counted(project), counted(project)
    (project / "script.py").write_text("print(2)\n")
    return {"first": first, "unchanged": unchanged, "changed": counted(project)}


def counted(project: Path) -> int:
    session = session_of(project)
    calls = calls_of(session)
    session.verify_identity()
    deploy(session)
    return len(calls)


# The others, each as its own documentation says.


def parameters(name: str, topic: str = "x") -> dict[str, str]:
    """The parameters of a stack; `topic` stands for the output of the one before."""
    before = dict(zip(NAMES[1:], NAMES, strict=False)).get(name)
    return {
        "EnvironmentName": "uat",
        **({f"{before.title()}Topic": topic} if before else {}),
        **({"ScriptKey": "x"} if name == "glue" else {}),
    }


def cdk(project: Path, url: str) -> None:
    """https://docs.aws.amazon.com/cdk/v2/guide/cli.html, on an assembly that stands ready: nothing is synthesized."""
    assembly = project / "cdk.out"
    if not assembly.exists():
        assembly.mkdir()
        for name in NAMES:  # it reads JSON only
            template = load_template(project / "templates" / f"{name}.yaml")
            (assembly / f"{name}.json").write_text(json.dumps(template.document), encoding="utf-8")
        stacks = {
            name: {
                "type": "aws:cloudformation:stack",
                "environment": "aws://111111111111/ap-southeast-2",
                "properties": {
                    "templateFile": f"{name}.json",
                    "stackName": f"{project.name}-{name}",
                },
                "dependencies": [before] if before else [],
            }
            for before, name in zip((None, *NAMES), NAMES, strict=False)
        }
        (assembly / "manifest.json").write_text(
            json.dumps({"version": "36.0.0", "artifacts": stacks}), encoding="utf-8"
        )
    options = ["--all", "--require-approval", "never", "--no-notices", "--no-version-reporting"]
    for name in NAMES:
        for key, value in parameters(name).items():
            options += ["--parameters", f"{project.name}-{name}:{key}={value}"]
    run([COMMANDS["cdk"], "deploy", *options, "--app", str(assembly)], url, project, CI="1")


def sceptre(project: Path, url: str) -> None:
    """https://docs.sceptre-project.org"""
    config = project / "config" / "uat"
    if not config.exists():
        config.mkdir(parents=True)
        (project / "config" / "config.yaml").write_text(
            f"project_code: {project.name}\nregion: ap-southeast-2\n", encoding="utf-8"
        )
        for before, name in zip((None, *NAMES), NAMES, strict=False):
            topic = f"!stack_output uat/{before}.yaml::{before.title()}Topic" if before else ""
            values = "".join(f"  {key}: {value}\n" for key, value in parameters(name, topic).items())
            text = f"template: {{path: {name}.yaml, type: file}}\nparameters:\n{values}"
            (config / f"{name}.yaml").write_text(text, encoding="utf-8")
    run([COMMANDS["sceptre"], "launch", "-y", "uat"], url, project)


def sam(project: Path, url: str) -> None:
    """https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-cli-command-reference-sam-deploy.html"""
    options = ["--no-confirm-changeset", "--no-fail-on-empty-changeset"]
    for name in NAMES:
        stack = ["--stack-name", f"{project.name}-{name}", "--template-file", f"templates/{name}.yaml"]
        values = [f"{key}={value}" for key, value in parameters(name).items()]
        run([COMMANDS["sam"], "deploy", *options, *stack, "--parameter-overrides", *values], url, project)


def aws(project: Path, url: str) -> None:
    """https://docs.aws.amazon.com/cli/latest/reference/cloudformation/deploy/"""
    options = ["--no-fail-on-empty-changeset"]
    for name in NAMES:
        stack = ["--stack-name", f"{project.name}-{name}", "--template-file", f"templates/{name}.yaml"]
        values = [f"{key}={value}" for key, value in parameters(name).items()]
        command = [COMMANDS["aws"], "cloudformation", "deploy", *options, *stack, "--parameter-overrides", *values]
        run(command, url, project)


OTHERS: dict[str, Deploy] = {"cdk": cdk, "sceptre": sceptre, "sam": sam, "aws": aws}
COMMANDS = {name: name for name in OTHERS}


if __name__ == "__main__":
    main()
