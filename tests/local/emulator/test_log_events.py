"""CloudWatch Logs of the local cloud: ids of events, and the streams that a prefix names."""

from __future__ import annotations

import time
import uuid

import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud

from deployer.lake.log_groups import GroupLogs

NOW = int(time.time() * 1000)


def put(cloud: Cloud, group: str, stream: str, text: str) -> None:
    logs = cloud.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": NOW, "message": text}])


@pytest.fixture
def group(local_cloud: Cloud) -> str:
    """A log group with a stream of each of two runs."""
    group = f"/runs-{uuid.uuid4().hex[:8]}"
    local_cloud.client("logs").create_log_group(logGroupName=group)
    put(local_cloud, group, "jr_1", "one")
    put(local_cloud, group, "jr_2", "two")
    return group


def test_a_prefix_chooses_streams(local_cloud: Cloud, group: str) -> None:
    """Given streams of two runs, when the log of one is read, then the other's lines are not in it."""
    logs = local_cloud.client("logs")
    for prefix, texts in (("jr_1", ["one"]), ("jr_", ["one", "two"]), ("jr_3", [])):
        found = GroupLogs(logs, [group], stream_prefix=prefix).new_events()
        assert sorted(event.text for event in found) == texts
    with pytest.raises(ClientError, match="both"):
        logs.filter_log_events(logGroupName=group, logStreamNamePrefix="jr_1", logStreamNames=["jr_1"])


def test_a_log_that_grows_is_read_once(local_cloud: Cloud, group: str) -> None:
    """Given a group that is being read, when events arrive, some in the same millisecond, then each is returned once."""
    reader = GroupLogs(local_cloud.client("logs"), [group, "/not-there"], since_milliseconds=NOW)
    assert len(reader.new_events()) == 2
    put(local_cloud, group, "jr_3", "three")
    assert [event.text for event in reader.new_events()] == ["three"]
    assert reader.new_events() == []
