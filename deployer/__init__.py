"""The dataops CLI: validates, deploys, tests and promotes the refunds lakehouse."""
