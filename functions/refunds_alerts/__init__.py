"""The alerts of the lakehouse: the message that its functions publish to the alert topic, but not how it is sent.

`message`  One message, its form on the topic, and how it is published.
`links`    Addresses in AWS's console.

docs/operations.md documents the format under "Alerts"; functions/notify turns a message into one of Slack.
"""
