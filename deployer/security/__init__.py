"""The least policy of whoever runs dataops, written from the calls that its code makes.

It may read the templates and the recorded calls. It changes no role: a person attaches what it prints.
"""
