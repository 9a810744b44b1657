"""Completions of Glue: job runs and the catalog."""
