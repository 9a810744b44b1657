"""Why a stack failed, in one line: resource, property, reason, template file and line, likely fix. Pure, over the events.
Cancelled resources are left out: they are what the failure did to the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployer.cloudformation.port import ChangeSet, OperationError, StackEvent
from deployer.errors import DataopsError

if TYPE_CHECKING:
    from deployer.project.templates import Template

MOST_CAUSES = 5  # in one message
_NOISE = re.compile(r"(?i)resource (creation|update|deletion) cancell?ed|the following resource\(s\) failed")
_PROPERTY = (
    re.compile(r"#/(?:Properties/)?(?P<p>[\w/]+)[:\s]"),
    re.compile(r"required key \[(?P<p>\w+)\]"),
    re.compile(r"extraneous key \[(?P<p>\w+)\]"),
    re.compile(r"(?i)unsupported property (?P<p>[\w.]+)"),
    re.compile(r"(?i)value (?:of|for) property [{']?(?P<p>[\w.]+)"),
    re.compile(r"(?i)property (?P<p>[A-Z][\w.]+) (?:cannot|must|is)"),
)
_FIXES = (
    (
        r"(?i)already exist",
        "something outside this stack has that name: remove or rename it, or import it into the stack",
    ),
    (
        r"(?i)not authorized to perform:? (?P<x>[\w:*]+)",
        "grant {x} to the deploying role (dataops iam-policy prints its policy)",
    ),
    (
        r"(?i)access ?denied|unauthorized",
        "the deploying role lacks a permission (dataops iam-policy prints its policy)",
    ),
    (r"(?i)rate exceeded|throttl|too many requests", "AWS throttled the calls: run the same command again"),
    (
        r"(?i)limit ?exceeded|quota|maximum number",
        "a service quota is used up: raise it in Service Quotas or remove what is unused",
    ),
    (
        r"(?i)nosuchkey|specified key does not exist",
        "an artifact is missing from the artifacts bucket: deploy a freshly built release",
    ),
    (r"(?i)nosuchbucket|bucket does not exist", "the bucket was removed outside of CloudFormation: see dataops drift"),
    (r"(?i)in use by|cannot be (deleted|updated) as", "another stack still uses it: deploy that stack first"),
    (
        r"(?i)workgroup.* not ?empty",
        "its query history would be lost: delete it by hand with --recursive-delete-option, or deploy with DeleteWithHistory first",
    ),
    (r"(?i)not ?empty", "empty the bucket first if its data may be deleted"),
    (
        r"(?i)invalid principal",
        "the principal in the policy does not exist: check account ids and role names in dataops.yml",
    ),
    (
        r"(?i)model validation failed|properties validation failed|required key|extraneous key|unsupported property",
        "correct the template; dataops validate finds most of these",
    ),
    (r"(?i)hook", "a CloudFormation hook refused it: ask the owner of the hook for its requirements"),
    (
        r"(?i)did not stabilize|timed? ?out|not stabili[sz]e",
        "it did not become ready in time: check the service's console, then run the same command again",
    ),
)


@dataclass(frozen=True)
class Cause:
    """What failed first."""

    logical_id: str  #: the resource's name in the template
    type: str  #: the resource's type
    reason: str  #: CloudFormation's reason
    property: str = ""  #: which property; empty where CloudFormation names none
    where: str = ""  #: file and line in the template, where they are known
    fix: str = ""  #: what is likely to help; empty where nothing is known

    def __str__(self) -> str:
        subject = f"{self.logical_id}.{self.property}" if self.property else self.logical_id
        kind = f" ({self.type})" if self.type else ""
        where = f" [{self.where}]" if self.where else ""
        fix = f" -> {self.fix}" if self.fix else ""
        return f"{subject}{kind}: {self.reason.strip().rstrip('.')}{where}{fix}"


def last_operation(events: Sequence[StackEvent]) -> Sequence[StackEvent]:
    """Return the events since the stack's last operation began; a rollback belongs to the operation that it undoes."""
    starts = [
        i
        for i, event in enumerate(events)
        if event.is_about_the_stack
        and event.status
        in (
            "CREATE_IN_PROGRESS",
            "UPDATE_IN_PROGRESS",
            "DELETE_IN_PROGRESS",
            "IMPORT_IN_PROGRESS",
            "REVIEW_IN_PROGRESS",
        )
    ]
    return events[starts[-1] :] if starts else events


def root_cause(events: Sequence[StackEvent], template: Template | None, *, fallback: str) -> Cause:
    """Return the first failure that is not a consequence of another one."""
    failed = [e for e in last_operation(events) if e.status.endswith("_FAILED")]
    told = [e for e in failed if e.reason and not _NOISE.search(e.reason) and not e.is_about_the_stack]
    told = told or [e for e in failed if e.reason and not _NOISE.search(e.reason)]
    if not told:
        reasons = [
            e.reason for e in last_operation(events) if e.is_about_the_stack and e.reason and "ROLLBACK" in e.status
        ]
        return Cause(
            "the stack", "", reasons[0] if reasons else fallback, fix=likely_fix(reasons[0] if reasons else fallback)
        )
    first = told[0]
    return cause_of(first.logical_id, first.resource_type, first.reason, template)


