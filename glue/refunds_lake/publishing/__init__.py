"""Manifests, the commit, and the catalog brought to what the newest manifest names.

The only room that changes what readers see. No import of Spark: the deployer rolls back and rebuilds through it as well.
"""
