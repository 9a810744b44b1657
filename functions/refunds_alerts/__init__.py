"""What the lakehouse tells people: the message that its functions publish to the alert topic, and nothing of how it is sent.

`message`  One message, its form on the topic, and how it is published.
`links`    Addresses in AWS's console.

docs/operations.md documents the format under "Alerts"; functions/notify turns a message into one of Slack.
"""
