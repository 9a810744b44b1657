"""What is deployed: bytes by their hashes, and a release as the target of an environment.

A release is immutable. This room may read and store artifacts; it may not change a stack.
"""
