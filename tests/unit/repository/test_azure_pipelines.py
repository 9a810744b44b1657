"""The pipeline: dataops verbs in the right order, approvals outside the file, nothing secret in it."""

from __future__ import annotations

import configparser
import os
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pipeline
import pytest
from pipeline import ROOT, as_environment, azure_devops, scripts, stages, steps

from deployer import cli
from deployer.lake.smoke import smoke_test as smoke
from deployer.project.config import load_project
from deployer.review import month_rebuild as rebuild

SCRIPTS = list(scripts())
CHECK = ["--builtin-schema", "vendor.azure-pipelines", "--data-transform", "azure-pipelines"]


@pytest.mark.skipif(find_spec("check_jsonschema") is None, reason="check-jsonschema is not installed")
def test_it_fits_the_published_schema(tmp_path: Path) -> None:
    """Given the pipeline, when it is held against Azure's published schema, then it fits; a misspelt key does not."""

    def check(file: Path) -> int:
        command = [sys.executable, "-m", "check_jsonschema", *CHECK, "--regex-variant", "nonunicode", str(file)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    def written(text: str) -> Path:
        (tmp_path / "azure-pipelines.yml").write_text(text, encoding="utf-8")
        return tmp_path / "azure-pipelines.yml"

    # The schema names version 2 of this task among the tasks and has forgotten its inputs, which are among those of 1.
    text = pipeline.FILE.read_text(encoding="utf-8").replace("CodeCoverageResults@2", "CodeCoverageResults@1")
    assert check(written(text)) == 0
    assert check(written(pipeline.ROLLBACK.read_text(encoding="utf-8"))) == 0
    assert check(written(text.replace("dependsOn:", "dependOn:"))) == 1


def test_the_stages_are_in_order() -> None:
    """Given the stages, when their order is read, then it is lint, tests, uat, prod; plan and night end there."""
    assert {name: stage.get("dependsOn") for name, stage in stages().items()} == {
        "lint": None,
        "test": "lint",
        "plan": "test",
        "uat": "test",
        "prod": "uat",
        "nightly": "test",
    }


def test_only_main_is_deployed() -> None:
    """Given a pull request, another branch or the night, when the run reaches uat, then the stage's condition is false."""
    only_main = "eq(variables['Build.SourceBranch'], 'refs/heads/main')"
    by_day = "ne(variables['Build.Reason'], 'Schedule')"
    assert stages()["uat"]["condition"] == f"and(succeeded(), {only_main}, {by_day})"
    assert stages()["prod"]["condition"] == "succeeded()"
    assert "eq(variables['Build.Reason'], 'PullRequest')" in stages()["plan"]["condition"]
    assert "ne(variables['System.PullRequest.IsFork'], 'True')" in stages()["plan"]["condition"]


def test_prod_waits_for_the_approval_of_its_environment() -> None:
    """Given the stages that deploy, when their jobs are read, then each runs in its environment, which holds the checks."""
    for name in ("uat", "prod"):
        (job,) = stages()[name]["jobs"]
        assert job["environment"] == name
        assert stages()[name]["lockBehavior"] == "sequential"
    for name in ("lint", "test", "plan", "uat"):
        assert "prod" not in str(stages()[name].get("variables", ""))


WEB_IDENTITY = ".ci/with-web-identity "
# What a step may be: a dataops verb, a test run, or one of these.
ALLOWED = (
    r"python -m venv \.venv && \.venv/bin/pip install --quiet -e ('\.\[(dev|dev,docs)\]'|\.)( -r \.ci/glue-\d\.\d\.txt)?",
    r"\.venv/bin/pytest [a-z_/. ]+( -n [23]( --dist loadfile)?)? --junitxml [a-z0-9]+\.xml( --cov [a-z]+)*( --cov-report xml)?",
    r"npm install --no-save --no-audit --no-fund --ignore-scripts axe-core@\d+\.\d+\.\d+",
    r"\.venv/bin/pytest --nightly --junitxml nightly\.xml",
    r"\.venv/bin/python benchmarks/deployer\.py --only-ours --repeat 1",
    r"\.venv/bin/python benchmarks/job\.py --only daily --histories 20000,60000 --batch 5000 --pairs 1",
    r"(\.ci/with-web-identity )?\.venv/bin/dataops .+",
    r"\.ci/post-to-pull-request 'dataops plan --env uat' plan\.txt",
    r'echo "##vso\[task\.(uploadsummary|setvariable variable=id;isOutput=true)\]\$\S+"',
    r"id=\$\(\.venv/bin/python -c 'import json; print\(json\.load\(open\(\"deploy\.json\"\)\)\[\"release\"\]\)'\)",
    r"set -euo pipefail",
)


@pytest.mark.parametrize("step", SCRIPTS, ids=lambda step: f"{step.stage}: {step.title}")
def test_a_step_is_a_verb_and_nothing_clever(step: pipeline.Step) -> None:
    """Given a step, when its script is read, then each line is a dataops verb, a test run, or hands a file on."""
    for line in step.script.splitlines():
        assert any(re.fullmatch(pattern, line) for pattern in ALLOWED), line
    assert "\n" not in step.script or step.script.startswith("set -euo pipefail\n")


def dataops_lines() -> list[list[str]]:
    """The arguments of each dataops command of the pipeline."""
    each = (line.removeprefix(WEB_IDENTITY) for step in SCRIPTS for line in step.script.splitlines())
    lines = [line for line in each if line.startswith(".venv/bin/dataops ")]
    return [re.split(r" > | \|\| ", line)[0].replace('"', "").split()[1:] for line in lines]


@pytest.mark.parametrize("arguments", dataops_lines(), ids=" ".join)
def test_a_verb_has_the_options_that_dataops_has(arguments: list[str]) -> None:
    """Given a dataops command of the pipeline, when click parses it, then it accepts every option."""
    context = cli.cli.make_context("dataops", list(arguments))
    rest = [*context._protected_args, *context.args]
    name = rest[0]
    command = cli.cli.get_command(context, name)
    assert command is not None, f"there is no dataops {name}"
    command.make_context(name, rest[1:], parent=context)


def test_the_night_counts_what_is_promised_of_calls_and_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the nightly counts, when they are read, then both benchmarks are run, the job's with options that it has."""
    deployer, job = [step.script.split()[1:] for step in SCRIPTS if (step.stage, step.job) == ("nightly", "counts")][1:]
    assert (deployer[0], job[0]) == ("benchmarks/deployer.py", "benchmarks/job.py")
    monkeypatch.setattr(sys, "path", list(sys.path))  # which the benchmark changes
    options = runpy.run_path(str(ROOT / job[0]))["main"].make_context(job[0], job[1:]).params
    assert options["only"] == ("daily",)
    assert len(options["histories"].split(",")) > 1, "what grows with history is seen between two"


def test_prod_gets_the_release_of_uat_and_nothing_else() -> None:
    """Given the prod stage, when its scripts are read, then the only verb is promote, with the release id of uat."""
    verbs = [step.script for step in SCRIPTS if step.stage == "prod" and "dataops" in step.script]
    assert verbs == [
        (
            f'{WEB_IDENTITY}.venv/bin/dataops promote --env prod --release "$(release)" --yes '
            "--lock-timeout 1800 --timeout 4500"
        )
    ]
    variables = {item.get("name"): item.get("value") for item in stages()["prod"]["variables"]}
    assert variables["release"] == "$[ stageDependencies.uat.deploy.outputs['deploy.release.id'] ]"
    (giver,) = [step for step in SCRIPTS if step.name == "release"]
    assert (giver.stage, giver.job) == ("uat", "deploy")
    assert "task.setvariable variable=id;isOutput=true" in giver.script


def seconds_of(script: str, option: str) -> float:
    found = re.search(rf"--{option} (\d+)", script)
    return float(found.group(1)) if found else 0.0


LIMITED = [
    step for stage in ("plan", "uat", "prod") for step in steps(stage) if "bin/dataops" in step.get("script", "")
]
FIVE_MINUTES = 300.0
DEFAULT_MINUTES = 60  # of a job: https://learn.microsoft.com/azure/devops/pipelines/process/phases


@pytest.mark.parametrize("step", LIMITED, ids=lambda step: step["displayName"])
def test_dataops_strikes_before_the_agent_does(step: dict[str, Any]) -> None:
    """Given a verb that calls AWS, then its own time limit comes five minutes before that of its step."""
    timeout = seconds_of(step["script"], "timeout")
    assert timeout > 0
    assert timeout + FIVE_MINUTES <= float(step["timeoutInMinutes"]) * 60


@pytest.mark.parametrize("stage", ["plan", "uat", "prod"])
def test_a_job_has_time_for_all_of_its_steps(stage: str) -> None:
    """Given a job, when each step takes all of its time, then the job still has some: five minutes for each other step."""
    (job,) = stages()[stage]["jobs"]
    needed = sum(float(step.get("timeoutInMinutes", "0")) for step in steps(stage))
    assert needed + 5 <= float(job.get("timeoutInMinutes", DEFAULT_MINUTES))


def test_a_verb_has_time_for_what_it_waits_for() -> None:
    """Given the limits of single waits, then deploy has time for lock, stacks and test, and review for both of its jobs."""
    verbs = {
        re.split(r"dataops (?:--output json )?", s.script)[1].split()[0]: s.script
        for s in SCRIPTS
        if "--timeout" in s.script
    }
    for verb in ("deploy", "promote"):
        stacks = (
            seconds_of(verbs[verb], "timeout") - seconds_of(verbs[verb], "lock-timeout") - smoke.JOB_TIMEOUT_SECONDS
        )
        assert stacks >= 3 * FIVE_MINUTES
    plan = seconds_of(verbs["review"], "timeout") - 2 * rebuild.TIMEOUT_SECONDS - 3 * rebuild.QUERY_TIMEOUT_SECONDS
    assert plan >= FIVE_MINUTES


def test_every_step_that_calls_aws_takes_its_role_with_a_token() -> None:
    """Given steps that call AWS, when they are read, then each gets a token of the stage's service connection, and no key."""
    for step in SCRIPTS:
        calls_aws = "dataops" in step.script and step.stage in ("plan", "uat", "prod") and ".ci/post" not in step.script
        environment = "prod" if step.stage == "prod" else "uat"
        wanted = {
            "AWS_CONFIG_FILE": f"$(Build.SourcesDirectory)/.ci/aws-{environment}.ini",
            "SERVICE_CONNECTION_ID": "$(serviceConnectionId)",
            "SYSTEM_ACCESSTOKEN": "$(System.AccessToken)",
        }
        assert step.script.startswith(WEB_IDENTITY) is calls_aws
        if calls_aws:
            assert step.variables == wanted, step.title
            assert {"group": f"refunds-lake-{environment}"} in stages()[step.stage]["variables"]
        else:
            assert not {name for name in step.variables if name.startswith("AWS_")}, step.title
    for file in (pipeline.FILE, pipeline.ROLLBACK, *(ROOT / ".ci").glob("*.ini")):
        assert not re.search(r"(?i)access_?key|credential_source", file.read_text(encoding="utf-8")), file


def test_nothing_in_the_files_looks_like_a_secret() -> None:
    """Given the pipeline's files, when they are read, then no key, token or password is in them."""
    for file in (pipeline.FILE, *(ROOT / ".ci").iterdir()):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(AKIA|ASIA)[A-Z0-9]{16}|[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+.])", text), file
        if file.suffix in (".yml", ".ini"):
            assert not re.search(r"(?i)(password|secret_access_key|token)\s*[:=]\s*['\"]?(?!\$|_)[a-z0-9]", text), file


