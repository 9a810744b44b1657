"""Route 1, cross-account S3: the partner takes the drop role and puts files into the raw bucket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from deployer.errors import UsageError
from deployer.lake.delivery.delivery import Delivery, size_text
from deployer.lake.delivery.files import RawFile
from deployer.lake.deployed_lake import Lake, MissingOutput
from deployer.printable import printable

if TYPE_CHECKING:
    from deployer.aws.session import Session


def deliver_s3(session: Session, lake: Lake, files: Sequence[RawFile], say: Callable[[str], None]) -> list[Delivery]:
    """Put the files as the partner, one after the other.

    The order is kept because it decides which version of a record is the last. The role may only write, so a conditional
    write is what tells that a file is there already.
    """
    s3 = _drop_client(session, lake)
    if lake.drop_prefix is None:
        raise MissingOutput(["DropPrefix"], lake.environment)
    folder = f"{lake.drop_prefix}ingest_date={datetime.now(UTC):%Y-%m-%d}/"
    deliveries = []
    for number, file in enumerate(files, start=1):
        key = folder + file.object_name()
        is_new = _put_new(s3, lake.raw_bucket, key, file)
        deliveries.append(Delivery(file.path, key, is_new, file.size_bytes))
        done = "delivered" if is_new else "skipped: the same content is there already today"
        say(f"{number}/{len(files)} {printable(file.path.name)} ({size_text(file.size_bytes)}) {done}")
    return deliveries


def _drop_client(session: Session, lake: Lake) -> Any:
    environment = session.environment
    external_id = environment.parameters.get("PartnerExternalId", "")
    if variable := environment.unset.get("PartnerExternalId"):
        raise UsageError(
            f"PartnerExternalId is not known: variable {variable} is not set", hint=f"export {variable}=..."
        )
    if lake.drop_role_arn is None or not external_id:
        raise UsageError(
            f"environment {environment.name} has no cross-account route",
            hint="set PartnerAccountId and PartnerExternalId in dataops.yml and deploy, or take another --route",
        )
    partner = session.as_partner()
    return partner.as_role(lake.drop_role_arn, external_id=external_id, name="dataops-ingest").client("s3")


def _put_new(s3: Any, bucket: str, key: str, file: RawFile) -> bool:
    try:
        with file.path.open("rb") as body:
            s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in {"PreconditionFailed", "412"}:
            return False
        raise
    return True
