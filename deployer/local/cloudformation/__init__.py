"""CloudFormation where the emulator is incomplete; stacks and their operations stay the emulator's.

template_rules  what is refused before an operation begins, and what a change set shows
resource_types  types and properties that our templates use and the emulator lacks, by means of its own services
buckets         properties of buckets, and the refusal to delete or replace one that holds data
replication     replicas in another bucket, and who may write them
resource_calls  the calls with which CloudFormation creates, changes, deletes and reads a resource
caller_rights   whether the stack's caller may make them

A completion here may refuse an operation, and may call the emulator's services as a resource would. It keeps no state.
"""
