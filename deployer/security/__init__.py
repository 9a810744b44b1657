"""The least-privilege policy for running dataops, derived from the calls that its code makes.

It may read the templates and the recorded calls. It changes no role: a person attaches what it prints.
"""
