"""The linters of templates find nothing that is not explained here or in the template."""

import subprocess
import sys
from pathlib import Path

import cloudformation_validate
import pytest
from template_model import ROOT, TEMPLATES, all_resources

TEMPLATE_FILES = sorted((ROOT / "templates").rglob("*.yaml"))

# Rules of cloudformation-validate that tell rather than warn, and what we answer.
EXPLAINED = {
    "I9001": "Lists every create-only property in use, whatever its value; the data guard of `dataops plan` acts on it.",
    "I9040": "Tags come from the stack: dataops gives every stack the environment's tags, CloudFormation hands them on.",
    "I4010": "Why a resource is as it is stands in comments beside the lines and in docs/decisions.",
}

# What it takes for a fault that is none: (rule, end of its message) and why.
MISTAKEN = {
    ("W1030", "'PermissionsBoundary'"): "It puts the default in where HasPermissionsBoundary says that there is none.",
}


def test_cfn_lint_finds_nothing_not_even_informational() -> None:
    """Given all templates, when cfn-lint reads them with informational rules, then it finds nothing."""
    cfn_lint = Path(sys.executable).parent / "cfn-lint"
    options = ["-c", "I", "--regions", "ap-southeast-2", "--"]
    run = subprocess.run([cfn_lint, *options, *TEMPLATE_FILES], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture(scope="module")
def validator() -> cloudformation_validate.Engine:
    """Making the engine costs more than all its runs."""
    return cloudformation_validate.CelEngine()


@pytest.mark.parametrize("path", TEMPLATE_FILES, ids=lambda path: path.stem)
def test_cloudformation_validate_finds_nothing_unexplained(
    path: Path, validator: cloudformation_validate.Engine
) -> None:
    """Given a template, when AWS's validator reads it, then every finding is one that we answer."""
    findings = validator.validate_template(str(path)).diagnostics
    unexplained = [
        f"{f.start_line}: {f.rule_id} {f.message}"
        for f in findings
        if f.rule_id not in EXPLAINED and (f.rule_id, f.message.split()[-1]) not in MISTAKEN
    ]
    assert not unexplained


def test_every_suppression_carries_its_reason() -> None:
    """Given the suppressions in the templates, then each names a rule and says why."""
    for resource in all_resources():
        metadata = resource.body.get("Metadata", {})
        assert set(metadata) <= {"checkov"}, f"{resource}: {set(metadata)}"
        for skip in metadata.get("checkov", {}).get("skip", []):
            assert skip["id"] and len(skip["comment"]) > 20, f"{resource}: {skip}"
    assert all("cfn-lint" not in template.body for template in TEMPLATES.values())
