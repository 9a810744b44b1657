"""Permissions: every call is evaluated against the policies in the account, as on AWS, and so are the actions of services.

evaluation   completes the emulator's evaluator: policy variables, S3's conditions, loopback counts as TLS 1.3
judging      one question to it: may this principal do this, on this resource, under these conditions
requests     every call of an API: on which resources it is evaluated (resources), and what else it needs (entails)
resources    the ARNs of a call, where the emulator and AWS differ
entails      the further rights of a call: the key behind S3, Kinesis, queues and secrets; PassRole; listing
functions    the log and the failures of a function, written with its role
objects      the rights on objects of S3, keys included, for what is read and written beside its API
roles        a service at work with a role: may it take it, what may it do with it, credentials for a process
web_identity whether a token with which a role is to be taken is its issuer's

The account's root, whose key is the account's number, is bound by nothing but a Deny in a resource's own policy.
Whoever works for a role (a job, Firehose, a query, a schedule) says so here: `roles.taken_by`, then `role.require`.
"""
