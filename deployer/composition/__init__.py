"""Which adapter stands behind which port, and what an environment is, asked through a session.

Here the core meets AWS: nothing is decided here, and no other room builds the parts of a deployment.
"""
