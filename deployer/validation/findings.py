"""Checks and their findings, shown as lines of text, a JSON result, or JUnit for CI.

What is checked is validation.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from deployer.errors import ConfigError, Location
from deployer.project.finding import Finding, Level


@dataclass(frozen=True)
class ProjectCheck:
    """One check of one thing. `skipped` says why it was not made."""

    name: str
    subject: str
    findings: tuple[Finding, ...] = ()
    skipped: str | None = None

    @property
    def failed(self) -> bool:
        return any(finding.level is Level.ERROR for finding in self.findings)

    @property
    def outcome(self) -> str:
        return "skipped" if self.skipped else "failed" if self.failed else "passed"


def config_findings(error: ConfigError, rule: str) -> tuple[Finding, ...]:
    """Return a configuration error as findings, one for each of its problems."""
    return tuple(
        Finding.at(_location(each.where), Level.ERROR, rule, each.message, each.hint) for each in (error, *error.others)
    )


def _location(where: str | None) -> Location:
    file, *numbers = (where or "dataops.yml").split(":")
    line, column = ([int(number) for number in numbers if number.isdigit()] + [0, 0])[:2]
    return Location(file, line or 1, column or None)


def as_text(checks: Sequence[ProjectCheck]) -> str:
    """Return one line for each finding and each check that was not made, followed by the totals."""
    lines = [str(finding) for check in checks for finding in check.findings]
    lines += [f"not checked: {check.name} of {check.subject}: {check.skipped}" for check in checks if check.skipped]
    return "\n".join([*lines, _sum(checks)])


def _sum(checks: Sequence[ProjectCheck]) -> str:
    levels = [finding.level for check in checks for finding in check.findings]
    counted = [f"{levels.count(level)} {level}{'s' * (levels.count(level) != 1)}" for level in list(Level)[:2]]
    made = sum(1 for check in checks if not check.skipped)
    return f"{made} checks: {', '.join(counted)}, {levels.count(Level.INFORMATION)} information"


@dataclass(frozen=True)
class CheckOutcome:
    """How one check ended."""

    name: str  #: what was checked
    subject: str  #: of which file or environment
    outcome: str  #: `passed`, `failed` or `skipped`
    skipped: str | None  #: why it was not made


@dataclass(frozen=True)
class ValidationResult:
    """Everything that was checked."""

    ok: bool  #: no finding is an error
    findings: tuple[Finding, ...]  #: what is wrong, in the order of the checks
    checks: tuple[CheckOutcome, ...]  #: every check, made or not


def validation_result(checks: Sequence[ProjectCheck]) -> ValidationResult:
    """Return what the checks found and how they ended."""
    return ValidationResult(
        ok=not any(check.failed for check in checks),
        findings=tuple(finding for check in checks for finding in check.findings),
        checks=tuple(CheckOutcome(check.name, check.subject, check.outcome, check.skipped) for check in checks),
    )


def as_junit(checks: Iterable[ProjectCheck]) -> str:
    """Return the checks as JUnit test cases: a check with an error is a failure, other findings are its output."""
    checks = list(checks)
    suite = ElementTree.Element(
        "testsuite",
        name="dataops validate",
        tests=str(len(checks)),
        failures=str(sum(check.failed for check in checks)),
        skipped=str(sum(bool(check.skipped) for check in checks)),
        errors="0",
    )
    for check in checks:
        case = ElementTree.SubElement(suite, "testcase", classname=f"validate.{check.name}", name=check.subject)
        said = "\n".join(str(finding) for finding in check.findings)
        if check.skipped:
            ElementTree.SubElement(case, "skipped", message=check.skipped)
        elif check.failed:
            first = next(finding for finding in check.findings if finding.level is Level.ERROR)
            ElementTree.SubElement(case, "failure", message=str(first)).text = said
        elif said:
            ElementTree.SubElement(case, "system-out").text = said
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
