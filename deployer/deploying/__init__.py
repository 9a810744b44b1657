"""One deployment, carried out: lock, plan, consent, artifacts, stacks, smoke test, record.

It acts through ports alone: no boto3, no click, no screen. What would change is decided in `planning/`; here the plan is
kept to, or refused.
"""
