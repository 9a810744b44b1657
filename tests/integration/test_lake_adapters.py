"""The job's adapters to S3 and Glue against moto: conditions, pages, batches, and errors inside successful answers."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import IncompleteReadError
from moto import mock_aws
from refunds_lake.publishing.catalog import CatalogError, GlueCatalog
from refunds_lake.publishing.manifests import Manifest, Month, RunKind
from refunds_lake.publishing.publish import publish, reconcile
from refunds_lake.schema.columns import TABLES
from refunds_lake.storage.lock import GlueJobRuns, Lock, LockHeld
from refunds_lake.storage.objects import ObjectMissing, ObjectReplaced, ObjectStore, PreconditionFailed, S3ObjectStore

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
REGION = "ap-southeast-2"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name=REGION)
        client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield client


@pytest.fixture
def store(s3: Any) -> ObjectStore:
    return S3ObjectStore(s3, "lake")


@pytest.fixture
def glue(s3: Any) -> Any:
    """A database with the table refund, as the catalog template declares it."""
    client = boto3.client("glue", region_name=REGION)
    client.create_database(DatabaseInput={"Name": "refunds"})
    columns = [{"Name": name, "Type": type_} for name, type_ in TABLES["refund"]]
    storage = {"Columns": columns, "Location": "s3://lake/base/refund/", "SerdeInfo": {"Parameters": {"a": "1"}}}
    month = [{"Name": "month", "Type": "string"}]
    client.create_table(
        DatabaseName="refunds", TableInput={"Name": "refund", "StorageDescriptor": storage, "PartitionKeys": month}
    )
    return client


class Intervening:
    """A client whose named call is answered by a function, which gets the real call and its arguments."""

    def __init__(self, client: Any, call: str, answer: Any) -> None:
        self._client, self._call, self._answer = client, call, answer
        self.calls: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if name != self._call:
            return real

        def call(**arguments: Any) -> Any:
            self.calls.append(arguments)
            return self._answer(real, arguments, len(self.calls))

        return call


# -- S3


def test_a_first_write_wins_and_a_second_one_is_told(store: ObjectStore) -> None:
    """Given an object, when it must not exist or must be another version, then the write is refused and nothing changes."""
    etag = store.put("a", b"1", only_if_absent=True)
    with pytest.raises(PreconditionFailed):
        store.put("a", b"2", only_if_absent=True)
    newer = store.put("a", b"3", only_if_etag=etag)
    with pytest.raises(PreconditionFailed):
        store.put("a", b"4", only_if_etag=etag)
    assert store.get("a") == (b"3", newer)
    with pytest.raises(PreconditionFailed):
        store.put("gone", b"5", only_if_etag=etag)


def test_what_is_not_there_is_said_by_name(store: ObjectStore) -> None:
    """Given no object, when it is read in any way, then ObjectMissing carries its key; removing it is fine."""
    for read in (store.get, lambda key: store.read_range(key, 0, 9), lambda key: list(store.chunks(key, etag=""))):
        with pytest.raises(ObjectMissing, match="gone"):
            read("gone")
    store.delete(["gone"])


def test_other_failures_are_not_taken_for_a_missing_object(s3: Any) -> None:
    """Given a bucket that is not there, when a key is read, then it is an error and no ObjectMissing."""
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchBucket"):
        S3ObjectStore(s3, "no-such-bucket").get("a")


def test_listings_and_deletions_go_beyond_a_page(store: ObjectStore) -> None:
    """Given more than a thousand objects, when they are listed or deleted, then all are, in key order."""
    keys = [f"p/{number:04d}" for number in range(2_101)]
    for key in [*keys, "other"]:
        store.put(key, b"x" * 3)
    listed = list(store.listing("p/"))
    assert [each.key for each in listed] == keys
    assert {(each.size, each.last_modified.tzinfo, each.etag) for each in listed} == {(3, UTC, store.get("other")[1])}
    assert [each.key for each in store.listing("p/", after="p/2098")] == keys[-2:]
    store.delete(keys)
    assert [each.key for each in store.listing("")] == ["other"]


def test_previous_versions_are_read_by_what_was_written_then(s3: Any) -> None:
    """Given keys of a bucket with versions, when they were written again, then what stood before can be listed and read, the
    oldest first; of what a key had when it was deleted nothing is listed, even where it was put again.
    """
    store = S3ObjectStore(s3, "lake")
    s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    bodies = [f"version {number}".encode() for number in range(1_100)]
    for body in bodies:
        store.put("tool/a", body)
    for key in ("tool/once", "tool/gone", "tool/again", "other/a"):
        store.put(key, b"1")
    for key in ("tool/again", "other/a"):
        store.put(key, b"2")
    store.delete(["tool/gone", "tool/again"])
    time.sleep(1)  # the unit of S3's times
    for body in (b"3", b"4"):
        store.put("tool/again", body)
    found = store.versions("tool/")
    stand = {key: [each for each in found if each.key == key] for key in ("tool/a", "tool/once", "tool/again")}
    assert sum(map(len, stand.values())) == len(found)
    for key, expected in {"tool/a": bodies, "tool/once": [b"1"], "tool/again": [b"3", b"4"]}.items():
        read = [b"".join(store.chunks(key, etag=each.etag, version_id=each.version_id)) for each in stand[key]]
        assert read == expected and [bool(each.version_id) for each in stand[key]] == [True] * (len(read) - 1) + [False]
    with pytest.raises(ObjectMissing):
        list(store.chunks("tool/a", etag=found[0].etag, version_id="11111111-1111-1111-1111-111111111111"))


def test_ranges_and_chunks_are_the_bytes_that_were_put(store: ObjectStore) -> None:
    """Given an object of some megabytes, when it is read in parts, then they are its bytes."""
    body = bytes(range(256)) * 10_000
    etag = store.put("big", body)
    assert store.read_range("big", 5, 9) == body[5:10]
    assert store.read_range("big", len(body) - 2, len(body) + 50) == body[-2:]
    pieces = list(store.chunks("big", etag=etag))
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= 1 << 20


class BrokenBody:
    """A body that breaks off behind some of its bytes."""

    def __init__(self, body: Any, after: int) -> None:
        self._body, self._after = body, after

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        rest = self._after
        while rest:
            chunk = self._body.read(min(rest, size))
            yield chunk
            rest -= len(chunk)
        raise IncompleteReadError(actual_bytes=self._after, expected_bytes=-1)


def breaking(s3: Any, after: list[int]) -> Intervening:
    """A client whose first bodies break off behind so many bytes."""

    def answer(real: Any, arguments: dict[str, Any], times: int) -> Any:
        response = real(**arguments)
        if times <= len(after):
            response["Body"] = BrokenBody(response["Body"], after[times - 1])
        return response

    return Intervening(s3, "get_object", answer)


BODY = bytes(range(256)) * 10_000


def test_a_body_that_breaks_off_is_read_on_from_where_it_broke(s3: Any, store: ObjectStore) -> None:
    """Given three connections that break, one of them at once, when an object is read, then no byte is lost or doubled."""
    etag = store.put("big", BODY)
    client = breaking(s3, [1_500_000, 0, 700_001])
    assert b"".join(S3ObjectStore(client, "lake").chunks("big", etag=etag)) == BODY
    assert [call.get("Range") for call in client.calls] == [
        None, "bytes=1500000-", "bytes=1500000-", "bytes=2200001-"
    ]  # fmt: skip


def test_a_body_that_breaks_off_again_and_again_is_an_error(s3: Any, store: ObjectStore) -> None:
    """Given four connections that break, when an object is read, then the last one's error is raised."""
    etag = store.put("big", BODY)
    client = breaking(s3, [5] * 4)
    with pytest.raises(IncompleteReadError):
        list(S3ObjectStore(client, "lake").chunks("big", etag=etag))
    assert len(client.calls) == 4


