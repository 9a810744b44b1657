"""Raw objects become validated records: formats, rules, staging for Spark.

The only room that reads raw. What is wrong with one object is that object's problem and never the run's.
"""
