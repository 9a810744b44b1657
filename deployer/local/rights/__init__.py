"""Permissions: every call is evaluated against the policies in the account, as on AWS, and so are the actions of services.

evaluation   completes the emulator's evaluator: policy variables, S3's conditions, loopback counts as TLS 1.3
judging      one question to it: may this principal do this, on this resource, under these conditions
requests     every call of an API: on which resources it is evaluated (resources), and what else it needs (entails)
resources    the ARNs of a call, where the emulator and AWS differ
entails      the further permissions of a call: the key behind S3, Kinesis, queues and secrets; PassRole; listing
functions    the log and the failures of a function, written with its role
objects      the permissions on S3 objects, keys included, for services that do not go through S3's API
roles        a service that uses a role: may it assume the role, what may it do with it, credentials for a process
services     a service without a role: does the policy of a function, queue or topic allow it to deliver
web_identity whether the token that asks for a role comes from its issuer

The account's root, whose access key is the account's number, is restricted only by a Deny in a resource's own policy.
A service that works with a role (a job, Firehose, a query, a schedule) gets it from `roles.taken_by` and then calls
`role.require`.
"""
