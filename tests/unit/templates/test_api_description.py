"""The page of route 3 shows the API's own description: the template's OpenAPI document without what only API Gateway reads."""

from __future__ import annotations

import re
from typing import Any

import yaml
from refunds_lake.schema.contract import RULES
from template_model import ROOT, TEMPLATES

PAGE = (ROOT / "docs" / "ingestion" / "api.md").read_text(encoding="utf-8")


def described(node: Any) -> Any:
    """The document as callers and tools need it."""
    if isinstance(node, dict):
        return {name: described(item) for name, item in node.items() if not str(name).startswith("x-amazon-")}
    return [described(item) for item in node] if isinstance(node, list) else node


def test_the_page_shows_the_templates_own_description() -> None:
    """Given the page, when its OpenAPI document is read, then it is the template's."""
    (shown,) = re.findall(r"```yaml\n(openapi:.*?)```", PAGE, re.DOTALL)
    assert yaml.safe_load(shown) == described(TEMPLATES["api"].document["Resources"]["Api"]["Properties"]["Body"])


def test_the_page_explains_every_reason() -> None:
    """Given the contract's reasons, then the page has each."""
    assert not {rule.reason for rule in RULES} - set(re.findall(r"`([a-z_0-9]+)`", PAGE))
