"""Which files may be delivered: all are checked first, and each error names its file and what is known."""

import gzip
from pathlib import Path

import pytest

from deployer.lake.delivery.delivery import size_text
from deployer.lake.delivery.files import BadFiles, checked_files
from deployer.lake.delivery.stream import MOST_BATCH_BYTES, MOST_RECORDS, batches, partition_key, stream_lines

KNOWN = ["a.json", "a.jsonl", "a.ndjson", "a.csv", "a.json.gz", "a.jsonl.gz", "a.ndjson.gz", "a.csv.gz", "a.parquet"]


def written(folder: Path, name: str, content: bytes = b"{}\n") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", KNOWN)
def test_known_suffixes(tmp_path: Path, name: str) -> None:
    """Given a file with a known suffix, when it is checked, then it may go, and its object keeps the suffix."""
    (file,) = checked_files([written(tmp_path, name)])
    assert name == f"a{file.suffix}"
    assert file.object_name().endswith(file.suffix)


@pytest.mark.parametrize("name", ["a.txt", "a", "a.gz", "a.parquet.gz", "a.JSON", "a.csv.zip", "csv"])
def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path, name: str) -> None:
    """Given a file with another suffix, when it is checked, then the error names it and the known suffixes."""
    with pytest.raises(BadFiles) as caught:
        checked_files([written(tmp_path, name)])
    (line,) = caught.value.lines()
    assert name in line and ".jsonl.gz" in line and ".parquet" in line
    assert caught.value.exit_code == 2


def test_all_bad_files_are_named_at_once(tmp_path: Path) -> None:
    """Given good files and several bad ones, when they are checked, then each bad one has a line of its own."""
    good, folder, text = written(tmp_path, "a.csv"), tmp_path / "sub", written(tmp_path, "a.txt")
    folder.mkdir()
    with pytest.raises(BadFiles) as caught:
        checked_files([good, folder, tmp_path / "missing.csv", text])
    lines = caught.value.lines()
    assert [line.partition(": ")[2].partition(";")[0] for line in lines] == [
        "is a directory",
        "no such file",
        "unknown suffix",
    ]
    assert caught.value.hint is not None and "nothing was delivered" in caught.value.hint


def test_a_name_that_no_file_can_have_is_no_such_file() -> None:
    """Given a name of 300 letters, when it is checked, then there is no such file, as for any other missing one."""
    with pytest.raises(BadFiles) as caught:
        checked_files([Path("x" * 300 + ".jsonl")])
    assert caught.value.lines()[0].endswith(".jsonl: no such file")


def test_a_loop_of_links_is_told(tmp_path: Path) -> None:
    """Given a link to itself, when it is checked, then the error says why it cannot be read."""
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(BadFiles, match="cannot be read: .*symbolic links"):
        checked_files([tmp_path / "loop.csv"])


def test_the_longest_name_has_an_object_that_any_store_takes(tmp_path: Path) -> None:
    """Given a file with the longest name there is, when its object is named, then the name fits into 255 letters."""
    (file,) = checked_files([written(tmp_path, "x" * 249 + ".jsonl")])
    assert len(file.object_name()) <= 255
    assert file.object_name().endswith(".jsonl")


def test_the_name_tells_the_content(tmp_path: Path) -> None:
    """Given files of one name, when their objects are named, then equal content gives equal names, other content not."""
    one, two, three = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    for folder, content in ((one, b"a"), (two, b"a"), (three, b"b")):
        folder.mkdir()
        written(folder, "day.csv", content)
    names = [file.object_name() for file in checked_files([folder / "day.csv" for folder in (one, two, three)])]
    assert names == ["day-ca978112.csv", "day-ca978112.csv", "day-3e23e816.csv"]


@pytest.mark.parametrize(
    ("name", "stem"), [("_hidden.csv", "hidden"), (".dot.csv", "dot"), ("a b%c.csv", "a_b_c"), (".csv", "file")]
)
def test_names_that_readers_would_skip_or_stumble_over(tmp_path: Path, name: str, stem: str) -> None:
    """Given a name that Spark takes for hidden, or with odd letters, when its object is named, then it is a plain name."""
    (file,) = checked_files([written(tmp_path, name)])
    assert file.object_name().rpartition("-")[0] == stem


def test_lines_of_a_stream_file(tmp_path: Path) -> None:
    """Given JSON Lines with blank lines and CRLF, plain or gzip, when they are streamed, then each record comes bare."""
    content = b'{"id": 1}\r\n\n{"id": 2}'
    for path in (written(tmp_path, "a.jsonl", content), written(tmp_path, "a.json.gz", gzip.compress(content))):
        (file,) = checked_files([path])
        assert list(stream_lines(file)) == [b'{"id": 1}', b'{"id": 2}']


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"id": " a1 ", "type": "void"}', "a1"),
        ('{"id": "é"}'.encode(), "é"),
        (b'{"x": {"id": 5}, "id": "a"}', "a"),
        (b'{"id": "\\ud800"}', "\ufffd"),
    ],
)
def test_versions_of_a_record_have_one_partition_key(line: bytes, key: str) -> None:
    """Given a record, when it is streamed, then its key is its id, as the job reads it."""
    assert partition_key(line) == key


@pytest.mark.parametrize(
    "line", [b'{"id": 5}', b'{"id": ""}', b'{"id": "%s"}' % (b"x" * 65), b"{}", b"no json", b"\xff", b"[" * 9999]
)
def test_what_has_no_id_has_a_key_of_its_own(line: bytes) -> None:
    """Given a line without an id that can be one, when it is streamed, then its key is a hash, and short enough."""
    assert partition_key(line) != partition_key(line + b" ")
    assert len(partition_key(line)) == 64


@pytest.mark.parametrize(("count", "size", "expected"), [(0, 1, []), (1, 1, [1]), (1001, 10, [500, 500, 1])])
def test_batches_by_count(count: int, size: int, expected: list[int]) -> None:
    """Given many small records, when they are grouped, then no request has more than Kinesis takes."""
    assert [len(batch) for batch in batches(iter([b"x" * size] * count))] == expected
    assert MOST_RECORDS == 500


def test_batches_by_size() -> None:
    """Given large records, when they are grouped, then no request is larger than Kinesis takes, and none is lost."""
    lines = [b"x" * 1_000_000] * 12
    groups = list(batches(iter(lines)))
    assert [line for group in groups for line in group] == lines
    assert all(sum(len(line) + 32 for line in group) <= MOST_BATCH_BYTES for group in groups)
    assert len(groups) == 3


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (137_328, "137 kB"), (8_400_000, "8.4 MB")])
def test_sizes_for_people(size: int, text: str) -> None:
    """Given a size, when it is written, then its unit suits it."""
    assert size_text(size) == text
