"""The daily validation as a Lambda function: standard library and the runtime's boto3 alone.

It ships with refunds_lake, which has the validation itself, and with the folder athena/checks, which has the checks.
"""
