"""The routes into raw, each by the real command: what arrives, what its sender may not do, and what the job reads."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from click import Context
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_project import LocalProject
from repository import ROOT

from deployer import local
from deployer.cli import LazyGroup
from deployer.lake.delivery.routes import ON_THE_STREAM, ROUTES

PAGES = sorted((ROOT / "docs" / "ingestion").glob("*.md"))
PARTNER, TOOL = "999999999999", "888888888888"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """The project, deployed to a local cloud of its own."""
    project = LocalProject.deployed(tmp_path_factory, "routes")
    try:
        yield project
    finally:
        local.stop(project.directory)


def commands(page: Path) -> list[str]:
    """The commands that a page shows."""
    return re.findall(r"^\$ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_a_sample_split_over_the_routes_gives_the_report_of_the_whole(project: LocalProject) -> None:
    """Given a sample whose files take the routes in turn, when the job has run, then the report is that of the sample."""
    project.dataops("sample", "--out", "split", "--transactions", "600", "--months", "4", "--seed", "7")
    files = sorted((project.directory / "split").iterdir())
    routes = itertools.cycle([*ON_THE_STREAM, *(name for name in ROUTES if name not in ON_THE_STREAM)])
    used, refused = set(), 0  # the job would reject what the API refuses
    for file in files:
        route = next(name for name in routes if name not in ON_THE_STREAM or ".jsonl" in file.name)
        used.add(route)
        wait = ["--wait"] if route in ON_THE_STREAM else []
        sent = project.document("ingest", "--env", "local", "--route", route, *wait, f"split/{file.name}")
        refused += len(sent["files"][0].get("refused") or ())
    assert used == set(ROUTES)
    run = project.document("run", "--env", "local")
    expected = json.loads((project.directory / "split.answer.json").read_text(encoding="utf-8"))
    assert run["problems"] == [] and run["counts"]["read"] + refused == expected["counts"]["read"]
    report = json.loads(project.dataops("report", "--env", "local", "--format", "json").stdout)
    assert report == expected["total"]
    arrivals = project.document("status", "--env", "local")["arrivals"]
    routes = {each["route"]: each for each in arrivals["routes"]}
    assert set(routes) == set(ROUTES) - {"api"} and arrivals["unowned"] == [] and arrivals["delivery_errors"] == 0
    assert all(each["files"] and each["records"] and each["last_arrival"] for each in routes.values())
    totals = {name: sum(each[name] for each in routes.values()) for name in ("records", "rejected")}
    assert totals == {"records": run["counts"]["read"], "rejected": run["counts"]["rejected"]}
    assert 0 < arrivals["api"]["accepted_records"] <= routes["stream"]["records"]


def test_the_commands_of_the_pages_do_what_they_say(project: LocalProject) -> None:
    """Given the pages about the routes, when their commands are typed one after the other, then each succeeds."""
    assert {page.stem for page in PAGES} >= {"s3", "sftp", "stream", "third-party"}
    done = set()
    for command in [command for page in PAGES for command in commands(page)]:
        program, *arguments = shlex.split(command)
        if command in done or (program == "ssh-keygen" and not which(program)):
            continue
        done.add(command)
        if program == "ssh-keygen":  # without a passphrase
            subprocess.run([program, *arguments, "-q", "-N", ""], cwd=project.directory, check=True)
        elif "local" in arguments or "sample" in arguments:
            project.dataops(*arguments)
        else:  # for an environment on AWS: parsed, not run
            name, *options = arguments
            command_of = LazyGroup().get_command(Context(LazyGroup()), name)
            assert command_of is not None
            command_of.make_context(name, options)


# Route 1, the other way round


@pytest.fixture(scope="module")
def exports(project: LocalProject) -> str:
    """A bucket of the partner, with a role that this account may assume and dataops.yml names."""
    s3, iam = (project.client(service, account=PARTNER) for service in ("s3", "iam"))
    s3.create_bucket(Bucket="partner-exports", CreateBucketConfiguration={"LocationConstraint": "ap-southeast-2"})
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "theirs"}},
    }
    read = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::partner-exports", "arn:aws:s3:::partner-exports/*"],
    }
    role = iam.create_role(RoleName="exports", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    document = json.dumps({"Version": "2012-10-17", "Statement": [read]})
    iam.put_role_policy(RoleName="exports", PolicyName="read", PolicyDocument=document)
    file = project.directory / "dataops.yml"
    arn = role["Role"]["Arn"]
    ours = 'partner: {account: "999999999999"}'
    theirs = f'partner: {{account: "999999999999", role: "{arn}", external_id_variable: EXPORTS_ID}}'
    file.write_text(file.read_text(encoding="utf-8").replace(ours, theirs), encoding="utf-8")
    return "partner-exports"


def test_a_partners_bucket_is_copied_once(project: LocalProject, exports: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given objects in the partner's bucket, when they are pulled repeatedly, then each content arrives once."""
    s3 = project.client("s3", account=PARTNER)
    monkeypatch.setenv("EXPORTS_ID", "theirs")
    row = "id,type,timestamp,amount,customer_id,merchant_id\n{},purchase,2026-07-01T10:00:00Z,{},anna,m1\n"
    for key, body in {
        "out/a/day.csv": row.format("pull-1", "1.00"),
        "out/b/day.csv": row.format("pull-2", "1.00"),
        "out/_SUCCESS": "",
        "other/c.csv": row.format("pull-3", "1.00"),
    }.items():
        s3.put_object(Bucket=exports, Key=key, Body=body.encode())
    arguments = ("ingest", "--env", "local", "--route", "s3", "--from", f"s3://{exports}/out/")
    first, again = (project.document(*arguments)["files"] for _ in range(2))
    assert [each["delivered"] for each in first + again] == [True, True, False, False]
    s3.put_object(Bucket=exports, Key="out/a/day.csv", Body=row.format("pull-1", "2.00").encode())
    assert [each["delivered"] for each in project.document(*arguments)["files"]] == [False, True]
    listed = project.client("s3").list_objects_v2(
        Bucket=project.outputs("storage")["RawBucketName"], Prefix="transactions/source=s3/"
    )
    assert len([each for each in listed["Contents"] if "/day-" in each["Key"]]) == 3


