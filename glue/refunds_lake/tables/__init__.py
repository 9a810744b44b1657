"""Stored months: their Parquet files, the index of ids beside each file, lookups, and the tables as they are now.

It may write new files of a run. What readers see is changed in `publishing/` alone.
"""
