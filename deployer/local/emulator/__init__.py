"""Access to the emulator: the only room that knows its private names, and for which version.

private_parts  loads a module of the emulator, and gets or replaces a name in it; fails at the start if the name is gone
               or takes other parameters than the completion expects
answers        sends an error of the local cloud itself in the protocol of the called service
event_bus      puts an event of an AWS service on the bus where the emulator does not
on_loop        runs a function where the emulator's handlers run, for callers in other threads

It replaces nothing by itself: each completion decides what to replace, and why.
"""
