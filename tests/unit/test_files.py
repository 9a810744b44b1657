"""What is written to a file that the operator names: whole or not at all, and into what is there."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from deployer.files import write_file


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """Given a file, when it is written again, then it has the new text and its old rights, and nothing lies beside it."""
    file = tmp_path / "refunds.csv"
    file.write_text("old")
    file.chmod(0o600)
    write_file(file, "new\n")
    assert file.read_text() == "new\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_is_followed(tmp_path: Path) -> None:
    """Given a link to a file elsewhere, when it is written to, then the file has the text, and the link is still one."""
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "refunds.csv", tmp_path / "link.csv"
    file.write_text("old")
    link.symlink_to(file)
    write_file(link, "new\n")
    assert (link.is_symlink(), file.read_text()) == (True, "new\n")
    assert list((tmp_path / "there").iterdir()) == [file]


def test_a_link_to_nothing_yet_makes_the_file(tmp_path: Path) -> None:
    """Given a link whose file is not there, when it is written to, then the file is made where the link points."""
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "refunds.csv")
    write_file(link, "new\n")
    assert (link.is_symlink(), (tmp_path / "refunds.csv").read_text()) == (True, "new\n")


def test_a_second_name_of_the_file_is_not_cut_off(tmp_path: Path) -> None:
    """Given a file with two names, when one of them is written to, then the other has the text as well."""
    file, other = tmp_path / "refunds.csv", tmp_path / "same.csv"
    file.write_text("a longer old text")
    os.link(file, other)
    write_file(file, "new\n")
    assert other.read_text() == "new\n"
    assert file.samefile(other)


def test_a_pipe_gets_the_text(tmp_path: Path) -> None:
    """Given a named pipe with a reader, when it is written to, then the reader has the text, and the pipe is still one."""
    pipe, got = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write_file(pipe, "new\n")
    reader.join(timeout=5)
    assert (got, pipe.is_fifo()) == (["new\n"], True)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/stdout"])
def test_a_device_is_written_to_and_stays_one(device: str) -> None:
    """Given a device, when it is written to, then it is the same device afterwards."""
    before = os.stat(device, follow_symlinks=False)
    write_file(Path(device), "")
    after = os.stat(device, follow_symlinks=False)
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_device_is_an_error_that_names_it() -> None:
    """Given a device that takes nothing, when it is written to, then the error names it, and it is still a device."""
    with pytest.raises(OSError, match="No space left") as caught:
        write_file(Path("/dev/full"), "new\n")
    assert caught.value.filename == "/dev/full"
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_file_that_may_not_be_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a file without the right to write, when it is written to, then the error names it, and its text is the old one."""
    file = tmp_path / "refunds.csv"
    file.write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(PermissionError) as caught:
        write_file(file, "new\n")
    assert (caught.value.filename, file.read_text()) == (str(file), "old")
