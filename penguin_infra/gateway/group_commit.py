"""Group commit: requests that arrive while a transaction runs are written together by the next one.

A caller hears of its row only once it is committed. The queue is bounded: beyond it callers are sent away, before
memory grows. What is written, and how, its `write` knows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import psycopg

from penguin_infra.gateway.errors import ApiError, Unavailable
from penguin_infra.gateway.links import Link
from penguin_infra.store.telemetry import AnyConnection

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
Answer = TypeVar("Answer")

Write = Callable[[AnyConnection, Sequence[Row]], Awaitable[Sequence[Answer]]]


class GroupCommit(Generic[Row, Answer]):
    """One writer: a queue, a connection, and the task that empties the one into the other."""

    def __init__(self, link: Link, write: Write[Row, Answer], *, most_waiting: int, most_together: int) -> None:
        self._link = link
        self._write = write
        self._most_waiting = most_waiting
        self._most_together = most_together
        self._waiting: list[tuple[Row, asyncio.Future[Answer]]] = []
        self._has_work = asyncio.Event()
        self._is_closed = False

    async def commit(self, row: Row) -> Answer:
        """Return once the row is committed; raises `Unavailable` when it was not, or when that is not known."""
        if self._is_closed:
            raise Unavailable("the gateway is stopping; nothing was kept of this request")
        if len(self._waiting) >= self._most_waiting:
            raise Unavailable("the gateway has more to write than it can; nothing was kept of this request")
        self._link.connection()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        self._has_work.set()
        return await future

    async def run(self) -> None:
        """Write until cancelled; whoever waits then is sent away."""
        try:
            while True:
                await self._link.restore()
                await self._has_work.wait()
                group = self._waiting[: self._most_together]
                del self._waiting[: self._most_together]
                if not self._waiting:
                    self._has_work.clear()
                await self._commit_group(group)
        finally:
            self._is_closed = True
            self._send_away(self._waiting, Unavailable("the gateway is stopping; nothing was kept of this request"))

    async def _commit_group(self, group: Sequence[tuple[Row, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._write(self._link.connection(), [row for row, _ in group])
        except asyncio.CancelledError:
            self._send_away(group, Unavailable("the gateway is stopping; send this again"))
            raise
        except (psycopg.OperationalError, psycopg.InterfaceError, Unavailable) as error:
            # Whether the transaction came through is not known when the connection broke in its midst: heartbeats may
            # come twice, batches are counted once whatever comes.
            logger.warning("%d rows were not written: %s", len(group), type(error).__name__)
            self._send_away(group, Unavailable("the database did not answer; send this again"))
        except Exception as error:  # noqa: BLE001 - the writer outlives whatever one row does to it
            if len(group) > 1:
                # One row that the database refuses must not take its neighbours along.
                middle = len(group) // 2
                await self._commit_group(group[:middle])
                await self._commit_group(group[middle:])
                return
            # Not the error's text, which quotes the row.
            logger.error("a row could not be written: %s", type(error).__name__)  # noqa: TRY400
            self._send_away(group, ApiError(500, "internal", "this could not be written; the gateway's log says why"))
        else:
            for (_, future), answer in zip(group, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    @staticmethod
    def _send_away(group: Sequence[tuple[Row, asyncio.Future[Answer]]], error: ApiError) -> None:
        for _, future in group:
            if not future.done():
                future.set_exception(error)
