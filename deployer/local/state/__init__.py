"""Durable state: whatever was acknowledged to a caller survives a kill.

durability  a middleware: before a response begins, it commits what the request has changed
touched     finds the stores that may have changed, by a mark at every access
store       one SQLite file: a record is a row, written if it differs; a commit writes everything or nothing
repair      at the start: what a kill interrupted ends in the state that AWS has for "failed", with a reason

It knows how the emulator keeps its records, not what they mean; only repair knows states by name.
"""
