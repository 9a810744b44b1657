"""The local cloud: an endpoint on this machine that answers as AWS does.

A background process runs MiniStack, called the emulator here. Its files stay as they were installed: when the process
starts, the modules below, called completions, replace or wrap parts of it in memory. To the deployer it is a URL;
aws/session.py starts it and adds its SFTP user.

Around every request, from the outside inwards:

`process/`           Starts, finds and stops the background process; its guard refuses what a browser sends. Knows the
                     completions by their names only, and no service.
`slack.py`           Receives the messages that are meant for Slack, and shows them on a page.
`glue/`              Runs the deployed script on Spark, crawls, and adds the catalog calls that the emulator lacks.
                     Whatever a running job has finished writing is in S3 before the request is answered.
`account.py`         Answers questions about the account as a whole: Lake Formation, quotas, what a policy allows.
`state/`             Saves the state that a response shows before the response leaves, so a kill loses nothing that was
                     acknowledged. Decides nothing for the services, except how an interrupted operation ends.

Inside the emulator, one subject each:

`rights/`            Evaluates each call against the account's policies before the emulator carries it out, and says what
                     a service may do with its role. Changes nothing.
`cloudformation/`    Adds resource types and properties, refuses what AWS refuses, and checks the caller's permissions.
`athena/`            Runs queries by Athena's rules, on the files of the partitions in the catalog. Changes no data.
`firehose/`          Delivers records to S3 in batches, compressed and delimited as the stream is configured.
`transfer/`          Serves SFTP: each closed file is an S3 object, written with its user's permissions. Every local
                     environment has one user from the start, the trial user.
`api_gateway/`       Makes REST APIs do what their templates say: validators, models, limits, access logs.
`events/`            Runs what happens by itself: schedules, rules, topics, metrics, alarms, dead-letter queues.
`lambda_workers.py`  Gives a function its code, the runtime's boto3 and Lambda's variables, and nothing of this machine.
`log_events.py`      Gives each log event an id, and finds events by the prefix of their streams.

On the ground:

`emulator/`          The only door to MiniStack's private names, for exactly one version. Changes nothing itself.
`completion.py`      What a completion is, and what it may know of the process.
`paths.py`           Where every file of the local cloud is.

`process/launcher.py` lists the completions. A completion may use `rights/` and the ground, but no other completion;
only `athena/` also uses the mounts of `glue/`. Of the rest of the deployer, the local cloud imports only `errors` and
`schedule_times`; the rest imports only `paths` and the names below. Contracts in .importlinter keep the rooms apart.
"""

from deployer.local.process.control import find, reset, start, stop
from deployer.local.process.endpoint import Endpoint
from deployer.local.slack import PAGE_PATH as SLACK_PAGE
from deployer.local.transfer.trial_user import SftpUser, trial_user

__all__ = ["SLACK_PAGE", "Endpoint", "SftpUser", "find", "reset", "start", "stop", "trial_user"]
