"""The sample: the same bytes each time, exactly as many transactions as asked for, and an answer that is right."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sql_harness import answer

from deployer.errors import Refused, UsageError
from deployer.lake.delivery.files import checked_files
from deployer.lake.sample.sample_files import answer_path, write_sample
from deployer.lake.sample.transactions import DEFAULT_END, Calendar, Sample, Sent


def made(
    folder: Path, *, transactions: int = 3000, months: int = 24, seed: int = 7, end: str = DEFAULT_END
) -> dict[str, object]:
    return write_sample(Sample(transactions=transactions, months=months, seed=seed, end=end), folder)


def digest(folder: Path) -> str:
    content = b"".join(path.name.encode() + path.read_bytes() for path in sorted(folder.iterdir()))
    return hashlib.sha256(content + answer_path(folder).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("transactions", "months", "seed"), [(3000, 24, 7), (500, 1, 1), (2000, 13, 2), (1, 3, 3), (7, 2, 4)]
)
def test_the_answer_is_that_of_the_raw_files(tmp_path: Path, transactions: int, months: int, seed: int) -> None:
    """Given a sample, when plain Python works the answer out from its raw files, then it is the one beside them."""
    folder = tmp_path / "sample"
    claimed = made(folder, transactions=transactions, months=months, seed=seed)
    found = answer(sorted(folder.iterdir()))
    assert {name: claimed[name] for name in found} == found
    assert found["counts"]["kept"] == transactions


def test_the_same_options_make_the_same_bytes(tmp_path: Path) -> None:
    """Given two samples with the same options, when their bytes are compared, then they are equal; with others not."""
    made(tmp_path / "one" / "sample")
    made(tmp_path / "two" / "sample")
    made(tmp_path / "one" / "other", seed=8)
    assert digest(tmp_path / "one" / "sample") == digest(tmp_path / "two" / "sample")
    assert digest(tmp_path / "one" / "sample") != digest(tmp_path / "one" / "other")


def test_everything_that_senders_do_is_in_it(tmp_path: Path) -> None:
    """Given a sample of a usual size, when its answer is read, then nothing that the rules are about is missing."""
    claimed = json.loads(json.dumps(made(tmp_path / "sample", transactions=20_000)))
    assert all(claimed["counts"][name] > 0 for name in ("duplicate", "superseded", "rejected"))
    assert set(claimed["left_out"]) == {"same_month", "voided_purchase", "voided_refund", "orphan"}
    assert len(claimed["rejected"]) == 15
    assert "2026-10" in claimed["monthly"]
    suffixes = {name.partition(".")[2] for name in claimed["files"]}
    assert suffixes == {"csv", "jsonl.gz"}


def test_what_the_folder_holds_can_be_ingested_as_it_is(tmp_path: Path) -> None:
    """Given a sample, when folder/* is named, then all of it is raw files: the answer lies beside the folder."""
    made(tmp_path / "sample")
    assert len(checked_files(sorted((tmp_path / "sample").glob("*")))) > 24
    assert answer_path(tmp_path / "sample") == tmp_path / "sample.answer.json"


def test_later_versions_come_in_a_file_that_sorts_last(tmp_path: Path) -> None:
    """Given later versions, when files are ordered by name, then theirs is the last: it wins also within one second."""
    made(tmp_path / "sample")
    assert max(path.name for path in (tmp_path / "sample").iterdir()) == "updates-2026-10.jsonl.gz"


def test_a_new_sample_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    """Given an older, longer sample in the folder, when a new one is made, then none of the old files is left."""
    made(tmp_path / "sample", months=24)
    claimed = made(tmp_path / "sample", months=2)
    assert sorted(path.name for path in (tmp_path / "sample").iterdir()) == claimed["files"]


def test_a_sample_that_breaks_off_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a sample and its answer, when the next one into that folder is interrupted, then neither lies there."""
    made(tmp_path / "sample", transactions=50)
    before = Sample.sent

    def sent(self: Sample) -> Iterator[Sent]:
        for number, each in enumerate(before(self)):
            if number == 30:
                raise KeyboardInterrupt
            yield each

    monkeypatch.setattr(Sample, "sent", sent)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "sample", transactions=50)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_other_files_are_never_touched(tmp_path: Path) -> None:
    """Given a folder with something else in it, when a sample is to go there, then it is refused."""
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "thesis.csv").write_text("mine")
    with pytest.raises(Refused, match="thesis.csv"):
        made(tmp_path / "sample")
    assert (tmp_path / "sample" / "thesis.csv").read_text() == "mine"


@pytest.mark.parametrize(("end", "months"), [("2026-13", 3), ("2000-02", 3), ("2026-10", 0)])
def test_months_that_do_not_exist(end: str, months: int) -> None:
    """Given months that are none or too early, when a sample is asked for, then it is a usage error."""
    with pytest.raises(UsageError):
        Calendar(end, months)
