"""What would change, from facts: the plan, change sets, changes of resources and permissions, guards, drift.

It may read stacks and make change sets, which it deletes again. It executes none.
"""
