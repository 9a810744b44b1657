"""Compares what a crawler found with what was known: fields that sources begin to send, tables that are not as deployed.

Standard library and the runtime's boto3 alone.
"""
