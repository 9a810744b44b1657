"""EventBridge Scheduler's schedules: on time in their time zone, with their role's permissions, retries, and a queue.

The emulator calls only functions and queues, in UTC, refuses no expression, and ignores the role, the retries and the
dead-letter queue. A schedule's next time is computed when the local cloud starts: runs that were due while it was
stopped are skipped.
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError

from deployer.local.completion import LocalCloud
from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.events.deliveries import USUAL_ATTEMPTS, attempt_delivery
from deployer.local.events.queues import keep
from deployer.local.rights.judging import Denied
from deployer.local.rights.roles import SENDS, Role, taken_by
from deployer.schedule_times import WrongSchedule, next_time, zone_named

Data = dict[str, Any]
_log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
#: Seconds before each retry of an invocation, as many as the RetryPolicy allows; AWS retries for up to a day.
PAUSES_SECONDS = (1.0, 2.0, 4.0)
#: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
UNIVERSAL = re.compile(r"arn:[^:]+:scheduler:::aws-sdk:(?P<service>[a-z0-9]+):(?P<action>[a-zA-Z0-9]+)")
KEPT_PROPERTIES = ("ScheduleExpressionTimezone", "KmsKeyArn", "StartDate", "EndDate")


class NotInvoked(Exception):
    """A target could not be invoked; has the error's code, and whether a retry may help."""

    def __init__(self, code: str, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.code, self.again = code, again


def install(cloud: LocalCloud) -> None:
    """Check schedules when they are created or updated, keep what the emulator drops of a template's, and run them."""
    scheduler = load("services.scheduler")
    require(scheduler, "_SCHEDULE_TICK_INTERVAL")
    scheduler._SCHEDULE_TICK_INTERVAL = TICK_SECONDS  # type: ignore[attr-defined]
    for name in ("_create_schedule", "_update_schedule"):
        _check(scheduler, name)
    handlers = require(load("services.cloudformation.provisioners"), "_RESOURCE_HANDLERS")
    keep_properties(scheduler, handlers["AWS::Scheduler::Schedule"])
    clock = Clock(scheduler, cloud)
    replace(scheduler, "_tick_schedules", clock.tick)


def problem(schedule: Mapping[str, Any]) -> str | None:
    """Return why AWS would refuse a schedule, or None."""
    try:
        zone = schedule.get("ScheduleExpressionTimezone") or "UTC"
        zone_named(zone)
        next_time(schedule["ScheduleExpression"], zone, datetime.now(UTC))
    except WrongSchedule as error:
        return f"Invalid Schedule Expression {schedule['ScheduleExpression']}: {error}"
    universal = UNIVERSAL.fullmatch(schedule["Target"]["Arn"])
    if universal and operation_of(universal["service"], universal["action"]) is None:
        return f"Provided Arn is not in correct format: there is no {universal['action']} of {universal['service']}"
    return None


def operation_of(service: str, action: str) -> str | None:
    """Return the API operation of a universal target, or None if there is no such operation."""
    name = action[0].upper() + action[1:]
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        return None
    return name if name in session.get_service_model(service).operation_names else None


def _check(scheduler: Any, name: str) -> None:
    original = require(scheduler, name, ("name", "body"))

    def checked(name: str, body: Data) -> Any:
        complete = body.get("ScheduleExpression") and (body.get("Target") or {}).get("Arn")
        reason = problem(body) if complete else None
        if reason:
            return scheduler._error(400, "ValidationException", reason)
        return original(name, body)

    replace(scheduler, name, checked)


def keep_properties(scheduler: Any, handler: Data) -> None:
    """Let zone, key and dates of AWS::Scheduler::Schedule reach GetSchedule; fail a resource that AWS would refuse."""
    create, update = handler["create"], handler["update"]

    def apply(created: tuple[str, Data], props: Mapping[str, Any]) -> tuple[str, Data]:
        schedule = scheduler._schedules[f"{props.get('GroupName', 'default')}/{created[0]}"]
        schedule.update({name: props[name] for name in KEPT_PROPERTIES if name in props})
        return created

    def refuse(props: Mapping[str, Any]) -> None:
        if reason := problem(props):
            raise ValueError(reason)

    def create_checked(logical_id: str, props: Mapping[str, Any], stack_name: str) -> Any:
        refuse(props)
        return apply(create(logical_id, props, stack_name), props)

    def update_checked(*arguments: Any, **named: Any) -> Any:
        refuse(arguments[2])
        return apply(update(*arguments, **named), arguments[2])

    handler["create"], handler["update"] = create_checked, update_checked


class Clock:
    """Remembers when each schedule was last checked, and invokes those that have become due since."""

    def __init__(self, scheduler: Any, cloud: LocalCloud) -> None:
        self._scheduler, self._cloud = scheduler, cloud
        self._seen: dict[Any, tuple[str, datetime]] = {}

    def tick(self) -> None:
        """Invoke every schedule that is due, each in a thread of its own."""
        now = datetime.now(UTC)
        responses = load("core.responses")
        for key, schedule in list(self._scheduler._schedules._data.items()):
            asked = f"{schedule['ScheduleExpression']} {schedule.get('ScheduleExpressionTimezone')} {schedule['State']}"
            known, since = self._seen.get(key, ("", now))
            self._seen[key] = (asked, now)
            if schedule["State"] != "ENABLED" or known != asked:
                continue
            created = datetime.fromtimestamp(schedule["CreationDate"], UTC)
            zone = schedule.get("ScheduleExpressionTimezone") or "UTC"
            due = next_time(schedule["ScheduleExpression"], zone, since, created=created)
            if due is not None and due <= now:
                with responses.request_scope(key[0], key[1]):
                    context = contextvars.copy_context()
                invocation = Invocation(schedule, due, self._cloud)
                threading.Thread(target=context.run, args=(invocation.run,), daemon=True).start()


class Invocation:
    """One time at which a schedule was due."""

    def __init__(self, schedule: Data, due: datetime, cloud: LocalCloud) -> None:
        self._schedule, self._target, self._cloud = schedule, schedule["Target"], cloud
        self._due = f"{due:%Y-%m-%dT%H:%M:%SZ}"
        self._id = load("core.responses").new_uuid()

    def run(self) -> None:
        """Invoke the target, retry if that fails, and in the end send the failed invocation to the queue."""
        attempts = int((self._target.get("RetryPolicy") or {}).get("MaximumRetryAttempts", USUAL_ATTEMPTS))
        pauses = [0.0, *PAUSES_SECONDS[:attempts]]
        for number, pause in enumerate(pauses):
            time.sleep(pause)
            try:
                self._invoke(number + 1)
                return
            except NotInvoked as failure:
                _log.warning("schedule %s, attempt %s: %s", self._schedule["Name"], number + 1, failure)
                if number + 1 == len(pauses) or not failure.again:
                    self._give_up(failure, number)
                    return

    def _invoke(self, attempt: int) -> None:
        universal = UNIVERSAL.fullmatch(self._target["Arn"])
        text = self._input(attempt)
        if universal:
            self._call(universal["service"], operation_of(universal["service"], universal["action"]) or "", text)
            return
        action = SENDS.get(self._target["Arn"].split(":")[2])
        if action:
            self._require(action, self._target["Arn"])
        failures = on_loop(attempt_delivery, {**self._target, "Input": text}, self._event(), self._schedule)
        if failures:
            raise NotInvoked(*failures[-1])

    def _call(self, service: str, operation: str, text: str) -> None:
        """Call an API with the schedule's role; botocore checks the input against the API's own model."""
        client = self._client(service)
        try:
            getattr(client, xform_name(operation))(**json.loads(text))
        except (ParamValidationError, TypeError, ValueError) as error:
            raise NotInvoked("ValidationException", str(error), again=False) from error
        except ClientError as error:
            raise NotInvoked(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error

    def _require(self, action: str, resource: str) -> None:
        try:
            on_loop(self._role().require, action, resource)
        except Denied as error:
            raise NotInvoked("AccessDeniedException", str(error)) from error

    def _role(self) -> Role:
        """Assume the schedule's role; raise `NotInvoked` if Scheduler may not assume it."""
        try:
            return on_loop(taken_by, "scheduler.amazonaws.com", self._target["RoleArn"], self._schedule["Name"])
        except Denied as error:
            raise NotInvoked("AccessDeniedException", str(error)) from error

    def _client(self, service: str) -> Any:
        keys = on_loop(self._role().credentials)
        return boto3.client(
            service,
            endpoint_url=self._cloud.url,
            region_name=self._schedule["Arn"].split(":")[3],
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=keys["AWS_SESSION_TOKEN"],
        )

    def _input(self, attempt: int) -> str:
        """Return the target's input with the schedule's placeholders filled in.

        https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
        """
        words = {
            "schedule-arn": self._schedule["Arn"],
            "scheduled-time": self._due,
            "execution-id": self._id,
            "attempt-number": str(attempt),
        }
        text = self._target.get("Input") or "{}"
        for name, value in words.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        return str(text)

    def _event(self) -> Data:
        return {
            "EventId": self._id,
            "Source": "aws.scheduler",
            "DetailType": "Scheduled Event",
            "Detail": "{}",
            "Time": int(time.time()),
            "Resources": [self._schedule["Arn"]],
            "Account": self._schedule["Arn"].split(":")[4],
            "Region": self._schedule["Arn"].split(":")[3],
        }

    def _give_up(self, failure: NotInvoked, retries: int) -> None:
        """Send a failed invocation to the queue: https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html"""
        queue = (self._target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            _log.warning("schedule %s has no queue; its invocation of %s is lost", self._schedule["Name"], self._due)
            return
        said = {
            "ERROR_CODE": failure.code,
            "ERROR_MESSAGE": str(failure),
            "EXECUTION_ID": self._id,
            "RETRY_ATTEMPTS": str(retries),
            "SCHEDULED_TIME": self._due,
            "SCHEDULE_ARN": self._schedule["Arn"],
            "TARGET_ARN": self._target["Arn"],
        }
        try:
            self._require("sqs:SendMessage", queue)
        except NotInvoked as denied:
            _log.warning("schedule %s: its failed invocation is lost: %s", self._schedule["Name"], denied)
            return
        on_loop(keep, queue, self._input(retries + 1), said)
