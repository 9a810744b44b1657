"""What can be known without AWS: configuration, linters, wiring, SQL and scripts, as findings with a place.

It may read the files of the project. It needs no credentials and no network.
"""
