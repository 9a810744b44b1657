"""How the Spark session is set, and how tasks run in Python workers. It knows nothing of records."""
