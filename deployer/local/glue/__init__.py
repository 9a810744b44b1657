"""Glue as far as the lakehouse needs it: job runs on Spark, crawlers, and the catalog calls that jobs make.

catalog           partition calls; partition_filter reads their expressions
job_runs          the API of runs and the life of one: limits, states, timeout, stop, the event at its end
job_process       one run as a process: fetches the code, mounts the buckets, follows the output, tidies up
java              which Java, and how Spark 4 starts on it
spark_settings    Spark's settings, and the archive that makes Java start faster
spark_runner      what runs inside that process: a plain file without imports of ours, so the job sees only its own code
job_logs          sends each line of output to CloudWatch Logs while the job runs
crawlers          read files, and create tables and partitions for them
mounts            buckets as directories, kept equal to S3 in both directions

A job reaches the local cloud as it reaches AWS: through boto3 and s3:// paths. Its only credentials are the local
cloud's, it ends with the process that started it, and its run always ends in a state.
"""
