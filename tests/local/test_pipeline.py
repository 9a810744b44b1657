"""The pipeline, step by step, on the local cloud with two accounts: what passes in uat reaches prod, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from local_project import DATAOPS
from pipeline_agent import (
    FAILED,
    REJECTED,
    ROLLBACK,
    ROOT,
    SKIPPED,
    SUCCEEDED,
    Comment,
    Run,
    azure_devops,
    repository_files,
    scripts,
    write_agent_python,
)
from token_issuer import HOST, Issuer

from deployer import local

MAIN = {"Build.Reason": "IndividualCI", "Build.SourceBranch": "refs/heads/main"}
NIGHT = {"Build.Reason": "Schedule", "Build.SourceBranch": "refs/heads/main"}
PULL_REQUEST = {"Build.Reason": "PullRequest", "Build.SourceBranch": "refs/pull/7/merge"}
BY_HAND = {"Build.Reason": "Manual", "Build.SourceBranch": "refs/heads/main"}
AZURE = ["--organization", "acme", "--organization-id", HOST.partition("/")[2], "--azure-project", "refunds"]
REQUESTS_OF_THE_JOB = "Requests and bytes of a daily run, with two lengths of history"
REVIEW_AS_SUMMARY = "The review as the run's summary, for who approves"
SAME_MONTH_RULE = "    where kept_refund.month != kept_purchase.month\n"


@dataclass(frozen=True, repr=False)
class Account:
    """What an environment's account has: its ledger's newest entry, the artifacts' hashes, the manifests, the job."""

    current: dict[str, Any] | None
    artifacts: dict[str, str]
    manifests: dict[str, bytes]
    job: dict[str, Any]


class Team:
    """A repository with the local cloud as uat and prod, and what the team does with it."""

    def __init__(self, directory: Path) -> None:
        self.checkout, self._programs = directory / "checkout", directory / "programs"
        for file in repository_files(ROOT):
            (self.checkout / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, self.checkout / file, follow_symlinks=False)
        local.start(self.checkout, say=lambda text: None)
        self.azure: dict[str, str] = {}
        self.comments: list[Comment] = []
        self.issuer = Issuer()
        self.tokens: list[str] = []  # the service connections that tokens were asked for
        self._write_configuration()
        self._git("init", "--quiet", "--initial-branch", "main")
        self.commit("A release")
        self._programs.mkdir()
        write_agent_python(self._programs)

    def _write_configuration(self) -> None:
        """Write the repository's own, except that uat and prod are two accounts at the address of the local cloud."""
        file = self.checkout / "dataops.yml"
        project = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name in ("uat", "prod"):
            project["environments"][name]["endpoint"] = self._endpoint().url
        self.accounts = {name: project["environments"][name]["account"] for name in ("uat", "prod")}
        file.write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")

    def _endpoint(self) -> local.Endpoint:
        endpoint = local.find(self.checkout)
        assert endpoint is not None
        return endpoint

    def bootstrap(self, issuer: Issuer) -> dict[str, dict[str, Any]]:
        """Run the one-time step in both accounts, as an administrator with keys of each; what it prints."""
        issuer.make_known(self.checkout)
        keys = self._programs / "administrator.ini"
        secret = self._endpoint().secret_access_key
        profile = "[profile refunds-lake-{}]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
        keys.write_text("".join(profile.format(name, account, secret) for name, account in self.accounts.items()))
        said = {}
        for name in self.accounts:
            command = [DATAOPS, "--output", "json", "bootstrap", "--env", name, "--yes", *AZURE]
            environment = {**os.environ, "AWS_CONFIG_FILE": str(keys)}
            done = subprocess.run(command, cwd=self.checkout, env=environment, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr.decode()
            said[name] = json.loads(done.stdout)
        keys.unlink()
        return said

    def _git(self, *arguments: str) -> bytes:
        author = ["-c", "user.name=Team", "-c", "user.email=team@example.com", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *author, *arguments], cwd=self.checkout, capture_output=True, check=True).stdout

    def commit(self, message: str) -> None:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--no-verify", "--message", message)

    def token(self, connection_id: str) -> str:
        """The token that Azure DevOps gives to a step that asks for one of a service connection."""
        self.tokens.append(connection_id.removeprefix("id-of-"))
        return self.issuer.token(self.tokens[-1])

    def head(self) -> str:
        return self._git("rev-parse", "HEAD").decode().strip()

    def committed(self, path: str, revision: str = "HEAD") -> bytes:
        return self._git("show", f"{revision}:{path}")

    def run(self, variables: dict[str, str], **more: Any) -> Run:
        """A run of the pipeline that has not begun."""
        azure = {"Build.SourcesDirectory": str(self.checkout), **self.azure, **variables}
        connections = [f"refunds-lake-{name}" for name in self.accounts]
        groups = {name: {"serviceConnectionId": f"id-of-{name}"} for name in connections}
        return Run(self.checkout, azure, groups, self._programs, endpoint=self._endpoint().url, **more)

    def look_at(self, environment: str) -> Account:
        endpoint = self._endpoint()
        session = boto3.Session(self.accounts[environment], endpoint.secret_access_key, region_name=endpoint.region)
        s3 = session.client("s3", endpoint_url=endpoint.url)
        (bucket,) = [b["Name"] for b in s3.list_buckets()["Buckets"] if "artifacts" in b["Name"]]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        bodies = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
        jobs = session.client("glue", endpoint_url=endpoint.url).get_jobs()["Jobs"]
        (job,) = [job for job in jobs if job["Name"].endswith("-base-tables")]
        current = bodies.get(f"ledger/{environment}/current.json")
        return Account(
            json.loads(current) if current else None,
            {key: sha256(body).hexdigest() for key, body in bodies.items() if key.startswith("artifacts/")},
            {key: body for key, body in bodies.items() if key.startswith("releases/")},
            {"bucket": bucket, **job},
        )


