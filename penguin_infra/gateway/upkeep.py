"""What a gateway process does by itself: tick the clock, refresh the directory, make partitions, end with its parent.

No request comes by here.
"""

import asyncio
import logging
import os
import signal
import time

import psycopg

from penguin_infra.gateway.directory import Directory
from penguin_infra.gateway.errors import Unavailable
from penguin_infra.gateway.links import Link
from penguin_infra.store.telemetry import make_partitions, tick_clock

logger = logging.getLogger(__name__)

PARENT_VARIABLE = "PENGUIN_GATEWAY_PARENT_PID"

_EVERY_SECONDS = 1.0
_PARTITIONS_EVERY_SECONDS = 3600.0
# Three missed seconds are a slow database; more is one that serves nobody.
_READY_SECONDS = 5.0


class Upkeep:
    """The loop of one process; `is_ready` says whether it came round lately."""

    def __init__(self, link: Link, directory: Directory) -> None:
        self._link = link
        self._directory = directory
        self._done_at: float | None = None
        self._partitions_at: float | None = None
        # As it was told: one that is still starting may ask too late, and take its foster parent for its parent.
        self._parent = int(os.environ.get(PARENT_VARIABLE) or os.getppid())

    @property
    def is_ready(self) -> bool:
        """Whether the database answered within the last seconds."""
        return self._done_at is not None and time.monotonic() - self._done_at < _READY_SECONDS

    async def once(self) -> None:
        """Do all that is due; raises psycopg's errors and `Unavailable`."""
        connection = self._link.connection()
        if self._partitions_at is None or time.monotonic() - self._partitions_at > _PARTITIONS_EVERY_SECONDS:
            if made := await make_partitions(connection):
                logger.info("made %d partitions of heartbeats", made)
            self._partitions_at = time.monotonic()
        await self._directory.refresh()
        # Last: only a gateway that can serve lets heartbeats grow older.
        await tick_clock(connection)
        self._done_at = time.monotonic()

    async def run(self) -> None:
        """Go round once a second until cancelled."""
        while True:
            if os.getppid() != self._parent:
                # Its supervisor was killed: a second gateway may come for the same port, and this one would stay.
                os.kill(os.getpid(), signal.SIGTERM)
                return
            await self._link.restore()
            try:
                await self.once()
            except (psycopg.Error, Unavailable) as error:
                logger.warning("the gateway's upkeep failed: %s", type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS)
