"""On which resources an action is allowed in one environment, and under which conditions: by name if we choose it, else by tags.

A stack's resources carry its name, which begins with project and environment; keys carry the stack's tags instead.
Which actions there are is iam_policy.py's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

from deployer.errors import ConfigError
from deployer.project.config import Environment, Project

BOUNDARY = "PermissionsBoundaryArn"  # parameter of the templates with roles
PASSED_TO = tuple(
    f"{service}.amazonaws.com"
    for service in ("apigateway", "firehose", "glue", "lambda", "s3", "scheduler", "transfer")
)

# These know no resource. https://docs.aws.amazon.com/service-authorization/latest/reference/
_ANYWHERE = {
    "cloudformation:BatchDescribeTypeConfigurations",
    "cloudformation:DescribeStackDriftDetectionStatus",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRegions",
    "glue:CreateCrawler",
    "glue:CreateSecurityConfiguration",
    "glue:DeleteSecurityConfiguration",
    "glue:GetDataCatalogEncryptionSettings",
    "glue:GetSecurityConfiguration",
    "iam:GetAccountSummary",
    "kinesis:DescribeLimits",
    "kinesis:DisableEnhancedMonitoring",
    "kinesis:EnableEnhancedMonitoring",
    "kinesis:UpdateShardCount",
    "kinesis:UpdateStreamMode",
    "kms:CreateKey",
    "kms:ListAliases",
    "lakeformation:DescribeLakeFormationIdentityCenterConfiguration",
    "lakeformation:DescribeResource",
    "lakeformation:GetDataLakeSettings",
    "lakeformation:ListPermissions",
    "lakeformation:ListResources",
    "lambda:GetAccountSettings",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeIndexPolicies",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "servicequotas:ListServiceQuotas",
    "sns:GetSubscriptionAttributes",
    "sns:SetSubscriptionAttributes",
    "sns:Unsubscribe",
    "transfer:CreateServer",
}
# Whoever runs dataops asks what it may do itself, and its role may have any name.
_ABOUT_ITSELF = {"iam:GetRole": ("role",), "iam:SimulatePrincipalPolicy": ("role", "user")}
_OF_OBJECTS = {
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
}
_OF_CHANGE_SETS = {"cloudformation:DescribeEvents", "cloudformation:TagResource"}
# What becomes of a role. DeleteRole and DetachRolePolicy only take away.
_BOUNDED = {
    "iam:AttachRolePolicy",
    "iam:CreateRole",
    "iam:PutRolePermissionsBoundary",
    "iam:UpdateAssumeRolePolicy",
}
# A new key has its tags in the request; authorization may know them minutes later only, so what follows at once is
# allowed without them, where it does no harm to a key of others.
# https://docs.aws.amazon.com/kms/latest/developerguide/abac.html
_WITHOUT_TAGS = {
    "kms:CreateAlias",  # no right here depends on an alias
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListResourceTags",
    "kms:UpdateAlias",
}

Condition = tuple[str, str, tuple[str, ...]]  # ("StringEquals", "kms:ViaService", ("s3.eu-west-1.amazonaws.com",))


@dataclass(frozen=True)
class Scope:
    """Where an action is allowed, and under which conditions; all of them must hold."""

    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()


class Places:
    """The scopes of one environment. Raise ConfigError when its boundary is not known."""

    def __init__(self, project: Project, environment: Environment) -> None:
        region, self._name = environment.region, environment.name
        self._partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(
            region.rpartition("-")[0].rpartition("-")[0], "aws"
        )
        self._region, self._account = region, environment.account or "*"
        self._prefix = f"{project.name}-{environment.name}-"
        self._tags = {"Project": project.name, "Environment": environment.name, **environment.tags}
        self._boundary = _boundary(environment)
        self._partner_role = environment.partner.role if environment.partner else None
        if fnmatch(self._boundary, self._iam("policy")):
            raise ConfigError(
                f"{BOUNDARY} is a policy that the stacks may change",
                where=environment.places.get(BOUNDARY),
                hint=f"a boundary's name must not begin with {self._prefix}",
            )

    def own(self, action: str, *, service: str, may_create_first: bool) -> Scope:
        """Return the resources on which dataops itself may take an action for a call of a service.

        `may_create_first` admits the change set of the first deployment, whose name anybody can work out.
        """
        if action in _ABOUT_ITSELF:
            return Scope(tuple(self._of_any_name(kind) for kind in _ABOUT_ITSELF[action]))
        if action.startswith("kms:") and action not in _ANYWHERE:
            return Scope((self._arn("kms", "key/*"),), self._through_the_service(service))
        if action == "cloudformation:CreateChangeSet":
            return Scope(self._resources(action), _of_our_change_sets(may_create_first))
        return Scope(self._resources(action))

    def through_cloudformation(self, action: str) -> tuple[Scope, ...]:
        """Return the resources on which CloudFormation may take an action for dataops; none if it may not."""
        resources = self._resources(action)
        if action == "iam:PassRole":
            return (Scope(resources, (("StringEquals", "iam:PassedToService", PASSED_TO),)),)
        through: Condition = ("ForAnyValue:StringEquals", "aws:CalledVia", ("cloudformation.amazonaws.com",))
        if action == "iam:PutRolePermissionsBoundary" and not self._boundary:
            return ()
        return tuple(Scope(resources, (through, *narrowed)) for narrowed in self._narrowed(action))

    def _narrowed(self, action: str) -> tuple[tuple[Condition, ...], ...]:
        """Return the additional conditions of an action, one set for each case in which it is allowed."""
        service = action.partition(":")[0]
        if service == "iam":
            return (self._of_roles(action),)
        if service != "kms" or action in _WITHOUT_TAGS:
            return ((),)
        match action:
            case "kms:CreateKey":
                return (self._tagged("aws:RequestTag"),)
            case "kms:TagResource":  # with the key, or later
                return self._tagged("aws:RequestTag"), self._tagged("aws:ResourceTag")
            case "kms:PutKeyPolicy":  # IfExists: a new key's tags may not be known yet, and foreign keys cannot come in
                return (self._tagged("aws:ResourceTag", operator="StringEqualsIfExists"),)
            case _:
                return (self._tagged("aws:ResourceTag"),)

    def _of_roles(self, action: str) -> tuple[Condition, ...]:
        conditions: list[Condition] = []
        if action in ("iam:AttachRolePolicy", "iam:DetachRolePolicy"):
            conditions.append(("ArnLike", "iam:PolicyARN", (self._iam("policy"),)))
        if action in _BOUNDED and self._boundary:
            conditions.append(("StringEquals", "iam:PermissionsBoundary", (self._boundary,)))
        return tuple(conditions)

    def _tagged(self, key: str, *, operator: str = "StringEquals") -> tuple[Condition, ...]:
        return tuple((operator, f"{key}/{tag}", (self._tags[tag],)) for tag in ("Project", "Environment"))

    def _through_the_service(self, service: str) -> tuple[Condition, ...]:
        """Return the conditions on keys: used through a service for our own resources, whatever the key's alias.

        The context is in force from the first request, an alias only minutes later. It is the bucket's ARN with a
        bucket key, and the object's without. https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
        """
        suffix = "amazonaws.com.cn" if self._partition == "aws-cn" else "amazonaws.com"
        match service:
            case "kinesis":
                context, ours = "aws:kinesis:arn", self._arn("kinesis", f"stream/{self._prefix}*")
            case "secretsmanager":
                # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
                context, ours = "SecretARN", self._arn("secretsmanager", f"secret:{self._prefix}*")
            case _:
                service, context, ours = "s3", "aws:s3:arn", self._bucket()
        return (
            ("StringEquals", "kms:ViaService", (f"{service}.{self._region}.{suffix}",)),
            ("StringLike", f"kms:EncryptionContext:{context}", (ours,)),
        )

    def _resources(self, action: str) -> tuple[str, ...]:
        service, _, name = action.partition(":")
        if action in _ANYWHERE:
            return ("*",)
        match service:
            case "cloudformation":
                change_sets = (self._arn(service, "changeSet/dataops-*"),) if action in _OF_CHANGE_SETS else ()
                return (*change_sets, self._arn(service, f"stack/{self._prefix}*"))
            case "s3" if name == "DeleteObjectVersion":  # of transaction files alone
                return (f"{self._bucket()}/transactions/*",)
            case "s3":
                return (f"{self._bucket()}/*" if action in _OF_OBJECTS else self._bucket(),)
            case "glue":
                return self._glue(name)
            case "apigateway":  # APIs have ids of API Gateway's own choice; the account's setting has none
                places = ("restapis", "restapis/*", "account", "tags/*")
                return tuple(f"arn:{self._partition}:apigateway:{self._region}::/{place}" for place in places)
            case "athena":
                return (self._arn(service, f"workgroup/{self._prefix}*"),)
            case "logs":
                return (
                    self._arn(service, f"log-group:/{self._prefix}*"),
                    self._arn(service, f"log-group:{self._prefix}*"),
                    # Glue's own name, one group for all crawlers of an account.
                    self._arn(service, "log-group:/aws-glue/crawlers"),
                    self._arn(service, "log-group:/aws-glue/crawlers:*"),
                )
            case "cloudwatch" if "Dashboard" in name:  # dashboards have no region
                return (f"arn:{self._partition}:{service}::{self._account}:dashboard/{self._prefix}*",)
            case "cloudwatch":
                return (self._arn(service, f"alarm:{self._prefix}*"),)
            case "events":
                return (self._arn(service, f"rule/{self._prefix}*"),)
            case "lambda" if name == "InvokeFunction":
                # Of the month end alone: by as much of its logical id as the longest name has room for.
                return (self._arn(service, f"function:{self._prefix}*-IssueSt*"),)
            case "lambda":
                return (self._arn(service, f"function:{self._prefix}*"),)
            case "scheduler":
                return (self._arn(service, f"schedule/default/{self._prefix}*"),)
            case "secretsmanager":
                return (self._arn(service, f"secret:{self._prefix}*"),)
            case "sns":
                return (self._arn(service, f"{self._prefix}*"),)
            case "sts":  # the role of a partner whose bucket is read; without one, nowhere
                return (self._partner_role,) if self._partner_role else ()
            case "transfer":  # ids are AWS's; a user belongs to its server
                return (self._arn(service, "server/*"), self._arn(service, "user/*"))
            case "sqs":
                return (self._arn(service, f"{self._prefix}*"),)
            case "kinesis":
                stream = self._arn(service, f"stream/{self._prefix}*")
                return (self._arn("kms", "key/*"), stream) if name.endswith("StreamEncryption") else (stream,)
            case "firehose":
                return (self._arn(service, f"deliverystream/{self._prefix}*"),)
            case "kms":
                key, alias = self._arn(service, "key/*"), self._arn(service, f"alias/{self._prefix}*")
                return (key, alias) if name.endswith("Alias") else (key,)
            case "iam":
                is_policy = name.endswith(("Policy", "PolicyVersion", "PolicyVersions")) and "Role" not in name
                return (self._iam("policy" if is_policy else "role"),)
            case _:
                raise ConfigError(
                    f"it is not declared where {action} is allowed", where="deployer/security/iam_places.py"
                )

    def _glue(self, name: str) -> tuple[str, ...]:
        """Return the patterns of names: jobs and crawlers begin with the stack's name, databases end with the environment's.

        Deleting a database is also evaluated on everything in it.
        https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
        """
        job, crawler = self._arn("glue", f"job/{self._prefix}*"), self._arn("glue", f"crawler/{self._prefix}*")
        if "Crawler" in name:
            return (crawler,)
        if "Tag" in name or name == "UntagResource":
            return (crawler, job)
        if "Job" in name:
            return (job,)
        kinds = ["database"] if "Database" in name else ["database", "table"]
        kinds += ["table", "userDefinedFunction"] if name == "DeleteDatabase" else []
        of_kind = {"database": f"database/*_{self._name}"}
        return (
            self._arn("glue", "catalog"),
            *(self._arn("glue", of_kind.get(kind, f"{kind}/*_{self._name}/*")) for kind in kinds),
        )

    def _bucket(self) -> str:
        return f"arn:{self._partition}:s3:::{self._prefix}*"

    def _iam(self, kind: str) -> str:
        return f"arn:{self._partition}:iam::{self._account}:{kind}/{self._prefix}*"

    def _of_any_name(self, kind: str) -> str:
        return f"arn:{self._partition}:iam::{self._account}:{kind}/*"

    def _arn(self, service: str, rest: str) -> str:
        return f"arn:{self._partition}:{service}:{self._region}:{self._account}:{rest}"


def _boundary(environment: Environment) -> str:
    """Return the boundary that every role must have, "" if the environment sets none."""
    if variable := environment.unset.get(BOUNDARY):
        raise ConfigError(
            f"{BOUNDARY} is not known: variable {variable} is not set",
            where=environment.places.get(BOUNDARY),
            hint=f"export {variable}=..., because the policy must name the boundary",
        )
    return environment.parameters.get(BOUNDARY, "")


def _of_our_change_sets(may_create_first: bool) -> tuple[Condition, ...]:
    """Change sets under our names that import nothing: what others made never comes into our stacks' hands."""
    first: tuple[Condition, ...] = (
        () if may_create_first else (("StringNotLike", "cloudformation:ChangeSetName", ("dataops-first-*",)),)
    )
    return (
        ("StringLike", "cloudformation:ChangeSetName", ("dataops-*",)),
        *first,
        ("Null", "cloudformation:ImportResourceTypes", ("true",)),
    )