@pytest.mark.parametrize(("stage", "other"), [("uat", "prod"), ("prod", "uat")])
def test_a_stage_may_change_its_own_environment_only(stage: str, other: str) -> None:
    """Given a stage's AWS profiles, when they are held against dataops.yml, then the other environment is read only."""
    profiles = configparser.ConfigParser()
    profiles.read(ROOT / f".ci/aws-{stage}.ini")
    environments = load_project(ROOT).environments
    roles = {}
    for name in (stage, other):
        profile = profiles[f"profile {environments[name].profile}"]
        account, role = re.fullmatch(r"arn:aws:iam::([0-9]{12}):role/(\S+)", profile["role_arn"]).groups()  # type: ignore[union-attr]
        assert account == environments[name].account
        assert profile["web_identity_token_file"] == ".ci/web-identity-token"
        roles[name] = role
    assert roles == {stage: f"refunds-lake-deploy-{stage}", other: f"refunds-lake-review-{other}"}


def test_the_tests_of_the_pipeline_are_all_tests() -> None:
    """Given the folders of tests, when the pipeline's test runs are read, then each is in one, the job's in one per image."""
    runs = [step for step in SCRIPTS if "pytest" in step.script]
    ran = " ".join(step.script for step in runs if step.stage == "test")
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    assert sorted(re.findall(r"tests/(\w+)", ran)) == sorted(folders)
    images = {step.job: re.findall(r"tests/\S+", step.script) for step in runs if step.job.startswith("glue")}
    of_the_job = ["tests/glue", "tests/unit/refunds_lake"]
    assert images == {"glue51": of_the_job, "glue60": [*of_the_job, "tests/unit/functions"]}
    assert [step.script.split()[1] for step in runs if step.job == "long"] == ["--nightly"], "no path: all of testpaths"


