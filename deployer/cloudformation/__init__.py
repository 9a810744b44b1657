"""The port to CloudFormation: stacks as values, statuses as a table of actions, waiting, failures and their causes.

It says what a stack is and what its status allows; the adapter that asks AWS is in `aws/`.
"""
