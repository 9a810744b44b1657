"""Who grants access in the Data Catalog, and whether it is encrypted: both decide whether the first database can be created."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer.account.checks import AccountCheck, blocker, ok, warning

LAKE_FORMATION, ENCRYPTION = "Lake Formation", "Data Catalog encryption"
EVERYBODY = "IAM_ALLOWED_PRINCIPALS"


def lake_formation(client: Any, principal: str, who_grants: str) -> Iterator[AccountCheck]:
    """Yield whether this principal may create databases, and what remains to be granted.

    https://docs.aws.amazon.com/lake-formation/latest/dg/change-settings.html
    """
    settings = client.get_data_lake_settings()["DataLakeSettings"]
    if _names(settings.get("CreateDatabaseDefaultPermissions", ()), EVERYBODY):
        yield ok(LAKE_FORMATION, "IAM alone decides who may create databases")
    elif any(each["DataLakePrincipalIdentifier"] == principal for each in settings.get("DataLakeAdmins", ())):
        yield ok(
            LAKE_FORMATION,
            "Lake Formation decides who may create databases, and these credentials belong to its administrator",
        )
    elif _may_create(client, principal):
        yield ok(
            LAKE_FORMATION,
            "Lake Formation decides who may create databases, and these credentials have CREATE_DATABASE",
        )
    else:
        yield blocker(
            LAKE_FORMATION,
            "Lake Formation decides who may create databases, and these credentials may not",
            f"a data lake administrator grants CREATE_DATABASE on the catalog to {principal}",
        )
    if who_grants == "lake-formation":
        yield warning(
            LAKE_FORMATION,
            "WhoGrants is lake-formation: no one has access to the lake's tables until it is granted",
            "after the stack catalog is deployed, have an administrator grant access to the job's role, the readers and the pipeline's role",
        )


def _names(permissions: Any, principal: str) -> bool:
    return any(each.get("Principal", {}).get("DataLakePrincipalIdentifier") == principal for each in permissions)


def _may_create(client: Any, principal: str) -> bool:
    asked = {"DataLakePrincipalIdentifier": principal}  # one of the catalog, so that there is no second page
    grants = client.list_permissions(Principal=asked, Resource={"Catalog": {}})["PrincipalResourcePermissions"]
    return any({"ALL", "CREATE_DATABASE"} & set(grant.get("Permissions", ())) for grant in grants)


def encryption(client: Any) -> Iterator[AccountCheck]:
    """Yield whether names and columns in the catalog need a key that no one here grants.

    https://docs.aws.amazon.com/glue/latest/dg/encrypt-glue-data-catalog.html
    """
    settings = client.get_data_catalog_encryption_settings()["DataCatalogEncryptionSettings"]
    at_rest = settings.get("EncryptionAtRest", {})
    mode, key = at_rest.get("CatalogEncryptionMode", "DISABLED"), at_rest.get("SseAwsKmsKeyId", "AWS's own key")
    if mode == "SSE-KMS":
        yield warning(
            ENCRYPTION,
            f"the catalog is encrypted with {key}, and no role of these stacks may use this key by its own policy",
            "unless the key's policy admits the account's principals through Glue, grant the pipeline's role, the job's "
            "role and the readers kms:Decrypt, kms:Encrypt and kms:GenerateDataKey on it",
        )
    else:
        yield ok(ENCRYPTION, "none" if mode == "DISABLED" else "by a role of Glue, so callers need no key")
