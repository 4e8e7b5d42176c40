"""Telemetry's statements by themselves, on both servers: groups, duplicates, the clock, partitions, directives."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import Engine, text

from penguin_infra.gateway.shapes import BATCHES
from penguin_infra.store.agent_directory import read_standings
from penguin_infra.store.telemetry import (
    AnyConnection,
    Pulse,
    make_partitions,
    tick_clock,
    write_batches,
    write_pulses,
)
from penguin_infra_tests.fleets import add_node, add_nodes, list_address
from penguin_infra_tests.gateway.conftest import batch

Result = TypeVar("Result")


def run(engine: Engine, act: Callable[[AnyConnection], Awaitable[Result]]) -> Result:
    """Act on a connection like the gateway's."""

    async def acting() -> Result:
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            return await act(connection)

    return asyncio.run(acting())


def pulse(node_id: UUID, **changes: Any) -> Pulse:
    usual = Pulse(
        node_id=str(node_id), sent_at=datetime.now(UTC), boot_id="b", agent_version="1", mta_state="up",
        transport="held", directive_version=None, restart_done_id=None, cpu_percent=1.0, memory_percent=None,
        disk_percent=None, rx_bytes_per_second=None, tx_bytes_per_second=None, queue_active=None, queue_deferred=None,
        queue_held=None, queue_oldest_seconds=None, details={},
    )  # fmt: skip
    return msgspec.structs.replace(usual, **changes)


def scalar(engine: Engine, query: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(query)).scalar_one()


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_a_node_twice_in_one_group_is_kept_twice_and_its_later_heartbeat_counts(engine: Engine) -> None:
    first, second = add_nodes(engine, 2)
    run(engine, make_partitions)
    group = [pulse(second), pulse(first, boot_id="old"), pulse(first, boot_id="new")]
    run(engine, lambda connection: write_pulses(connection, group))
    assert scalar(engine, "SELECT count(*) FROM fleet.heartbeats") == 3
    assert scalar(engine, f"SELECT boot_id FROM fleet.node_pulses WHERE node_id = '{first}'") == "new"


def test_partitions_are_made_ahead_and_once(engine: Engine) -> None:
    assert [run(engine, make_partitions) for _ in range(2)] == [4, 0]
    assert scalar(engine, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'fleet.heartbeats'::regclass") == 4


def test_a_batch_twice_in_one_group_is_counted_once(engine: Engine) -> None:
    node_id = add_node(engine)
    wire = BATCHES.decode(json.dumps(batch(node_id)))
    key = (node_id, "boot-1:spool-1", 1)
    assert run(engine, lambda connection: write_batches(connection, [wire, wire])) == {key}
    assert run(engine, lambda connection: write_batches(connection, [wire])) == set()
    assert scalar(engine, "SELECT sum(messages) FROM fleet.delivery_counts") == 7


def test_the_clock_goes_on_by_short_gaps_and_stands_still_in_an_outage(engine: Engine) -> None:
    def ticked_after(seconds: float) -> float:
        change(
            engine,
            "UPDATE fleet.gateway_clock SET served_seconds = 100,"
            f" ticked_at = now() - make_interval(secs => {seconds})",
        )
        run(engine, tick_clock)
        return float(scalar(engine, "SELECT served_seconds FROM fleet.gateway_clock")) - 100

    assert 3 <= ticked_after(3) < 4
    assert ticked_after(3600) == 0
    assert ticked_after(-60) == 0


def test_a_pulse_carries_the_clocks_time_at_its_receipt(engine: Engine) -> None:
    node_id = add_node(engine)
    run(engine, make_partitions)
    for gap, lowest, highest in ((2, 102, 103), (3600, 100, 100)):
        change(
            engine,
            f"UPDATE fleet.gateway_clock SET served_seconds = 100, ticked_at = now() - make_interval(secs => {gap})",
        )
        run(engine, lambda connection: write_pulses(connection, [pulse(node_id)]))
        assert lowest <= scalar(engine, "SELECT served_seconds FROM fleet.node_pulses") <= highest


def test_health_alone_holds_nobody_and_listings_of_low_severity_neither(engine: Engine) -> None:
    ill, listed, harmless = add_nodes(engine, 3)
    change(engine, f"UPDATE fleet.sending_nodes SET health = 'unhealthy' WHERE id = '{ill}'")
    list_address(engine, listed, 2)
    list_address(engine, harmless, 3)
    change(engine, f"UPDATE fleet.ip_blacklist_events SET severity = 'low' WHERE node_id = '{harmless}'")
    standings = run(engine, read_standings)
    assert {standing.node_id: standing.may_send for standing in standings} == {
        str(ill): True, str(listed): False, str(harmless): True,
    }  # fmt: skip
