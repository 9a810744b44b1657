"""dataops.yml and the templates as frozen values, and which parameter takes which output.

It reads files, once, at the edge; every mistake gets file, line and key. It knows nothing of AWS.
"""
