"""A gateway with more to write than it can sends callers away, before memory grows."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import Engine

from penguin_infra.gateway.errors import Unavailable
from penguin_infra.gateway.group_commit import GroupCommit
from penguin_infra.gateway.links import Link
from penguin_infra.store.telemetry import AnyConnection


def test_beyond_a_full_queue_callers_are_sent_away_and_those_in_it_are_served(engine: Engine) -> None:
    async def overload() -> list[int]:
        async def write(_connection: AnyConnection, rows: Sequence[int]) -> Sequence[int]:
            return rows

        link = Link(engine.url, application_name="test")
        await link.restore()
        commits = GroupCommit(link, write, most_waiting=3, most_together=2)
        waiting = [asyncio.create_task(commits.commit(row)) for row in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="more to write than it can") as refusal:
            await asyncio.wait_for(commits.commit(3), timeout=5)
        assert (refusal.value.status, refusal.value.retry_after) == (503, 2)

        writer = asyncio.create_task(commits.run())
        served = await asyncio.gather(*waiting)
        assert await commits.commit(4) == 4
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        await link.connection().close()
        return served

    assert asyncio.run(overload()) == [0, 1, 2]
