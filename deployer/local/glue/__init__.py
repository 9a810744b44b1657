"""Glue where it must work: job runs on Spark, and the calls of the catalog that jobs make.

catalog           partition calls; partition_filter reads their expressions
job_runs          the API of runs and the life of one: limits, states, timeout, stop, the event at its end
job_process       one run as a process: code fetched, buckets mounted, output followed, everything tidied up
java              which Java, and how Spark 4 starts on it
spark_settings    which settings, and the archive that makes Java start faster
spark_runner      what runs inside that process, a plain file without imports: the job sees its own code only
job_logs          each line of output, to CloudWatch Logs while the job runs
crawlers          crawlers that read files and make tables of them
mounts            buckets as directories, kept equal to S3 in both directions

A job reaches the local cloud as it reaches AWS: through boto3 and s3:// paths. It gets no credentials but the local
cloud's, ends with the process that started it, and its run ends in a state, whatever happens.
"""
