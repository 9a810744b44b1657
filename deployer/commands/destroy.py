"""`dataops destroy`: delete the stacks of an environment in reverse order, after showing which data it keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from deployer.composition.environment import built_target
from deployer.composition.ports import ports_of, stoppable
from deployer.deploying.destruction import Destruction, Thing, destruction_text, keeps_ledger
from deployer.deploying.events import Progress
from deployer.documents import as_document
from deployer.pauses import Pauses
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples, yes_option
from deployer.terminal.progress import progress_of

if TYPE_CHECKING:
    from deployer.aws.session import Session


@dataclass(frozen=True)
class DestroyResult:
    """What became of an environment."""

    environment: str  #: the environment
    deleted: tuple[str, ...]  #: stacks that were deleted
    kept: tuple[Thing, ...]  #: resources that outlive their stacks
    ledger_kept: bool  #: the artifacts bucket with the ledger stays
    declined: bool = False  #: the answer was no


@click.command(epilog=examples("dataops destroy --env local", "dataops destroy --env local --yes"))
@env_option
@yes_option
@click.pass_obj
def destroy(app: App, /, env_name: str, yes: bool) -> int:
    """Delete every stack of an environment, in reverse order of dependency, after listing what is kept and what is deleted.

    Kept: the buckets with every object and version, their policies, and the keys that encrypt them. This includes raw
    files, the tables' files, query results, and in the artifacts bucket the releases and the ledger, which records this
    run too. The role with which API Gateway writes logs is also kept, because all APIs of the region share it.

    Deleted: everything else. This includes the streams with any unread records, the log groups, the catalog's
    databases and tables (their files stay), the job, the workgroup, the roles.

    A later deployment does not reuse them: it creates new buckets and a new ledger. Asks for the environment's name.
    """
    session = app.connect(env_name)
    session.verify_identity()
    progress = progress_of(app)
    try:
        result = _destroy(app, session, progress, yes=yes)
    finally:
        progress.close()
    app.emit(as_document(result), destroy_text(result))
    return 6 if result.declined else 0


def _destroy(app: App, session: Session, progress: Progress, *, yes: bool) -> DestroyResult:
    pauses, name = Pauses(), session.environment.name
    destruction = Destruction(ports_of(session, progress, pauses, with_smoke=False), built_target(session))
    doomed = destruction.doomed()
    result = DestroyResult(
        name,
        deleted=tuple(stack.stack for stack in doomed),
        kept=tuple(thing for stack in doomed for thing in stack.kept),
        ledger_kept=keeps_ledger(doomed),
    )
    if not doomed:
        return result
    app.say(destruction_text(session.environment, doomed))
    if not app.ask(f"type {name} to delete these stacks", answer=name, yes=yes):
        return replace(result, deleted=(), declined=True)
    with stoppable(pauses):
        destruction.run(doomed)
    return result


def destroy_text(result: DestroyResult) -> str:
    """Return the outcome in one line."""
    if result.declined:
        return "nothing was deleted"
    if not result.deleted:
        return f"nothing to do: environment {result.environment} has no stacks"
    text = f"deleted {len(result.deleted)} stacks of {result.environment}"
    return text + (f"; kept {len(result.kept)} resources with all their data" if result.kept else "")
