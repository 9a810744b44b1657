"""Tells Slack what is published to the alert topic: our own messages, what became of job runs, and what alarms say.

Standard library and the runtime's boto3 alone.
"""
