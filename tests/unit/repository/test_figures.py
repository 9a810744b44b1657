"""Each figure on a page stands with where it comes from: in its own paragraph, table or block, or in the one before or after it
below the same heading.

A figure is a number with a unit of time, size, cost or share, a number of requests, calls, records or rows, a ratio such as
"7.37 times" or "twice as", or a cell in a table's column whose heading has such a unit. What stands with it has to name one of:

- in code, a command that exists: a verb of `dataops`, or a script of benchmarks/ or tests/ with the options that it knows;
- a page elsewhere, by a link;
- the words "measured once, by hand", for what no command repeats.

What is no measurement needs none of these: a whole number that the code sets, for a name with its unit (`LIFETIME_SECONDS = 90`).
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from repository import ROOT

from deployer import cli

Part = list[tuple[int, str]]  # the lines of a paragraph, a table or a block, with their numbers
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
UNITS = {
    **dict.fromkeys(("s", "second", "seconds"), ("seconds", 1)),
    "ms": ("seconds", 0.001),
    **dict.fromkeys(("minute", "minutes"), ("seconds", 60)),
    **dict.fromkeys(("hour", "hours"), ("seconds", 3600)),
    **dict.fromkeys(("day", "days"), ("seconds", 86400)),
    **dict.fromkeys(("byte", "bytes"), ("bytes", 1)),
    **{f"{prefix}B": ("bytes", 1000**power) for power, prefix in enumerate("kMGT", 1)},
    **{f"{prefix}iB": ("bytes", 1024**power) for power, prefix in enumerate("KMGT", 1)},
    **{unit: (unit, 1) for unit in ("requests", "calls", "records", "rows", "USD", "%", "times")},
}
"""Units as the pages write them: what they are units of, in the word that names in the code have for it, and how many."""
UNIT = rf"(?:CPU )?(?P<unit>{'|'.join(sorted(UNITS, key=len, reverse=True))})(?![\w^])"
NUMBER = r"(?<![\w.^-])(?P<number>\d[\d,]*(?:\.\d+)?)"
FIGURE = re.compile(rf"{NUMBER} ?(?P<scale>thousand |million )?{UNIT}|\b(?:twice|\w+ times) (?:as|the|less|more)\b")
CELL = re.compile(rf"\W*{NUMBER}")
BY_HAND = "measured once, by hand"
OPERATORS = {ast.Mult: operator.mul, ast.Pow: operator.pow, ast.LShift: operator.lshift}


def sections(text: str) -> Iterator[list[Part]]:
    """The parts of each section of a page: paragraphs, tables and blocks; in a block, neither `#` nor an empty line ends one."""
    parts, is_code = list[Part]([[]]), False
    for number, line in enumerate(text.splitlines(), 1):
        is_code ^= line.lstrip().startswith("```")
        if line.startswith("#") and not is_code:
            yield parts
            parts = [[]]
        if line.strip() or is_code:
            parts[-1].append((number, line))
        elif parts[-1]:
            parts.append([])
    yield parts


def figures(part: Part) -> Iterator[tuple[int, str]]:
    """The figures of a part with their lines."""
    headings: list[str] = []
    for number, line in part:
        yield from ((number, found[0]) for found in FIGURE.finditer(line))
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []
        for heading, cell in zip(headings, cells, strict=False):
            unit, value = re.search(rf"(?<!\w){UNIT}", heading), CELL.match(cell)
            if unit and value and not FIGURE.search(cell):
                yield number, f"{value['number']} {unit['unit']}"
        headings = (headings or cells) if cells else []


@cache
def settings() -> frozenset[tuple[str, float]]:
    """What the code sets for names with a unit: ("seconds", 90) for LIFETIME_SECONDS = 90 and for minutes=1.5."""
    files = (file for folder in ("deployer", "glue", "functions") for file in (ROOT / folder).rglob("*.py"))
    return frozenset(
        (UNITS[word][0], number * UNITS[word][1])
        for file in files
        for name, value in named(ast.parse(file.read_text(encoding="utf-8")))
        if (number := evaluate(value)) is not None
        for word in name.lower().split("_")
        if word in UNITS
    )


def named(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """What the code assigns to a name or hands over by name."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.keyword(arg=str(name), value=value):
                yield name, value


def evaluate(value: ast.expr) -> float | None:
    """A number that stands in the code, also as `32 << 20`; None for anything else."""
    match value:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            one, other = evaluate(left), evaluate(right)
            return None if one is None or other is None else OPERATORS[type(op)](one, other)
    return None


