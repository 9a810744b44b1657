"""Posts to Slack what is published to the alert topic: our own messages, ended job runs, and alarms.

Only the standard library and the runtime's boto3.
"""
