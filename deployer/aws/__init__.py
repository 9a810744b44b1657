"""The boto3 adapters behind the ports, sessions, and what the errors of AWS mean.

It may call AWS and translate; it takes no decision about a deployment.
"""
