"""cfn-lint in this process, informational rules included; its findings as ours.

Which templates, and what else is checked, is validation.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cfnlint.config import ConfigMixIn, ManualArgs
from cfnlint.runner import Runner

from deployer.errors import Location
from deployer.project.finding import Finding, Level

_LEVELS = {"error": Level.ERROR, "warning": Level.WARNING, "informational": Level.INFORMATION}


def lint(
    paths: Sequence[Path], regions: Iterable[str], shown_as: Mapping[Path, str]
) -> Mapping[Path, tuple[Finding, ...]]:
    """Return what cfn-lint finds in each template, by its path; the rules are loaded once."""
    arguments = ManualArgs(include_checks=["I"], regions=sorted(set(regions)))
    runner = Runner(ConfigMixIn(["--template", *(str(path) for path in paths)], **arguments))
    found: dict[Path, list[Finding]] = {path: [] for path in paths}
    for match in runner.run():
        path = Path(str(match.filename))
        location = Location(shown_as[path], match.linenumber, match.columnnumber)
        found[path].append(Finding.at(location, _LEVELS[match.rule.severity], match.rule.id, match.message))
    return {path: tuple(sorted(findings, key=lambda f: (f.location, f.rule))) for path, findings in found.items()}
