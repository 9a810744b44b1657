"""Completes AWS::S3::Bucket: the properties that the emulator drops, and buckets that still hold data.

BucketEncryption, LifecycleConfiguration, LoggingConfiguration, OwnershipControls, ReplicationConfiguration and Tags are
sent to the emulator's own S3 calls, as XML. Deleting or replacing a bucket that holds objects or versions fails, as on
AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deployer.local.cloudformation.replication import replication_request
from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import EmulatorChanged, load, require

Properties = Mapping[str, Any]


def install(cloud: LocalCloud) -> None:
    """Wrap the emulator's handler of the type."""
    provisioners = load("services.cloudformation.provisioners")
    s3 = load("services.s3")
    handler = require(provisioners, "_RESOURCE_HANDLERS").get("AWS::S3::Bucket")
    if not {"create", "update", "delete"} <= set(handler or ()):
        raise EmulatorChanged("the handler of AWS::S3::Bucket has a different form")
    for name in (
        "_put_bucket_encryption",
        "_put_bucket_lifecycle",
        "_put_bucket_logging",
        "_put_bucket_tagging",
        "_put_bucket_ownership_controls",
    ):
        require(s3, name, ("name", "body"))
    require(s3, "_bucket_has_versions", ("name",))
    create, update, delete = handler["create"], handler["update"], handler["delete"]

    def complete_create(logical_id: str, props: Properties, stack_name: str) -> Any:
        result = create(logical_id, props, stack_name)
        apply_properties(s3, result[0], {}, props)
        return result

    def complete_update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Any:
        result = update(physical_id, old, new, stack_name)
        apply_properties(s3, result[0], old, new)
        return result

    def guarded_delete(physical_id: str, props: Properties) -> None:
        bucket = s3._buckets.get(physical_id)
        if bucket is not None and (bucket["objects"] or s3._bucket_has_versions(physical_id)):
            raise ValueError("The bucket you tried to delete is not empty. You must delete all versions in the bucket.")
        delete(physical_id, props)
        s3._bucket_logging_config.pop(physical_id, None)
        s3._delete_persisted_bucket(physical_id)

    handler.update(create=complete_create, update=complete_update, delete=guarded_delete)


def apply_properties(s3: Any, bucket: str, old: Properties, new: Properties) -> None:
    """Bring the dropped properties of `bucket` from `old` to `new`; a removed one is deleted."""
    versioning = (new.get("VersioningConfiguration") or {}).get("Status")
    if versioning == "Suspended" or (versioning is None and s3._bucket_versioning.get(bucket) == "Enabled"):
        s3._bucket_versioning[bucket] = "Suspended"
    for name, (operation, convert, put, remove) in _configurations(s3).items():
        if new.get(name):
            _checked(name, put(bucket, _xml(operation, convert(new[name]))))
        elif old.get(name):
            remove(bucket)


def _configurations(s3: Any) -> dict[str, tuple[str, Callable[[Any], dict[str, Any]], Any, Any]]:
    """Return property name -> S3 operation, conversion of its value, the emulator's put and delete."""
    return {
        "BucketEncryption": (
            "PutBucketEncryption",
            encryption_request,
            s3._put_bucket_encryption,
            s3._delete_bucket_encryption,
        ),
        "LifecycleConfiguration": (
            "PutBucketLifecycleConfiguration",
            lifecycle_request,
            s3._put_bucket_lifecycle,
            s3._delete_bucket_lifecycle,
        ),
        "LoggingConfiguration": (
            "PutBucketLogging",
            logging_request,
            s3._put_bucket_logging,
            lambda bucket: s3._bucket_logging_config.pop(bucket, None),
        ),
        "OwnershipControls": (
            "PutBucketOwnershipControls",
            lambda value: {"OwnershipControls": {"Rules": value["Rules"]}},
            s3._put_bucket_ownership_controls,
            s3._delete_bucket_ownership_controls,
        ),
        "ReplicationConfiguration": (
            "PutBucketReplication",
            replication_request,
            s3._put_bucket_replication,
            lambda bucket: s3._bucket_replication.pop(bucket, None),
        ),
        "Tags": (
            "PutBucketTagging",
            lambda tags: {"Tagging": {"TagSet": [{"Key": tag["Key"], "Value": str(tag["Value"])} for tag in tags]}},
            s3._put_bucket_tagging,
            s3._delete_bucket_tagging,
        ),
    }


