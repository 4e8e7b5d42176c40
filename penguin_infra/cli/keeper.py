"""`penguin-infra db keep`: holds the embedded PostgreSQL up in the foreground, for supervisord to watch."""

import typer
from rich.console import Console

from penguin_infra.cli.stop_signals import StopSignals
from penguin_infra.settings import SettingsError, read_settings
from penguin_infra.store.embedded import EmbeddedPostgresError, PostgresServer


def keep() -> None:
    """Keep the embedded PostgreSQL running until a signal comes, then stop it; `penguin-infra up` runs this for you.

    Example: penguin-infra db keep
    """
    console = Console()
    try:
        server = PostgresServer(read_settings(with_fleet_env=False).home / "postgres")
        with StopSignals(console) as stop:
            keep_running(server, stop, console)
    except (EmbeddedPostgresError, SettingsError) as error:
        console.print(f"penguin-infra: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


def keep_running(server: PostgresServer, stop: StopSignals, console: Console) -> None:
    """Start or join the server, start it again when it dies, and stop it on the wish to stop.

    Errors: `EmbeddedPostgresError`, also when another process took its port meanwhile: everybody knows the old one.
    """
    try:
        address = server.start()
        console.print("PostgreSQL answers")
        while not stop.wait(1):
            if not server.is_running():
                console.print("PostgreSQL is gone: starting it again")
                if server.start() != address:
                    raise EmbeddedPostgresError(
                        "PostgreSQL had to move to another port, which the fleet does not know: "
                        "run `penguin-infra down`, then `up`"
                    )
                console.print("PostgreSQL answers")
    finally:
        server.stop()
        console.print("PostgreSQL is stopped")
