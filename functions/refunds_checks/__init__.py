"""The daily validation: which checks there are, what they read, and what they find.

A package of its own, because three programs run it: the scheduled function, `dataops check`, and the month end, which
runs the blocking checks alone. It needs the standard library and, through the ports of the job's library, boto3; no Spark, no
pyarrow. The SQL of a check is in athena/checks/*.sql, the table of all checks beside it in checks.json.
"""
