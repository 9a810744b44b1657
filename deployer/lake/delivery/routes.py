"""The routes by which files reach the raw bucket, each as its sender uses it on AWS."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.lake.delivery.api import deliver_api
from deployer.lake.delivery.delivery import Deliver
from deployer.lake.delivery.drop import deliver_s3
from deployer.lake.delivery.sftp import deliver_sftp
from deployer.lake.delivery.stream import deliver_stream
from deployer.lake.delivery.third_party import deliver_third_party

ROUTES: Mapping[str, Deliver] = {
    "s3": deliver_s3,
    "sftp": deliver_sftp,
    "api": deliver_api,
    "stream": deliver_stream,
    "third-party": deliver_third_party,
}
ON_THE_STREAM = ("api", "stream")
"""Routes whose records ride on the stream, and are in the raw bucket when Firehose has written them."""
