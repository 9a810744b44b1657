"""One module for each command; cli.py imports it when the command is used, and it imports heavy modules when it runs."""
