"""How dataops speaks: options, results, progress and the texts of a deployment.

It may know click and the screen. It may not call AWS, nor decide what is done: it shows values that others made.
"""
