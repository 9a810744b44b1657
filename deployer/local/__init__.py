"""The local cloud: the environment ``local`` on this machine.

MiniStack runs as a background process, unmodified on disk; the modules here complete it in its own process. To the
deployer it is a URL; aws/session.py starts it and adds its SFTP user. A call passes through the rooms in this order:

process/         A client starts the background process and finds it again (control); the process takes the state's
                 lock and a port, installs the completions and serves (launcher); the guard refuses what a browser sends.
                 It knows the completions by name only, and nothing of any service.
glue/            What running jobs have written becomes objects in S3 before the call is answered. StartJobRun runs the
                 deployed script on Spark; the catalog has the calls that the emulator lacks.
rights/          Every call is evaluated against the policies in the account before it is carried out, and whoever uses a role
                 asks here what the role may do. It changes nothing.
state/           No response leaves before the state that it shows is on disk. It writes what the services hold and
                 decides nothing for them, but how an operation ends that a kill has cut off.
emulator/        The one door to MiniStack's private parts, for one version of it. It changes nothing itself.
cloudformation/  Resource types, buckets, the caller's rights and refusals, inside the emulator's own operations.
athena/          Queries with Athena's rules, on the catalog's registered files. It changes no data.
api_gateway/     REST APIs as their templates say: validators, models, access logs, limits, an address that answers here.
events/          Automatic events: schedules, rules, topics, alarms, and the dead-letter queues.
firehose/        Records as objects of S3, compressed and delimited as the stream is configured.
transfer/        The SFTP server: files that are closed are objects of S3, put with the rights of their user. One user
                 is there without being asked; a client makes its key (trial_user).
lambda_workers.py  Functions run with their code, the runtime's boto3 and variables of their own, and nothing of this machine.
log_events.py    Events of logs have ids, and are found by the prefix of their streams.
account.py       What is asked of an account as a whole: Lake Formation's defaults, quotas, what a policy allows.
slack.py         Takes the messages that Slack would have got, and shows them on a page.

completion.py says what a completion is and what it may know of the process; paths.py names every file.
Nothing here imports from the rest of the deployer but its errors and schedule_times; the rest imports what is
named below, and paths.py.
A completion imports no other but rights/, and athena/ the mounts of glue/; import-linter holds it.
"""

from deployer.local.process.control import find, reset, start, stop
from deployer.local.process.endpoint import Endpoint
from deployer.local.slack import PAGE_PATH as SLACK_PAGE
from deployer.local.transfer.trial_user import SftpUser, trial_user

__all__ = ["SLACK_PAGE", "Endpoint", "SftpUser", "find", "reset", "start", "stop", "trial_user"]
