"""Heartbeats for tests: the gateway's clock and the nodes' pulses, as a gateway would have left them, by plain SQL."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine, text

from penguin_infra_tests.fleets import NOW

SERVED = 10_000.0


def tick(engine: Engine, *, served_seconds: float = SERVED, at: datetime = NOW) -> None:
    """Set the gateway's clock."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE fleet.gateway_clock SET served_seconds = :served, ticked_at = :at"),
            {"served": served_seconds, "at": at},
        )


def beat(
    engine: Engine,
    node_ids: Iterable[UUID],
    *,
    silent_seconds: float = 5,
    mta_state: str = "up",
    at: datetime = NOW,
) -> None:
    """Let nodes have spoken so many seconds of served time ago."""
    with engine.begin() as connection:
        for node_id in node_ids:
            connection.execute(
                text(
                    """
                    INSERT INTO fleet.node_pulses
                        (node_id, received_at, served_seconds, sent_at, boot_id, agent_version, mta_state, transport)
                    SELECT :node_id, :at, served_seconds - :silent, :at, 'boot', '1.0', :mta_state, 'released'
                    FROM fleet.gateway_clock
                    ON CONFLICT (node_id) DO UPDATE SET received_at = excluded.received_at,
                        served_seconds = excluded.served_seconds, mta_state = excluded.mta_state
                    """
                ),
                {"node_id": node_id, "at": at, "silent": silent_seconds, "mta_state": mta_state},
            )
