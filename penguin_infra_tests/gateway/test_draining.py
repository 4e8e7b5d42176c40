"""What a node that leaves is told: to go on delivering while it drains, and to hold its mail once it is maintained."""

from datetime import UTC, datetime, timedelta

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.store import drains, nodes
from penguin_infra_tests.fleets import add_nodes
from penguin_infra_tests.gateway.conftest import HEARTBEAT, Gateway, heartbeat, until


def test_a_draining_node_delivers_what_it_has_and_gets_no_more(gateway: Gateway) -> None:
    leaving, staying = add_nodes(gateway.engine, 2)
    token, key = gateway.token(leaving), gateway.key("read")
    gateway.token(staying)

    def transport() -> str:
        return str(gateway.post(HEARTBEAT, token, heartbeat(leaving)).json()["directive"]["transport"])

    def rotation() -> list[str]:
        return [node["label"] for node in gateway.get("/api/v1/infrastructure/rotation", key).json()["nodes"]]

    assert rotation() == ["node-001", "node-002"]
    with gateway.engine.begin() as connection:
        drains.begin_drain(connection, leaving, datetime.now(UTC) + timedelta(minutes=30))
    assert rotation() == ["node-002"]
    # Longer than the gateway's knowledge of a node is old at most.
    told: list[str] = []

    def is_told_often() -> bool:
        told.append(transport())
        return len(told) > 8

    until("some heartbeats were answered", is_told_often)
    assert set(told) == {"release"}
    with gateway.engine.begin() as connection:
        nodes.apply_event(
            connection, leaving, NodeEvent.MAINTENANCE_BEGUN, reason="r", requested_by="p", now=datetime.now(UTC)
        )
        drains.end_drain(connection, leaving)
    until("it is told to hold", lambda: transport() == "hold", 5)
    assert rotation() == ["node-002"]


def test_a_heartbeats_queue_is_what_the_drain_reads(gateway: Gateway) -> None:
    node_id, _ = add_nodes(gateway.engine, 2)
    token = gateway.token(node_id)
    beat = heartbeat(node_id)
    beat["probes"]["mta"] |= {
        "active": 4, "deferred": 9, "held": 1, "oldest_age_seconds": 600, "is_truncated": True,
        "delay_reasons": [{"reason": "connection timed out", "count": 9}],
    }  # fmt: skip
    assert gateway.post(HEARTBEAT, token, beat).status_code == 200
    with gateway.engine.connect() as connection:
        queue = drains.read_queue(connection, node_id)
    assert queue is not None
    assert queue.in_words() == (
        "at least 14 mails wait (4 active, 9 deferred, 1 held, the oldest for 10 min; 9 because: connection timed out)"
    )
    assert (queue.is_silent, queue.mta_state) == (False, "up")
