"""The library of the Glue job: raw objects in, base tables by month out, published as a whole.

Arrow reads, validates, looks up and writes in Spark's Python workers; Spark decides what changes. The rooms, in the order
in which a run passes through them; each may import from the rooms below it, never from those above:

`job/`         One pipeline for every kind of run: list, read, decide, write, check, publish. Counts must add up here.
`changes/`     What a batch does to the tables: versions, changes of each table, refund_detail, and the independent check.
`tables/`      Stored months: their files, the index of ids beside each file, looking rows up, the tables as they stand.
`raw/`         Raw objects become validated records: formats, rules, staging. The only room that reads raw.
`publishing/`  Manifests, the commit, and the catalog brought to what the newest manifest names. Imports no Spark.
`storage/`     Objects and the lock, with conditional writes. The only room that knows S3.
`schema/`      The record contract, columns, months, hashes of ids. Values and pure functions alone.
`spark/`       How the session is set, and how tasks run in Python workers.

`log_lines` is how the job speaks. Arguments and clients come from `base_tables.py` beside this package, never from here.
"""