def encryption_request(value: Properties) -> dict[str, Any]:
    """Return the arguments of PutBucketEncryption for a BucketEncryption property."""
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
            "BucketKeyEnabled": _boolean(rule.get("BucketKeyEnabled", False)),
            **({"BlockedEncryptionTypes": rule["BlockedEncryptionTypes"]} if "BlockedEncryptionTypes" in rule else {}),
        }
        for rule in value["ServerSideEncryptionConfiguration"]
    ]
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


def lifecycle_request(value: Properties) -> dict[str, Any]:
    """Return the arguments of PutBucketLifecycleConfiguration for a LifecycleConfiguration property."""
    return {"LifecycleConfiguration": {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}}


def _lifecycle_rule(rule: Properties) -> dict[str, Any]:
    found: dict[str, Any] = {"Status": rule["Status"], "Filter": _lifecycle_filter(rule)}
    if "Id" in rule:
        found["ID"] = rule["Id"]
    expiration: dict[str, Any] = {}
    if "ExpirationInDays" in rule:
        expiration["Days"] = int(rule["ExpirationInDays"])
    if "ExpirationDate" in rule:
        expiration["Date"] = rule["ExpirationDate"]
    if _boolean(rule.get("ExpiredObjectDeleteMarker", False)):
        expiration["ExpiredObjectDeleteMarker"] = True
    if expiration:
        found["Expiration"] = expiration
    noncurrent = dict(rule.get("NoncurrentVersionExpiration") or {})
    if "NoncurrentVersionExpirationInDays" in rule:
        noncurrent["NoncurrentDays"] = rule["NoncurrentVersionExpirationInDays"]
    if noncurrent:
        found["NoncurrentVersionExpiration"] = {name: int(days) for name, days in noncurrent.items()}
    if "AbortIncompleteMultipartUpload" in rule:
        days = int(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        found["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    transitions = [*rule.get("Transitions", []), *([rule["Transition"]] if "Transition" in rule else [])]
    if transitions:
        found["Transitions"] = [
            {"StorageClass": step["StorageClass"], "Days": int(step.get("TransitionInDays", 0))} for step in transitions
        ]
    if rule.get("NoncurrentVersionTransitions"):
        found["NoncurrentVersionTransitions"] = [
            {"StorageClass": step["StorageClass"], "NoncurrentDays": int(step["TransitionInDays"])}
            for step in rule["NoncurrentVersionTransitions"]
        ]
    return found


def _lifecycle_filter(rule: Properties) -> dict[str, Any]:
    parts: dict[str, Any] = {"Prefix": rule.get("Prefix", "")}
    for size in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"):
        if size in rule:
            parts[size] = int(rule[size])
    tags = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in rule.get("TagFilters", [])]
    if len(parts) + len(tags) == 1:
        return parts
    return {"And": {**parts, **({"Tags": tags} if tags else {})}}


def logging_request(value: Properties) -> dict[str, Any]:
    """Return the arguments of PutBucketLogging for a LoggingConfiguration property."""
    enabled = {"TargetBucket": value["DestinationBucketName"], "TargetPrefix": value.get("LogFilePrefix", "")}
    return {"BucketLoggingStatus": {"LoggingEnabled": enabled}}


def _boolean(value: Any) -> bool:
    """Read a boolean, which CloudFormation passes on as it is in the template, quoted or not."""
    return str(value).lower() == "true"


def _xml(operation: str, request: dict[str, Any]) -> bytes:
    """Return the body that an AWS SDK would send for this request."""
    import botocore.serialize
    import botocore.session

    model = botocore.session.get_session().get_service_model("s3").operation_model(operation)
    serializer = botocore.serialize.create_serializer("rest-xml", include_validation=False)
    body = serializer.serialize_to_request({"Bucket": "bucket", **request}, model)["body"]
    return bytes(body)


def _checked(name: str, response: tuple[int, Any, Any]) -> None:
    """Raise what CloudFormation would report when the emulator refuses a property's value."""
    status, _, body = response
    if status >= 300:
        raise ValueError(f"{name}: {body!r}")
