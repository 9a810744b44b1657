"""Whether a service may call a function, or send a message to a queue or a topic, on behalf of a resource.

A service that delivers without a role has no policies of its own. The policy of the target decides, with the service as
the principal and the resource as aws:SourceArn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deployer.local.emulator.private_parts import load
from deployer.local.rights.judging import Access, Refusal
from deployer.local.rights.roles import SENDS

#: The action with which a service delivers, by the kind of target.
ACTIONS: Final = {kind: SENDS[kind] for kind in ("lambda", "sns", "sqs")}
#: The condition keys in which a service names the account, if it sends others than aws:SourceAccount.
ACCOUNT_KEYS: Final[Mapping[str, Sequence[str]]] = {
    # It is not documented that API Gateway names the account.
    "apigateway.amazonaws.com": (),
    # A topic's default policy requires aws:SourceOwner, and so admits alarms, but not rules.
    # https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html#source-account-versus-source-owner
    "cloudwatch.amazonaws.com": ("aws:sourceaccount", "aws:sourceowner"),
}


def delivery_refusal(service: str, source_arn: str, target_arn: str) -> str | None:
    """Return why `service` may not deliver to a function, queue or topic for `source_arn`, or None if it may.

    A target that does not exist has no policy, so it is refused. The policies of other kinds of targets are not evaluated.
    """
    parts = target_arn.split(":")
    if len(parts) < 6 or parts[2] not in ACTIONS:
        return None
    evaluator, responses = load("core.iam_evaluator"), load("core.responses")
    account_keys = ACCOUNT_KEYS.get(service, ("aws:sourceaccount",))
    context = {
        "aws:sourcearn": source_arn,
        **dict.fromkeys(account_keys, responses.get_account_id()),
        "aws:principalisawsservice": "true",
        "aws:principalservicename": service,
    }
    asked = evaluator.EvalContext(
        principal_arn="*",  # a service belongs to no account, but a policy for everyone includes it
        principal_type="Service",
        principal_account="",
        action=ACTIONS[parts[2]],
        resource_arn=target_arn,
        region=parts[3],
        secure_transport=True,
        service_context=context,
    )
    with responses.request_scope(parts[4], parts[3]):
        policy, _ = evaluator._resource_policy(parts[2], target_arn) or (None, None)
    decision = evaluator.evaluate_resource_policy(policy, asked, service=service).decision
    if decision == "Allow":
        return None
    return Refusal(service, Access(asked.action, target_arn), decision == "Deny", by_resource=True).message
