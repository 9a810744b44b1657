"""Objects with conditional writes, and the lock. The only room that knows S3."""
