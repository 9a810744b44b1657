"""The background process of the local cloud."""
