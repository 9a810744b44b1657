"""What the lakehouse tells people: the message that its functions publish to the alert topic, and nothing of how it is sent.

docs/operations.md documents the format under "Alerts"; functions/notify turns a message into one of Slack.
"""