def test_an_object_that_was_replaced_is_told_from_the_listed_one(s3: Any, store: ObjectStore) -> None:
    """Given another ETag than the listing's, at the start or when reading goes on, then no byte of the other one is given."""
    etag = store.put("big", BODY)
    with pytest.raises(ObjectReplaced, match="big"):
        next(store.chunks("big", etag="another"))
    chunks = S3ObjectStore(breaking(s3, [1_200_000]), "lake").chunks("big", etag=etag)
    found = [next(chunks), next(chunks)]
    store.put("big", BODY[::-1])
    with pytest.raises(ObjectReplaced, match="big"):
        found.extend(chunks)
    assert b"".join(found) == BODY[:1_200_000]


def test_an_object_that_is_deleted_while_it_is_read_is_missing(s3: Any, store: ObjectStore) -> None:
    """Given a body that breaks off and an object that is gone by then, then ObjectMissing carries its key."""
    etag = store.put("big", BODY)
    chunks = S3ObjectStore(breaking(s3, [7]), "lake").chunks("big", etag=etag)
    assert next(chunks) == BODY[:7]
    store.delete(["big"])
    with pytest.raises(ObjectMissing, match="big"):
        next(chunks)


def test_a_store_travels_to_other_processes(s3: Any, store: ObjectStore) -> None:
    """Given a store, when it is pickled, then what comes of it reads and writes the same bucket in the same region."""
    store.put("a", b"1")
    travelled = pickle.loads(pickle.dumps(store))
    assert travelled is not store
    assert travelled.get("a") == store.get("a")
    travelled.put("b", b"2")
    assert [each.key for each in store.listing("")] == ["a", "b"]
    assert travelled.uri("x") == store.uri("x")
    assert travelled._client.meta.region_name == REGION
    assert pickle.loads(pickle.dumps(travelled)) is travelled  # a process makes one client for a bucket


