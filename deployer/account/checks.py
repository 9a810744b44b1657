"""A finding about an account, and how a question becomes findings: a question that may not be asked is a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from deployer.aws.translation import explain


class Level(StrEnum):
    """What a finding means for a deployment."""

    OK = "ok"
    WARNING = "warning"
    BLOCKER = "blocker"


@dataclass(frozen=True)
class AccountCheck:
    """One thing that was checked in an account."""

    subject: str  #: what was checked
    level: Level  #: what it means for the deployment
    finding: str  #: what was found
    advice: str = ""  #: what to do; empty when nothing is to be done

    @property
    def is_blocker(self) -> bool:
        return self.level is Level.BLOCKER

    def __str__(self) -> str:
        return f"{self.subject}: {self.finding}"

    def lines(self) -> Iterator[str]:
        """Yield the finding as text, with the advice below it."""
        yield f"{self.level.value:8} {self}"
        if self.advice:
            yield f"{'':8} {self.advice}"


def ok(subject: str, finding: str) -> AccountCheck:
    return AccountCheck(subject, Level.OK, finding)


def warning(subject: str, finding: str, advice: str) -> AccountCheck:
    return AccountCheck(subject, Level.WARNING, finding, advice)


def blocker(subject: str, finding: str, advice: str) -> AccountCheck:
    return AccountCheck(subject, Level.BLOCKER, finding, advice)


def asked(subject: str, question: Callable[[], Iterable[AccountCheck]]) -> list[AccountCheck]:
    """Return the findings of a question; a warning if AWS does not answer it."""
    found: list[AccountCheck] = []
    try:
        found.extend(question())
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        advice = explained.hint or "ask someone with the permission to read it"
        found.append(warning(subject, f"could not be checked: {explained.message}", advice))
    return found
