"""The settings of the Spark session, and tasks in Python workers. It knows nothing of records."""
