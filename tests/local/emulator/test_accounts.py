"""Accounts are separate, and one drops files into another only with the agreed role and external id."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud

PARTNER = "999999999999"


def test_the_access_key_is_the_account(local_cloud: Cloud) -> None:
    """Given two 12-digit access keys, then they are two accounts that do not see each other's resources."""
    name = f"apart_{uuid.uuid4().hex[:8]}"
    local_cloud.client("glue", account=PARTNER).create_database(DatabaseInput={"Name": name})
    assert local_cloud.client("sts", account=PARTNER).get_caller_identity()["Account"] == PARTNER
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        local_cloud.client("glue").get_database(Name=name)


def test_a_partner_drops_a_file(local_cloud: Cloud) -> None:
    """Given a role that trusts the partner and an external id, then the partner assumes it with that id and drops a file;
    nobody else can, and not without that id.
    """
    bucket, name = local_cloud.bucket("raw"), f"drop-{uuid.uuid4().hex[:8]}"
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{PARTNER}:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "agreed"}},
            }
        ],
    }
    role = local_cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    sts = local_cloud.client("sts", account=PARTNER)
    for account, external_id in ((PARTNER, "guessed"), (PARTNER, None), ("888888888888", "agreed")):
        given = {} if external_id is None else {"ExternalId": external_id}
        with pytest.raises(ClientError, match="AccessDenied"):
            local_cloud.client("sts", account=account).assume_role(RoleArn=role["Arn"], RoleSessionName="drop", **given)
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=f"{role['Arn']}-nope", RoleSessionName="drop")
    local_cloud.allow(role["Arn"], {"s3:PutObject": f"arn:aws:s3:::{bucket}/transactions/*"})
    taken = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="drop", ExternalId="agreed")["Credentials"]
    dropped = local_cloud.client("s3", session=taken)
    dropped.put_object(Bucket=bucket, Key="transactions/source=s3/a.jsonl", Body=b"{}\n")
    assert (
        local_cloud.client("s3").head_object(Bucket=bucket, Key="transactions/source=s3/a.jsonl")["ContentLength"] == 3
    )
    with pytest.raises(ClientError):
        local_cloud.client("s3", account=PARTNER).get_object(Bucket=bucket, Key="transactions/source=s3/a.jsonl")
