"""One pipeline for every kind of run: list, read, decide, write, check, add up, publish, sweep.

A run's kind is data (`run_kinds`): which objects it reads, against which tables, which months it publishes. Counts must
add up here before anything is published. It may not know formats or files.
"""
