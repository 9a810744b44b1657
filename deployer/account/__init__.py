"""What can be known of an account before the first deployment into it.

Asks AWS and changes nothing. It says what is in the way; what to do about a deployment is decided in `deploying/`.
"""
