"""What a batch does to the tables: which version counts, what changes in each table, refund_detail, and the check of it.

Spark decides here, over ids and hashes; rows are written elsewhere. It reads no raw object and publishes nothing.
"""
