"""How fast the deployer is, beside a floor measured in the same run: five small chained stacks on a bare emulator.

Prints seconds, API calls and ratios for a first deployment, one without changes, and one with one changed stack of five.
The floor is what any boto3 program needs to know that nothing has changed: one identity and five DescribeStacks in threads.
Tools of others are measured when they are installed (sceptre, sam, aws); all runs are whole processes.

    python benchmarks/deployer.py [--repeat 5]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# In place of this directory, where this very file would be found as `deployer`.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests" / "integration")

from five_stacks import NAMES, bare_emulator, deploy, session_of, write_project

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
AWS_DEPLOY = "aws cloudformation deploy --no-fail-on-empty-changeset"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each measurement; medians are printed")
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as name, bare_emulator(Path(name, "emulator")) as url:
        measure(Path(name), url, repeat)


def measure(directory: Path, url: str, repeat: int) -> None:
    firsts = [Path(directory, f"first-{number}") for number in range(repeat)]
    for number, project in enumerate(firsts):
        write_project(project, url)
        rename(project, f"first{number}")
    project = firsts[0]
    first = statistics.median([timed(lambda p=p: dataops(p)) for p in firsts])
    names = [f"first0-uat-{stack}" for stack in NAMES]
    floor_run = [sys.executable, "-c", FLOOR, url, *names]
    pairs = [(timed(lambda: dataops(project)), timed(lambda: run(floor_run))) for _ in range(repeat)]
    unchanged, floor = (statistics.median(times) for times in zip(*pairs, strict=True))
    changed = statistics.median([timed(lambda n=n: change(project, n)) for n in range(repeat)])
    print(f"{'':<34}{'seconds':>8}{'calls':>7}")
    print(f"{'floor (identity + 5 DescribeStacks)':<34}{floor:>7.2f}{6:>7}")
    for what, seconds, calls in (
        ("first deployment of five stacks", first, counted_first(directory, url)),
        ("no change", unchanged, counted(project)),
        ("one changed stack of five", changed, counted_change(project)),
    ):
        print(f"{what:<34}{seconds:>8.2f}{calls:>7}   {seconds / floor:.2f} x floor")
    others(directory, url)
    print(f"no change: {unchanged / floor:.2f} times the floor (goal: 1.5), {counted(project)} calls (goal: 7)")


def rename(project: Path, name: str) -> None:
    config = project / "dataops.yml"
    config.write_text(config.read_text().replace("project: five", f"project: {name}"))


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def run(command: list[str], **more: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **more})


def dataops(project: Path) -> None:
    credentials = project / "credentials"
    if not credentials.exists():
        credentials.write_text("[uat]\naws_access_key_id=111111111111\naws_secret_access_key=x\n")
    run(
        [
            sys.executable,
            "-m",
            "deployer.cli",
            "--project-dir",
            str(project),
            "deploy",
            "--env",
            "uat",
            "--yes",
            "--no-smoke",
        ],
        AWS_SHARED_CREDENTIALS_FILE=str(credentials),
    )


def change(project: Path, number: int) -> None:
    (project / "script.py").write_text(f"print({number}, {time.time_ns()})\n")
    dataops(project)


def counted(project: Path) -> int:
    session = session_of(project)
    session.verify_identity()
    deploy(session)
    return len(session.calls)


def counted_first(directory: Path, url: str) -> int:
    project = directory / "counted"
    write_project(project, url)
    rename(project, "counted")
    return counted(project)


def counted_change(project: Path) -> int:
    (project / "script.py").write_text(f"print({time.time_ns()})\n")
    return counted(project)


def others(directory: Path, url: str) -> None:
    """`aws cloudformation deploy`, one stack after the other, where the AWS CLI is installed."""
    if shutil.which("aws") is None:
        print("aws cloudformation deploy: not installed")
        return
    project = directory / "aws"
    write_project(project, url)
    settings = {
        "AWS_ACCESS_KEY_ID": "111111111111",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "ap-southeast-2",
        "AWS_ENDPOINT_URL": url,
    }

    def all_stacks() -> None:
        before = ""
        for name in NAMES:
            values = ["EnvironmentName=uat"] + ([f"{before.title()}Topic=x"] if before else [])
            values += ["ScriptKey=x"] if name == "glue" else []
            run(
                [
                    *AWS_DEPLOY.split(),
                    "--stack-name",
                    f"aws-{name}",
                    "--template-file",
                    str(project / f"templates/{name}.yaml"),
                    "--parameter-overrides",
                    *values,
                ],
                **settings,
            )
            before = name

    try:
        for what in ("first", "no change"):
            print(f"{'aws cloudformation deploy: ' + what:<34}{timed(all_stacks):>8.2f}")
    except subprocess.CalledProcessError as error:
        print(f"aws cloudformation deploy: failed here: {error.stderr.decode().strip().splitlines()[-1]}")


if __name__ == "__main__":
    main()