def test_an_object_that_cannot_be_removed_is_named(s3: Any) -> None:
    """Given S3's answer with an error for one key, when objects are deleted, then that key is named."""
    error = {"Errors": [{"Key": "b", "Code": "AccessDenied", "Message": "Access Denied"}]}
    with pytest.raises(OSError, match="could not delete b: Access Denied"):
        S3ObjectStore(Intervening(s3, "delete_objects", lambda *_: error), "lake").delete(["a", "b"])


# -- the lock, over S3


def lock(store: ObjectStore, holder: str, is_over: Any = lambda run_id: False) -> Lock:
    return Lock(store, "_lock.json", holder, clock=lambda: NOW, is_over=is_over)


def test_of_two_runs_one_has_the_lock(store: ObjectStore) -> None:
    """Given a run at work, when another one comes, then it is refused; when the first is over, then it takes over."""
    first = lock(store, "jr_1").__enter__()
    with pytest.raises(LockHeld, match="run jr_1 is at work"), lock(store, "jr_2"):
        pass
    with lock(store, "jr_3", lambda run_id: run_id == "jr_1"):
        first.__exit__(None, None, None)
        with pytest.raises(LockHeld, match="run jr_3 is at work"), lock(store, "jr_4"):
            pass
    assert list(store.listing("")) == []


def test_two_runs_that_take_over_at_once_do_not_both_get_it(s3: Any) -> None:
    """Given a dead run's lock, when another run replaces it between our look and our write, then we are refused."""
    lock(S3ObjectStore(s3, "lake"), "jr_dead").__enter__()

    def overtaken(real: Any, arguments: dict[str, Any], times: int) -> Any:
        if times == 2:  # the first write found the dead run's lock
            real(**{**arguments, "Body": b'{"holder": "jr_other"}'})
        return real(**arguments)

    slow = S3ObjectStore(Intervening(s3, "put_object", overtaken), "lake")
    with pytest.raises(LockHeld, match="it has just taken the lock"):
        lock(slow, "jr_slow", lambda run_id: True).__enter__()


def test_a_lock_that_is_given_back_meanwhile_is_free(s3: Any, store: ObjectStore) -> None:
    """Given a run that ends between our write and our look, then the lock is ours."""
    first = lock(store, "jr_1").__enter__()

    def ending(real: Any, arguments: dict[str, Any], times: int) -> Any:
        if times == 1:
            first.__exit__(None, None, None)
        return real(**arguments)

    with lock(S3ObjectStore(Intervening(s3, "get_object", ending), "lake"), "jr_2"):
        assert b"jr_2" in store.get("_lock.json")[0]


@pytest.mark.parametrize(
    ("state", "is_over"),
    [(state, False) for state in ("STARTING", "RUNNING", "STOPPING", "WAITING")]
    + [(state, True) for state in ("STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT", "ERROR", "EXPIRED")],
)
def test_glue_says_whether_a_run_is_over(state: str, is_over: bool) -> None:
    """Given a job run in a state, when it holds the lock, then it is over or not."""
    client = SimpleNamespace(get_job_run=lambda **asked: {"JobRun": {"JobRunState": state, "asked": asked}})
    assert GlueJobRuns(client, "base-tables").is_over("jr_1") is is_over


def test_glue_does_not_know_people_and_runs_of_long_ago(glue: Any) -> None:
    """Given a holder that is no run of the job, then nobody knows whether it is over; people are not even asked for."""
    glue.create_job(Name="base-tables", Role="r", Command={"Name": "glueetl"})
    runs = GlueJobRuns(glue, "base-tables")
    assert runs.is_over("jr_of_last_year") is None
    assert GlueJobRuns(None, "base-tables").is_over("dataops-ann") is None


# -- Glue

MONTHS = {f"{year}-{month:02d}": f"s3://lake/{year}/{month}" for year in range(2001, 2022) for month in range(1, 13)}


def test_more_months_than_a_call_takes_are_created_moved_and_dropped(glue: Any) -> None:
    """Given 252 months, when they are created, moved and dropped, then all are, at most 100 per call."""
    counting = Intervening(glue, "batch_create_partition", lambda real, arguments, times: real(**arguments))
    catalog = GlueCatalog(counting, "refunds")
    catalog.create("refund", MONTHS)
    assert [len(call["PartitionInputList"]) for call in counting.calls] == [100, 100, 52]
    assert catalog.months("refund") == MONTHS
    moved = {month: f"{location}/moved" for month, location in MONTHS.items()}
    catalog.update("refund", moved)
    assert catalog.months("refund") == moved
    catalog.drop("refund", [*moved, "1999-01"])
    assert catalog.months("refund") == {}


