"""`penguin-infra gateway`: serve the HTTP API. What it serves is `gateway/`'s; here are words, defaults and exits."""

from typing import Annotated

import typer

from penguin_infra.cli.output import stop, told_in_words, wire

app = typer.Typer(help="The HTTP API: telemetry in, the rotation out.", no_args_is_help=True)


@app.command("serve")
@told_in_words
def serve_command(
    port: Annotated[int | None, typer.Option(help="By default PENGUIN_GATEWAY_PORT.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=32, help="How many processes share the port.")] = 2,
) -> None:
    """Serve the HTTP API on loopback in the foreground; `penguin-infra up` does this for you.

    Example: penguin-infra gateway serve --port 4270 --workers 2
    """
    # With FastAPI and uvicorn, which no other command needs.
    from penguin_infra.gateway.serve import PortInUse, serve  # noqa: PLC0415

    fleet = wire()
    _ = fleet.database_url  # without one, it is told here in words rather than by each worker
    chosen_port = port or fleet.settings.gateway_port
    try:
        serve(port=chosen_port, workers=workers, metrics_directory=fleet.settings.home / "gateway" / str(chosen_port))
    except PortInUse as error:
        stop(str(error))
