"""Data Firehose: records become objects of S3, compressed and delimited as the stream is configured.

delivery       one object for the records of each PutRecord, PutRecordBatch or Kinesis call, written with the role
stream_reader  remembers its position in a Kinesis stream and retries what could not be delivered, even after a kill
"""
