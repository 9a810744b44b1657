"""Durable state: whatever was acknowledged to a caller survives a kill.

durability  a middleware: when a response begins, what the request has touched is compared and committed first
touched     which stores that may be, by a mark at every access
store       one SQLite file; a record is a row, written when it differs, all of a commit or nothing
repair      at the start: what a kill has cut off ends in the state that AWS has for "failed", with a reason

It knows how the emulator keeps its records, not what they mean; only repair knows states by name.
"""
