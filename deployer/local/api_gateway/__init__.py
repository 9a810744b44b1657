"""REST APIs of API Gateway that follow their templates and answer like AWS.

definitions  What CloudFormation makes of a RestApi's OpenAPI body and of a Stage, and where the emulator drops parts of it.
calls        One call through a stage: limits of size and time, errors that hide what happened inside, log line and metrics.
addresses    An API's address as AWS writes it does not resolve here: whoever reads a stack's outputs gets one that answers.
"""
