"""`penguin-infra db`: the schema's version, up and down. Analysts and the embedded server's keeper stand apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer
from rich.markup import escape
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from penguin_infra.cli.analysts import analyst
from penguin_infra.cli.keeper import keep
from penguin_infra.cli.lab_past import fill_past
from penguin_infra.cli.output import AsJson, console, print_json, stop, told_in_words, transaction, wire
from penguin_infra.hostwind.provider import ProviderUnavailable
from penguin_infra.lab.dns_zone import FORWARD_ZONE
from penguin_infra.lab.hostwind_past import PastRefused
from penguin_infra.operations.issue_credentials import adopt_api_key
from penguin_infra.operations.prepare_database import prepare_database
from penguin_infra.operations.request_nodes import request_nodes
from penguin_infra.settings import Settings
from penguin_infra.store import nodes, schema, switches
from penguin_infra.store.database import DatabaseError, explain
from penguin_infra.wiring import Wiring

# Enough to see a fleet, few enough that the provider's two requests a second do not delay the first look.
FRESH_LAB_NODES = 6

app = typer.Typer(help="The database's schema (current, upgrade, downgrade), and who reads it.", no_args_is_help=True)
app.command("keep", hidden=True)(keep)
app.command("analyst")(analyst)


def prepare(known: Settings) -> None:
    """Make the databases ready for a fleet that comes up; a fresh lab starts with a request for nodes.

    Whatever is set wrong ends it here, in words, rather than later in every tick's log. Errors: `DatabaseError`, also
    where the registry belongs to another provider's nodes; `PolicyFileError`, `CatalogueError`, `ResolverError`,
    `ProviderRefused`.
    """
    fleet = Wiring(known)
    fleet.blacklist_sweep(console.print)
    if not known.lab:
        _try_provider(fleet)
    prepare_database(fleet.database_url, fleet.dagster_database_url)
    provider = "the lab" if known.lab else str(known.hostwind_api_url)
    now = fleet.clock.now()
    with transaction(fleet) as connection:
        tied_to = switches.claim_provider(connection, provider, now)
        if tied_to != provider:
            raise DatabaseError(
                f"this database's nodes live at {tied_to}, and this fleet would run against {provider}: it would take "
                "every node for lost. Name another database in PENGUIN_DATABASE_URL, or the provider it belongs to"
            )
        if known.lab_api_key:
            adopt_api_key(connection, name="lab", key=known.lab_api_key.get_secret_value(), scope="admin", now=now)
        if known.lab and not nodes.list_nodes(connection):
            if known.lab_past:
                _tell_past(connection, known, now)
            request_nodes(
                connection,
                node_count=FRESH_LAB_NODES,
                region="dallas",
                plan="ssd-1",
                requested_by="system:lab",
                now=now,
            )


def _tell_past(connection: Connection, known: Settings, now: datetime) -> None:
    try:
        past = fill_past(
            connection,
            directory=known.home / "lab" / "hostwind",
            fleet_name=known.fleet_name,
            zone=known.dns_zone or FORWARD_ZONE,
            now=now,
        )
    except PastRefused as error:
        # A simulator that outlived its registry: its instances are orphans, and that is to be seen.
        console.print(f"[yellow]This lab begins without a past: {escape(str(error))}.[/]")
        return
    days = (past.ended_at - past.began_at).days
    console.print(f"A fresh lab: {days} days of {len(past.nodes)} former nodes are told (PENGUIN_LAB_PAST=0: none).")


def _try_provider(fleet: Wiring) -> None:
    try:
        fleet.provider.list_plans()
    except ProviderUnavailable as error:
        # An outage is no reason to leave the fleet that exists alone.
        console.print(f"[yellow]The provider does not answer now: {escape(str(error))}[/]")


@app.command("current")
@told_in_words
def current(as_json: AsJson = False) -> None:
    """Show the schema's revision, and the newest one that this version knows.

    Example: penguin-infra db current
    """
    with _words(fleet := wire()):
        revision, newest = schema.current(fleet.engine)
    if as_json:
        print_json({"revision": revision, "newest": newest})
        return
    console.print(f"The schema is at {revision or 'nothing'}; the newest is {newest}.")


@app.command("upgrade")
@told_in_words
def upgrade() -> None:
    """Create what is missing and bring the schema up to this version. `up` does this by itself.

    Example: penguin-infra db upgrade
    """
    fleet = wire()
    before, after = prepare_database(fleet.database_url, fleet.dagster_database_url)
    came = "already" if before == after else f"from {before or 'nothing'}"
    console.print(f"The schema is at {after}, {came}.")


@app.command("downgrade")
@told_in_words
def downgrade(
    revision: Annotated[str, typer.Argument(help="Where to; `base` removes everything.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: data of the later revisions is lost.")] = False,
) -> None:
    """Take the schema down to an earlier revision. Stop the fleet first.

    Example: penguin-infra db downgrade 0001
    """
    if not yes and not typer.confirm(f"Data of every revision after {revision} is lost. Go on?"):
        stop("nothing was changed")
    with _words(fleet := wire()):
        before, after = schema.downgrade(fleet.engine, revision)
    console.print(f"The schema is at {after or 'nothing'}, from {before or 'nothing'}.")


@contextmanager
def _words(fleet: Wiring) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise explain(error, fleet.database_url) from None
