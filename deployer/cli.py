"""The command line: global options, the table of commands, and how errors end a run.

A command's module is imported only when the command or its help is used; the work is in the commands' modules.
"""

from deployer.python_version import refuse_old_python  # first: an old Python cannot read what follows

refuse_old_python()

import logging
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from deployer.aws.translation import explain
from deployer.errors import DataopsError, UsageError
from deployer.files import explain_file
from deployer.nearest import nearest
from deployer.terminal.app import App
from deployer.terminal.options import add_global_options, global_options
from deployer.terminal.output import error_document, write_error, write_talk
from deployer.terminal.streams import guard_streams

# command -> module, name in the module, what it does
COMMANDS: dict[str, tuple[str, str, str]] = {
    "new": ("deployer.commands.new", "new", "Create a project from the lakehouse's own files."),
    "validate": (
        "deployer.commands.validate",
        "validate",
        "Check configuration, templates, wiring, SQL and scripts; calls no AWS.",
    ),
    "doctor": ("deployer.commands.doctor", "doctor", "Check an account before its first deployment."),
    "plan": ("deployer.commands.plan", "plan", "Show what deploy would do, as change sets."),
    "deploy": ("deployer.commands.deploy", "deploy", "Build a release, deploy it and run the smoke test."),
    "promote": ("deployer.commands.promote", "promote", "Deploy the release that passed in another environment."),
    "rollback": ("deployer.commands.rollback", "rollback", "Deploy an earlier release again."),
    "history": ("deployer.commands.history", "history", "List the deployments of an environment."),
    "show": ("deployer.commands.show", "show", "Show one release."),
    "diff": ("deployer.commands.diff", "diff", "Compare two releases, file by file."),
    "status": ("deployer.commands.status", "status", "Show the release and the stacks of an environment."),
    "drift": ("deployer.commands.drift", "drift", "Find what was changed outside of dataops."),
    "review": ("deployer.commands.review", "review", "Write the page for the person who approves a release."),
    "destroy": (
        "deployer.commands.destroy",
        "destroy",
        "Delete the stacks of an environment; shows which data it keeps.",
    ),
    "unlock": ("deployer.commands.unlock", "unlock", "Remove the lock that a killed run left behind."),
    "ingest": ("deployer.commands.ingest", "ingest", "Deliver files by one of the routes."),
    "run": ("deployer.commands.run", "run", "Start the Glue job, follow it and print its counts."),
    "report": ("deployer.commands.report", "report", "Print the refunds per customer."),
    "query": ("deployer.commands.query", "query", "Run SQL that reads the tables."),
    "rejected": ("deployer.commands.rejected", "rejected", "Show rejected records and their reasons."),
    "logs": ("deployer.commands.logs", "logs", "Print the log of the job or of another part."),
    "check": ("deployer.commands.check", "check", "Run the daily validation now."),
    "statement": ("deployer.commands.statement", "statement", "Issue a month's report, and show issued ones."),
    "data": ("deployer.commands.data", "data", "Roll back or rebuild the published tables."),
    "restore": ("deployer.commands.restore", "restore", "Restore deleted raw files."),
    "replay": ("deployer.commands.replay", "replay", "Validate rejected records again, after a fix."),
    "cost": ("deployer.commands.cost", "cost", "Estimate the cost of a month at a given volume; calls no AWS."),
    "sample": ("deployer.commands.sample", "sample", "Create sample transactions with a known answer."),
    "secret": ("deployer.commands.secret", "secret_group", "Set the value of a secret, from stdin."),
    "sftp": ("deployer.commands.sftp", "sftp_group", "Write users of the SFTP route into dataops.yml."),
    "local": ("deployer.commands.local", "local_group", "Show, stop or reset the local cloud."),
    "bootstrap": ("deployer.commands.bootstrap", "bootstrap", "Create the pipeline's roles in an account, once."),
    "iam-policy": (
        "deployer.commands.iam_policy",
        "iam_policy",
        "Print the least-privilege policy of the pipeline's role.",
    ),
}

_INTERRUPTED, _TERMINATED = 130, 143


class LazyGroup(click.Group):
    """A group whose commands are named in COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is not a click command")
        add_global_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            meant = nearest(name, self.list_commands(ctx))
            raise click.UsageError(f"unknown command '{name}'" + (f", did you mean '{meant}'?" if meant else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, COMMANDS[name][2]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        if names or not incomplete.startswith("-"):
            return [CompletionItem(name, help=COMMANDS[name][2]) for name in names]
        return click.Command.shell_complete(self, ctx, incomplete)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from deployer.version import VERSION

        click.echo(f"dataops {VERSION}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done or nothing to do, 1 failed, 2 usage, 3 changes pending (plan), 4 smoke test failed, "
    "5 locked, 6 refused by a guard.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Validate, deploy, test and promote the refunds lakehouse."""
    ctx.ensure_object(App).command = ctx.invoked_subcommand or ""


cli.params += global_options(project_dir_variable="DATAOPS_PROJECT_DIR")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code. Only a bug raises."""
    app = App()
    try:
        result: Any = cli.main(arguments, prog_name="dataops", standalone_mode=False, obj=app)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        write_talk(error.format_message())
        return UsageError.exit_code
    except click.ClickException as error:
        app.output = _output_asked_for(sys.argv[1:] if arguments is None else arguments) or app.output
        return _end(app, _usage_error(error))
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        return _interrupted(error)
    except DataopsError as error:
        return _end(app, error)
    except Exception as error:
        explained = explain_file(error) if isinstance(error, OSError) else explain(error)
        if explained is None:
            raise
        return _end(app, explained)


def _end(app: App, error: DataopsError) -> int:
    logging.getLogger("deployer").debug("traceback", exc_info=error)
    write_error(error)
    if app.output == "json" and not app.has_result:
        app.emit(error_document(error), "")
    return error.exit_code


def _usage_error(error: click.ClickException) -> DataopsError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return UsageError(error.format_message(), hint=f"{context.command_path} --help" if context else None)


def _output_asked_for(arguments: Sequence[str]) -> str | None:
    """Return the --output option of a command line that could not be parsed to its end."""
    asked = re.findall(r"(?:^|\n)--output[=\n](text|json)(?=\n|$)", "\n".join(arguments))
    return asked[-1] if asked else None


class Terminated(KeyboardInterrupt):
    """SIGTERM: what cleans up after Ctrl-C cleans up after it too."""


def _interrupted(error: BaseException) -> int:
    causes = error, error.__cause__, error.__context__
    if any(isinstance(cause, Terminated) for cause in causes):
        write_talk("terminated")
        return _TERMINATED
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        write_talk("interrupted")
        return _INTERRUPTED
    write_talk("stopped: not confirmed")
    return DataopsError.exit_code


def _on_sigterm(number: int, frame: Any) -> None:
    raise Terminated


def main() -> None:
    """Run the console script."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    guard_streams()
    sys.exit(run())


if __name__ == "__main__":
    main()
