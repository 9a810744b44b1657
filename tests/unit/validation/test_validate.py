"""`dataops validate` finds what is wrong before AWS is asked, with file, line and column."""

from __future__ import annotations

import builtins
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT

from deployer import cli
from deployer.errors import Location
from deployer.project.finding import Finding, Level
from deployer.validation.findings import ProjectCheck, as_junit
from deployer.validation.parameter_values import violations
from deployer.validation.validate import Linter, validate_project

CONFIG = """\
project: lake
environments:
  uat:
    account: "111111111111"
    region: ap-southeast-2
    parameters:
      Days: 30
      Token: {from_environment: LAKE_TOKEN}
artifacts:
  Sql: {text: athena/refunds.sql}
  Script: {file: glue/job.py}
  Library: {zip: glue/library}
stacks:
  lake: {template: templates/lake.yaml}
"""

TEMPLATE = """\
Description: A parameter of Systems Manager
Parameters:
  Days:
    Type: Number
    MinValue: 1
    MaxValue: 365
  Token: {Type: String, NoEcho: true, MinLength: 4}
  Sql: {Type: String}
  Script: {Type: String}
  Library: {Type: String}
Resources:
  Value:
    Type: AWS::SSM::Parameter
    Properties:
      Type: String
      Value: !Sub "${Days} ${Token} ${Sql} ${Script} ${Library}"
"""


