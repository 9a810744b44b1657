"""Stored months: their Parquet files, the index of ids beside each file, looking rows up, the tables as they stand.

It may write new files of a run. What readers see is changed in `publishing/` alone.
"""