@dataclass(frozen=True, repr=False)
class Released:
    """A pull request, then the run of main that goes through to prod, and the nightly run after that."""

    bootstrapped: dict[str, dict[str, Any]]
    pull_request: Run
    comments: list[Comment]
    main: Run
    night: Run
    commit: str
    script: bytes
    uat: Account
    prod: Account


@dataclass(frozen=True, repr=False)
class Stopped:
    """A run of main whose release computes wrong refunds, and two attempts to promote by hand after it."""

    main: Run
    release: str
    by_hand: Run
    the_one_before: Run
    prod: Account


@dataclass(frozen=True, repr=False)
class Decided:
    """What a person decides: to refuse and then approve the repaired release, then its rollback; and prod after each."""

    refused: Run
    tokens_of_the_refused: list[str]
    prod_as_refused: Account
    approved: Run
    prod_as_approved: Account
    no_rollback: Run
    prod_not_rolled_back: Account
    rollback: Run
    prod_rolled_back: Account


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    team = Team(tmp_path_factory.mktemp("pipeline"))
    with azure_devops(team.token) as (variables, comments):
        team.azure, team.comments = variables, comments
        yield team
    local.stop(team.checkout)


@pytest.fixture(scope="module")
def released(team: Team) -> Released:
    """The runs, one after the other. Lint and tests run only for the pull request, not a second time for main."""
    bootstrapped = team.bootstrap(team.issuer)
    pull_request = team.run(PULL_REQUEST).all_stages()

    def leave_only_what_promotes(stage: str) -> None:
        """Remove all that could be built from prod's checkout: no template, no SQL, no script of the job is left."""
        if stage == "prod":
            functions = [
                path for path in (team.checkout / "functions").iterdir() if not path.name.startswith("refunds_")
            ]  # those are of dataops
            for path in (
                *functions,
                *(team.checkout / name for name in ("templates", "athena", "glue/base_tables.py")),
            ):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    done = {name: pull_request.results[name] for name in ("lint", "test")}
    main = team.run(MAIN, results=dict(done), prepare=leave_only_what_promotes).all_stages()
    assert main.results["prod"] == SUCCEEDED, str(main.last())
    night = team.run(NIGHT, results=dict(done), left_out=frozenset({REQUESTS_OF_THE_JOB})).all_stages()
    commit, script = team.head(), team.committed("glue/base_tables.py")
    return Released(
        bootstrapped,
        pull_request,
        team.comments,
        main,
        night,
        commit,
        script,
        team.look_at("uat"),
        team.look_at("prod"),
    )


