"""One module per command of `dataops`: options in, one call, one result out.

A command may ask the person and print; it takes no decision that another command could need. Modules import at their
top: `cli` loads a command only when it is used.
"""