def test_no_test_of_a_page_is_skipped_there() -> None:
    """Given the jobs of every run, when their tests are read, then browser and axe-core must be there, and axe-core is before."""
    runs = [step for step in SCRIPTS if step.stage == "test" and "pytest" in step.script]
    assert [step.variables for step in runs] == [{"DATAOPS_BROWSER_TESTS": "required"}] * 2
    fast = [step.script.split()[0] for step in SCRIPTS if step.job == "fast"]
    assert fast.index("npm") < fast.index(".venv/bin/pytest")


@pytest.mark.parametrize(("job", "version", "python"), [("glue51", "5.1", None), ("glue60", "6.0", "3.13")])
def test_an_image_of_glue_is_its_python_and_its_modules(job: str, version: str, python: str | None) -> None:
    """Given a nightly job for a Glue version, then it installs that version's modules on that version's Python."""
    (found,) = [each for each in stages()["nightly"]["jobs"] if each["job"] == job]
    assert found.get("variables", {}).get("pythonVersion") == python
    assert pipeline.document()["variables"]["pythonVersion"] == "3.11"
    (install,) = [step.script for step in SCRIPTS if step.job == job and "pip install" in step.script]
    assert install.endswith(f" -e . -r .ci/glue-{version}.txt")


def test_the_plan_is_posted_to_the_pull_request(tmp_path: Path) -> None:
    """Given a plan, when it is posted, then the pull request gets it as a comment, with the run's own token."""
    (tmp_path / "plan.txt").write_text("storage  update\n", encoding="utf-8")
    (step,) = [step for step in SCRIPTS if "post-to-pull-request" in step.script]
    with azure_devops() as (variables, posted):
        environment = {**os.environ, **as_environment(variables)}
        subprocess.run(["bash", "-c", f"{ROOT}/{step.script}"], cwd=tmp_path, env=environment, check=True)
    (comment,) = posted
    assert comment.path == "/project/_apis/git/repositories/repository/pullRequests/7/threads?api-version=7.1"
    assert comment.token == "Bearer of-the-run"
    assert comment.body["comments"][0]["content"] == "### dataops plan --env uat\n```\nstorage  update\n\n```"


