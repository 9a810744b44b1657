"""For every test: plain `pytest` runs on three processes; the deployer's AWS calls and its commands are recorded and checked.

`pytest` alone runs the whole suite, files side by side; `pytest FILE` stays in one process, for debuggers. `--nightly`
adds the tests that take long.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import call_record
import command_record
import pytest
from call_check import complaints
from call_record import FOLDER, VARIABLE
from commands_in_pages import commands, never_run
from hypothesis import settings
from nightly import VARIABLE as NIGHTLY
from nightly import examples

PROCESSES = 3
"""One more than CI has cores: tests of the local cloud also wait for schedules, starts and retries."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --nightly."""
    parser.addoption("--nightly", action="store_true", help="run the tests marked nightly too, and properties for long")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Divide the whole suite among processes, unless the command line says how: a file's fixtures are made once."""
    option = config.option
    is_divided = hasattr(config, "workerinput") or getattr(option, "numprocesses", "none") is not None
    if is_whole_suite(config) and not is_divided and not option.usepdb:
        option.numprocesses, option.dist, option.loadscopereorder = PROCESSES, "loadfile", False


def pytest_configure(config: pytest.Config) -> None:
    """Name the folder of calls and commands and watch for them; programs that tests start, and workers, inherit both."""
    config.addinivalue_line("markers", "nightly: takes long; runs with --nightly")
    if VARIABLE not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="dataops-calls-")
        os.environ[VARIABLE] = folder.name
        config.add_cleanup(lambda: os.environ.pop(VARIABLE))
        config.add_cleanup(folder.cleanup)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")]))
    call_record.install()
    command_record.install()
    if config.option.nightly:
        os.environ[NIGHTLY] = "1"
    # Machines are noisy: what a property says does not depend on how long an example takes.
    settings.register_profile("untimed", deadline=None, max_examples=examples(settings.default.max_examples))
    settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for the night."""
    for item in items:
        if item.get_closest_marker("nightly") and not config.option.nightly:
            item.add_marker(pytest.mark.skip(reason="takes long: pytest --nightly"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hold the calls that were made against the lists that the policies are written from, and commands against the pages.

    Each command of a page is carried out by the suite without --nightly, too.
    """
    if not hasattr(session.config, "workerinput"):
        folder = Path(os.environ[VARIABLE])
        is_everything = is_whole_suite(session.config) and not session.testsfailed
        found = complaints(call_record.read(folder), is_everything)
        found += never_run(commands(), command_record.read(folder)) if is_everything else []
        session.config.stash[COMPLAINTS] = found
        if found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is wrong with the calls and the commands."""
    for complaint in terminalreporter.config.stash.get(COMPLAINTS, []):
        terminalreporter.write_line(f"FAILED {complaint}", red=True)


COMPLAINTS = pytest.StashKey[list[str]]()


def is_whole_suite(config: pytest.Config) -> bool:
    """Whether plain `pytest` was started: no paths, no filter."""
    option = config.option
    is_filtered = option.keyword or option.markexpr or getattr(option, "lf", False) or option.deselect
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not is_filtered and not option.collectonly
