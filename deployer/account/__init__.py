"""What can be known of an account before the first deployment into it.

Asks AWS and changes nothing. It reports blockers; `deploying/` decides what they mean for a deployment.
"""