def test_steps_are_in_a_known_form() -> None:
    """Given the steps that are no scripts, when they are read, then they are built-in tasks and the checkout."""
    others = {step.get("task", "checkout") for name in stages() for step in steps(name) if "script" not in step}
    tasks = {"Cache@2", "PublishCodeCoverageResults@2", "PublishTestResults@2", "UsePythonVersion@0"}
    assert others == {*tasks, "checkout"}


def test_images_have_a_version_and_downloads_are_kept() -> None:
    """Given the file, when its images and installations are read, then none is the latest, and each has pip's cache before it."""
    assert pipeline.document()["pool"]["vmImage"] == "ubuntu-24.04"
    assert "latest" not in pipeline.FILE.read_text(encoding="utf-8")
    for name in stages():
        for job in stages()[name]["jobs"]:
            assert "pool" not in job
        found = [step.get("task") or step["script"].split()[0] for step in steps(name) if "checkout" not in step]
        installs = [number for number, what in enumerate(found) if what == "python"]
        assert installs and all(found[number - 1] == "Cache@2" for number in installs)
    (key,) = {step["inputs"]["key"] for name in stages() for step in steps(name) if step.get("task") == "Cache@2"}
    assert "setup.cfg" in key and "$(pythonVersion)" in key


RUNS = {
    "main": {"Build.Reason": "IndividualCI", "Build.SourceBranch": "refs/heads/main"},
    "the night": {"Build.Reason": "Schedule", "Build.SourceBranch": "refs/heads/main"},
    "another branch": {"Build.Reason": "Manual", "Build.SourceBranch": "refs/heads/fix"},
    "pull request": {"Build.Reason": "PullRequest", "Build.SourceBranch": "refs/pull/7/merge"},
    "pull request of a fork": {
        "Build.Reason": "PullRequest",
        "Build.SourceBranch": "refs/pull/7/merge",
        "System.PullRequest.IsFork": "True",
    },
}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("main", {"uat"}),
        ("the night", {"nightly"}),
        ("another branch", set()),
        ("pull request", {"plan"}),
        ("pull request of a fork", set()),
    ],
)
def test_each_run_gets_the_stages_that_are_its_own(run: str, expected: set[str]) -> None:
    """Given kinds of runs whose tests passed, then main is deployed, our pull requests get a plan, others nothing."""
    going = {
        name
        for name in ("plan", "uat", "nightly")
        if pipeline.holds(stages()[name]["condition"], RUNS[run], succeeded=True)
    }
    assert going == expected
    assert not pipeline.holds(stages()["uat"]["condition"], RUNS[run], succeeded=False)


