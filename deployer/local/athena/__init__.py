"""Athena: a query gives the same result as on AWS, or fails with an error that names what is not supported.

service     executions as the API shows them, their results and pages; the workgroup's rules (workgroups)
sql         Athena's SQL into DuckDB's: names, arithmetic, what is refused
tables      a table as the catalog has it: its registered partitions, or projected ones (projection), and their files
types       the catalog's types in DuckDB, and values as Athena writes them
engine      one query: bytes counted from footers, the cut-off, and a connection that can open these files only
utility     statements other than queries: SHOW, and creating or dropping a table
results     rows as CSV and as pages
errors      failures in Athena's words

It reads the catalog and the files of objects. It writes its results, and changes no data.
"""