@pytest.fixture
def project_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project with nothing wrong."""
    monkeypatch.setenv("LAKE_TOKEN", "s3cret")
    files = {
        "dataops.yml": CONFIG,
        "templates/lake.yaml": TEMPLATE,
        "athena/refunds.sql": "select 1 as one\n",
        "glue/job.py": "print(1)\n",
        "glue/library/__init__.py": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def no_lint(paths: Sequence[Path], regions: Iterable[str], shown_as: Mapping[Path, str]) -> dict[Path, Any]:
    """In place of cfn-lint, which takes half a second to load its rules: a linter that finds nothing."""
    return dict.fromkeys(paths, ())


def found(project_dir: Path, *, linter: Linter | None = no_lint) -> list[str]:
    checks = validate_project(project_dir, linter=linter)
    return [str(finding) for check in checks for finding in check.findings]


def test_a_right_project_has_no_findings(project_dir: Path) -> None:
    """Given a project with nothing wrong, when it is validated, then nothing is found and nothing was left out."""
    checks = validate_project(project_dir)  # with cfn-lint
    assert [finding for check in checks for finding in check.findings] == []
    assert {(check.name, check.subject, check.outcome) for check in checks} == {
        ("configuration", "dataops.yml", "passed"),
        ("cfn-lint", "templates/lake.yaml", "passed"),
        ("template limits", "templates/lake.yaml", "passed"),
        ("wiring", "environment uat", "passed"),
        ("artifact", "Sql (athena/refunds.sql)", "passed"),
        ("artifact", "Script (glue/job.py)", "passed"),
        ("artifact", "Library (glue/library)", "passed"),
        ("SQL", "athena/refunds.sql", "passed"),
        ("Python", "glue/job.py", "passed"),
        ("Python", "glue/library/__init__.py", "passed"),
    }


MISTAKES: dict[str, tuple[str, str, str, list[str]]] = {
    "configuration": (
        "dataops.yml",
        "account:",
        "acount:",
        ["dataops.yml:4:5: error configuration: unknown key 'acount', did you mean 'account'?"],
    ),
    "unreadable template": (
        "templates/lake.yaml",
        "Type: Number",
        "Type: [",
        [
            (
                "templates/lake.yaml:6:13: error template: this is not YAML: did not find expected ',' or ']' "
                "while parsing a flow sequence"
            )
        ],
    ),
    "macro": (
        "templates/lake.yaml",
        "Parameters:",
        "Transform: Nope-2020\nParameters:",
        [
            (
                "templates/lake.yaml:2: error macro: the macro 'Nope-2020' would change the template after it was planned, "
                "so dataops never allows it (CAPABILITY_AUTO_EXPAND): write out its result"
            )
        ],
    ),
    "name that Athena cannot read": (
        "templates/lake.yaml",
        "Resources:",
        (
            "Resources:\n  Lake:\n    Type: AWS::Glue::Database\n    Properties:\n      CatalogId: !Ref AWS::AccountId\n"
            "      DatabaseInput:\n        Name: !Sub the lake ${Days}"
        ),
        [
            (
                "templates/lake.yaml:17: error athena-name: Athena requires names of up to 255 lower-case "
                "letters, digits and underscores, not 'the lake '"
            )
        ],
    ),
    "unfed parameter": (
        "templates/lake.yaml",
        "Resources:",
        "  Size: {Type: String}\nResources:",
        [
            (
                "templates/lake.yaml:11: error unfed: stack lake: the parameter 'Size' has no value "
                "(give it under `parameters` of environment uat, or a Default in the template)"
            ),
        ],
    ),
    "value that the template does not allow": (
        "dataops.yml",
        "Days: 30",
        "Days: 400",
        ["dataops.yml:7:13: error parameter-value: stack lake: parameter 'Days': '400' is more than 365"],
    ),
    "value for nothing": (
        "dataops.yml",
        "Days: 30",
        "Days: 30\n      Dayz: 1",
        [
            (
                "dataops.yml:8: error unknown-name: environment uat: no template has a parameter 'Dayz' "
                "(did you mean 'Days'?)"
            )
        ],
    ),
    "secret that is shown": (
        "templates/lake.yaml",
        "NoEcho: true, ",
        "",
        [
            (
                "dataops.yml:8:14: warning secret-shown: stack lake: parameter 'Token' takes its value from a variable but "
                "would be shown, because it lacks NoEcho"
            )
        ],
    ),
    "missing file": (
        "dataops.yml",
        "glue/job.py",
        "glue/jobs.py",
        ["dataops.yml:11:18: error artifact: there is no file glue/jobs.py"],
    ),
    "missing directory": (
        "dataops.yml",
        "glue/library",
        "glue/job.py",
        ["dataops.yml:12:18: error artifact: there is no directory glue/job.py"],
    ),
    "long text": (
        "athena/refunds.sql",
        "select 1 as one",
        "select 1 as one -- " + "x" * 4096,
        ["dataops.yml:10:15: error artifact: a parameter has at most 4,096 bytes, athena/refunds.sql has 4,116"],
    ),
    "broken SQL": (
        "athena/refunds.sql",
        "select 1 as one",
        "select 1\nfrom (select 2",
        ["athena/refunds.sql:2:14: error sql: Expecting )"],
    ),
    "two statements": (
        "athena/refunds.sql",
        "select 1 as one",
        "select 1; select 2",
        ["athena/refunds.sql:1: error sql: a file must contain exactly one statement"],
    ),
    "broken Python": (
        "glue/library/__init__.py",
        "",
        "def f(:\n    pass\n",
        ["glue/library/__init__.py:1:7: error python: invalid syntax"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_with_its_place(project_dir: Path, mistake: str) -> None:
    """Given a project with one mistake, when it is validated, then it is found where it is, and nothing else is."""
    file, old, new, expected = MISTAKES[mistake]
    replace(project_dir / file, old, new)
    assert found(project_dir) == expected


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (
            "templates/lake.yaml",
            "templates/lake.yaml:1: error template: templates/lake.yaml leads outside of the project",
        ),
        (
            "glue/library/more.py",
            "dataops.yml:12:18: error artifact: glue/library/more.py leads outside of the project",
        ),
    ],
)
def test_a_link_out_of_the_project_is_found(
    project_dir: Path, tmp_path_factory: pytest.TempPathFactory, link: str, expected: str
) -> None:
    """Given a template or a script that is a link to a file elsewhere, when the project is validated, then it is named."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    elsewhere.write_text("1\n")
    (project_dir / link).unlink(missing_ok=True)
    (project_dir / link).symlink_to(elsewhere)
    assert [each.partition(", to ")[0] for each in found(project_dir)] == [expected]


def test_cfn_lint_findings_have_our_form(project_dir: Path) -> None:
    """Given mistakes that cfn-lint knows, when validated, then errors, warnings and information are told alike."""
    replace(project_dir / "templates/lake.yaml", "      Type: String\n", "      Typ: String\n")
    replace(
        project_dir / "templates/lake.yaml",
        "Resources:\n",
        "  Unused: {Type: String, Default: x}\nResources:\n  Queue: {Type: AWS::SQS::Queue, Properties: {MessageRetentionPeriod: 60}}\n",
    )
    assert found(project_dir, linter=None) == [
        "templates/lake.yaml:11:3: warning W2001: Parameter Unused not used.",
        (
            "templates/lake.yaml:13:3: information I3011: 'DeletionPolicy' is a required property (The default action "
            "when replacing/removing a resource is to delete it. Set explicit values for stateful resource)"
        ),
        (
            "templates/lake.yaml:13:3: information I3011: 'UpdateReplacePolicy' is a required property (The default "
            "action when replacing/removing a resource is to delete it. Set explicit values for stateful resource)"
        ),
        "templates/lake.yaml:16:5: error E3003: 'Type' is a required property",
        (
            "templates/lake.yaml:17:7: error E3002: Additional properties are not allowed ('Typ' was unexpected. "
            "Did you mean 'Type'?)"
        ),
    ]


