"""EventBridge and SNS deliver as on AWS: they call functions asynchronously, retry, and use dead-letter queues for what
they cannot deliver.

The emulator calls a function once and ignores the result; it has no queues for failed deliveries, and drops a topic's
key.
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

Data = dict[str, Any]
_log = logging.getLogger(__name__)

#: Seconds before each retry of a delivery, as many as the target's RetryPolicy allows; AWS retries for up to a day.
PAUSES_SECONDS = (0.5, 1.0, 2.0)
USUAL_ATTEMPTS = 185
EVENTS = "events.amazonaws.com"
#: The rule or schedule whose event is being delivered in this context, and the failures of the delivery.
_source: contextvars.ContextVar[str] = contextvars.ContextVar("source", default="")
_failures: contextvars.ContextVar[list[tuple[str, str]] | None] = contextvars.ContextVar("failures", default=None)


def install(cloud: LocalCloud) -> None:
    """Replace the deliveries of rules and topics, and keep a topic's key."""
    _deliver_rules(load("services.eventbridge"))
    _deliver_topics(load("services.sns"))
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
    refused = require(load("services.sns"), "SnsPublishError")
    topic_allows = require(load("services.sns"), "topic_policy_allows")
    get_account_id = load("core.responses").get_account_id

    def to_lambda(arn: str, payload: str) -> None:
        if not call_function(arn, json.loads(payload)):
            _failed("NO_PERMISSIONS", f"function {arn} does not exist")

    def to_sns(arn: str, payload: str) -> None:
        if not topic_allows(arn, EVENTS, _source.get(), get_account_id()):
            _failed("NO_PERMISSIONS", f"the policy of topic {arn} does not let {_source.get()} publish")
            return
        try:
            if publish(arn, payload) is None:
                _failed("NO_PERMISSIONS", f"topic {arn} does not exist")
        except refused as error:
            _failed("SDK_CLIENT_ERROR", str(error))

    def to_sqs(spec: Any, payload: str, sqs_parameters: Data | None = None) -> None:
        if queue_of(str(spec)) is None:
            _failed("NO_PERMISSIONS", f"queue {spec} does not exist")
        else:
            to_queue(spec, payload, sqs_parameters)

    def invoke_target(target: Data, event: Data, rule: Data, view: Any = None) -> None:
        if _attempt(lambda: once(target, event, rule, view), rule):
            again = contextvars.copy_context()
            arguments = (lambda: once(target, event, rule, view), target, event, rule)
            threading.Thread(target=again.run, args=(_try_again, *arguments), daemon=True).start()

    replace(eventbridge, "_dispatch_to_lambda", to_lambda)
    replace(eventbridge, "_dispatch_to_sns", to_sns)
    replace(eventbridge, "_dispatch_to_sqs", to_sqs)
    replace(eventbridge, "_invoke_target", invoke_target)
    invoke_target.once = once  # type: ignore[attr-defined]


def attempt_delivery(target: Data, event: Data, source: Data) -> list[tuple[str, str]]:
    """Deliver to a target once, for a caller with retries of its own; return the failures as (code, text)."""
    once = load("services.eventbridge")._invoke_target.once
    return _attempt(lambda: once(target, event, source, None), source)


def _failed(code: str, message: str) -> None:
    failures = _failures.get()
    if failures is not None:
        failures.append((code, message))
    _log.warning("a rule's event was not delivered: %s", message)


def _attempt(deliver: Callable[[], None], source: Data) -> list[tuple[str, str]]:
    """Deliver, and return the failures."""
    failures: list[tuple[str, str]] = []
    tokens = _failures.set(failures), _source.set(str(source.get("Arn", "")))
    try:
        deliver()
    finally:
        _failures.reset(tokens[0])
        _source.reset(tokens[1])
    return failures


def _try_again(deliver: Callable[[], None], target: Data, event: Data, rule: Data) -> None:
    attempts = int((target.get("RetryPolicy") or {}).get("MaximumRetryAttempts", USUAL_ATTEMPTS))
    failures: list[tuple[str, str]] = [("SDK_CLIENT_ERROR", "no attempt is allowed after the first")]
    for pause in PAUSES_SECONDS[:attempts]:
        time.sleep(pause)
        failures = on_loop(_attempt, deliver, rule)
        if not failures:
            return
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue:
        said = reasons(failures[-1], target, rule, attempts)
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


def reasons(failure: tuple[str, str], target: Data, rule: Data, attempts: int) -> dict[str, str]:
    """Return the attributes of a dead letter. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    return {
        "ERROR_CODE": failure[0],
        "ERROR_MESSAGE": failure[1],
        "RULE_ARN": str(rule.get("Arn", "")),
        "TARGET_ARN": str(target.get("Arn", "")),
        "RETRY_ATTEMPTS": str(min(attempts, len(PAUSES_SECONDS))),
    }


def _deliver_topics(sns: Any) -> None:
    find = require(sns, "_find_subscription", ("topic_arn", "sub_arn"))

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
        if call_function(endpoint, event):
            return
        _log.warning("topic %s: function %s does not exist", topic_arn, endpoint)
        redrive = ((find(topic_arn, sub_arn) or {}).get("attributes") or {}).get("RedrivePolicy")
        if redrive:
            queue, said = json.loads(redrive)["deadLetterTargetArn"], {"ERROR_CODE": "ResourceNotFound"}
            on_loop(keep_for, "sns.amazonaws.com", topic_arn, queue, envelope, said)

    replace(sns, "_deliver_to_lambda", to_lambda)
    _deliver_before_the_answer(sns, to_lambda)


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
