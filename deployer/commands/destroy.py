"""`dataops destroy`: delete the stacks of an environment, the last ones first; says what data it keeps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from deployer.options import env_option, examples, yes_option

if TYPE_CHECKING:
    from deployer.app import App


@click.command(epilog=examples("dataops destroy --env local", "dataops destroy --env local --yes"))
@env_option
@yes_option
@click.pass_obj
def destroy(app: App, /, env_name: str, yes: bool) -> int:
    """Delete the stacks of an environment. Buckets, keys and other retained resources stay; they are listed first."""
    from deployer.assembly import built_target, ports_of, progress_of, stoppable
    from deployer.destruction import Destruction, destruction_text
    from deployer.errors import UsageError
    from deployer.waiting import Pauses

    session = app.connect(env_name)
    session.verify_identity()
    pauses, progress = Pauses(), progress_of(app)
    try:
        destruction = Destruction(ports_of(session, progress, pauses, with_smoke=False), built_target(session))
        doomed = destruction.doomed()
        if not doomed:
            app.emit({"environment": env_name, "deleted": []}, f"nothing to do: environment {env_name} has no stacks")
            return 0
        app.say(destruction_text(env_name, doomed))
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("there is no terminal to ask on", hint="--yes")
            if (
                click.prompt(f"type {env_name} to delete these stacks", default="", show_default=False, err=True)
                != env_name
            ):
                app.say("nothing was deleted")
                return 6
        with stoppable(pauses):
            destruction.run(doomed)
    finally:
        progress.close()
    kept = [f"{stack.stack}/{name} ({physical})" for stack in doomed for name, physical in stack.kept]
    app.emit(
        {"environment": env_name, "deleted": [stack.stack for stack in doomed], "kept": kept},
        f"deleted {len(doomed)} stacks of {env_name}"
        + (f"; kept {len(kept)} resources with their data" if kept else ""),
    )
    return 0
