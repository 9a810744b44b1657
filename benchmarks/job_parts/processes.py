"""Run one program and measure it with everything that it starts: wall time, CPU seconds and peak memory.

Linux only: orphans (the JVM that PySpark leaves behind) are adopted so that their CPU time is counted to the last tick.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_SAMPLE_SECONDS = 0.2
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class RunFailed(Exception):
    """The program ended with an error; the message has the end of its output."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """One run; `facts` is the JSON object on the last line of its standard output."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    """The greatest sum of resident memory over the tree, sampled five times a second; shared pages count twice."""
    facts: Mapping[str, Any]


def measure(command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Measured:
    """Run the command to its end; raises RunFailed. Only one at a time: all children of this process are counted."""
    _adopt_orphans()
    before = time.monotonic()
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, stderr=errors)
    peak = _Peak(process.pid)
    peak.start()
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall_seconds = time.monotonic() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    peak.stop()
    orphans = _cpu_seconds_of_orphans()
    cpu_seconds = usage.ru_utime + usage.ru_stime + sum(orphans.values()) + peak.cpu_seconds_nobody_counts(orphans)
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise RunFailed(f"{' '.join(command)} ended with {process.returncode}; see {log}:\n{tail}")
    facts = json.loads(output.splitlines()[-1]) if output.strip() else {}
    return Measured(wall_seconds, cpu_seconds, peak.bytes, facts)


def _adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def _cpu_seconds_of_orphans() -> dict[int, float]:
    """Wait for every process that the program left behind; pid -> its CPU time."""
    seconds: dict[int, float] = {}
    while True:
        try:
            pid, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return seconds
        seconds[pid] = usage.ru_utime + usage.ru_stime


class _Peak(threading.Thread):
    """Samples the resident memory of a process and its descendants, and the CPU time of those that nobody waits for.

    The parent of Spark's Python workers ignores SIGCHLD: Linux then adds the time of a worker that ends to nobody's.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = pid
        self._ended = threading.Event()
        self._unwaited: dict[int, float] = {}
        self.bytes = 0

    def run(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            pids = descendants(self._root)
            self.bytes = max(self.bytes, resident_bytes(pids))
            for pid in pids:
                if _ignores_ended_children(pid):
                    self._unwaited.update((child, _cpu_seconds(child)) for child in _children(pid))

    def cpu_seconds_nobody_counts(self, waited_for: Collection[int]) -> float:
        """CPU time, to the last sample, of processes that ended unwaited for."""
        return sum(seconds for pid, seconds in self._unwaited.items() if pid not in waited_for)

    def stop(self) -> None:
        self._ended.set()
        self.join()


def descendants(root: int) -> list[int]:
    """The process and everything below it that is alive now."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        return [
            int(child) for each in threads for child in Path(f"/proc/{pid}/task/{each}/children").read_text().split()
        ]
    except OSError:
        return []


def _ignores_ended_children(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    ignored = re.search(r"^SigIgn:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return ignored is not None and bool(int(ignored[1], 16) >> (signal.SIGCHLD - 1) & 1)


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pids: Sequence[int]) -> int:
    """Resident memory of the processes together; a child that still shares its parent's memory (vfork) counts once."""
    sizes: set[tuple[str, str]] = set()
    for pid in pids:
        try:
            virtual, resident, *_ = Path(f"/proc/{pid}/statm").read_text().split()
        except (OSError, ValueError):
            continue
        sizes.add((virtual, resident))
    return sum(int(resident) for _, resident in sizes) * _PAGE_BYTES


def cpu_seconds_by_thread(pids: Sequence[int]) -> dict[str, float]:
    """CPU time of the living threads, by the first word of their names, and of the children that have ended."""
    ticks: Counter[str] = Counter()
    for pid in pids:
        try:
            ticks["(ended children)"] += sum(int(each) for each in _stat_fields(Path(f"/proc/{pid}/stat"))[1][13:15])
            threads = list(Path(f"/proc/{pid}/task").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue
        for thread in threads:
            try:
                name, fields = _stat_fields(thread / "stat")
            except (FileNotFoundError, ProcessLookupError):
                continue
            ticks[re.split(r"[ #\-0-9]", name)[0] or "?"] += int(fields[11]) + int(fields[12])
    per_second = os.sysconf("SC_CLK_TCK")
    return {name: round(count / per_second, 1) for name, count in ticks.most_common() if count >= per_second / 10}


def _stat_fields(path: Path) -> tuple[str, list[str]]:
    """The name of a process or thread and the fields behind it."""
    before, _, after = path.read_text().rpartition(")")
    return before.partition("(")[2], after.split()


def io_bytes(pids: Sequence[int]) -> tuple[int, int]:
    """Bytes that the processes have passed through read and write calls so far, cached or not; mapped files do not count."""
    totals = [0, 0]
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = dict(line.split(": ") for line in lines)
        totals[0] += int(fields["rchar"])
        totals[1] += int(fields["wchar"])
    return totals[0], totals[1]
