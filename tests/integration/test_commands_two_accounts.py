"""The commands as operators use them: two accounts on one emulator, from the first deployment to the end of an environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from five_stacks import NAMES, bare_emulator, session_of, write_project
from printed_json import hold_to_the_page

from deployer.cli import run
from deployer.composition import ports as assembly
from deployer.composition.environment import artifacts_store
from deployer.ledger.lock import EnvironmentLock
from deployer.ledger.verdict import SmokeOutcome, Verdict
from deployer.terminal.app import App


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bare_emulator(tmp_path_factory.mktemp("emulator")) as found:
        yield found


class Operator:
    """Types commands; the smoke test, which needs Spark, answers what `verdict` says."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self._capsys, self.verdict = directory, capsys, SmokeOutcome.PASS
        self.said = self.printed = ""

    def __call__(self, command: str) -> int:
        code = run(["--project-dir", str(self.directory), *command.split()])
        self._captured = self._capsys.readouterr()
        self.said, self.printed = self._captured.err, self._captured.out
        return code

    def result(self, command: str) -> dict[str, Any]:
        run(["--project-dir", str(self.directory), "--output", "json", *command.split()])
        document: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return document

    def edit_script(self, text: str) -> None:
        (self.directory / "script.py").write_text(text)


@pytest.fixture
def dataops(
    tmp_path: Path,
    url: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Operator:
    directory = tmp_path / "project"
    write_project(directory, url)
    config, name = directory / "dataops.yml", request.node.name.removeprefix("test_").replace("_", "-")[:30].strip("-")
    config.write_text(config.read_text().replace("project: five", f"project: {name}"))
    profiles = [
        f"[{n}]\naws_access_key_id={a}\naws_secret_access_key=x\n" for n, a in (("uat", "1" * 12), ("prod", "2" * 12))
    ]
    (tmp_path / "credentials").write_text("\n".join(profiles))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    hold_to_the_page(monkeypatch)
    operator = Operator(directory, capsys)
    monkeypatch.setattr(assembly, "_smoke_of", lambda *_: lambda outputs, release: Verdict(operator.verdict, ""))
    return operator


def artifacts(operator: Operator, environment: str) -> dict[str, bytes]:
    store = artifacts_store(session_of(operator.directory, environment))
    return {key: store.get(key).body for key in store.keys("artifacts/")}  # type: ignore[union-attr]


def live(operator: Operator, environment: str) -> dict[str, Any]:
    """Templates, parameters and outputs of every stack, with account and names taken out."""
    client = session_of(operator.directory, environment).client("cloudformation")
    project = session_of(operator.directory, environment).project.name
    found = {}
    for name in NAMES:
        stack = client.describe_stacks(StackName=f"{project}-{environment}-{name}")["Stacks"][0]
        body = client.get_template(StackName=stack["StackName"])["TemplateBody"]
        found[name] = (body, stack["Outputs"], stack["Parameters"])
    return found


def test_a_release_that_passed_arrives_in_prod_byte_for_byte(dataops: Operator) -> None:
    """Given a release that passed in uat, when it is promoted, then prod has the same bytes under the same keys."""
    assert dataops("deploy --env uat --yes") == 0
    assert dataops("promote --env prod --yes") == 0
    assert artifacts(dataops, "prod") == artifacts(dataops, "uat")
    uat, prod = (dataops.result(f"status --env {name}")["current"] for name in ("uat", "prod"))
    assert uat["release"] == prod["release"]
    assert prod["promoted_from"] == "uat"
    assert dataops("promote --env prod --yes") == 0  # nothing to do


def test_a_failing_smoke_test_stops_the_promotion(dataops: Operator) -> None:
    """Given a wrong answer in uat, then deploy exits with 4, promote is refused with 6, and prod stays empty."""
    dataops.verdict = SmokeOutcome.WRONG_ANSWER
    assert dataops("deploy --env uat --yes") == 4
    assert dataops("promote --env prod --yes") == 6
    assert "its smoke test in uat ended as wrong answer" in dataops.said
    assert dataops.result("status --env prod")["current"] is None


def test_rollback_restores_the_earlier_release_without_the_checkout(dataops: Operator) -> None:
    """Given two releases, when we roll back, then templates, parameters and outputs are those of the first one."""
    assert dataops("deploy --env uat --yes") == 0
    first = live(dataops, "uat")
    dataops.edit_script("print(2)\n")
    assert dataops("deploy --env uat --yes") == 0
    assert live(dataops, "uat") != first
    dataops.edit_script("this is not even Python (")
    assert dataops("rollback --env uat --yes") == 0
    assert live(dataops, "uat") == first


def test_rollback_goes_to_the_release_that_is_named(dataops: Operator) -> None:
    """Given three releases, when we roll back to the first by the start of its id, then it is live; others are refused."""
    assert dataops("deploy --env uat --yes") == 0
    first, good = live(dataops, "uat"), dataops.result("status --env uat")["current"]["release"]
    for number in (2, 3):
        dataops.edit_script(f"print({number})\n")
        assert dataops("deploy --env uat --yes") == 0
    assert dataops("rollback --env uat --yes --to 0000000000") == 2
    assert "no stored release of uat starts with '0000000000'" in dataops.said
    assert "dataops history --env uat" in dataops.said
    assert dataops(f"rollback --env uat --yes --to {good[:10]}") == 0
    assert live(dataops, "uat") == first
    assert dataops.result("status --env uat")["current"]["release"] == good
    newest = dataops.result("history --env uat")["runs"][0]
    assert (newest["command"], newest["outcome"], newest["release"]) == ("rollback", "done", good)
    assert dataops(f"rollback --env uat --yes --to {good[:10]}") == 0  # nothing to do


def test_a_wrong_answer_is_rolled_back_when_asked(dataops: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a good release and then a wrong one, when deployed with rollback, then the good one is live again and exit is 4."""
    assert dataops("deploy --env uat --yes") == 0
    first, good = live(dataops, "uat"), dataops.result("status --env uat")["current"]["release"]
    dataops.edit_script("print('wrong')\n")
    verdicts = iter([SmokeOutcome.WRONG_ANSWER, SmokeOutcome.PASS])
    monkeypatch.setattr(assembly, "_smoke_of", lambda *_: lambda outputs, release: Verdict(next(verdicts), ""))
    assert dataops("deploy --env uat --yes --on-smoke-failure rollback") == 4
    assert f"rolled back to release {good[:12]}" in dataops.said
    assert live(dataops, "uat") == first
    assert dataops.result("status --env uat")["current"]["release"] == good


@pytest.mark.parametrize("outcome", [SmokeOutcome.INFRASTRUCTURE_ERROR, SmokeOutcome.TIMEOUT], ids=str)
def test_a_release_that_was_not_judged_is_not_rolled_back(dataops: Operator, outcome: SmokeOutcome) -> None:
    """Given a good release and then one whose test got no answer, when deployed with rollback, then it stays deployed."""
    assert dataops("deploy --env uat --yes") == 0
    dataops.edit_script("print(2)\n")
    dataops.verdict = outcome
    assert dataops("deploy --env uat --yes --on-smoke-failure rollback") == 4
    assert "this is not the release's fault" in dataops.said
    assert "rolling back" not in dataops.said
    tested = dataops.result("status --env uat")["current"]
    dataops.verdict = SmokeOutcome.PASS
    assert dataops("deploy --env uat --yes") == 0
    assert dataops.result("status --env uat")["current"]["release"] == tested["release"]


def test_a_wrong_answer_stays_the_result_when_nothing_can_be_rolled_back_to(dataops: Operator) -> None:
    """Given a first release that is wrong, when deployed with rollback, then exit is 4 all the same, and what was not done is said."""
    dataops.verdict = SmokeOutcome.WRONG_ANSWER
    document = dataops.result("deploy --env uat --yes --on-smoke-failure rollback")
    assert document["outcome"] == "smoke-failed"
    dataops.edit_script("print('wrong again')\n")
    assert dataops("deploy --env uat --yes --on-smoke-failure rollback") == 4
    assert "not rolled back: no earlier good release was deployed to uat; dataops history --env uat" in dataops.said


def test_a_rollback_that_fails_is_said(dataops: Operator) -> None:
    """Given a good release and then wrong answers only, then how the rollback ended is said beside the wrong answer."""
    assert dataops("deploy --env uat --yes") == 0
    good = dataops.result("status --env uat")["current"]["release"]
    dataops.edit_script("print('wrong')\n")
    dataops.verdict = SmokeOutcome.WRONG_ANSWER
    assert dataops("deploy --env uat --yes --on-smoke-failure rollback") == 4
    assert f"the rollback to release {good[:12]} ended as smoke-failed" in dataops.said


def test_plan_has_its_exit_codes_and_leaves_nothing(dataops: Operator) -> None:
    """Given nothing, a deployed release and a changed one, then plan exits with 3, 0 and 3, and lists are as before."""
    client = session_of(dataops.directory).client("cloudformation")
    assert dataops("plan --env uat") == 3
    assert [s for s in client.list_stacks()["StackSummaries"] if s["StackName"].startswith("plan-has")] == []
    dataops("deploy --env uat --yes")
    assert dataops("plan --env uat") == 0
    dataops.edit_script("print(2)\n")
    assert dataops("plan --env uat --out " + str(dataops.directory / "plan.json")) == 3
    name = session_of(dataops.directory).project.name
    for stack in NAMES:
        summaries = client.list_change_sets(StackName=f"{name}-uat-{stack}")["Summaries"]
        assert [s for s in summaries if s["ExecutionStatus"] == "AVAILABLE"] == []
    assert dataops("deploy --env uat --plan " + str(dataops.directory / "plan.json")) == 0
    assert dataops("deploy --env uat --plan " + str(dataops.directory / "plan.json")) == 6
    assert "stale" in dataops.said


def test_history_show_and_diff_tell_who_did_what(dataops: Operator) -> None:
    """Given two deployments, then history lists them newest first, show lists files, diff shows the changed line."""
    dataops("deploy --env uat --yes")
    first = dataops.result("status --env uat")["current"]["release"]
    dataops.edit_script("print(2)\n")
    dataops("deploy --env uat --yes")
    runs = dataops.result("history --env uat")["runs"]
    assert [run["outcome"] for run in runs] == ["done", "done"]
    assert runs[0]["from_release"] == first
    assert {"who", "commit", "started_at", "plan_digest", "account"} <= set(runs[0])
    shown = dataops.result(f"show --env uat {first[:10]}")
    assert "script.py" in shown["manifest"]["files"]
    (changed,) = dataops.result(f"diff --env uat {first[:10]}")["files"]
    assert changed["path"] == "script.py"
    assert "+print(2)" in changed["diff"]


def test_the_review_page_says_what_the_approver_needs(dataops: Operator) -> None:
    """Given a release in uat and an older one in prod, then the page has verdict, plan, IAM and changed files."""
    dataops("deploy --env uat --yes")
    dataops("promote --env prod --yes")
    dataops.edit_script("print(2)\n")
    dataops("deploy --env uat --yes")
    page = dataops.directory / "page.md"
    assert dataops(f"review --env uat --against prod --out {page}") == 0
    text = page.read_text()
    for words in (
        "## Smoke test in uat\n\n**pass**",
        "~ glue: update",
        "### IAM",
        "- changed `script.py`",
        "+print(2)",
    ):
        assert words in text


def test_a_rollback_knows_the_commit_of_its_release(dataops: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given releases of two commits, when the first is deployed again, then history and status name its commit, with its mark."""
    for commit in ("1" * 40 + "+", "2" * 40):
        monkeypatch.setattr("deployer.commands.deploy.commit_of", lambda directory, commit=commit: commit)
        dataops.edit_script(f"print({commit[0]})\n")
        assert dataops("deploy --env uat --yes") == 0
    assert dataops("rollback --env uat --yes") == 0
    assert dataops.result("status --env uat")["current"]["commit"] == "1" * 40 + "+"
    assert [run["commit"][:1] for run in dataops.result("history --env uat")["runs"]] == ["1", "2", "1"]
    dataops("status --env uat")
    assert "commit 11111111+" in dataops.printed
    dataops("history --env uat")
    assert "11111111+ " in dataops.printed


def test_what_is_no_saved_plan_is_said(dataops: Operator) -> None:
    """Given files that dataops has not written, when they are to be carried out, then that is said, with exit code 2."""
    file = dataops.directory / "plan.json"
    for content in (b"", b"x", b"[]", b"{}", b'{"version": 1}', b"\xff"):
        file.write_bytes(content)
        assert dataops(f"deploy --env uat --plan {file}") == 2
        assert "this is not a saved plan" in dataops.said


@pytest.mark.parametrize(
    "command", ["plan --env uat --out", "review --env uat --against prod --out", "validate --junit"]
)
def test_a_file_that_cannot_be_written_is_said_before_the_work(dataops: Operator, command: str) -> None:
    """Given a folder that does not exist, then the command ends with 2 at once: the work would have been lost."""
    assert dataops(f"{command} {dataops.directory / 'nowhere' / 'file'}") == 2
    assert "there is no folder" in dataops.said


def test_status_says_who_holds_the_lock(dataops: Operator) -> None:
    """Given a lock, then status names its owner; without one, it does not speak of locks."""
    dataops("deploy --env uat --yes")
    assert dataops.result("status --env uat")["lock"] is None
    lock = EnvironmentLock(artifacts_store(session_of(dataops.directory)), "uat")
    with lock.held("20261101T000000Z-somebody"):
        assert dataops.result("status --env uat")["lock"]["run"] == "20261101T000000Z-somebody"
        dataops("status --env uat")
    (told,) = (line for line in dataops.printed.splitlines() if line.startswith("locked by "))
    assert "run 20261101T000000Z-somebody, for" in told
    dataops("status --env uat")
    assert "locked" not in dataops.printed


def test_a_lock_is_not_removed_when_nobody_answers(dataops: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a lock and no terminal, then unlock wants --yes (2); a no keeps the lock (6), and JSON says so."""
    dataops("deploy --env uat --yes")
    lock = EnvironmentLock(artifacts_store(session_of(dataops.directory)), "uat")
    with lock.held("20261101T000000Z-somebody"):
        assert dataops("unlock --env uat") == 2
        assert "--yes" in dataops.said
        monkeypatch.setattr(App, "confirm", lambda self, question, *, yes: False)
        assert dataops.result("unlock --env uat")["declined"] is True
        assert dataops("unlock --env uat") == 6
        assert lock.owner() is not None


def test_a_diff_says_where_and_whether_dataops_yml_differs(dataops: Operator) -> None:
    """Given two releases, then the document names the environment, the files that differ, and whether the settings do."""
    dataops("deploy --env uat --yes")
    first = dataops.result("status --env uat")["current"]["release"]
    dataops.edit_script("print(2)\n")
    dataops("deploy --env uat --yes")
    found = dataops.result(f"diff --env uat {first}")
    assert (found["environment"], found["settings_differ"]) == ("uat", False)
    assert [file["path"] for file in found["files"]] == ["script.py"]


def test_events_are_one_json_object_per_line(dataops: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    """Given --events, then stdout is ndjson, each with a version, the last one the result."""
    run(["--project-dir", str(dataops.directory), "deploy", "--env", "uat", "--yes", "--events"])
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["version"] for event in events} == {1}
    assert events[-1]["event"] == "Result"
    assert {e["stack"] for e in events if e["event"] == "StackEnded" and e["outcome"] == "done"} == set(NAMES)


def test_destroy_keeps_the_data_and_says_so(dataops: Operator) -> None:
    """Given a deployed environment, when it is destroyed, then the stacks are gone, the bucket stays and is named."""
    dataops("deploy --env uat --yes")
    keys = set(artifacts(dataops, "uat"))
    bucket = artifacts_store(session_of(dataops.directory)).bucket
    assert dataops("destroy --env uat") == 2  # no terminal to answer
    assert f"releases and ledger stay in {bucket}" in dataops.said
    assert dataops("destroy --env uat --yes") == 0
    assert f"base/Artifacts  AWS::S3::Bucket  {bucket}" in dataops.said
    assert dataops.result("status --env uat")["stacks"][0]["status"] == "not deployed"
    s3 = session_of(dataops.directory).client("s3")
    assert keys <= {o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert dataops("destroy --env uat --yes") == 0  # nothing to do


def test_destroy_that_is_declined_deletes_nothing(dataops: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given another word than the environment's name, then nothing is deleted, the exit code is 6, and JSON says so."""
    dataops("deploy --env uat --yes")
    monkeypatch.setattr(App, "ask", lambda self, question, *, answer, yes: False)
    document = dataops.result("destroy --env uat")
    assert (document["declined"], document["deleted"], document["ledger_kept"]) == (True, [], True)
    assert dataops("destroy --env uat") == 6
    assert {stack["status"] for stack in dataops.result("status --env uat")["stacks"]} == {"CREATE_COMPLETE"}


def test_the_wrong_account_makes_no_other_call(
    dataops: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Given credentials of another account, then the command is refused with 6 before any stack is looked at."""
    (tmp_path / "credentials").write_text("[uat]\naws_access_key_id=333333333333\naws_secret_access_key=x\n")
    assert dataops("deploy --env uat --yes") == 6
    assert "333333333333" in dataops.said
