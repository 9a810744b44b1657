"""`dataops destroy`: delete the stacks of an environment, the last ones first; says what data it keeps."""

from __future__ import annotations

from typing import Any

import click

from deployer.app import App
from deployer.assembly import ports_of, progress_of, stoppable
from deployer.destruction import Destruction, destruction_text, keeps_ledger
from deployer.environment import built_target
from deployer.options import env_option, examples, yes_option
from deployer.pauses import Pauses


@click.command(epilog=examples("dataops destroy --env local", "dataops destroy --env local --yes"))
@env_option
@yes_option
@click.pass_obj
def destroy(app: App, /, env_name: str, yes: bool) -> int:
    """Delete every stack of an environment, those that others need last, after listing what stays and what goes.

    Kept: the buckets with every object and version, their policies, and the keys that encrypt them. So the raw files, the
    tables' files, the query results, and in the artifacts bucket the releases and the ledger, which records this run too.

    Deleted: everything else. That is the streams with records that nobody has read, the log groups, the catalog's
    databases and tables (their files stay), the job, the workgroup, the roles.

    A later deployment makes new buckets and a new ledger; it does not find the old ones. Asks for the environment's name.
    """
    session = app.connect(env_name)
    session.verify_identity()
    pauses, progress = Pauses(), progress_of(app)
    try:
        destruction = Destruction(ports_of(session, progress, pauses, with_smoke=False), built_target(session))
        doomed = destruction.doomed()
        document: dict[str, Any] = {
            "environment": env_name,
            "deleted": [stack.stack for stack in doomed],
            "kept": [thing.document() for stack in doomed for thing in stack.kept],
            "ledger_kept": keeps_ledger(doomed),
        }
        if not doomed:
            app.emit(document, f"nothing to do: environment {env_name} has no stacks")
            return 0
        app.say(destruction_text(session.environment, doomed))
        if not app.ask(f"type {env_name} to delete these stacks", answer=env_name, yes=yes):
            app.emit({**document, "deleted": [], "declined": True}, "nothing was deleted")
            return 6
        with stoppable(pauses):
            destruction.run(doomed)
    finally:
        progress.close()
    kept = len(document["kept"])
    text = f"deleted {len(doomed)} stacks of {env_name}"
    app.emit(document, text + (f"; kept {kept} resources with all that they hold" if kept else ""))
    return 0
