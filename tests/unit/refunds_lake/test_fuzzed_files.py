"""Files that were damaged in any way: named or read, never the end of a run, and within bounds of time and memory."""

from __future__ import annotations

import ast
import subprocess
import sys
from random import SystemRandom

from nightly import examples
from repository import ROOT

PROGRAM = ROOT / "tests" / "support" / "fuzzed_files.py"
PATH = [str(ROOT / folder) for folder in ("tests/support", "glue")]


def test_a_damaged_file_never_stops_the_others() -> None:
    """Given files with flipped bits, cuts, foreign footers and bombs, when each is read between two sound ones, then no harm is done.

    The seed is another one each time and stands in the output: `python tests/support/fuzzed_files.py SEED 1` is that file.
    """
    seed = SystemRandom().randrange(1 << 40)
    call = [sys.executable, str(PROGRAM), str(seed), str(examples(120))]
    done = subprocess.run(call, env={"PYTHONPATH": ":".join(PATH)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout[-300:]}\n{done.stderr[-3000:]}"
    counts = ast.literal_eval(done.stdout.splitlines()[-1])
    assert sum(counts.values()) == examples(120)
    assert set(counts) == {"read", "not read"}, counts