def test_a_large_template_is_found(project_dir: Path) -> None:
    """Given a template over CloudFormation's limit, when it is validated, then its size is told."""
    with (project_dir / "templates/lake.yaml").open("a", encoding="utf-8") as file:
        file.writelines(f"# {'x' * 997}\n" for _ in range(1001))
    assert any("error template-size: a template has at most 1,000,000 bytes" in line for line in found(project_dir))


def test_a_secret_is_never_part_of_a_finding(project_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a secret that the template refuses, when it is validated, then the finding does not show it."""
    monkeypatch.setenv("LAKE_TOKEN", "abc")
    (line,) = found(project_dir)
    assert line == (
        "dataops.yml:8:14: error parameter-value: stack lake: parameter 'Token': its value is shorter than 4 characters"
    )


def test_a_variable_that_is_not_set_here_is_a_warning(project_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a secret that only the deploying pipeline has, when a pull request is validated, then it may pass."""
    monkeypatch.delenv("LAKE_TOKEN")
    (line,) = found(project_dir)
    assert line.startswith("templates/lake.yaml:7: warning unset-variable: stack lake: parameter 'Token' takes")
    assert not any(check.failed for check in validate_project(project_dir, linter=no_lint))


def test_sql_that_cannot_be_parsed_here_is_said(project_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a machine without sqlglot, when the project is validated, then it says that SQL was not checked."""
    really_import = builtins.__import__

    def without_sqlglot(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("sqlglot"):
            raise ImportError(name)
        return really_import(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without_sqlglot)
    skipped = [check for check in validate_project(project_dir, linter=no_lint) if check.skipped]
    assert [(check.name, check.subject) for check in skipped] == [("SQL", "athena/refunds.sql")]
    assert skipped[0].skipped == "sqlglot is not installed: pip install -e '.[local]'"


def test_newer_python_than_glues_is_found(project_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given syntax that Glue's Python does not know, when this Python knows it, then it is found all the same."""
    (project_dir / "glue/job.py").write_text("match 1:\n    case _:\n        pass\n", encoding="utf-8")
    assert found(project_dir) == []
    monkeypatch.setattr("deployer.validation.validate.GLUE_PYTHON", (3, 9))
    (line,) = found(project_dir)
    assert line.startswith("glue/job.py:")
    assert "Pattern matching is only supported in Python 3.10" in line


# The command.


@pytest.fixture
def without_cfn_lint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.validation.cfn_lint.lint", no_lint)


def run(project_dir: Path, *arguments: str) -> int:
    return cli.run(["--project-dir", str(project_dir), *arguments])


@pytest.mark.usefixtures("without_cfn_lint")
def test_the_command_ends_with_1_on_errors_only(project_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given errors, warnings or nothing, when validate runs, then errors end with 1, and warnings do with --strict."""
    assert run(project_dir, "validate", "--strict") == 0
    monkeypatch.delenv("LAKE_TOKEN")
    assert run(project_dir, "validate") == 0
    assert run(project_dir, "validate", "--strict") == 1
    replace(project_dir / "glue/job.py", "print(1)", "print(")
    assert run(project_dir, "validate") == 1


@pytest.mark.usefixtures("without_cfn_lint")
def test_the_command_speaks_json(project_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Given a mistake, when validate runs with --output json, then stdout is one object with findings and checks."""
    replace(project_dir / "dataops.yml", "Days: 30", "Days: 400")
    assert run(project_dir, "--output", "json", "validate") == 1
    document = json.loads(capfd.readouterr().out)
    assert (document["version"], document["command"], document["ok"]) == (1, "validate", False)
    assert document["findings"] == [
        {
            "file": "dataops.yml",
            "line": 7,
            "column": 13,
            "level": "error",
            "rule": "parameter-value",
            "message": "stack lake: parameter 'Days': '400' is more than 365",
            "hint": None,
        }
    ]
    assert {check["outcome"] for check in document["checks"]} == {"passed", "failed"}


@pytest.mark.usefixtures("without_cfn_lint")
def test_the_command_writes_junit(project_dir: Path) -> None:
    """Given a mistake, when validate runs with --junit, then the file has a test case for each check."""
    replace(project_dir / "dataops.yml", "Days: 30", "Days: 400")
    assert run(project_dir, "validate", "--junit", str(project_dir / "validate.xml")) == 1
    suite = ET.parse(project_dir / "validate.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("10", "1", "0")
    (failure,) = suite.iter("failure")
    assert "is more than 365" in str(failure.get("message"))


def test_junit_tells_skipped_checks_and_remarks_apart() -> None:
    """Given a check that was not made and one with a warning, when they are JUnit, then neither is a failure."""
    warning = Finding.at(Location("a", 1), Level.WARNING, "W1", "odd <&>")
    suite = ET.fromstring(
        as_junit([ProjectCheck("SQL", "a", skipped="no parser"), ProjectCheck("lint", "b", (warning,))])
    )[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "0", "1")
    assert [output.text for output in suite.iter("system-out")] == ["a:1: warning W1: odd <&>"]


def test_the_projects_own_files_are_right() -> None:
    """Given the repository, when it is validated, then there is no error and no warning."""
    assert [line for line in found(ROOT, linter=None) if " information " not in line] == []


def test_validate_calls_no_aws(project_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no network, when a project is validated, then it does not notice."""
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert found(project_dir) == []


# Values against what a template declares.


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ({"Type": "String"}, "", []),
        ({"AllowedValues": [1, "b", True]}, "1", []),
        ({"AllowedValues": [1, "b", True]}, "true", []),
        ({"AllowedValues": [1, "b", True]}, "c", ["'c' is not one of 1, b, true"]),
        ({"AllowedPattern": "[a-z]+"}, "ab", []),
        ({"AllowedPattern": "[a-z]+"}, "ab1", ["'ab1' does not match [a-z]+"]),
        ({"AllowedPattern": r"\p{Alpha}+"}, "1", []),
        ({"MinLength": 2, "MaxLength": 3}, "abc", []),
        ({"MinLength": 2}, "a", ["'a' is shorter than 2 characters"]),
        ({"MaxLength": "3"}, "abcd", ["'abcd' is longer than 3 characters"]),
        ({"Type": "Number", "MinValue": 1, "MaxValue": 10}, "1", []),
        ({"Type": "Number", "MinValue": 1}, "0.5", ["'0.5' is less than 1"]),
        ({"Type": "Number", "MaxValue": 10}, "11", ["'11' is more than 10"]),
        ({"Type": "Number"}, "ten", ["'ten' is not a number"]),
        ({"Type": "String", "MinValue": 5}, "1", []),
    ],
)
def test_a_value_is_held_against_what_the_template_allows(
    declared: dict[str, Any], value: str, expected: list[str]
) -> None:
    """Given what a parameter allows, when a value is held against it, then what breaks it is said."""
    assert list(violations(declared, value, is_secret=False)) == expected
    assert all(repr(value) not in line for line in violations(declared, value, is_secret=True))


def test_a_wrong_dataops_yml_is_a_finding_of_validate_and_a_wrong_call_of_every_other_command(tmp_path: Path) -> None:
    """Given a wrong dataops.yml, then validate ends with 1, as with any finding, and a command that needs it with 2."""
    (tmp_path / "dataops.yml").write_text("project: lake\nenvironmnts: {}\n", encoding="utf-8")
    assert cli.run(["--project-dir", str(tmp_path), "validate"]) == 1
    assert cli.run(["--project-dir", str(tmp_path), "iam-policy", "--env", "uat"]) == 2


LONG_ROLE = """\
  ValidationScheduleRole:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: []}}
"""


@pytest.mark.parametrize(
    ("name", "role", "found"),
    [
        ("u" * 13, LONG_ROLE, False),
        ("u" * 14, LONG_ROLE, True),
        ("u" * 14, LONG_ROLE.replace("    Properties: {", "    Properties: {RoleName: mine, "), False),
        ("u" * 14, LONG_ROLE.replace("ValidationScheduleRole", "ScheduleRole"), False),
    ],
)
def test_names_that_cloudformation_would_cut(project_dir: Path, name: str, role: str, found: bool) -> None:
    """Given an environment's name that leaves a generated name too little room, then it is found where it is written."""
    replace(project_dir / "dataops.yml", "project: lake", "project: refunds-lake")
    replace(project_dir / "dataops.yml", "  uat:", f"  {name}:")
    with (project_dir / "templates" / "lake.yaml").open("a", encoding="utf-8") as template:
        template.write(role)
    findings = [each for check in validate_project(project_dir, linter=no_lint) for each in check.findings]
    cut = [each for each in findings if each.rule == "name-cut"]
    assert bool(cut) is found
    if found:
        assert cut[0].location == Location("dataops.yml", 4, 5)
        assert "cut the name of ValidationScheduleRole after 'refunds-lake-uuuuuuuuuuuuuu'" in cut[0].message
        assert cut[0].hint == "'refunds-lake' and the environment's name may have 25 characters together"
