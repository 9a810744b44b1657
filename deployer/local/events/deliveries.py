"""EventBridge, SNS and S3 deliver as on AWS: where the policy of a function, queue or topic allows it, they call functions
asynchronously, retry, and use dead-letter queues for what they cannot deliver.

The emulator calls a function once, whatever its policy, and ignores the result; it has no queues for failed deliveries,
and drops a topic's key.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.events.queues import keep_for
from deployer.local.rights.services import delivery_refusal

Data = dict[str, Any]
_log = logging.getLogger(__name__)

#: What is not retried: the target does not exist, or its policy does not allow the rule to deliver to it.
NO_PERMISSIONS = "NO_PERMISSIONS"
#: Seconds before each retry of a delivery, as many as the target's RetryPolicy allows; AWS retries for up to a day.
PAUSES_SECONDS = (0.5, 1.0, 2.0)
USUAL_ATTEMPTS = 185
EVENTS, SNS, S3 = (f"{name}.amazonaws.com" for name in ("events", "sns", "s3"))
Failures = list[tuple[str, str]]
#: The failures, as (code, text), of the delivery that is made in this context.
_failures: contextvars.ContextVar[Failures | None] = contextvars.ContextVar("failures", default=None)


def install(cloud: LocalCloud) -> None:
    """Replace the deliveries of rules, topics and buckets, and keep a topic's key."""
    _deliver_rules(load("services.eventbridge"))
    _deliver_topics(load("services.sns"))
    _deliver_buckets(load("services.s3"))
    handlers = require(load("services.cloudformation.provisioners"), "_RESOURCE_HANDLERS")
    keep_topic_key(handlers["AWS::SNS::Topic"])


def call_function(arn: str, event: Any) -> bool:
    """Call a function asynchronously, as AWS's services do; return False if it does not exist."""
    functions = load("services.lambda_svc")
    function, config, _ = require(functions, "_get_func_record_for_ref")(arn)
    if not function or not config:
        return False
    record = require(functions, "_execution_record_for_config", ("func", "config"))(function, config)
    require(functions, "invoke_async_with_retry", ("func", "event"))(record, event)
    return True


def _deliver_rules(eventbridge: Any) -> None:
    once = require(eventbridge, "_invoke_target", ("target", "event", "rule", "view"))
    to_queue = require(eventbridge, "_dispatch_to_sqs", ("spec", "payload", "sqs_parameters"))
    queue_of = require(load("services.sqs"), "_queue_by_arn", ("arn",))
    publish = require(load("services.sns"), "publish_internal")
    not_published = require(load("services.sns"), "SnsPublishError")

    def to_lambda(arn: str, payload: str) -> None:
        if not call_function(arn, json.loads(payload)):
            _failed(NO_PERMISSIONS, f"function {arn} does not exist")

    def to_sns(arn: str, payload: str) -> None:
        try:
            if publish(arn, payload) is None:
                _failed(NO_PERMISSIONS, f"topic {arn} does not exist")
        except not_published as error:
            _failed("SDK_CLIENT_ERROR", str(error))

    def to_sqs(spec: Any, payload: str, sqs_parameters: Data | None = None) -> None:
        if queue_of(str(spec)) is None:
            _failed(NO_PERMISSIONS, f"queue {spec} does not exist")
        else:
            to_queue(spec, payload, sqs_parameters)

    def invoke_target(target: Data, event: Data, rule: Data, view: Any = None) -> None:
        def deliver() -> None:
            refused = delivery_refusal(EVENTS, str(rule.get("Arn", "")), target["Arn"])
            if refused and not target.get("RoleArn"):
                _failed(NO_PERMISSIONS, refused)
            else:
                once(target, event, rule, view)

        if failures := _attempt(deliver):
            again = contextvars.copy_context()
            arguments = (deliver, failures, target, event, rule)
            threading.Thread(target=again.run, args=(_try_again, *arguments), daemon=True).start()

    replace(eventbridge, "_dispatch_to_lambda", to_lambda)
    replace(eventbridge, "_dispatch_to_sns", to_sns)
    replace(eventbridge, "_dispatch_to_sqs", to_sqs)
    replace(eventbridge, "_invoke_target", invoke_target)
    invoke_target.once = once  # type: ignore[attr-defined]


def attempt_delivery(target: Data, event: Data, source: Data) -> Failures:
    """Deliver to a target once, for a caller with retries and a role of its own; return the failures."""
    once = load("services.eventbridge")._invoke_target.once
    return _attempt(lambda: once(target, event, source, None))


def _failed(code: str, message: str) -> None:
    failures = _failures.get()
    if failures is not None:
        failures.append((code, message))
    _log.warning("a rule's event was not delivered: %s", message)


def _attempt(deliver: Callable[[], None]) -> Failures:
    """Deliver, and return the failures."""
    failures: Failures = []
    token = _failures.set(failures)
    try:
        deliver()
    finally:
        _failures.reset(token)
    return failures


def _try_again(deliver: Callable[[], None], failures: Failures, target: Data, event: Data, rule: Data) -> None:
    """Retry a delivery as often as its target allows; if it still fails, send the event to the target's queue."""
    attempts, retries = int((target.get("RetryPolicy") or {}).get("MaximumRetryAttempts", USUAL_ATTEMPTS)), 0
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    while failures[-1][0] != NO_PERMISSIONS and retries < min(attempts, len(PAUSES_SECONDS)):
        time.sleep(PAUSES_SECONDS[retries])
        retries += 1
        failures = on_loop(_attempt, deliver)
        if not failures:
            return
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue:
        said = reasons(failures[-1], target, rule, retries)
        on_loop(keep_for, EVENTS, str(rule.get("Arn", "")), queue, dead_letter(event), said)


