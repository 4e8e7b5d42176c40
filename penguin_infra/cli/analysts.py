"""`penguin-infra db analyst`: who reads the tables made for people. What is in them, `docs/analysts.md` says."""

from typing import Annotated

import typer
from sqlalchemy import URL

from penguin_infra.cli.output import console, notes, stop, told_in_words, transaction, wire
from penguin_infra.operations.admit_analysts import admit_analyst, dismiss_analyst, login_script
from penguin_infra.store.analyst_role import role_statements

# How to reach the server, and nothing of how the fleet itself logs in.
_OF_THE_SERVER = {"host", "port", "sslmode", "sslrootcert", "channel_binding", "gssencmode", "target_session_attrs"}


@told_in_words
def analyst(
    name: Annotated[str | None, typer.Argument(help="The analyst's login, for example ada.")] = None,
    is_revoking: Annotated[
        bool, typer.Option("--revoke", help="Let the analyst in no more, and end their sessions.")
    ] = False,
    is_script: Annotated[
        bool, typer.Option("--sql", help="Change nothing; print what the server's administrator must run instead.")
    ] = False,
) -> None:
    """Let an analyst read the tables made for people, and nothing else: prints the login's URL, once.

    The same name again gets a new password.

    Example: penguin-infra db analyst ada
    """
    if is_script:
        if is_revoking:
            stop("--sql and --revoke: one at a time")
        _print_script(name)
        return
    if name is None:
        stop("whose login? `penguin-infra db analyst NAME`, or `penguin-infra db analyst --sql` for the role alone")
    fleet = wire()
    if is_revoking:
        with transaction(fleet) as connection:
            is_gone = dismiss_analyst(connection, name)
        kept = "" if is_gone else " Its role stays, without a login: it still owns or was granted something there."
        console.print(f"{name} is let in no more.{kept}")
        return
    with transaction(fleet) as connection:
        password = admit_analyst(connection, name)
    # Alone on stdout, so that it can be piped to where it belongs.
    typer.echo(login_url(fleet.database_url, name, password))
    notes.print("This is the only time that it is shown.")


def login_url(database: URL, name: str, password: str) -> str:
    """The URL by which an analyst reaches the fleet's database, with the password in it: a secret."""
    query = {option: value for option, value in database.query.items() if option in _OF_THE_SERVER}
    url = database.set(drivername="postgresql", username=name, password=password, query=query)
    return url.render_as_string(hide_password=False)


def _print_script(name: str | None) -> None:
    database = wire().database_url
    logins = () if name is None else login_script(name)
    typer.echo(f"-- In the database {database.database}, as a superuser.")
    for statement in (*role_statements(owner=database.username), *logins):
        typer.echo(f"{statement};")