@pytest.fixture(scope="module")
def stopped(team: Team, released: Released) -> Stopped:
    """A release without the rule of the month. Tests would find that, so this run begins with uat."""
    sql = team.checkout / "athena" / "refunds.sql"
    team.run(MAIN).fresh_checkout()
    right = sql.read_text(encoding="utf-8")
    assert right.count(SAME_MONTH_RULE) == 1
    sql.write_text(right.replace(SAME_MONTH_RULE, ""), encoding="utf-8")
    team.commit("Lose the rule of the month")
    done = {"lint": SUCCEEDED, "test": SUCCEEDED}
    main = team.run(MAIN, results=dict(done)).all_stages()
    wrong = json.loads((team.checkout / "deploy.json").read_text(encoding="utf-8"))["release"]
    attempts = []
    for release in (wrong, released.main.outputs["uat", "deploy", "deploy.release.id"]):
        attempt = team.run(MAIN, outputs={("uat", "deploy", "deploy.release.id"): release})
        attempt.stage("prod")
        attempts.append(attempt)
    return Stopped(main, wrong, *attempts, team.look_at("prod"))


@pytest.fixture(scope="module")
def decided(team: Team, stopped: Stopped) -> Decided:
    """A release with the rule of the month again, in other bytes than before."""
    team.run(MAIN).fresh_checkout()
    right = team.committed("athena/refunds.sql", "HEAD~1")
    (team.checkout / "athena" / "refunds.sql").write_bytes(right + b"-- The rule of the month is back.\n")
    team.commit("Bring the rule of the month back")
    nobody, prod = frozenset[str](), frozenset({"prod"})
    team.tokens.clear()
    done, review = {"lint": SUCCEEDED, "test": SUCCEEDED}, frozenset({"dataops review", REVIEW_AS_SUMMARY})
    refused = team.run(MAIN, results=done, refused=prod, left_out=review).all_stages()
    tokens, after = list(team.tokens), [team.look_at("prod")]
    approved = team.run(MAIN, outputs=refused.outputs)
    approved.results["prod"] = approved.stage("prod")
    after.append(team.look_at("prod"))
    rollbacks = []
    for refusing in (prod, nobody):
        rollbacks.append(team.run(BY_HAND, file=ROLLBACK, refused=refusing).all_stages())
        after.append(team.look_at("prod"))
    return Decided(refused, tokens, after[0], approved, after[1], rollbacks[0], after[2], rollbacks[1], after[3])


def test_the_roles_are_made_once_and_the_rest_is_said(released: Released) -> None:
    """Given two accounts, when each is bootstrapped, then it has the roles of .ci/*.ini, and what remains is named."""
    for name, said in released.bootstrapped.items():
        account = {"uat": "111111111111", "prod": "222222222222"}[name]
        assert said["outcome"] == "done"
        assert said["deploy_role_arn"] == f"arn:aws:iam::{account}:role/refunds-lake-deploy-{name}"
        assert said["subject"] == f"sc://acme/refunds/refunds-lake-{name}" and said["issuer"] == f"https://{HOST}"
        assert any(said["deploy_role_arn"] in step for step in said["remaining"])
        assert any("an approval" in step for step in said["remaining"]) is (name == "prod")


def test_the_connection_of_uat_cannot_deploy_to_prod(team: Team, released: Released) -> None:
    """Given a token of uat's service connection, when prod's deploying role is assumed with it, then STS refuses."""
    endpoint = local.find(team.checkout)
    assert endpoint is not None
    sts = boto3.client("sts", "ap-southeast-2", endpoint_url=endpoint.url, config=Config(signature_version=UNSIGNED))
    for connection, code in (("refunds-lake-uat", "AccessDenied"), ("refunds-lake-prod", "")):
        try:
            sts.assume_role_with_web_identity(
                RoleArn=released.bootstrapped["prod"]["deploy_role_arn"],
                RoleSessionName="by-hand",
                WebIdentityToken=team.issuer.token(connection),
            )
            assert not code
        except ClientError as error:
            assert error.response["Error"]["Code"] == code


def test_no_token_stays_behind(team: Team, released: Released) -> None:
    """Given the runs, when they have ended, then none of their files has a token."""
    assert not list((team.checkout / ".ci").glob("web-identity-token*"))


def test_a_pull_request_ends_with_the_posted_plan(released: Released) -> None:
    """Given a pull request, when its tests have passed, then it gets the plan for uat, and nothing is deployed."""
    done, left_out = ("lint", "test", "plan"), ("uat", "prod", "nightly")
    ends = dict.fromkeys(done, SUCCEEDED) | dict.fromkeys(left_out, SKIPPED)
    assert released.pull_request.results == ends, str(released.pull_request.last())
    (comment,) = released.comments
    text = comment.body["comments"][0]["content"]
    assert text.startswith("### dataops plan --env uat")
    assert re.search(r"storage: create", text), text