def is_setting(figure: str) -> bool:
    """Whether the code sets this number for a name with this unit."""
    found = FIGURE.fullmatch(figure)
    if found is None or found["unit"] is None or "." in found["number"]:
        return False
    unit, factor = UNITS[found["unit"]]
    scale = {"thousand ": 1_000, "million ": 1_000_000}.get(found["scale"], 1)
    return (unit, int(found["number"].replace(",", "")) * scale * factor) in settings()


def code_of(text: str) -> list[str]:
    """What stands in backticks, and each line of a block."""
    blocks = re.findall(r"^ *```.*?^ *```", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text) + [line for block in blocks for line in block.splitlines()]


def is_command(code: str) -> bool:
    """Whether a piece of code names a verb of dataops, or a script of benchmarks/ or tests/ with options that it knows."""
    if verb := re.search(r"(?:^|[ /])dataops ([a-z-]+)", code):
        return verb[1] in cli.COMMANDS
    return any(
        all(option in script.read_text(encoding="utf-8") for option in re.findall(r"--[a-z][a-z-]*", code))
        for name in re.findall(r"\w[\w./-]*\.py\b", code)
        for top in ("benchmarks", "tests")
        for script in (ROOT / top).rglob(name.removeprefix(f"{top}/"))
    )


def has_origin(parts: list[Part]) -> bool:
    """Whether one of the parts says where figures come from."""
    words = "\n".join(line for part in parts for _, line in part)
    return "](http" in words or BY_HAND in words.lower() or any(map(is_command, code_of(words)))


def without_origin(text: str) -> list[tuple[int, str]]:
    """The figures of a page beside which nothing says where they come from, with their lines."""
    return [
        (number, figure)
        for parts in sections(text)
        for place, part in enumerate(parts)
        if not has_origin(parts[max(0, place - 1) : place + 2])
        for number, figure in figures(part)
        if not is_setting(figure)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_figure_stands_with_where_it_comes_from(page: Path) -> None:
    """Given a page, when its figures are read, then each stands with its command or its source."""
    name = page.relative_to(ROOT)
    found = [f"{name}:{line}: {figure}" for line, figure in without_origin(page.read_text(encoding="utf-8"))]
    assert found == [], "name the command, script or test that gives the figure, or link to its source"


@pytest.mark.parametrize(
    ("line", "figure"),
    [
        ("The load took 41.5 s.", "41.5 s"),
        ("The load took 90 seconds and 91 CPU seconds.", "91 CPU seconds"),
        ("It reads 148.0 MB", "148.0 MB"),
        ("It reads 7.37 times less.", "7.37 times"),
        ("It takes eight times the files.", "eight times the"),
        ("It saves 30 %.", "30 %"),
        ("| run | wall s |\n|---|---|\n| first | **40.4 [39.7-41.3]** |", "40.4 s"),
        ("It took 41.5 s (`python benchmarks/gone.py`).", "41.5 s"),
        ("It took 41.5 s (`python benchmarks/job.py --quickly`).", "41.5 s"),
        ("It took 41.5 s (`dataops levitate --env local`).", "41.5 s"),
        ("It took 41.5 s.\n## Next\n`dataops run --env local`", "41.5 s"),
        ("It took 41.5 s.\n\nThen it ended.\n\n`dataops run --env local`", "41.5 s"),
    ],
)
def test_a_figure_from_nowhere_is_found(line: str, figure: str) -> None:
    """Given a figure beside which nothing is named that exists, when the page is read, then the figure is named with its line."""
    page = "# Page\n`dataops run`\n## Section\n" + line
    (number,) = (at for at, each in enumerate(page.splitlines(), 1) if figure.partition(" ")[0] in each)
    assert without_origin(page) == [(number, figure)]


@pytest.mark.parametrize(
    "line",
    [
        "The load took 41.5 s (`python benchmarks/job.py --only full-load`).",
        "The load took 41.5 s (`test_benchmarks.py`).",
        "```\n$ dataops run --env local\n\n# of one run\n49 files in 41.5 s\n```",
        "As `python benchmarks/job.py` prints it:\n\n| run | wall s |\n|---|---|\n| first | 40.4 |",
        "A row has at most 32 MB ([Athena](https://docs.aws.amazon.com/athena/)).",
        "The load took 41.5 s, measured once, by hand.",
        "The lock expires after 90 seconds.",
        "Decision 0404 of 2026 has version 1.5.",
    ],
)
def test_a_figure_with_an_origin_is_none_from_nowhere(line: str) -> None:
    """Given a figure with a command, a source, a word of how it was measured, or a setting, then nothing is missing."""
    assert without_origin(f"# Page\n{line}") == []
