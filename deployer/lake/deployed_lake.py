"""The deployed lake of one environment: job, workgroup, tables, buckets and logs by name, and the clients for them.

Made once, from the outputs of the environment's stacks; reading those is environment.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.errors import DataopsError
from deployer.lake.log_groups import groups_by_part

NEEDED = (
    "ArtifactsBucketName",
    "BaseBucketName",
    "BaseDatabaseName",
    "BasePrefix",
    "BaseTablesJobName",
    "JobLogGroupPrefix",
    "RawBucketName",
    "SmokeDatabaseName",
    "SmokePrefix",
    "WorkGroupName",
)


class MissingOutput(DataopsError):
    """No deployed stack gives an output that a command needs."""

    def __init__(self, names: Sequence[str], environment: str) -> None:
        super().__init__(
            f"no deployed stack has {'an output' if len(names) == 1 else 'the outputs'} {', '.join(names)}",
            where=f"environment {environment}",
            hint=f"a template must declare it, or `outputs:` in dataops.yml rename one to it; "
            f"then dataops deploy --env {environment}",
        )


@dataclass(frozen=True)
class TableLocation:
    """Where one set of the tables is: a database of the catalog, and the prefix of its files in the base bucket."""

    database: str
    prefix: str


@dataclass(frozen=True)
class Lake:
    """What is deployed. A route into it that is not deployed is None.

    `live` are the tables of the report, `side` those of the smoke test and of a month rebuilt for a review.
    `review_job` takes its code from whoever starts it and writes the side tables only.
    `log_groups` are those of the other parts, by the part's name on the command line.
    """

    environment: str
    job: str
    job_log_group: str
    workgroup: str
    live: TableLocation
    side: TableLocation
    raw_bucket: str
    base_bucket: str
    artifacts_bucket: str
    drop_prefix: str | None
    drop_role_arn: str | None
    sftp_server: str | None
    sftp_endpoint: str | None
    third_party_prefix: str | None
    third_party_role_arn: str | None
    stream: str | None
    api_url: str | None
    api_function: str | None
    statement_function: str | None
    review_job: str | None
    review_log_group: str | None
    log_groups: Mapping[str, tuple[str, ...]]
    client: Callable[[str], Any] = field(repr=False, compare=False)

    def for_reviews(self) -> Lake | None:
        """Return the lake with the job for reviews instead of the daily one; None if no such job is deployed."""
        if self.review_job is None or self.review_log_group is None:
            return None
        return replace(self, job=self.review_job, job_log_group=self.review_log_group)

    # The services, each made when it is used: a client takes up to a tenth of a second, and few commands need all.

    @property
    def glue(self) -> Any:
        """Glue, which runs the job and holds the catalog."""
        return self.client("glue")

    @property
    def athena(self) -> Any:
        """Athena, which runs the report."""
        return self.client("athena")

    @property
    def s3(self) -> Any:
        """S3, which holds raw and base."""
        return self.client("s3")

    @property
    def kinesis(self) -> Any:
        """Kinesis, which takes single records."""
        return self.client("kinesis")

    @property
    def transfer(self) -> Any:
        """Transfer Family, which runs the SFTP server."""
        return self.client("transfer")

    @property
    def logs(self) -> Any:
        """CloudWatch Logs, which hold what the job says."""
        return self.client("logs")


def lake_from(environment: str, outputs: Mapping[str, str], client: Callable[[str], Any]) -> Lake:
    """Return the lake that the stacks' outputs describe. Raise MissingOutput with all missing ones."""
    if missing := [name for name in NEEDED if name not in outputs]:
        raise MissingOutput(missing, environment)
    return Lake(
        environment=environment,
        job=outputs["BaseTablesJobName"],
        job_log_group=outputs["JobLogGroupPrefix"],
        workgroup=outputs["WorkGroupName"],
        live=TableLocation(outputs["BaseDatabaseName"], outputs["BasePrefix"]),
        side=TableLocation(outputs["SmokeDatabaseName"], outputs["SmokePrefix"]),
        raw_bucket=outputs["RawBucketName"],
        base_bucket=outputs["BaseBucketName"],
        artifacts_bucket=outputs["ArtifactsBucketName"],
        drop_prefix=outputs.get("DropPrefix"),
        drop_role_arn=outputs.get("DropRoleArn"),
        sftp_server=outputs.get("SftpServerId"),
        sftp_endpoint=outputs.get("SftpEndpoint"),
        third_party_prefix=outputs.get("ThirdPartyPrefix"),
        third_party_role_arn=outputs.get("ThirdPartyRoleArn"),
        stream=outputs.get("TransactionStreamName"),
        api_url=outputs.get("ApiUrl"),
        api_function=outputs.get("ApiFunctionName"),
        statement_function=outputs.get("StatementFunctionName"),
        review_job=outputs.get("ReviewJobName"),
        review_log_group=outputs.get("ReviewLogGroupPrefix"),
        log_groups=groups_by_part(outputs),
        client=client,
    )
