"""Runs inside a job's process: executes the script as Glue's driver does.

A plain file without imports from this repository, because the job must see only its own code. It runs the script as
``__main__``, writes the last line of an error to a file for the local cloud, and ends when the local cloud ends.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run ``argv[1]`` with the rest as its arguments; return the exit code of the process."""
    parent = int(os.environ.pop("DATAOPS_LOCAL_PARENT"))
    error_file = Path(os.environ.pop("DATAOPS_LOCAL_ERROR_FILE"))
    die_with(parent)
    # In Glue, what a script writes to stderr is logged with what it prints, and apart from the JVM's own log.
    sys.stderr = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        # For Glue, only a script that returns has succeeded; SystemExit is a failure, whatever its code.
        error_file.write_text(f"SystemExit: {end.code}", encoding="utf-8")
        return end.code if isinstance(end.code, int) and end.code != 0 else 1
    except BaseException as error:  # noqa: BLE001 - whatever ends the script is reported as Glue reports it
        traceback.print_exception(error.with_traceback(below_runner(error)))
        error_file.write_text(last_line(error), encoding="utf-8")
        return 1
    return 0


def die_with(parent: int) -> None:
    """End this process when its parent ends, so that no job keeps writing without a local cloud."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def below_runner(error: BaseException) -> TracebackType | None:
    """Return the traceback without the frames of this file and of runpy."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in (__file__, "<frozen runpy>"):
        frames = frames.tb_next
    return frames


def last_line(error: BaseException) -> str:
    """Return a failure in Glue's form: the exception's type and message, without a Java stack."""
    text = f"{type(error).__name__}: {error}"
    return "\n".join(text.splitlines()[:2])[:2000]


if __name__ == "__main__":
    sys.exit(main())
