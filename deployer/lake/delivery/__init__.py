"""Files into the raw bucket, each route through the real thing: one module per route, one value for what was delivered.

It may put objects and records; it never overwrites, and it loads nothing: that is the job.
"""