def dead_letter(event: Mapping[str, Any]) -> str:
    """Return the event as EventBridge writes it into a queue."""
    shown = {
        "version": "0",
        "id": event["EventId"],
        "detail-type": event["DetailType"],
        "source": event["Source"],
        "account": event["Account"],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event["Time"])),
        "region": event.get("Region", ""),
        "resources": event["Resources"],
        "detail": json.loads(event["Detail"] or "{}"),
    }
    return json.dumps(shown)


def reasons(failure: tuple[str, str], target: Data, rule: Data, retries: int) -> dict[str, str]:
    """Return the attributes of a dead letter. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    return {
        "ERROR_CODE": failure[0],
        "ERROR_MESSAGE": failure[1],
        "RULE_ARN": str(rule.get("Arn", "")),
        "TARGET_ARN": str(target.get("Arn", "")),
        "RETRY_ATTEMPTS": str(retries),
    }


def _deliver_topics(sns: Any) -> None:
    topic_of = require(sns, "_topic_by_arn_any_scope", ("topic_arn",))
    to_queue = require(sns, "_deliver_to_sqs")

    def to_lambda(
        endpoint: str,
        envelope: str,
        topic_arn: str,
        sub_arn: str,
        msg_id: str,
        raw_message: str,
        message_attributes: Data,
    ) -> None:
        record = {"EventVersion": "1.0", "EventSubscriptionArn": sub_arn, "EventSource": "aws:sns"}
        event = {"Records": [{**record, "Sns": json.loads(envelope)}]}
        refused = delivery_refusal(SNS, topic_arn, endpoint)
        if refused or not call_function(endpoint, event):
            give_up(topic_arn, endpoint, envelope, refused or f"function {endpoint} does not exist")

    def to_sqs(
        endpoint: str,
        envelope: str,
        raw: bool,
        raw_message: str,
        message_group_id: str = "",
        message_dedup_id: str = "",
        message_attributes: Data | None = None,
        topic_arn: str = "",
    ) -> None:
        if refused := delivery_refusal(SNS, topic_arn, endpoint):
            give_up(topic_arn, endpoint, raw_message if raw else envelope, refused)
            return
        to_queue(
            endpoint, envelope, raw, raw_message, message_group_id, message_dedup_id, message_attributes, topic_arn
        )

    def give_up(topic_arn: str, endpoint: str, body: str, why: str) -> None:
        """Send a message to its subscription's queue, without a retry, as on AWS.

        https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
        """
        _log.warning("topic %s: %s", topic_arn, why)
        subscriptions = (topic_of(topic_arn) or {}).get("subscriptions", ())
        attributes: Data = next(
            (each.get("attributes", {}) for each in subscriptions if each["endpoint"] == endpoint), {}
        )
        if attributes.get("RedrivePolicy"):
            queue = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]
            on_loop(keep_for, SNS, topic_arn, queue, body, {"ERROR_CODE": "AccessDenied", "ERROR_MESSAGE": why})

    replace(sns, "_deliver_to_lambda", to_lambda)
    replace(sns, "_deliver_to_sqs", to_sqs)
    _deliver_before_the_answer(sns, to_lambda)


def _deliver_buckets(s3: Any) -> None:
    """Evaluate a function's policy before a bucket calls it; for queues and topics, the emulator does."""
    to_function = require(s3, "_deliver_event_to_lambda", ("arn", "event_payload", "bucket_region"))

    def to_lambda(arn: str, event_payload: Data, bucket_region: str) -> None:
        bucket = event_payload["Records"][0]["s3"]["bucket"]["arn"]
        if refused := delivery_refusal(S3, bucket, arn):
            _log.warning("bucket %s: %s", bucket, refused)
        else:
            to_function(arn, event_payload, bucket_region)

    replace(s3, "_deliver_event_to_lambda", to_lambda)


def _deliver_before_the_answer(sns: Any, to_lambda: Callable[..., None]) -> None:
    """Pass a message to Lambda before its publisher is answered, so that a kill loses nothing that was published."""
    threads = require(sns, "_threading")

    def thread(target: Callable[..., Any], args: tuple[Any, ...], daemon: bool) -> Any:
        if args and args[0] is to_lambda:
            return SimpleNamespace(start=lambda: target(*args))
        return threads.Thread(target=target, args=args, daemon=daemon)

    sns._threading = SimpleNamespace(Thread=thread, Lock=threads.Lock)


def keep_topic_key(handler: dict[str, Any]) -> None:
    """Let the key of AWS::SNS::Topic reach GetTopicAttributes."""
    topics = load("services.sns")._topics
    create, update = handler["create"], handler["update"]

    def apply(created: tuple[str, Data], props: Mapping[str, Any]) -> tuple[str, Data]:
        attributes = topics[created[0]]["attributes"]
        attributes.pop("KmsMasterKeyId", None)
        if props.get("KmsMasterKeyId"):
            attributes["KmsMasterKeyId"] = props["KmsMasterKeyId"]
        return created

    handler["create"] = lambda logical_id, props, stack: apply(create(logical_id, props, stack), props)
    handler["update"] = lambda *arguments, **named: apply(update(*arguments, **named), arguments[2])
