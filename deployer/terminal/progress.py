"""Three ways to show the events of a deployment (events.py): live terminal, plain lines, ndjson.
Everything for people goes to stderr; ndjson is a result and goes to stdout.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TextIO

from deployer.deploying.events import Doing, Event, Progress, ResourceMoved, Said, StackEnded, StackStarted
from deployer.printable import printable, printable_lines
from deployer.terminal.app import App

VERSION = 1
JOB = "job"  # the name of what runs where no stack does


class Lines(Progress):
    """One plain line per event: CI logs and files."""

    def __init__(self, say: Callable[[str], None], *, verbose: bool = False) -> None:
        self._say, self.wants_resources = say, verbose

    def __call__(self, event: Event) -> None:
        if text := line_of(event):
            self._say(text)

    def close(self) -> None:
        pass


def line_of(event: Event) -> str:
    match event:
        case Said(text):
            return text
        case Doing(text, seconds):
            return f"{text}, {seconds:.0f} s" if text else ""
        case StackStarted(stack, what):
            return f"  {stack:<16} {what} ..."
        case ResourceMoved(stack, logical_id, type_, status, reason):
            return f"  {stack:<16}   {status.lower():<20} {logical_id} ({type_}){': ' + reason if reason else ''}"
        case StackEnded(stack, outcome, seconds, detail):
            took = f" in {seconds:.1f} s" if seconds >= 0.05 else ""
            return f"  {stack:<16} {outcome}{took}{': ' + detail if detail else ''}"


class LiveTerminal(Progress):
    """A terminal: finished stacks scroll up, running ones are redrawn below with their last resource and their time."""

    wants_resources = True

    def __init__(
        self,
        out: TextIO = sys.stderr,
        *,
        interval_seconds: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._out, self._interval, self._clock, self._columns = out, interval_seconds, clock, columns
        self._running: dict[str, tuple[float, str]] = {}
        self._drawn, self._guard, self._ended = 0, threading.Lock(), threading.Event()
        self._painter = threading.Thread(target=self._paint_on, name="progress", daemon=True)
        self._painter.start()

    def __call__(self, event: Event) -> None:
        with self._guard:
            match event:
                case StackStarted(stack, what):
                    self._running[stack] = (self._clock(), what)
                case ResourceMoved(stack, logical_id, _, status, _) if stack in self._running:
                    self._running[stack] = (self._running[stack][0], f"{status.lower()} {logical_id}")
                case ResourceMoved():
                    return
                case StackEnded(stack):
                    self._running.pop(stack, None)
                    self._print(line_of(event))
                    return
                case Doing(text, seconds) if text:
                    self._running[JOB] = (self._clock() - seconds, text)
                case Doing():
                    self._running.pop(JOB, None)
                case Said(text):
                    self._print(text)
                    return
            self._paint()

    def close(self) -> None:
        self._ended.set()
        self._painter.join(timeout=2)
        with self._guard:
            self._wipe()
            self._out.flush()

    def _paint_on(self) -> None:
        while not self._ended.wait(self._interval):
            with self._guard:
                if self._running:
                    self._paint()

    def _print(self, text: str) -> None:
        self._wipe()
        self._out.write(printable_lines(text) + "\n")
        self._paint()

    def _wipe(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F\x1b[J")
        self._drawn = 0

    def _paint(self) -> None:
        self._wipe()
        width = self._columns() - 1  # a line that wraps would be two to go back over
        for stack, (since, what) in self._running.items():
            line = f"  {stack:<16} {self._clock() - since:5.1f} s  {what}"
            self._out.write(printable(line)[:width] + "\n")
        self._drawn = len(self._running)
        self._out.flush()


class NdJson(Progress):
    """One JSON object per line on stdout."""

    wants_resources = True

    def __init__(self, out: TextIO) -> None:
        self._out, self._guard = out, threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._guard:
            self._out.write(json.dumps({"version": VERSION, "event": type(event).__name__, **asdict(event)}) + "\n")
            self._out.flush()

    def close(self) -> None:
        pass


def progress_of(app: App, *, ndjson: bool = False) -> Progress:
    """Return the progress display: live on a terminal, plain lines elsewhere, ndjson on stdout if requested."""
    if ndjson:
        return NdJson(sys.stdout)
    return LiveTerminal() if sys.stderr.isatty() and not app.verbose else Lines(app.say, verbose=bool(app.verbose))
