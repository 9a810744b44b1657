"""stdout and stderr that are closed, full, without a reader or too narrow: one line at worst, and the result where it can be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

PROGRAM = """
import sys
from types import ModuleType

import click

from deployer import cli, start


@click.command()
@click.option("--follow", is_flag=True)
@click.pass_obj
def probe(app, follow):
    app.say("working")
    for number in range(100_000 if follow else 0):
        print(f"line {number}")
    app.emit({"customer": "Ame\\u0301lie"}, "Ame\\u0301lie")
    return 3


module = ModuleType("deployer_probe")
module.__dict__.update(probe=probe)
sys.modules["deployer_probe"] = module
cli.COMMANDS["probe"] = ("deployer_probe", "probe", "Probe.")
sys.argv[0] = "dataops"
start.main()
"""
NO_SPACE = [
    "error: cannot write to stdout: No space left on device",
    "hint: check where the output goes, then run the same command again",
]
CLOSED = ["error: cannot write to stdout: Bad file descriptor", NO_SPACE[1]]
NARROW = [
    r"error: stdout is iso8859-1, which lacks '\u0301'",
    "hint: PYTHONIOENCODING=utf-8 in the environment, or write to a file",
]


def shell(line: str, **environment: str) -> tuple[int, str, list[str]]:
    """Exit code, stdout and the lines of stderr of a shell's line, where `dataops` is the program with `probe`."""
    script = f'dataops() {{ "{sys.executable}" -c "$PROGRAM" "$@"; }}\n{line}'
    variables = {**os.environ, "PYTHONIOENCODING": "utf-8", "PROGRAM": PROGRAM, **environment}
    run = subprocess.run(["bash", "-c", script], cwd=ROOT, env=variables, capture_output=True, check=False)
    return run.returncode, run.stdout.decode(), run.stderr.decode().splitlines()


@pytest.mark.parametrize("words", ["--help", "--version", "plan --help", "local status", "local status --output json"])
def test_a_full_stdout_ends_in_one_line(words: str) -> None:
    """Given a disk that is full, when a result goes there, then one line says so, one what to do, and the run has failed."""
    assert shell(f"dataops {words} > /dev/full") == (1, "", NO_SPACE)


def test_a_closed_stdout_is_no_place_for_a_result() -> None:
    """Given a closed stdout, when a command has a result, then it fails in one line; what it says before is heard."""
    assert shell("dataops probe >&-") == (1, "", ["working", *CLOSED])
    assert shell("dataops probe --output json > /dev/full") == (1, "", ["working", *NO_SPACE])


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full", "2>&- <&-"])
def test_a_stderr_that_takes_nothing_does_not_matter(redirection: str) -> None:
    """Given a closed or full stderr, when a command runs, then its result and its exit code are what they would be."""
    assert shell(f"dataops probe {redirection}") == (3, "Ame\u0301lie\n", [])
    assert shell(f"dataops plan --nonsense {redirection}") == (2, "", [])


def test_what_is_closed_is_not_written_into_a_file(tmp_path: Path) -> None:
    """Given a closed stderr, when a file is written, then nothing that is said gets into it."""
    folder = tmp_path / "sample"
    code, _, _ = shell(f"dataops sample --out {folder} --transactions 10 --months 1 -v 2>&-")
    assert code == 0
    assert all(b"next:" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_nothing_can_be_said_at_all() -> None:
    """Given neither stdout nor stderr, when a command runs, then the exit code says that the result is lost."""
    assert shell("dataops probe > /dev/full 2>&-") == (1, "", [])
    assert shell("dataops probe >&- 2>&-") == (1, "", [])


def test_a_narrow_stdout_is_named() -> None:
    """Given an encoding without a letter of the result, when it is printed, then one line names both; JSON needs no letter."""
    assert shell("dataops probe", PYTHONIOENCODING="latin-1") == (1, "", ["working", *NARROW])
    code, out, _ = shell("dataops probe --output json", PYTHONIOENCODING="latin-1")
    assert (code, r"Ame\u0301lie" in out) == (3, True)


@pytest.mark.parametrize("words", ["probe", "probe --follow", "--help"])
def test_a_reader_that_goes_away_changes_nothing(words: str) -> None:
    """Given `dataops ... | head`, when head ends, then the command goes on to its own end and says nothing about it."""
    code, _, said = shell(f"dataops {words} | head -c 1 > /dev/null; exit ${{PIPESTATUS[0]}}")
    assert (code, said) == ((3, ["working"]) if "probe" in words else (0, []))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("dataops sample --out /proc/sample", "error: /proc/sample: No such file or directory"),
        ("dataops sample --out /dev/null/sample", "error: /dev/null/sample: Not a directory"),
        ("dataops validate --junit /proc/lint.xml", "error: /proc/lint.xml: No such file or directory"),
        ("ulimit -f 4; dataops sample --transactions 5000 --out {tmp}/sample", "error: {tmp}/sample: File too large"),
        ("ulimit -f 0; dataops validate --junit {tmp}/lint.xml", "error: {tmp}/lint.xml: File too large"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(line: str, error: str, tmp_path: Path) -> None:
    """Given a place that takes no file, when a command writes there, then one line names it, one says what next; no rest."""
    code, out, said = shell(line.format(tmp=tmp_path))
    assert (code, out, said[-2:-1]) == (1, "", [error.format(tmp=tmp_path)])
    assert said[-1].startswith("hint: ")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# Ctrl-C before anything was done.

SLOW_IMPORT = """
import signal, sys, time

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored

class Slow:
    def find_spec(name, *_):
        if name == "click":
            print("importing", flush=True)
            time.sleep(30)

sys.meta_path.insert(0, Slow)
from deployer import start
start.main()
"""


def test_ctrl_c_while_dataops_is_imported_ends_with_one_line() -> None:
    """Given a dataops that is still being imported, when Ctrl-C comes, then it ends as it does later: one line, 130."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_IMPORT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert (process.returncode, error) == (130, "interrupted\n")


def test_the_console_script_is_the_guarded_one() -> None:
    """Given an installation, when its script `dataops` is looked up, then it starts where Ctrl-C is already caught."""
    assert "dataops = deployer.start:main" in (ROOT / "setup.cfg").read_text(encoding="utf-8")
