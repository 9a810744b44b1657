"""The daily validation as a Lambda function: standard library and the runtime's boto3 alone.

It ships with refunds_checks, which has the validation itself, the folder athena/checks, refunds_alerts and refunds_lake.
"""
