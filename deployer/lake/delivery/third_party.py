"""Route 5, a third-party tool: it assumes a role of ours and writes files under its own names, possibly repeatedly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from deployer.lake.delivery.delivery import Delivery, size_text
from deployer.lake.delivery.files import BadFiles, RawFile
from deployer.lake.delivery.roles import SendersRole, client_of_sender
from deployer.lake.deployed_lake import Lake, MissingOutput
from deployer.printable import printable

if TYPE_CHECKING:
    from deployer.aws.session import Session

FOLDER = "dataops/"


def deliver_third_party(
    session: Session, lake: Lake, files: Sequence[RawFile], say: Callable[[str], None]
) -> list[Delivery]:
    """Put the files as the tool, each under its own name: the same name again is a new version, as with these tools."""
    if problems := _same_names(files):
        raise BadFiles(problems, hint="nothing was delivered; deliver files with the same name one after the other")
    if lake.third_party_prefix is None:
        raise MissingOutput(["ThirdPartyPrefix"], lake.environment)
    role = SendersRole("third-party", lake.third_party_role_arn, "ThirdPartyAccountId", "ThirdPartyExternalId")
    s3 = client_of_sender(session, role, session.as_third_party)
    deliveries = []
    for number, file in enumerate(files, start=1):
        key = f"{lake.third_party_prefix}{FOLDER}{file.plain_name()}"
        with file.path.open("rb") as body:
            s3.put_object(Bucket=lake.raw_bucket, Key=key, Body=body)
        deliveries.append(Delivery(file.path, key, True, file.size_bytes))
        say(f"{number}/{len(files)} {printable(file.path.name)} ({size_text(file.size_bytes)}) delivered")
    return deliveries


def _same_names(files: Sequence[RawFile]) -> list[str]:
    names = [file.plain_name() for file in files]
    return [
        f"{printable(str(file.path))}: another file in this call is also called {name}"
        for place, (file, name) in enumerate(zip(files, names, strict=True))
        if name in names[:place]
    ]
