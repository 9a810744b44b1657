"""REST APIs of API Gateway that follow their templates and answer like AWS.

definitions  what CloudFormation makes of a RestApi's OpenAPI body and of a Stage, if the emulator drops it
calls        one call through a stage: limits of size and time, errors without internals, the log line and the metrics
addresses    the address of an API in a stack's outputs: AWS's does not resolve here, so the outputs show one that does
"""
