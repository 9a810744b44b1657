"""Data Firehose: records become objects of S3, compressed and delimited as the stream is configured.

delivery       what PutRecord, PutRecordBatch and a Kinesis stream give becomes one object per call, with the role's rights
stream_reader  remembers its place in a Kinesis stream and tries again what could not be delivered, over a kill too
"""
