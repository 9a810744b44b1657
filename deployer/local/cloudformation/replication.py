"""Replication between buckets: the template's ReplicationConfiguration, and the permissions that a replica needs.

The emulator copies a matching object at once, and evaluates the destination's bucket policy. This module adds the
role's trust policy and permissions, the keys on both sides, and the key that the rule names. A replica has its
original's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.rights.judging import Denied
from deployer.local.rights.roles import taken_by

Rule = Mapping[str, Any]
KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"
#: What the role needs on the bucket, and on its objects.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
LOOKING = ("s3:GetReplicationConfiguration", "s3:ListBucket")
READING = ("s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging")


def install(cloud: LocalCloud) -> None:
    """Check each replica before the emulator writes it."""
    s3 = load("services.s3")
    for name in ("_replication_rule_for", "_bucket_owner_account", "_bucket_replication"):
        require(s3, name)
    original = require(s3, "_maybe_replicate", ("bucket_name", "key", "obj", "data", "tags"))

    def maybe_replicate(bucket_name: str, key: str, obj: dict[str, Any], data: Any, tags: Any = None) -> None:
        rule, role = s3._replication_rule_for(bucket_name, key, tags)
        if rule is not None and not may_replicate(s3, bucket_name, key, obj, rule, role):
            obj["replication_status"] = "FAILED"
            return
        original(bucket_name, key, obj, data, tags)
        if rule is not None and obj.get("replication_status") == "COMPLETED":
            name_key(s3, obj, key, rule)

    replace(s3, "_maybe_replicate", maybe_replicate)


def replication_request(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of PutBucketReplication for a ReplicationConfiguration property."""
    rules = [{("ID" if name == "Id" else name): part for name, part in rule.items()} for rule in value["Rules"]]
    for rule in rules:
        if "Priority" in rule:
            rule["Priority"] = int(rule["Priority"])
    return {"ReplicationConfiguration": {"Role": value["Role"], "Rules": rules}}


def may_replicate(s3: Any, bucket: str, key: str, obj: Mapping[str, Any], rule: Rule, role: str) -> bool:
    """Return whether S3 may assume the role, and the role may read here, write there, and use both keys."""
    there = str(rule["Destination"]["Bucket"])
    target_key = (rule["Destination"].get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID")
    own_key = _stored_headers(obj).get(KEY_HEADER)
    through_s3 = {"kms:viaservice": f"s3.{load('core.responses').get_region()}.amazonaws.com"}
    asked: list[tuple[str, str, Mapping[str, str]]] = [
        *((action, f"arn:aws:s3:::{bucket}", {}) for action in LOOKING),
        *((action, f"arn:aws:s3:::{bucket}/{key}", {}) for action in READING),
        ("s3:ReplicateObject", f"{there}/{key}", {}),
    ]
    if rule["Destination"].get("AccessControlTranslation"):
        asked.append(("s3:ObjectOwnerOverrideToBucketOwner", f"{there}/{key}", {}))
    if own_key:
        if not target_key:
            return False  # an encrypted object is replicated only if the rule names a key
        asked += [("kms:Decrypt", own_key, through_s3), ("kms:Encrypt", target_key, through_s3)]
    try:
        taken = taken_by("s3.amazonaws.com", role, "s3-replication")
    except Denied:
        return False
    return all(taken.may(*each) for each in asked)


def name_key(s3: Any, obj: Mapping[str, Any], key: str, rule: Rule) -> None:
    """Encrypt the replica with the key that the rule names; the emulator leaves the original's key."""
    target_key = (rule["Destination"].get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID")
    bucket, _, account = obj["_replica"]
    record = s3._buckets.get_scoped(account, None, bucket)
    if target_key and record is not None:
        headers = _stored_headers(record["objects"][key])
        if KEY_HEADER in headers:
            headers[KEY_HEADER] = target_key


def _stored_headers(obj: Mapping[str, Any]) -> dict[str, Any]:
    headers: dict[str, Any] = obj.get("preserved_headers") or {}
    return headers
