"""What was deployed, when, by whom and with which verdict; and the lock that lets one deployment pass at a time.

The only writer of deployment records. It knows a store of records, not S3.
"""
