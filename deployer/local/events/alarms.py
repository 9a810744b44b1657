"""Evaluates CloudWatch alarms by their own metric, period by period, with or without data, and notifies their topics.

The emulator evaluates an alarm when data for its metric's name arrives, whatever the dimensions; so it never evaluates
an alarm whose data stays away. The depth of a queue is read from the queue itself.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import json
import logging
import operator
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from deployer.local.completion import LocalCloud
from deployer.local.emulator.event_bus import emit
from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.rights.services import delivery_refusal

Data = dict[str, Any]
_log = logging.getLogger(__name__)

TICK_SECONDS: Final = 2.0
OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
ACTIONS: Final = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
QUEUE_DEPTH: Final = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")


def install(cloud: LocalCloud) -> None:
    """Replace the evaluation and its actions, and evaluate every alarm every two seconds."""
    cloudwatch = load("services.cloudwatch")
    for name in ("_record_history", "_evaluate_parent_alarms", "_calc_stats", "_stat_value", "_dims_key", "_metrics"):
        require(cloudwatch, name)
    replace(cloudwatch, "_evaluate_alarm", lambda alarm: evaluate(cloudwatch, alarm, time.time()))
    replace(
        cloudwatch,
        "_dispatch_alarm_actions",
        lambda alarm, old_state, new_state, reason: tell(cloudwatch, alarm, old_state, new_state, reason),
    )
    threading.Thread(target=_tick_forever, args=(cloudwatch,), daemon=True, name="alarms").start()


def _tick_forever(cloudwatch: Any) -> None:
    evaluate_all = require(cloudwatch, "_evaluate_all_alarms", ())
    request_scope = load("core.responses").request_scope
    while True:
        time.sleep(TICK_SECONDS)
        try:
            scopes = {key[:2] for key in list(cloudwatch._alarms._data)}
            for account, region in scopes:
                with request_scope(account, region):
                    on_loop(evaluate_all)
        except Exception:  # noqa: BLE001 - the clock must go on, and the log shows what stopped this tick
            _log.exception("the alarms could not be evaluated")


def evaluate(cloudwatch: Any, alarm: Data, now: float) -> None:
    """Set an alarm's state, and notify if it has changed."""
    if alarm.get("ComparisonOperator") not in OPERATORS:
        return
    values = list(period_values(cloudwatch, alarm, now))
    state = state_of(alarm, values)
    before = alarm["StateValue"]
    if state == before:
        return
    reason = reason_of(alarm, values)
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(now))
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def period_values(cloudwatch: Any, alarm: Data, now: float) -> Iterator[float | None]:
    """Yield the statistic of each period that counts, the newest first; None where there is no data."""
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    period, dimensions = int(alarm.get("Period", 60)), {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or ()}
    if (alarm["Namespace"], alarm["MetricName"]) == QUEUE_DEPTH:
        yield queue_depth(dimensions.get("QueueName"), now)
        return
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    points = cloudwatch._metrics.get(key) or []
    for number in range(int(alarm.get("EvaluationPeriods", 1))):
        end = now - period * number
        found = [point for point in points if end - period < point["Timestamp"] <= end]
        yield cloudwatch._stat_value(cloudwatch._calc_stats(found), statistic, found) if found else None


def queue_depth(name: str | None, now: float) -> float | None:
    """Return how many messages of a queue can be received now, or None if there is no such queue."""
    for queue in load("services.sqs")._queues.values():
        if queue["name"] == name:
            return float(sum(message["visible_at"] <= now for message in queue["messages"]))
    return None


def state_of(alarm: Mapping[str, Any], values: Sequence[float | None]) -> str:
    """Return the state of an alarm for the values of its periods."""
    missing = alarm.get("TreatMissingData") or "missing"
    stand_in = {"breaching": True, "notBreaching": False}.get(missing)
    compare, threshold = OPERATORS[alarm["ComparisonOperator"]], float(alarm["Threshold"])
    judged = [stand_in if value is None else compare(value, threshold) for value in values]
    known = [breaches for breaches in judged if breaches is not None]
    if not known:
        return str(alarm["StateValue"]) if missing == "ignore" else "INSUFFICIENT_DATA"
    needed = int(alarm.get("DatapointsToAlarm") or alarm.get("EvaluationPeriods", 1))
    return "ALARM" if sum(known) >= min(needed, len(known)) else "OK"


def reason_of(alarm: Mapping[str, Any], values: Sequence[float | None]) -> str:
    """Return the reason for the state, as CloudWatch words it."""
    found = [f"{value:g}" for value in values if value is not None]
    if not found:
        said = f"no datapoints were received for {len(values)} period{'' if len(values) == 1 else 's'}"
        return f"Threshold Crossed: {said}, which are treated as [{alarm.get('TreatMissingData') or 'missing'}]"
    comparison = f"{alarm['ComparisonOperator']} {float(alarm['Threshold']):g}"
    return f"Threshold Crossed: datapoints [{', '.join(found)}], compared with {comparison}"


def tell(cloudwatch: Any, alarm: Data, old_state: str, new_state: str, reason: str) -> None:
    """Publish to the alarm's topics, and put the event on the bus."""
    region, account = cloudwatch.get_region(), cloudwatch.get_account_id()
    state = {"value": new_state, "reason": reason}
    detail = {"alarmName": alarm["AlarmName"], "state": state, "previousState": {"value": old_state}}
    emit("aws.cloudwatch", "CloudWatch Alarm State Change", detail, [alarm["AlarmArn"]])
    if not alarm.get("ActionsEnabled", True):
        return
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    message = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": account,
        "NewStateValue": new_state,
        "NewStateReason": reason,
        "StateChangeTime": time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime()),
        "Region": region,
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": old_state,
        "OKActions": alarm.get("OKActions") or [],
        "AlarmActions": alarm.get("AlarmActions") or [],
        "Trigger": {name: alarm.get(name) for name in ("MetricName", "Namespace", "Statistic", "Period", "Threshold")},
    }
    subject = f'{new_state}: "{alarm["AlarmName"]}" in {region}'[:100]
    publish = require(load("services.sns"), "publish_internal")
    for action in alarm.get(ACTIONS[new_state]) or []:
        if not cloudwatch._is_sns_action_arn(action):
            continue
        if refused := delivery_refusal("cloudwatch.amazonaws.com", alarm["AlarmArn"], action):
            _log.warning("alarm %s: %s", alarm["AlarmName"], refused)
        elif publish(action, json.dumps(message), subject) is None:
            _log.warning("alarm %s: topic %s does not exist", alarm["AlarmName"], action)
