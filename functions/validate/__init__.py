"""The daily validation as a Lambda function: only the standard library and the runtime's boto3.

It ships with refunds_checks, which has the validation itself, the folder athena/checks, refunds_alerts and refunds_lake.
"""