ROLLBACK_STEP = list(scripts(pipeline.ROLLBACK))[-1]


def test_rollback_waits_for_what_promotion_waits_for() -> None:
    """Given the pipeline that rolls back, when it is read, then only a person starts it, and it deploys behind prod's checks."""
    document, promotion = pipeline.document(pipeline.ROLLBACK), stages()["prod"]
    (stage,) = document["stages"]
    assert (document["trigger"], document["pr"]) == ("none", "none")
    (rolling,), (promoting,) = stage["jobs"], promotion["jobs"]
    assert {"group": "refunds-lake-prod"} in stage["variables"]
    for key in ("environment", "timeoutInMinutes"):
        assert rolling[key] == promoting[key]
    assert stage["lockBehavior"] == promotion["lockBehavior"]
    assert (document["pool"], document["variables"]) == (pipeline.document()["pool"], pipeline.document()["variables"])
    assert steps("rollback", pipeline.ROLLBACK)[:-1] == steps("prod")[:-1], "the same preparation"


def test_rollback_is_one_verb_with_prods_role_and_limits() -> None:
    """Given its last step, when it is held against that of promotion, then verb and release alone are others."""
    promoting = next(step for step in SCRIPTS if "dataops promote" in step.script)
    limits = "--yes --lock-timeout 1800 --timeout 4500"
    assert ROLLBACK_STEP.script == (
        f'{WEB_IDENTITY}.venv/bin/dataops rollback --env prod ${{RELEASE:+--to "$RELEASE"}} {limits}'
    )
    assert promoting.script.endswith(limits)
    assert ROLLBACK_STEP.variables == {"RELEASE": "${{ parameters.release }}"} | promoting.variables
    rolling, promoted = (steps(*where)[-1] for where in (("rollback", pipeline.ROLLBACK), ("prod",)))
    assert rolling["timeoutInMinutes"] == promoted["timeoutInMinutes"]


@pytest.mark.parametrize("typed", ["", "3f1c09aa", "x; touch broken", "$(touch broken)", "' --yes \""])
def test_what_a_person_types_is_no_script(tmp_path: Path, typed: str) -> None:
    """Given any text as the release, when the step runs, then it is one argument, or none of an empty one, and no command."""
    (tmp_path / ".ci").mkdir()
    stub = tmp_path / WEB_IDENTITY.strip()
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    stub.chmod(0o755)
    release = pipeline.chosen(
        ROLLBACK_STEP.variables["RELEASE"], pipeline.ROLLBACK, {"release": typed} if typed else {}
    )
    command = ["bash", "-c", ROLLBACK_STEP.script]
    environment = {**os.environ, "RELEASE": release}
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    arguments = said.stdout.splitlines()[1:]
    chosen = ["--to", typed] if typed else []
    assert arguments == ["rollback", "--env", "prod", *chosen, "--yes", "--lock-timeout", "1800", "--timeout", "4500"]
    assert not (tmp_path / "broken").exists()
    context = cli.cli.make_context("dataops", ["rollback"])
    command_of = cli.cli.get_command(context, "rollback")
    assert command_of is not None
    command_of.make_context("rollback", arguments[1:], parent=context)