def test_every_step_of_every_stage_was_executed(released: Released) -> None:
    """Given all runs, when their steps are taken together, then they are the script steps of the file, in order, but for one.

    The benchmark of the job runs Spark for minutes; a unit test parses its options.
    """
    ran = [*released.pull_request.ran, *released.main.ran, *released.night.ran]
    left_out = [step for step in scripts() if step.title == REQUESTS_OF_THE_JOB]
    assert len(left_out) == 1
    assert [each.step for each in ran] == [step for step in scripts() if step not in left_out]
    assert not [str(each) for each in ran if each.code]


def test_the_night_deploys_nothing(released: Released) -> None:
    """Given the scheduled run, when it has ended, then the nightly stage has run, and no environment was touched."""
    assert released.night.results["nightly"] == SUCCEEDED
    assert {released.night.results[name] for name in ("plan", "uat", "prod")} == {SKIPPED}


def test_main_goes_through_to_prod(released: Released) -> None:
    """Given main, when its tests have passed, then both environments run the release, each with a passed smoke test."""
    assert released.main.results == {
        "lint": SUCCEEDED,
        "test": SUCCEEDED,
        "plan": SKIPPED,
        "uat": SUCCEEDED,
        "prod": SUCCEEDED,
        "nightly": SKIPPED,
    }
    for account in (released.uat, released.prod):
        assert account.current is not None
        assert (account.current["outcome"], account.current["smoke"]["outcome"]) == ("done", "pass")


def test_promote_gets_the_release_of_uat_and_nothing_else(released: Released) -> None:
    """Given the release that uat names, then promote is called with it, and prod is given nothing else."""
    id_of_uat = released.main.outputs["uat", "deploy", "deploy.release.id"]
    assert released.uat.current is not None and id_of_uat == released.uat.current["release"]
    (promoted,) = [ran.script for ran in released.main.of("prod") if "dataops" in ran.script]
    only_the_id = f'.ci/with-web-identity .venv/bin/dataops promote --env prod --release "{id_of_uat}" --yes --lock-timeout 1800 --timeout 4500'
    assert promoted == only_the_id
    assert list(released.main.outputs) == [("uat", "deploy", "deploy.release.id")]


def test_the_release_arrives_byte_for_byte(released: Released) -> None:
    """Given both artifacts buckets, when each object is hashed, then the release, its files and its id are the same."""
    uat, prod = released.uat, released.prod
    assert uat.current is not None and prod.current is not None
    assert prod.current["release"] == uat.current["release"]
    assert prod.current["promoted_from"] == "uat"
    assert prod.manifests == uat.manifests
    assert prod.artifacts == uat.artifacts
    (manifest,) = [json.loads(body) for body in prod.manifests.values()]
    assert sorted(prod.artifacts.values()) == sorted(file["sha256"] for file in manifest["files"].values())
    assert all(key.split("/")[1] == digest for key, digest in prod.artifacts.items())


def test_the_job_of_prod_runs_the_bytes_that_were_tested(released: Released) -> None:
    """Given both jobs, then script and library have the same hashes, each in its own account's bucket."""

    def code(account: Account) -> tuple[str, str]:
        prefix = f"s3://{account.job['bucket']}/"
        script = account.job["Command"]["ScriptLocation"]
        library = account.job["NonOverridableArguments"]["--extra-py-files"]
        assert script.startswith(prefix) and library.startswith(prefix)
        return script.removeprefix(prefix), library.removeprefix(prefix)

    assert released.uat.job["bucket"] != released.prod.job["bucket"]
    assert code(released.uat) == code(released.prod)
    assert released.prod.artifacts[code(released.prod)[0]] == sha256(released.script).hexdigest()


def test_the_commit_is_recorded_as_it_is(released: Released) -> None:
    """Given a clean checkout, then both ledgers name its commit, without a mark for changed files."""
    assert released.uat.current is not None and released.prod.current is not None
    assert released.uat.current["commit"] == released.commit
    assert released.prod.current["commit"] == released.commit


