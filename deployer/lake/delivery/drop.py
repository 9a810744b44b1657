"""Route 1, cross-account S3: the partner assumes the drop role and puts files into the raw bucket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deployer.lake.delivery.delivery import Delivery, put_new, size_text
from deployer.lake.delivery.files import RawFile
from deployer.lake.delivery.roles import SendersRole, client_of_sender
from deployer.lake.deployed_lake import Lake, MissingOutput
from deployer.printable import printable

if TYPE_CHECKING:
    from deployer.aws.session import Session


def deliver_s3(session: Session, lake: Lake, files: Sequence[RawFile], say: Callable[[str], None]) -> list[Delivery]:
    """Put the files as the partner, one after the other.

    The order is kept because it decides which version of a record is the last. The role may only write, so a conditional
    write shows that a file already exists.
    """
    role = SendersRole("cross-account", lake.drop_role_arn, "PartnerAccountId", "PartnerExternalId")
    s3 = client_of_sender(session, role, session.as_partner)
    if lake.drop_prefix is None:
        raise MissingOutput(["DropPrefix"], lake.environment)
    folder = f"{lake.drop_prefix}ingest_date={datetime.now(UTC):%Y-%m-%d}/"
    deliveries = []
    for number, file in enumerate(files, start=1):
        key = folder + file.object_name()
        is_new = put_new(s3, lake.raw_bucket, key, file.path)
        deliveries.append(Delivery(file.path, key, is_new, file.size_bytes))
        done = "delivered" if is_new else "skipped: this content was already delivered today"
        say(f"{number}/{len(files)} {printable(file.path.name)} ({size_text(file.size_bytes)}) {done}")
    return deliveries
