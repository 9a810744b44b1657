"""Everyday work with a deployed lake: deliveries, job runs, queries, the refund report, published tables.

It may call AWS through the clients of a `Lake` (deployed_lake.py). It changes no stack.
"""
