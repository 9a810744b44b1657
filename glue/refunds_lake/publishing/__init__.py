"""Manifests, the commit, and the catalog that follows the newest manifest.

The only room that changes what readers see. No import of Spark: the deployer rolls back and rebuilds through it as well.
"""
