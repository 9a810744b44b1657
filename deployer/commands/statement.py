"""dataops statement: issue the report of a month, and show what was issued."""

from __future__ import annotations

from dataclasses import dataclass

import click

from deployer.composition.environment import deployed_release, lake_of
from deployer.documents import as_document
from deployer.errors import DataopsError, Refused, UsageError
from deployer.lake.daily_check import checks_of
from deployer.lake.refund_report import checked_month
from deployer.lake.statement_text import changes_text, statement_text, summary_line
from deployer.lake.statements import (
    StatementChanges,
    StatementLine,
    WholeStatement,
    announce,
    find_changes,
    find_statement,
    issue_statement,
    list_statements,
)
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class OfEnvironment:
    """What all results of this command have."""

    env: str  #: the environment


@dataclass(frozen=True)
class StatementResult(WholeStatement, OfEnvironment):
    """One statement."""


@dataclass(frozen=True)
class StatementsResult(OfEnvironment):
    """All statements."""

    statements: tuple[StatementLine, ...]  #: newest first


@dataclass(frozen=True)
class ChangesResult(StatementChanges, OfEnvironment):
    """What changed since a statement, by customer and by refund."""


month_option = click.option("--month", metavar="YYYY-MM", help="The month; default: the last one issued.")


@click.group()
def statement() -> None:
    """Issue a month's report as a statement, and show issued statements."""


@statement.command(
    "issue",
    epilog=examples(
        "dataops statement issue --env prod --month 2026-10",
        'dataops statement issue --env prod --month 2026-10 --override "INC-7: the duplicate is a test customer"',
    ),
)
@env_option
@click.option("--month", metavar="YYYY-MM", help="The month; default: the one before the current month.")
@click.option("--override", metavar="REASON", help="Issue even if blocking checks fail; the reason is stored.")
@click.pass_obj
def issue_command(app: App, env_name: str, month: str | None, override: str | None) -> None:
    """Issue a month's report as a statement, which never changes.

    The blocking checks run first. Refused (exit code 6) if one fails, if the month is not over or has its statement,
    or if another month must be issued first. Changes in earlier months since they were issued are carried as adjustments.
    The statement is announced, as one that the schedule issued is.
    """
    app.command = "statement issue"
    if override is not None and not override.strip():
        raise UsageError("--override needs a reason", hint="it is stored with the statement")
    month = checked_month(month) if month is not None else None
    if app.environment(env_name).parameters.get("IssueStatements") == "false":
        hint = "IssueStatements in dataops.yml is for environments whose data is the business's own"
        raise Refused(f"environment {env_name} issues no statements", hint=hint)
    checks = checks_of(app.project().directory)
    session = app.connect(env_name)
    release = deployed_release(session) or "not-recorded"
    lake = lake_of(session)
    whole = issue_statement(lake, month, release, checks, (override or "").strip())
    app.say(summary_line(whole))
    if lake.statement_function:
        try:
            announce(lake, lake.statement_function)
        except DataopsError as error:
            app.say(
                f"warning: the statement is issued but not announced; the schedule announces it on its next run: {error}"
            )
    app.emit(as_document(StatementResult(env_name, **vars(whole))), statement_text(whole))


@statement.command("list", epilog=examples("dataops statement list --env prod"))
@env_option
@click.pass_obj
def list_command(app: App, env_name: str) -> None:
    """List the statements, newest first."""
    app.command = "statement list"
    lines = list_statements(lake_of(app.connect(env_name)))
    if not lines:
        app.say(f"no statement has been issued; next: dataops statement issue --env {env_name}")
    app.emit(as_document(StatementsResult(env_name, lines)), "\n".join(map(summary_line, lines)))


@statement.command("show", epilog=examples("dataops statement show --env prod --month 2026-10"))
@env_option
@month_option
@click.pass_obj
def show_command(app: App, env_name: str, month: str | None) -> None:
    """Show a statement as it was issued."""
    app.command = "statement show"
    month = checked_month(month) if month is not None else None
    whole = find_statement(lake_of(app.connect(env_name)), month)
    app.emit(as_document(StatementResult(env_name, **vars(whole))), statement_text(whole))


@statement.command("changes", epilog=examples("dataops statement changes --env prod --month 2026-10"))
@env_option
@month_option
@click.pass_obj
def changes_command(app: App, env_name: str, month: str | None) -> None:
    """List what changed since a statement was issued, by customer and by refund.

    All months up to the statement's are compared. The next statement will carry what later statements have not.
    """
    app.command = "statement changes"
    month = checked_month(month) if month is not None else None
    changes = find_changes(lake_of(app.connect(env_name)), month)
    app.emit(as_document(ChangesResult(env_name, **vars(changes))), changes_text(changes))
