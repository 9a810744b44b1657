"""Compares what a crawler found with what was known: new fields of sources, and tables that are not as deployed.

Only the standard library and the runtime's boto3.
"""