def test_a_partners_bucket_opens_to_the_external_id_alone(
    project: LocalProject, exports: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no external id or a wrong one, when the bucket is pulled, then nothing is read and the error says why."""
    arguments = ("ingest", "--env", "local", "--from", f"s3://{exports}/")
    without = project.dataops(*arguments, check=False)
    assert without.returncode == 2 and "export EXPORTS_ID=" in without.stderr
    monkeypatch.setenv("EXPORTS_ID", "guessed")
    wrong = project.dataops(*arguments, check=False)
    assert wrong.returncode == 6 and "sts:AssumeRole" in wrong.stderr


# Route 5


def test_files_are_overwritten_and_the_job_reads_every_version(project: LocalProject, tmp_path: Path) -> None:
    """Given a tool's file and an SFTP user's that a run has read, when both are written twice more before the next run, then
    that run reads all versions, each record counts, even one that only the previous version has, and a full refresh gives
    the same.
    """
    s3, bucket = project.client("s3"), project.outputs("storage")["RawBucketName"]
    file = tmp_path / "1_1790000000000.csv"
    header = "id,type,timestamp,amount,customer_id,merchant_id,_sdc_sequence\n"
    row = "tool-p{},purchase,2026-07-01T10:00:00Z,{},anna,m1,1790000000000000\n"

    def write(*rows: str) -> str:
        file.write_text(header + "".join(rows))
        (sent,) = project.document("ingest", "--env", "local", "--route", "third-party", str(file))["files"]
        assert sent["delivered"] and sent["target"] == f"transactions/source=third-party/dataops/{file.name}"
        body = file.read_bytes().replace(b"tool-p", b"user-p")
        s3.put_object(Bucket=bucket, Key="transactions/source=sftp/trial/day.csv", Body=body)
        return str(sent["target"])

    def stands() -> Any:
        sql = "select id, amount from purchase where id like 'tool-p%' or id like 'user-p%' order by id"
        return project.document("query", "--env", "local", sql)["rows"]

    write(row.format(1, "1.00"))
    project.dataops("run", "--env", "local")
    write(row.format(1, "2.00"), row.format(2, "7.00"), row.format(3, "no amount"))
    key = write(row.format(1, "3.00"))
    counts = project.document("run", "--env", "local")["counts"]
    assert counts == {"read": 8, "kept": 2, "duplicate": 0, "superseded": 4, "rejected": 2}
    found = stands()
    assert found == [["tool-p1", "3.00"], ["tool-p2", "7.00"], ["user-p1", "3.00"], ["user-p2", "7.00"]]
    assert len(s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]) == 3
    project.dataops("run", "--env", "local", "--full-refresh")
    assert stands() == found


@pytest.mark.parametrize("caller", ["another account", "without the external id"])
def test_only_the_tool_takes_its_role(project: LocalProject, caller: str) -> None:
    """Given the tool's role, when somebody else, or somebody without its external id, assumes it, then STS refuses."""
    sts = project.client("sts", account="777777777777" if caller == "another account" else TOOL)
    given: dict[str, Any] = {"ExternalId": "local-third-party"} if caller == "another account" else {}
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        sts.assume_role(RoleArn=project.outputs("ingest")["ThirdPartyRoleArn"], RoleSessionName="tool", **given)


# Route 4, and what no route owns


def test_what_needs_an_eye_is_in_the_status_until_it_is_settled(project: LocalProject) -> None:
    """Given records that Firehose could not deliver and an object that no route owns, then status names both, and the
    records are in base after a replay.
    """
    s3, bucket = project.client("s3"), project.outputs("storage")["RawBucketName"]
    record = json.dumps({**VOID, "id": "failed-1"})
    error = {"errorCode": "S3.AccessDenied", "rawData": base64.b64encode(record.encode()).decode()}
    s3.put_object(Bucket=bucket, Key="delivery-errors/source=stream/failed", Body=json.dumps(error).encode())
    s3.put_object(Bucket=bucket, Key="transactions/strange/a.jsonl", Body=b"")
    found = project.document("status", "--env", "local")["arrivals"]
    assert (found["delivery_errors"], found["unowned"]) == (1, ["transactions/strange/"])
    said = project.dataops("status", "--env", "local").stdout
    assert "-> dataops replay --env local --delivery-errors" in said and "transactions/strange/" in said
    project.dataops("replay", "--env", "local", "--delivery-errors")
    assert project.document("status", "--env", "local")["arrivals"]["delivery_errors"] == 0
    s3.delete_object(Bucket=bucket, Key="transactions/strange/a.jsonl")
    project.dataops("run", "--env", "local")
    sql = "select id from void where id = 'failed-1'"
    assert project.document("query", "--env", "local", sql)["rows"] == [["failed-1"]]


# Route 3

VOID = {"type": "void", "timestamp": "2026-07-02T10:00:00Z", "amount": "1.00", "parent_id": "none"}


def post(url: str, document: Any, keys: Credentials | None) -> tuple[int, dict[str, Any]]:
    """The status and the answer of a call, signed with keys or not at all."""
    body = json.dumps(document).encode()
    request = AWSRequest("POST", f"{url}/transactions", data=body, headers={"Content-Type": "application/json"})
    if keys is not None:
        SigV4Auth(keys, "execute-api", "ap-southeast-2").add_auth(request)
    answer = URLLib3Session().send(request.prepare())
    return answer.status_code, json.loads(answer.content)


def test_a_file_by_the_api_is_in_base_and_bad_lines_are_listed(project: LocalProject, tmp_path: Path) -> None:
    """Given a file with bad lines, when the API gets it, then these are listed with their reasons; the rest is in base."""
    file = tmp_path / "voids.jsonl"
    lines = [json.dumps({**VOID, "id": f"api-{number}"}) for number in range(3)]
    lines[1:1] = ["{no json", "", json.dumps({**VOID, "id": "", "amount": "-1"})]
    file.write_text("\n".join(lines) + "\n")
    project.dataops("run", "--env", "local")
    (sent,) = project.document("ingest", "--env", "local", "--route", "api", "--wait", str(file))["files"]
    assert sent["records"] == 3
    assert sent["refused"] == [
        {"line": 2, "reasons": [{"field": None, "reason": "not_json"}]},
        {
            "line": 4,
            "reasons": [{"field": "id", "reason": "id_missing"}, {"field": "amount", "reason": "amount_invalid"}],
        },
    ]
    counts = project.document("run", "--env", "local")["counts"]
    assert (counts["read"], counts["kept"]) == (3, 3)
    again = project.dataops("ingest", "--env", "local", "--route", "api", str(file))
    assert f"{file}:4: id_missing (id), amount_invalid (amount)" in again.stdout
    assert project.document("run", "--env", "local")["counts"]["duplicate"] == 3
    api = project.document("status", "--env", "local")["arrivals"]["api"]
    assert api["accepted_records"] >= 6 and api["refused_calls"] >= 2 and api["refused_records"] >= 2


def test_the_last_of_quick_corrections_by_the_api_stands(project: LocalProject, tmp_path: Path) -> None:
    """Given versions of one record in one call and the next, when the job has run, then the last one counts."""
    url, keys = project.document("local", "status")["api_url"], Credentials("000000000000", "local")
    amounts = [f"{number}.00" for number in range(1, 9)]
    for half in (amounts[:5], amounts[5:]):
        records = [{**VOID, "id": "corrected", "amount": amount} for amount in half]
        assert post(url, {"records": records}, keys)[0] == 202
    counts = project.document("run", "--env", "local")["counts"]
    assert (counts["read"], counts["kept"], counts["superseded"]) == (8, 1, 7)
    rows = project.document("query", "--env", "local", "select amount from void where id = 'corrected'")["rows"]
    assert rows == [["8.00"]]


def test_the_api_answers_in_one_shape_whoever_refuses(project: LocalProject) -> None:
    """Given calls that the gateway or the function refuses, when they are made, then status and shape are as documented."""
    url, keys = project.document("local", "status")["api_url"], Credentials("000000000000", "local")
    assert url.startswith("http://127.0.0.1:")
    good = {**VOID, "id": "x"}
    cases: list[tuple[Any, Credentials | None, int, dict[str, Any]]] = [
        ({"records": [good]}, None, 403, {"index": None, "field": None, "reason": "MISSING_AUTHENTICATION_TOKEN"}),
        ({"records": []}, keys, 400, {"index": None, "field": None, "reason": "BAD_REQUEST_BODY"}),
        ({"records": [good, {}]}, keys, 400, {"index": 1, "field": "id", "reason": "id_missing"}),
        ({"records": [good, 1]}, keys, 400, {"index": None, "field": None, "reason": "BAD_REQUEST_BODY"}),
        (
            {"records": [good], "x": "y" * 5_000_000},
            keys,
            413,
            {"index": None, "field": "body", "reason": "too_many_bytes"},
        ),
    ]
    for document, signer, status, error in cases:
        found, answer = post(url, document, signer)
        assert (found, answer["accepted"]) == (status, 0), answer
        assert answer["errors"][0] == error
        assert answer["request_id"]
    log = project.client("logs").filter_log_events(logGroupName=project.outputs("api")["ApiLogGroupName"])["events"]
    assert {"403", "400", "413"} <= {json.loads(event["message"])["status"] for event in log}


def test_no_call_that_the_description_allows_or_forbids_makes_the_api_fail(project: LocalProject) -> None:
    """Given good and bad calls from the API's description, when they are sent, then every answer is documented."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed; it comes with [dev]")
    page = (ROOT / "docs" / "ingestion" / "api.md").read_text(encoding="utf-8")
    description = yaml.safe_load("openapi:" + page.split("```yaml\nopenapi:")[1].split("```")[0])
    url, keys = project.document("local", "status")["api_url"], Credentials("000000000000", "local")
    operation = schemathesis.openapi.from_dict(description)["/transactions"]["POST"]
    documented = {int(status) for status in description["paths"]["/transactions"]["post"]["responses"]}
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    seen = set()

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes)))
    def check(case: Any) -> None:
        is_document = isinstance(case.body, (dict, list, str, int, float, type(None)))
        body = json.dumps(case.body).encode() if is_document else case.body if isinstance(case.body, bytes) else b""
        request = AWSRequest("POST", f"{url}/transactions", data=body, headers={"Content-Type": "application/json"})
        SigV4Auth(keys, "execute-api", "ap-southeast-2").add_auth(request)
        answer = URLLib3Session().send(request.prepare())
        seen.add(answer.status_code)
        assert answer.status_code in documented - {403, 503}, (body, answer.content)
        document = json.loads(answer.content)
        assert answer.status_code == 202 or (document["accepted"] == 0 and document["errors"][0]["reason"])

    check()
    assert 400 in seen