def cause_of(logical_id: str, resource_type: str, reason: str, template: Template | None) -> Cause:
    name = property_in(reason)
    where = _where(template, logical_id, name)
    return Cause(logical_id, resource_type, " ".join(reason.split()), name, where, likely_fix(reason))


def _where(template: Template | None, logical_id: str, name: str) -> str:
    """Return file and line of a resource, or of its property."""
    if template is None or logical_id not in template.resources:
        return ""
    line = template.line_of(logical_id, ("Properties", *name.split("."))) if name else template.line_of(logical_id)
    return f"{template.path.as_posix()}:{line}"


def property_in(reason: str) -> str:
    """Return the property that a reason refers to, as a dotted path; empty if it names none."""
    for pattern in _PROPERTY:
        if found := pattern.search(reason):
            return found["p"].strip("/").replace("/", ".")
    return ""


def likely_fix(reason: str) -> str:
    for pattern, fix in _FIXES:
        if found := re.search(pattern, reason):
            return fix.format(**found.groupdict())
    return ""


def operation_causes(
    errors: Sequence[OperationError], template: Template | None, operations: Sequence[str] | None = None
) -> tuple[Cause, ...]:
    """Return the causes of a failed operation from its own events, without warnings and cancelled resources.

    `operations` are the ids of the operations in question, newest first (a rollback is one of its own): the newest that
    has a failure is explained. None: they are not known, and the newest failure's is taken.
    """
    real = [e for e in errors if not e.is_warning and not _NOISE.search(e.reason)]
    candidates = [e.operation for e in reversed(real)] if operations is None else operations
    wanted = next((o for o in candidates if any(e.operation == o for e in real)), None)
    found = [_cause_of_error(e, template) for e in real if e.operation == wanted]
    return tuple(dict.fromkeys([cause for cause in found if cause.logical_id] or found))


def operation_warnings(errors: Sequence[OperationError], template: Template | None) -> tuple[Cause, ...]:
    """Return what validations and hooks found without stopping the operation, each once, in order of time."""
    return tuple(dict.fromkeys(_cause_of_error(error, template) for error in errors if error.is_warning))


def _cause_of_error(error: OperationError, template: Template | None) -> Cause:
    """Return the cause, located by the validation's path if there is one, else by what the reason names."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in error.path.strip("/").split("/") if part]
    logical_id = error.logical_id or (parts[1] if parts[:1] == ["Resources"] and len(parts) > 1 else "")
    if parts[:1] == ["Resources"]:
        parts = parts[2:]
    name = ".".join(parts[1:] if parts[:1] == ["Properties"] else parts)
    reason = f"{error.reason} ({error.check})" if error.check and error.check not in error.reason else error.reason
    cause = cause_of(logical_id, error.resource_type, reason, template)
    if not name:
        return cause
    return replace(cause, property=name, where=_where(template, logical_id, name))


def request_refused(stack: str, error: DataopsError, template: Template) -> DataopsError:
    """Add the place in the template to an immediate refusal of a template or parameter; return other errors unchanged."""
    if "ValidationError" not in error.message:
        return error
    named = next(
        (
            r.logical_id
            for r in template.resources.values()
            if re.search(rf"\b({re.escape(r.logical_id)}|{re.escape(r.type)})\b", error.message)
        ),
        None,
    )
    line = template.line_of(named) if named else _line_of_unknown(error.message, template)
    where = template.file + (f":{line}" if line else "")
    return StackRefused(
        f"stack {stack}: {error.message}",
        where=where,
        hint=likely_fix(error.message) or "dataops validate finds most of these",
    )


def _line_of_unknown(message: str, template: Template) -> int | None:
    """Find the line on which a template mentions an unknown name: CloudFormation lists such names in brackets."""
    listed = re.search(r"\[([\w, ]+)\]", message)
    return template.line_of_name(listed[1].split(",")[0].strip()) if listed else None


class StackRefused(DataopsError):
    """CloudFormation would not even plan it."""


def change_set_refused(
    stack: str, change_set: ChangeSet, template: Template, causes: Sequence[Cause] = ()
) -> StackRefused:
    """Return the error of a change set that failed: early validation, a missing value, a transform."""
    if causes:
        return StackRefused(
            f"stack {stack}: CloudFormation refuses the change set: {causes_text(causes)}",
            where=causes[0].where or template.path.as_posix(),
            hint=causes[0].fix or "correct the template or the parameter and run the same command again",
        )
    reason = " ".join(change_set.reason.split()) or f"the change set ended as {change_set.status}"
    named = next((name for name in template.resources if re.search(rf"\b{re.escape(name)}\b", reason)), None)
    line = template.line_of(named) if named else _line_of_unknown(reason, template)
    where = template.file + (f":{line}" if line else "")
    return StackRefused(
        f"stack {stack}: CloudFormation refuses the change set: {reason}",
        where=where,
        hint=likely_fix(reason) or "correct the template or the parameter and run the same command again",
    )


def causes_text(causes: Sequence[Cause]) -> str:
    """List every cause, the first one first; a long list is cut and says so."""
    left = len(causes) - MOST_CAUSES
    return "; ".join([*map(str, causes[:MOST_CAUSES]), *([f"and {left} more"] if left > 0 else [])])
