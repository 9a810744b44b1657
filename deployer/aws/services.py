"""The boto3 adapter of the `DeployedServices` port, over clients of Glue, Lambda and S3."""

from __future__ import annotations

import base64
from typing import Any

from deployer.aws.calls import translating
from deployer.planning.deployed_services import DeployedServices


@translating
class AwsServices(DeployedServices):
    """`DeployedServices` over clients of Glue, Lambda and S3."""

    def __init__(self, glue: Any, functions: Any, s3: Any) -> None:
        self._glue, self._functions, self._s3 = glue, functions, s3

    def script_of(self, job: str) -> str | None:
        try:
            return str(self._glue.get_job(JobName=job)["Job"]["Command"].get("ScriptLocation", ""))
        except self._glue.exceptions.EntityNotFoundException:
            return None

    def code_of(self, function: str) -> str | None:
        try:
            found = self._functions.get_function_configuration(FunctionName=function)
        except self._functions.exceptions.ResourceNotFoundException:
            return None
        return base64.b64decode(found["CodeSha256"]).hex()

    def columns_of(self, database: str, table: str) -> tuple[tuple[str, str], ...] | None:
        try:
            found = self._glue.get_table(DatabaseName=database, Name=table)["Table"]
        except self._glue.exceptions.EntityNotFoundException:
            return None
        columns = [*found.get("StorageDescriptor", {}).get("Columns", ()), *found.get("PartitionKeys", ())]
        return tuple((column["Name"], column.get("Type", "")) for column in columns)

    def content(self, address: str) -> bytes | None:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        try:
            body: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self._s3.exceptions.ClientError as error:
            if error.response["Error"].get("Code") in ("NoSuchKey", "NoSuchBucket", "404"):
                return None
            raise
        return body
