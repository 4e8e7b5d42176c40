"""A connection to PostgreSQL that comes back: one a task, with back-off while the server is away.

Whoever uses a link that is away is told so at once; nobody waits for a server that may not come.
"""

import asyncio
import logging
import random
from types import TracebackType
from typing import Self

import psycopg
from sqlalchemy import URL

from penguin_infra.gateway.errors import Unavailable
from penguin_infra.store.telemetry import AnyConnection

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
# A statement takes milliseconds; one that takes this long waits for a lock or for a disk that is stuck.
_STATEMENT_TIMEOUT_MS = 10_000


class Link:
    """One connection in autocommit, made anew whenever it broke."""

    def __init__(self, url: URL, *, application_name: str) -> None:
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._application_name = application_name
        self._connection: AnyConnection | None = None

    @property
    def is_up(self) -> bool:
        """Whether the connection stood when it was last used."""
        return self._connection is not None and not self._connection.closed

    def connection(self) -> AnyConnection:
        """The connection; raises `Unavailable` while there is none."""
        if self._connection is None or self._connection.closed:
            raise Unavailable("the database is away; nothing was kept of this request")
        return self._connection

    async def restore(self) -> None:
        """Return once there is a connection, trying ever more slowly."""
        pause = _FIRST_PAUSE_SECONDS
        while not self.is_up:
            try:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._conninfo,
                    autocommit=True,
                    connect_timeout=5,
                    application_name=self._application_name,
                    options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
                    # A server that vanished without a word is noticed within seconds, not after a quarter of an hour.
                    tcp_user_timeout=_STATEMENT_TIMEOUT_MS,
                )
            except psycopg.Error as error:
                # The class alone: libpq's text holds the whole address, and parts of the URL in some versions.
                logger.warning("no connection to the database (%s); again in %.1f s", type(error).__name__, pause)
                # Jitter, so that workers that lost a server together do not return together.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
