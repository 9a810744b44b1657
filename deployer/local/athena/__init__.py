"""Completions of Athena."""
