"""Automatic events: schedules, rules, topics, alarms, and the dead-letter queues.

schedules.py    Schedules run on time, in their zone and with their role, and call any API
invocations.py  An asynchronous invocation is kept, over a kill too, until the function has succeeded or its queue has it
deliveries.py   EventBridge and SNS call functions as AWS does: asynchronously, again when they fail, and with queues
queues.py       What lands in a dead-letter queue, with the attributes that say why
metrics.py      Metrics that stand in logs are counted
alarms.py       Alarms are evaluated period by period, and notify their topics
"""