def test_a_month_has_the_columns_and_the_format_of_its_table(glue: Any) -> None:
    """Given a table, when a month is published, then it is described as the table is, but for its location."""
    catalog = GlueCatalog(glue, "refunds")
    catalog.create("refund", {"2026-09": "s3://lake/x"})
    [partition] = glue.get_partitions(DatabaseName="refunds", TableName="refund")["Partitions"]
    table = glue.get_table(DatabaseName="refunds", Name="refund")["Table"]
    assert partition["StorageDescriptor"] == {**table["StorageDescriptor"], "Location": "s3://lake/x"}
    assert catalog.columns("refund") == TABLES["refund"]


def test_a_table_that_is_missing_or_other_is_named(glue: Any) -> None:
    """Given no table, or one with another partition key, when a month is published, then the message says so."""
    with pytest.raises(CatalogError, match=r"no table refunds\.void; deploy the catalog first"):
        GlueCatalog(glue, "refunds").create("void", {"2026-09": "s3://lake/x"})
    glue.create_table(DatabaseName="refunds", TableInput={"Name": "void", "StorageDescriptor": {"Columns": []}})
    with pytest.raises(CatalogError, match=r"partitioned by \[\], not by \['month'\]"):
        GlueCatalog(glue, "refunds").columns("void")


@pytest.mark.parametrize("change", ["update", "create"])
def test_one_refused_month_in_a_successful_answer_is_an_error(glue: Any, change: str) -> None:
    """Given an answer that carries an error for one month, when months are published, then it is named with its reason."""
    detail = {"ErrorCode": "InternalServiceException", "ErrorMessage": "try later"}
    key = "PartitionValueList" if change == "update" else "PartitionValues"
    answer = {"Errors": [{key: ["2026-09"], "ErrorDetail": detail}]}
    catalog = GlueCatalog(Intervening(glue, f"batch_{change}_partition", lambda *_: answer), "refunds")
    with pytest.raises(CatalogError, match=r"refunds\.refund month 2026-09: InternalServiceException try later"):
        getattr(catalog, change)("refund", {"2026-09": "s3://lake/x"})


def with_all_tables(glue: Any) -> Any:
    """The same database with every table."""
    described = glue.get_table(DatabaseName="refunds", Name="refund")["Table"]
    columns = {"StorageDescriptor": described["StorageDescriptor"], "PartitionKeys": described["PartitionKeys"]}
    for table in TABLES.keys() - {"refund"}:
        glue.create_table(DatabaseName="refunds", TableInput={"Name": table, **columns})
    return glue


def refunds(months: dict[str, str]) -> dict[str, dict[str, Month]]:
    return {"refund": {month: Month(location, 1, None) for month, location in months.items()}}


def test_the_catalog_is_asked_before_it_is_changed(glue: Any) -> None:
    """Given months that come, move, stay and go, when the catalog follows, then each is one kind of call, and none is guessed."""
    catalog = GlueCatalog(with_all_tables(glue), "refunds")
    catalog.create("refund", {"2026-07": "s3://lake/stays", "2026-08": "s3://lake/moves", "2026-09": "s3://lake/goes"})
    months = {"2026-07": "s3://lake/stays", "2026-08": "s3://lake/moved", "2026-10": "s3://lake/comes"}
    assert reconcile(catalog, refunds(months)) == 3
    assert catalog.months("refund") == months
    untouched = GlueCatalog(Intervening(glue, "batch_update_partition", lambda *_: 1 / 0), "refunds")
    assert reconcile(untouched, refunds(months)) == 0


def test_a_month_that_another_writer_creates_meanwhile_is_moved(glue: Any, store: ObjectStore) -> None:
    """Given a month that appears between our look and our call, when it is published, then it is where the newest run wants it."""

    def overtaken(real: Any, arguments: dict[str, Any], times: int) -> Any:
        if times == 1:
            GlueCatalog(glue, "refunds").create("refund", {"2026-09": "s3://lake/theirs"})
        return real(**arguments)

    catalog = GlueCatalog(Intervening(with_all_tables(glue), "batch_create_partition", overtaken), "refunds")
    live = refunds({"2026-09": "s3://lake/ours"})
    publish(store, catalog, "base/", Manifest(1, "r1", None, "jr_1", RunKind.INCREMENT, NOW, NOW, "UTC", tables=live))
    assert catalog.months("refund") == {"2026-09": "s3://lake/ours"}
