"""Who grants in the Data Catalog, and whether it is encrypted: both decide whether the first database can be made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer.account.checks import Check, blocker, ok, warning

LAKE_FORMATION, ENCRYPTION = "Lake Formation", "Data Catalog encryption"
EVERYBODY = "IAM_ALLOWED_PRINCIPALS"


def lake_formation(client: Any, principal: str, who_grants: str) -> Iterator[Check]:
    """Whether this principal may make databases, and what remains to be granted.

    https://docs.aws.amazon.com/lake-formation/latest/dg/change-settings.html
    """
    settings = client.get_data_lake_settings()["DataLakeSettings"]
    if _names(settings.get("CreateDatabaseDefaultPermissions", ()), EVERYBODY):
        yield ok(LAKE_FORMATION, "IAM alone decides who makes databases")
    elif any(each["DataLakePrincipalIdentifier"] == principal for each in settings.get("DataLakeAdmins", ())):
        yield ok(LAKE_FORMATION, "it decides who makes databases, and these credentials are its administrator's")
    elif _may_create(client, principal):
        yield ok(LAKE_FORMATION, "it decides who makes databases, and these credentials have CREATE_DATABASE")
    else:
        yield blocker(
            LAKE_FORMATION,
            "it decides who makes databases, and these credentials may not",
            f"a data lake administrator grants CREATE_DATABASE on the catalog to {principal}",
        )
    if who_grants == "lake-formation":
        yield warning(
            LAKE_FORMATION,
            "WhoGrants is lake-formation: tables of the lake are nobody's until they are granted",
            "after the stack catalog, an administrator grants the job's role, the readers and the pipeline's role",
        )


def _names(permissions: Any, principal: str) -> bool:
    return any(each.get("Principal", {}).get("DataLakePrincipalIdentifier") == principal for each in permissions)


def _may_create(client: Any, principal: str) -> bool:
    asked = {"DataLakePrincipalIdentifier": principal}  # one of the catalog, so that there is no second page
    grants = client.list_permissions(Principal=asked, Resource={"Catalog": {}})["PrincipalResourcePermissions"]
    return any({"ALL", "CREATE_DATABASE"} & set(grant.get("Permissions", ())) for grant in grants)


def encryption(client: Any) -> Iterator[Check]:
    """Whether names and columns in the catalog need a key that nobody here grants.

    https://docs.aws.amazon.com/glue/latest/dg/encrypt-glue-data-catalog.html
    """
    settings = client.get_data_catalog_encryption_settings()["DataCatalogEncryptionSettings"]
    at_rest = settings.get("EncryptionAtRest", {})
    mode, key = at_rest.get("CatalogEncryptionMode", "DISABLED"), at_rest.get("SseAwsKmsKeyId", "AWS's own key")
    if mode == "SSE-KMS":
        yield warning(
            ENCRYPTION,
            f"the catalog is encrypted with {key}, and no role of these stacks may use it by its own policy",
            "unless the key's policy lets the account's principals in through Glue, grant the pipeline's role, the job's "
            "role and the readers kms:Decrypt, kms:Encrypt and kms:GenerateDataKey on it",
        )
    else:
        yield ok(ENCRYPTION, "none" if mode == "DISABLED" else "by a role of Glue's own, callers need no key")
