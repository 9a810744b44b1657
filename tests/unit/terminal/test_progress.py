"""What a run shows while it goes: a terminal that redraws, plain lines for CI, one JSON object per event for programs."""

from __future__ import annotations

import io
import json
import re

from deployer.deploying.events import Doing, Event, ResourceMoved, Said, StackEnded, StackStarted
from deployer.terminal.progress import Lines, LiveTerminal, NdJson

EVENTS: tuple[tuple[float, Event], ...] = (
    (0.0, Said("uploaded 2 artifacts, 10 bytes")),
    (0.0, StackStarted("storage", "create")),
    (1.5, ResourceMoved("storage", "RawBucket", "AWS::S3::Bucket", "CREATE_IN_PROGRESS", "")),
    (2.0, StackStarted("catalog", "update")),
    (2.5, ResourceMoved("gone", "X", "AWS::S3::Bucket", "CREATE_COMPLETE", "")),
    (3.0, StackEnded("storage", "done", 3.0)),
    (4.0, StackEnded("catalog", "failed", 2.0, "stack catalog ended as UPDATE_ROLLBACK_COMPLETE: no")),
)


class Screen(io.StringIO):
    """A terminal that knows the two movements that are used; `lines` is what a person sees."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = [""]

    def write(self, text: str) -> int:
        for part in re.findall(r"\x1b\[\d*[A-Z]|\n|[^\x1b\n]+", text):
            if part == "\n":
                self.lines.append("")
            elif found := re.fullmatch(r"\x1b\[(\d+)F", part):
                self._above = int(found[1])
            elif part == "\x1b[J":
                self.lines = [*self.lines[: len(self.lines) - 1 - self._above], ""]
            else:
                assert not part.startswith("\x1b"), f"an unknown movement: {part!r}"
                self.lines[-1] += part
        return len(text)


def shown(columns: int) -> list[str]:
    """The screen after each event, and after the end."""
    screen, now = Screen(), 0.0
    live = LiveTerminal(screen, interval_seconds=3600, clock=lambda: now, columns=lambda: columns)
    screens = []
    for when, event in EVENTS:
        now = when
        live(event)
        screens.append("\n".join(screen.lines))
    live.close()
    return [*screens, "\n".join(screen.lines)]


def test_a_terminal_shows_what_runs_below_what_is_done() -> None:
    """Given stacks that start, move and end, then running ones stand below with their time, and ended ones scroll up."""
    screens = shown(80)
    assert screens[2] == "uploaded 2 artifacts, 10 bytes\n  storage            1.5 s  create_in_progress RawBucket\n"
    assert screens[3] == (
        "uploaded 2 artifacts, 10 bytes\n"
        "  storage            2.0 s  create_in_progress RawBucket\n"
        "  catalog            0.0 s  update\n"
    )
    assert screens[4] == screens[3]  # a stack that does not run any more
    assert screens[5] == (
        "uploaded 2 artifacts, 10 bytes\n  storage          done in 3.0 s\n  catalog            1.0 s  update\n"
    )
    assert screens[-1] == (
        "uploaded 2 artifacts, 10 bytes\n"
        "  storage          done in 3.0 s\n"
        "  catalog          failed in 2.0 s: stack catalog ended as UPDATE_ROLLBACK_COMPLETE: no\n"
    )


def test_a_narrow_terminal_is_never_wrapped() -> None:
    """Given a terminal of 40 columns, then no line that is redrawn reaches its edge: it would become two."""
    redrawn = [line for screen in shown(40) for line in screen.splitlines() if re.search(r"\d s  ", line)]
    assert redrawn
    assert max(map(len, redrawn)) == 39


def test_plain_lines_are_one_per_event() -> None:
    """Given no terminal, then each event is a line, and resources are told only when asked for."""
    lines: list[str] = []
    for _, event in EVENTS:
        Lines(lines.append)(event)
    assert lines == [
        "uploaded 2 artifacts, 10 bytes",
        "  storage          create ...",
        "  storage            create_in_progress   RawBucket (AWS::S3::Bucket)",
        "  catalog          update ...",
        "  gone               create_complete      X (AWS::S3::Bucket)",
        "  storage          done in 3.0 s",
        "  catalog          failed in 2.0 s: stack catalog ended as UPDATE_ROLLBACK_COMPLETE: no",
    ]
    assert not Lines(lines.append).wants_resources
    assert Lines(lines.append, verbose=True).wants_resources


def test_programs_get_one_object_per_event() -> None:
    """Given a program, then each line is one JSON object with its version and the event's name."""
    out = io.StringIO()
    for _, event in EVENTS:
        NdJson(out)(event)
    first, *_, last = (json.loads(line) for line in out.getvalue().splitlines())
    assert first == {"version": 1, "event": "Said", "text": "uploaded 2 artifacts, 10 bytes"}
    assert (last["event"], last["stack"], last["outcome"], last["seconds"]) == ("StackEnded", "catalog", "failed", 2.0)


def test_a_job_is_one_line_that_refreshes_on_a_terminal() -> None:
    """Given a job that tells what it does, then a terminal has one line of it with its time, and none when it is over."""
    time, out = [0.0], io.StringIO()
    live = LiveTerminal(out, interval_seconds=60, clock=lambda: time[0], columns=lambda: 80)
    for seconds, text in ((10.0, "49 objects to read"), (12.5, "writing purchase (24 months)"), (13.0, "")):
        time[0] = seconds
        live(Doing(text, seconds))
    live(Said("job run SUCCEEDED after 13 s"))
    live.close()
    assert out.getvalue() == (
        "  job               10.0 s  49 objects to read\n"
        "\x1b[1F\x1b[J  job               12.5 s  writing purchase (24 months)\n"
        "\x1b[1F\x1b[Jjob run SUCCEEDED after 13 s\n"
    )


def test_a_job_is_a_line_for_each_step_elsewhere() -> None:
    """Given no terminal, then each step is a line with the time that went by, and the end of it none."""
    lines: list[str] = []
    for event in (Doing("49 objects to read", 10.0), Doing("", 13.0)):
        Lines(lines.append)(event)
    assert lines == ["49 objects to read, 10 s"]
