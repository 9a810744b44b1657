"""One mood in docstrings: a function's begins with what it does, as in "Return the live tables"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from repository import ROOT

FOLDERS = ("deployer", "functions", "glue")
PROPERTIES = {"property", "cached_property"}
# How a docstring begins that names a thing, asks a question, or tells what the function does to somebody else.
NO_VERBS = re.compile(
    r"(The|A|An|All|Any|Both|Each|Every|Everything|Nothing|One|Some|Something|Those|These|This|That|It|Its|They|There"
    r"|What|Whatever|Whether|When|Where|Which|Who|Whose|Why|How|As|At|Before|After|By|For|From|In|Of|On|Only|With|Without"
    r"|\w+[^su]s)\b"
)
SOUND_ALIKE = {"Pass", "Process", "Press", "Compress", "Address", "Express"}


def functions() -> Iterator[tuple[str, str]]:
    """Where a function with a docstring is, and the docstring; a property is named like the value that it is."""
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_property(node):
                continue
            if text := ast.get_docstring(node):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = (ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list)
    return any(name in PROPERTIES for name in names)


def begins_with_a_verb(docstring: str) -> bool:
    first = re.match(r"[A-Z][a-z]+\b", docstring)
    return first is not None and (first[0] in SOUND_ALIKE or NO_VERBS.match(docstring) is None)


def test_docstrings_of_functions_are_in_the_imperative() -> None:
    """Given every function of the program, when its docstring is read, then it begins with what the function does."""
    found = list(functions())
    assert len(found) > 1000
    wrong = [f"{place}: {text.splitlines()[0]}" for place, text in found if not begins_with_a_verb(text)]
    assert not wrong, "begin with a verb, as in 'Return the live tables.':\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("docstring", "is_right"),
    [
        ("Return the live tables.", True),
        ("Compress a body.", True),
        ("Returns the live tables.", False),
        ("The live tables.", False),
        ("Whether it is live.", False),
        ("``--yes``: for runs without a terminal.", False),
    ],
)
def test_other_moods_would_be_found(docstring: str, is_right: bool) -> None:
    """Given a docstring in some mood, when its first word is looked at, then only the imperative passes."""
    assert begins_with_a_verb(docstring) is is_right
