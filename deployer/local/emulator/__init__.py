"""Access to the emulator: the only room that knows its private names, and for which version.

private_parts  loads a module of the emulator, takes or replaces a name in it; fails at the start when the name is gone
               or takes other parameters than a completion was written against
answers        an error of the local cloud itself, in the protocol of the service that was called
event_bus      puts an event of an AWS service on the bus, where the emulator does not
on_loop        runs a function where the emulator's handlers run, for whoever works in another thread

It imports nothing of the local cloud and replaces nothing by itself: what is replaced, and why, is a completion's.
"""
