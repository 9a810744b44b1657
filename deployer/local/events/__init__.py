"""Automatic events: schedules, rules, topics, alarms, and the dead-letter queues.

schedules    run on time in their time zone, with their role, and call any API
invocations  keep an asynchronous invocation, even after a kill, until its function succeeds or its queue has it
deliveries   from EventBridge and SNS as on AWS: asynchronous calls, retries, dead-letter queues
queues       messages in a dead-letter queue, with the attributes that say why
metrics      those in logs are counted
alarms       evaluated period by period; they notify their topics
"""
