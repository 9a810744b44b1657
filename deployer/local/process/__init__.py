"""The background process of the local cloud, seen from outside and from inside.

control      what a client does: find it, start it and wait until it answers, stop it, empty it
environment  the variables of its processes, built from nothing: no credentials and no proxy of the user's get in
launcher     the process itself: the state's lock, a port on loopback, the completions in their order, serving, the end
endpoint     who serves and where, as a file; believed only when that very process answers for this very directory
leftovers    ends what a killed job, or a killed local cloud, has left running
guard        in front of every request: browsers and foreign hosts are refused, the health question is answered
errors       what can go wrong, each with the operator's next step

It knows the completions by their names (`launcher.COMPLETIONS`) and no service at all.
"""
