"""The sink's process: its socket, its certificate, its database, and its end with what it has in hand."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import psycopg
from sqlalchemy import URL

from penguin_infra.sink.certificate import CertificateError, make_context
from penguin_infra.sink.connections import Connections
from penguin_infra.sink.mailbox import Mailbox
from penguin_infra.store.sink import SinkMessage, delete_older, save_message
from penguin_infra.store.telemetry import AnyConnection

logger = logging.getLogger(__name__)

# A verification is over after minutes; a week serves whoever asks why it failed.
_KEPT_FOR = timedelta(days=7)
_FORGET_EVERY_SECONDS = 3600.0
_AGAIN_SECONDS = 60.0
_BACKLOG = 128
# Each mail has a connection of its own, which cannot be stale: verification mails come by the minute.
_MOST_DATABASE_CONNECTIONS = 4
_STATEMENT_TIMEOUT_MS = 8_000
# Together within the two seconds in which a stop is over.
_FINISH_SECONDS, _LAST_WORDS_SECONDS = 1.5, 0.1


class SinkError(Exception):
    """The sink cannot serve as told; the message names the setting."""


def serve(
    *,
    host: str,
    port: int,
    mailbox: str,
    database_url: URL,
    certificate_file: Path | None,
    private_key_file: Path | None,
    directory: Path,
    now: Callable[[], datetime],
    on_ready: Callable[[], None],
) -> None:
    """Take mails for `mailbox` until SIGTERM or SIGINT; an own certificate's key passes through `directory`.

    Errors: `SinkError`.
    """
    hostname = mailbox.partition("@")[2]
    try:
        tls = make_context(
            certificate_file=certificate_file,
            private_key_file=private_key_file,
            hostname=hostname,
            directory=directory,
            now=now(),
        )
    except CertificateError as error:
        raise SinkError(str(error)) from None
    memory = _Memory(database_url)
    listener = _listen(host, port)
    with listener:
        mails = Mailbox(mailbox, save=memory.save, now=now)
        asyncio.run(
            _serve(listener, Connections(mails, tls, hostname=hostname), mails, _forget_old(memory, now), on_ready)
        )


class _Memory:
    """The database, by a connection for each use."""

    def __init__(self, url: URL) -> None:
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._room = asyncio.Semaphore(_MOST_DATABASE_CONNECTIONS)

    async def save(self, message: SinkMessage) -> None:
        async with self._connection() as connection:
            await save_message(connection, message)

    async def forget(self, before: datetime) -> int:
        async with self._connection() as connection:
            return await delete_older(connection, before)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AnyConnection]:
        async with (
            self._room,
            await psycopg.AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=5,
                application_name="penguin-infra-sink",
                options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
                tcp_user_timeout=_STATEMENT_TIMEOUT_MS,
            ) as connection,
        ):
            yield connection


async def _serve(
    listener: socket.socket,
    connections: Connections,
    mailbox: Mailbox,
    upkeep: Coroutine[None, None, None],
    on_ready: Callable[[], None],
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(work) for work in (connections.accept(listener), connections.watch(), upkeep)]
    on_ready()
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await mailbox.finish(_FINISH_SECONDS)
    connections.close()
    await asyncio.sleep(_LAST_WORDS_SECONDS)


async def _forget_old(memory: _Memory, now: Callable[[], datetime]) -> None:
    while True:
        pause = _FORGET_EVERY_SECONDS
        try:
            if forgotten := await memory.forget(now() - _KEPT_FOR):
                logger.info("forgot %d mails older than %d days", forgotten, _KEPT_FOR.days)
        except (psycopg.Error, OSError) as error:
            logger.warning("old mails were not deleted: %s", type(error).__name__)
            pause = _AGAIN_SECONDS
        await asyncio.sleep(pause)


def _listen(host: str, port: int) -> socket.socket:
    try:
        address = ip_address(host)
    except ValueError:
        raise SinkError(f"PENGUIN_SINK_HOST: {host!r} is no address; 0.0.0.0 is every IPv4 address, :: both") from None
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SinkError(
            f"port {port} of {host} cannot be opened ({error.strerror}): end what holds it, or set PENGUIN_SINK_PORT "
            "and PENGUIN_SINK_HOST"
        ) from None
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener
