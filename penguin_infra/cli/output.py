"""How commands speak: rich tables for people, JSON for scripts, one line on stderr for an error.

What an error means is said where it is raised; which exceptions are an operator's business is listed here.
"""

import getpass
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from penguin_infra.analytics.report_files import ReportError
from penguin_infra.dnsbl.catalogue import CatalogueError
from penguin_infra.dnsbl.resolvers import ResolverError
from penguin_infra.domain.actions import PERSON_PREFIX
from penguin_infra.domain.lifecycle import IllegalTransition
from penguin_infra.domain.policies.leave_on_request import CannotLeave
from penguin_infra.domain.policies.resize_on_request import CannotResize
from penguin_infra.hostwind.provider import ProviderError
from penguin_infra.operations.approve_action import DecisionError
from penguin_infra.operations.carry_out_batch import CannotAct
from penguin_infra.operations.plan_saving import SavingError
from penguin_infra.operations.request_nodes import BadRequest
from penguin_infra.policy_file import PolicyFileError
from penguin_infra.settings import SettingsError, settings
from penguin_infra.store.analyst_logins import AnalystError
from penguin_infra.store.credentials import KeyNameTaken, KeyNotFound
from penguin_infra.store.database import DatabaseError, explain
from penguin_infra.store.nodes import NodeError
from penguin_infra.store.tables import AnyRow
from penguin_infra.wiring import NotConfigured, Wiring

EXPECTED_ERRORS: tuple[type[Exception], ...] = (
    AnalystError,
    BadRequest,
    CannotAct,
    CannotLeave,
    CannotResize,
    CatalogueError,
    DatabaseError,
    DecisionError,
    IllegalTransition,
    KeyNameTaken,
    KeyNotFound,
    NodeError,
    NotConfigured,
    PolicyFileError,
    ProviderError,
    ReportError,
    ResolverError,
    SavingError,
    SettingsError,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

P = ParamSpec("P")
R = TypeVar("R")

# Piped output has no width of its own; 80 columns would cut most cells.
console = Console(width=None if sys.stdout.isatty() else 180)

# Warnings and progress, beside the result: a script that reads JSON from stdout never meets them.
notes = Console(stderr=True, width=None if sys.stderr.isatty() else 180)


def told_in_words(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command's expected errors end it with one line on stderr and exit code 1."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except EXPECTED_ERRORS as error:
            stop(str(error))

    return wrapped


def stop(message: str, *, code: int = 1) -> NoReturn:
    """End the command with a message on stderr."""
    typer.secho(f"penguin-infra: {message}", fg="red", err=True)
    raise typer.Exit(code)


def wire() -> Wiring:
    """This command's wiring."""
    return Wiring(settings(), application_name="penguin-infra-cli")


@contextmanager
def transaction(fleet: Wiring) -> Iterator[Connection]:
    """A transaction of the fleet's database, whose absence is told in words."""
    try:
        with fleet.engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise explain(error, fleet.database_url) from None


def person() -> str:
    """Who asks, as the ledger names them."""
    return f"{PERSON_PREFIX}{getpass.getuser()}"


def show(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    as_json: bool,
    empty: str,
    title: str | None = None,
) -> None:
    """Print rows: as JSON whole, or as a table of the given columns (key -> heading)."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        if empty:
            console.print(empty)
        return
    table = Table(*columns.values(), title=title, title_justify="left")
    for row in rows:
        table.add_row(*(escape(as_text(row[key])) for key in columns))
    console.print(table)


def show_one(found: Sequence[AnyRow], asked: str, *, noun: str, listed_by: str, as_json: bool) -> None:
    """Print the one row whose id begins as asked; ends the command where it is none or more than one."""
    row = dict(find_one(found, asked, noun=noun, listed_by=listed_by)._mapping)
    if as_json:
        print_json(row)
    else:
        show_fields(row)


def find_one(found: Sequence[AnyRow], asked: str, *, noun: str, listed_by: str) -> AnyRow:
    """The one row whose id begins as asked; ends the command where it is none or more than one."""
    if not found:
        stop(f"no {noun}'s id begins with {asked!r}; `{listed_by}` shows them")
    if len(found) > 1:
        stop(f"several {noun}s' ids begin with {asked!r}: give more of it")
    return found[0]


def show_fields(row: Mapping[str, Any]) -> None:
    """Print a row's fields, one a line."""
    widest = max(map(len, row))
    for key, value in row.items():
        console.print(f"[bold]{key:<{widest}}[/] {escape(as_text(value))}")


def print_json(value: object) -> None:
    """Print JSON for scripts: aware ISO times, ids and addresses as text."""
    typer.echo(
        json.dumps(value, indent=2, default=lambda item: item.isoformat() if isinstance(item, datetime) else str(item))
    )


def as_text(value: object) -> str:
    """A cell: times in UTC to the second, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list | tuple):
        return " ".join(map(as_text, value))
    return str(value)
