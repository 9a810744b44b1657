"""Messages in a dead-letter queue of EventBridge, SNS or Scheduler, with the attributes that give the reason."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from deployer.local.emulator.private_parts import load, require
from deployer.local.rights.services import delivery_refusal

_log = logging.getLogger(__name__)


def keep_for(service: str, source_arn: str, queue_arn: str, body: str, reasons: Mapping[str, str]) -> None:
    """Put a message into a queue for a service, if the queue's policy lets the service write for this source.

    If it does not, the message is lost, as on AWS.
    """
    if refused := delivery_refusal(service, source_arn, queue_arn):
        _log.warning("%s, for %s; lost: %s", refused, source_arn, dict(reasons))
        return
    keep(queue_arn, body, reasons)


def keep(queue_arn: str, body: str, reasons: Mapping[str, str]) -> None:
    """Put a message into a queue of the caller's account and region; without such a queue it is lost, as on AWS."""
    sqs = load("services.sqs")
    dispatch = require(load("services.eventbridge"), "_dispatch_to_sqs", ("spec", "payload", "sqs_parameters"))
    queue = require(sqs, "_queue_by_arn", ("arn",))(queue_arn)
    if queue is None:
        _log.warning("queue %s does not exist; lost: %s", queue_arn, dict(reasons))
        return
    attributes = {name: {"DataType": "String", "StringValue": value[:1000]} for name, value in reasons.items()}
    dispatch(load("core.arn").parse_arn(queue_arn), body)
    message = queue["messages"][-1]
    message["message_attributes"] = attributes
    message["md5_attrs"] = require(sqs, "_md5_msg_attrs", ("attrs",))(attributes)
