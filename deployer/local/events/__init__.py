"""What happens by itself: deliveries of rules and topics, and where those end that nobody took.

deliveries.py   EventBridge and SNS call functions as AWS does: asynchronously, again when they fail, and with queues
queues.py       what lands in a dead-letter queue, with the attributes that say why
"""