def test_who_approves_gets_the_review(released: Released) -> None:
    """Given the run of main, then its summary is the review of that release, with the verdict of uat."""
    (review,) = released.main.summaries
    assert released.uat.current is not None
    assert review.startswith(f"# Release `{released.uat.current['release'][:12]}` from uat to prod")
    assert "## Smoke test in uat\n\n**pass**" in review
    assert "It cannot be promoted" not in review


def test_a_wrong_answer_stops_the_pipeline(stopped: Stopped) -> None:
    """Given a release that counts refunds of the same month, then uat's smoke test fails with 4 and nothing follows."""
    assert stopped.main.results["uat"] == FAILED
    assert stopped.main.results["prod"] == SKIPPED
    last = stopped.main.last()
    assert "dataops --output json deploy --env uat" in last.script
    assert last.code == 4, str(last)
    assert "the rows of refunds.sql differ from the answer" in last.err
    assert stopped.main.outputs == {}
    assert stopped.main.summaries == []


def test_the_wrong_release_is_not_promoted_by_hand_either(stopped: Stopped) -> None:
    """Given the wrong release's id, when the prod stage is run with it, then it is refused with 6 and the reason."""
    refused = stopped.by_hand.last()
    assert f'--release "{stopped.release}"' in refused.script
    assert refused.code == 6, str(refused)
    assert "its smoke test in uat ended as wrong answer: the rows of refunds.sql differ" in refused.err


def test_another_release_than_that_of_uat_is_refused(stopped: Stopped, released: Released) -> None:
    """Given the id of the release before, when the prod stage is run with it, then it is refused with 6: uat moved on."""
    refused = stopped.the_one_before.last()
    assert refused.code == 6, str(refused)
    assert released.prod.current is not None
    before, now = released.prod.current["release"][:12], stopped.release[:12]
    assert f"release {before} is not deployed in uat, which now has {now}" in refused.err


def test_prod_is_as_it_was(stopped: Stopped, released: Released) -> None:
    """Given the stopped run and both refusals, then prod has the release, the artifacts and the job of before."""
    assert stopped.prod == released.prod


def test_without_an_approval_nothing_of_prod_is_called(decided: Decided, stopped: Stopped) -> None:
    """Given a release that passed in uat, when its approval is refused, then no step of prod ran and prod is as it was."""
    assert (decided.refused.results["uat"], decided.refused.results["prod"]) == (SUCCEEDED, REJECTED)
    assert decided.refused.asked == ["uat", "prod"] and decided.refused.of("prod") == []
    assert set(decided.tokens_of_the_refused) == {"refunds-lake-uat"}
    assert decided.prod_as_refused == stopped.prod


def test_an_approval_lets_that_release_into_prod(decided: Decided) -> None:
    """Given the same run, when somebody approves after all, then the release of uat is promoted and passes in prod."""
    assert decided.approved.results["prod"] == SUCCEEDED, str(decided.approved.last())
    current = decided.prod_as_approved.current
    assert current is not None and current["promoted_from"] == "uat"
    assert current["release"] == decided.refused.outputs["uat", "deploy", "deploy.release.id"]
    assert (current["outcome"], current["smoke"]["outcome"]) == ("done", "pass")


def test_a_rollback_waits_for_the_approval_of_prod(decided: Decided) -> None:
    """Given the pipeline that rolls back, when its approval is refused, then no step of it ran and prod keeps its release."""
    assert decided.no_rollback.results == {"rollback": REJECTED}
    assert decided.no_rollback.asked == ["prod"] and decided.no_rollback.ran == []
    assert decided.prod_not_rolled_back == decided.prod_as_approved


def test_an_approved_rollback_brings_the_release_before_back(decided: Decided, released: Released) -> None:
    """Given an approval, when the pipeline rolls back, then prod runs the release before, byte for byte, and passes."""
    assert decided.rollback.results == {"rollback": SUCCEEDED}, str(decided.rollback.last())
    assert [each.step for each in decided.rollback.ran] == list(scripts(ROLLBACK))
    now, before = decided.prod_rolled_back, released.prod
    assert now.current is not None and before.current is not None
    assert (now.current["release"], now.current["commit"]) == (before.current["release"], before.current["commit"])
    assert (now.current["outcome"], now.current["smoke"]["outcome"]) == ("done", "pass")
    ours = ("Command", "NonOverridableArguments")
    assert {name: now.job[name] for name in ours} == {name: before.job[name] for name in ours}
