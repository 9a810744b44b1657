"""The page for the person who approves a release: what changes, what it does to the figures, where it comes from.

It may read both environments and rebuild a month in the side tables of the smoke test. It may not deploy, and it never
touches live tables.
"""
