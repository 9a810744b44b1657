"""The `dataops` command line: validate, deploy, test and promote the refunds lakehouse.

The rooms, in the order in which a deployment passes through them. Each may import from the rooms below it, never from
those above; `aws/` and `local/` stand behind ports. Import contracts in .importlinter hold this, the style test runs them.

`commands/`        One module per command: options in, one call, one result out. May ask the person. Decides nothing.
`review/`          The page for the person who approves a release. Reads; changes only the side tables of the smoke test.
`composition/`     Which adapter stands behind which port, and what an environment is. The only room that builds the
                   parts of a deployment; it makes no decision of its own.
`terminal/`        How dataops speaks: options, results, progress, texts. Knows click and the screen, no AWS.
`validation/`      What can be known before AWS is asked: configuration, linters, wiring, SQL. May not need credentials.
`security/`        The least-privilege policy for running dataops, from the calls that the code makes.
`deploying/`       Carries out one deployment: lock, plan, consent, stacks, smoke test, record. Acts through ports alone.
`planning/`        Says what would change, from facts: the plan, its guards, drift. May read and make change sets, which it
                   deletes again; may not execute one.
`release/`         What is deployed: its bytes by their hashes, and what it becomes in an environment. Immutable.
`ledger/`          What was deployed, when, by whom, with which verdict; one at a time. The only writer of records and lock.
`cloudformation/`  The port: stacks as values, statuses as a table of actions, waiting, causes of failures.
`project/`         dataops.yml and the templates as frozen values; which parameter takes which output. Reads files only.

`account/`         What must be true of an account before the first deployment into it. Asks, and changes nothing.
`lake/`            Everyday work with the deployed lake: deliveries, job runs, queries, the report, samples, the smoke test.
`costs/`           What it costs: AWS's list prices, and a month's bill. Calls no service.
`aws/`             The boto3 adapters behind the ports, and what AWS's errors mean. The only room beside `lake/` with boto3.
`local/`           The local cloud: an endpoint on this machine that answers as AWS does. Only `aws/session.py`, which
                   starts it, and `commands/local.py`, which shows and stops it, import it.

`deploying/`, `planning/`, `release/`, `ledger/`, `cloudformation/` and `project/` are the core: no boto3, no click, no
screen. On the ground stand modules that every room may use: `errors`, `pauses`, `files`, `documents`, `refunds`,
`printable`, `nearest`, `schedule_times`, `version`, `blueprint`.
The door is `start` and `cli`: it knows the names of the commands and imports a command when it is used.
"""
