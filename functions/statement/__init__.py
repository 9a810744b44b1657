"""The month end as a Lambda function: only the standard library and the runtime's boto3.

It ships with refunds_statements, which issues, refunds_checks with the folder athena/checks, refunds_alerts and
refunds_lake.
"""
