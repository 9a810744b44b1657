"""The additional permissions that a call needs: the key behind S3, Kinesis, queues and secrets, PassRole, and listing.

On AWS the called service asks for these in the caller's name; the emulator asks for none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deployer.local.emulator.private_parts import load
from deployer.local.rights.judging import Access
from deployer.local.rights.resources import Request

#: The services to which a call can pass a role; its caller must then be allowed to pass it.
PASSED_TO = {
    name: f"{name}.amazonaws.com"
    for name in ("apigateway", "events", "firehose", "glue", "lambda", "s3", "scheduler", "transfer")
}
_ROLES = {"role", "rolearn", "loggingrole", "accessrole", "cloudwatchrolearn"}
_PASSING = ("Create", "Put", "Update")


def entailed(request: Request, action: str, resource: str) -> Iterator[Access]:
    """Yield what else the caller must be allowed to do, besides `action` on `resource`."""
    service, _, name = action.partition(":")
    match service:
        case "s3":
            yield from _of_s3(request, name, resource)
        case "kinesis" if name in ("PutRecord", "PutRecords", "GetRecords"):
            yield from of_stream(resource, "kms:Decrypt" if name == "GetRecords" else "kms:GenerateDataKey")
        case "secretsmanager" if name in ("GetSecretValue", "PutSecretValue", "CreateSecret", "UpdateSecret"):
            yield from _of_secret(request, name, resource)
        case "sqs" if name in ("SendMessage", "SendMessageBatch", "ReceiveMessage"):
            yield from _of_queue(resource, name)
        case "sns" if name in ("Publish", "PublishBatch"):
            yield from _of_topic(resource)
        case "cloudformation" if name == "CreateChangeSet" and "Tags.member.1.Key" in request.query:
            yield Access("cloudformation:TagResource", resource)
        case _ if service in PASSED_TO and name.startswith(_PASSING):
            yield from passed_roles(request.data, request.account, PASSED_TO[service])


def passed_roles(value: Any, account: str, service: str) -> Iterator[Access]:
    """Yield iam:PassRole for every role named in a request or a resource's properties, by ARN or by name."""
    if isinstance(value, list):
        for each in value:
            yield from passed_roles(each, account, service)
    if not isinstance(value, Mapping):
        return
    for name, given in value.items():
        if isinstance(given, str) and given and name.lower() in _ROLES:
            arn = given if given.startswith("arn:") else f"arn:aws:iam::{account}:role/{given}"
            yield Access("iam:PassRole", arn, {"iam:passedtoservice": service})
        else:
            yield from passed_roles(given, account, service)


def _of_s3(request: Request, name: str, resource: str) -> Iterator[Access]:
    bucket, _, key = resource.removeprefix("arn:aws:s3:::").partition("/")
    if name == "PutObject" and key:
        yield from of_written_object(bucket, key, request.headers, in_parts="uploadId" in request.query)
    elif name in ("GetObject", "GetObjectVersion") and key:
        yield from of_read_object(bucket, key, with_body=request.method == "GET")


def of_written_object(bucket: str, key: str, headers: Mapping[str, str], *, in_parts: bool = False) -> Iterator[Access]:
    """Yield the use of the key with which S3 encrypts a new object: the request's, or else the bucket's.

    S3 reads parts back to join them. https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
    """
    asked = {name: value for name, value in headers.items() if name.startswith("x-amz-server-side-encryption")}
    encryption = asked or load("services.s3")._bucket_default_sse_headers(bucket)
    for action in ("kms:GenerateDataKey", *(("kms:Decrypt",) if in_parts else ())):
        yield from _of_object(action, bucket, key, encryption)


def of_read_object(bucket: str, key: str, *, with_body: bool = True) -> Iterator[Access]:
    """Yield the use of the object's key; only a caller that may list the bucket learns that an object is missing."""
    record = ((load("services.s3")._buckets.get(bucket) or {}).get("objects") or {}).get(key)
    if record is None:
        yield Access("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    elif with_body:
        yield from _of_object("kms:Decrypt", bucket, key, record.get("preserved_headers") or {})


def _of_object(action: str, bucket: str, key: str, encryption: Mapping[str, str]) -> Iterator[Access]:
    """Yield the accesses on the key: with a bucket key the encryption context is the bucket's ARN, else the object's.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    """
    if encryption.get("x-amz-server-side-encryption") == "aws:kms":
        settings = load("services.s3")._bucket_encryption.get(bucket) or ""
        arn = f"arn:aws:s3:::{bucket}"
        arn = arn if "<BucketKeyEnabled>true<" in settings else f"{arn}/{key}"
        yield from _of_key(
            action, encryption.get("x-amz-server-side-encryption-aws-kms-key-id"), "s3", {"aws:s3:arn": arn}
        )


def of_stream(arn: str, action: str) -> Iterator[Access]:
    """Yield the use of a stream's key by whoever writes to it (GenerateDataKey) or reads from it (Decrypt).

    https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html
    """
    stream = load("services.kinesis")._streams.get(arn.rpartition("/")[2])
    if stream and stream.get("EncryptionType") == "KMS":
        yield from _of_key(action, stream.get("KeyId"), "kinesis", {"aws:kinesis:arn": arn})


def _of_secret(request: Request, name: str, resource: str) -> Iterator[Access]:
    _, secret = load("services.secretsmanager")._resolve(resource)
    key = (secret or {}).get("KmsKeyId") or request.data.get("KmsKeyId")
    for action in ("kms:Decrypt",) if name == "GetSecretValue" else ("kms:GenerateDataKey", "kms:Decrypt"):
        yield from _of_key(action, key, "secretsmanager", {"SecretARN": resource})


def _of_queue(arn: str, name: str) -> Iterator[Access]:
    queue = load("services.sqs")._queue_by_arn(arn)
    key = ((queue or {}).get("attributes") or {}).get("KmsMasterKeyId")
    for action in ("kms:Decrypt",) if name == "ReceiveMessage" else ("kms:GenerateDataKey", "kms:Decrypt"):
        yield from _of_key(action, key, "sqs", {"aws:sqs:arn": arn})


def _of_topic(arn: str) -> Iterator[Access]:
    topic = load("services.sns")._topics.get(arn)
    key = ((topic or {}).get("attributes") or {}).get("KmsMasterKeyId")
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        yield from _of_key(action, key, "sns", {"aws:sns:topicArn": arn})


def _of_key(action: str, key: str | None, service: str, encryption_context: Mapping[str, str]) -> Iterator[Access]:
    """Yield the use of a customer managed key through a service; keys that AWS manages are open to the whole account."""
    if not key or key.startswith("alias/aws/"):
        return
    responses = load("core.responses")
    record = load("services.kms")._resolve_key(key)
    arn = record["Arn"] if record else f"arn:aws:kms:{responses.get_region()}:{responses.get_account_id()}:key/{key}"
    yield Access(
        action,
        arn if not key.startswith("arn:") or record else key,
        {
            "kms:viaservice": f"{service}.{responses.get_region()}.amazonaws.com",
            "kms:calleraccount": responses.get_account_id(),
            "kms:encryptioncontextkeys": list(encryption_context),
            **{f"kms:encryptioncontext:{name}".lower(): value for name, value in encryption_context.items()},
        },
    )
