"""`penguin-infra sink`: receive verification mails. What it takes is `sink/`'s; here are words, defaults and exits."""

import logging
from typing import Annotated

import typer

from penguin_infra.cli.output import console, stop, told_in_words, wire

app = typer.Typer(help="The SMTP sink: receives the mails by which new nodes are verified.", no_args_is_help=True)


@app.command("serve")
@told_in_words
def serve_command(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="By default PENGUIN_SINK_PORT.")] = None,
    host: Annotated[str | None, typer.Option(help="The address it listens at; by default PENGUIN_SINK_HOST.")] = None,
) -> None:
    """Take mail for PENGUIN_SINK_MAILBOX, and for nobody else, in the foreground; `penguin-infra up` does this for you.

    Nodes reach it at port 25 of what the mailbox's MX names, or at PENGUIN_SINK_ROUTE. Mails are kept for seven days.

    Example: penguin-infra sink serve --host 0.0.0.0 --port 25
    """
    # With aiosmtpd, which no other command needs.
    from penguin_infra.sink.serve import SinkError, serve  # noqa: PLC0415

    fleet = wire()
    told = fleet.settings
    if told.sink_mailbox is None:
        stop("no mailbox: set PENGUIN_SINK_MAILBOX to the address to which new nodes send their verification mail")
    address, number = host or told.sink_host, port or told.sink_port
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Every command of every session, at level INFO.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    try:
        serve(
            host=address,
            port=number,
            mailbox=told.sink_mailbox,
            database_url=fleet.database_url,
            certificate_file=told.sink_certificate_file,
            private_key_file=told.sink_private_key_file,
            directory=told.home / "sink",
            now=fleet.clock.now,
            on_ready=lambda: console.print(f"The sink takes mail for {told.sink_mailbox} at {address}, port {number}."),
        )
    except SinkError as error:
        stop(str(error))
