"""Refuses a Python that is too old, before importing anything that it could not even parse."""

import sys

OLDEST = (3, 11)


def refuse_old_python():
    # type: () -> None
    """End with exit code 2 and the next step when this Python is too old. (Written so that any Python 3 can read it.)"""
    if sys.version_info[:2] < OLDEST:
        needed, found = _dotted(OLDEST), _dotted(sys.version_info[:2])
        sys.stderr.write(
            f"error: dataops needs Python {needed} or newer, this is {found} ({sys.executable})\n"
            f"hint: python{needed} -m venv .venv && .venv/bin/pip install -e '.[local]'\n"
        )
        raise SystemExit(2)


def _dotted(numbers):
    # type: (tuple[int, ...]) -> str
    return ".".join(str(number) for number in numbers)
