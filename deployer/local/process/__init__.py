"""The background process of the local cloud, seen from outside and from inside.

control      the client's side: finds the process, starts it and waits until it answers, stops it, deletes its data
environment  the variables of its processes, built from nothing: the user's credentials and proxies stay outside
launcher     the process itself: locks the state, listens on a port of loopback, installs the completions, serves, ends
endpoint     the file with its address; trusted only if that very process answers there for this very directory
leftovers    ends the processes that a killed job or a killed local cloud has left behind
guard        stands before every request: refuses browsers and foreign hosts, answers the health check
errors       what can go wrong, each with the operator's next step

It knows the completions by their names (`launcher.COMPLETIONS`), and no service at all.
"""
