"""The deployed lake is made once from the stacks' outputs, and says there what is missing."""

from typing import Any

import pytest
from fake_aws import OUTPUTS

from deployer.lake.delivery.stream import deliver_stream
from deployer.lake.deployed_lake import NEEDED, MissingOutput, TableLocation, lake_from


def no_client(service: str) -> Any:
    raise AssertionError(f"{service} is not asked for")


def test_a_lake_is_its_outputs_by_name() -> None:
    """Given the outputs of all stacks, when the lake is made, then each part has its name, and no service was called."""
    lake = lake_from("uat", OUTPUTS, no_client)
    assert (lake.job, lake.workgroup, lake.raw_bucket) == ("base-tables", "reports", "raw")
    assert lake.live == TableLocation("refunds_base_test", "base/")
    assert lake.side == TableLocation("refunds_smoke_test", "smoke/")


def test_every_missing_output_is_named_with_what_to_do() -> None:
    """Given stacks without two outputs, when the lake is made, then one error names both, the place and the next step."""
    outputs = {name: value for name, value in OUTPUTS.items() if name not in ("RawBucketName", "WorkGroupName")}
    with pytest.raises(MissingOutput) as caught:
        lake_from("uat", outputs, no_client)
    assert str(caught.value) == "environment uat: no deployed stack has the outputs RawBucketName, WorkGroupName"
    assert caught.value.hint is not None and "dataops deploy --env uat" in caught.value.hint


def test_a_lake_without_a_route_is_a_lake() -> None:
    """Given stacks without the routes, when the lake is made, then it is there, and only a delivery by them says so."""
    lake = lake_from("uat", {name: OUTPUTS[name] for name in NEEDED}, no_client)
    assert (lake.drop_prefix, lake.drop_role_arn, lake.stream) == (None, None, None)
    session: Any = None
    with pytest.raises(MissingOutput, match="TransactionStreamName"):
        deliver_stream(session, lake, [], print)
