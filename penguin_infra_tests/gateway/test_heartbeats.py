"""Heartbeats over HTTP: what is kept of them, and what each is told."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.messages.telemetry import Directive
from penguin_infra.store import nodes
from penguin_infra_tests.fleets import add_node, list_address
from penguin_infra_tests.gateway.conftest import HEARTBEAT, Gateway, heartbeat, until


def test_a_heartbeat_is_kept_before_it_is_answered(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    done = gateway.post(HEARTBEAT, gateway.token(node_id), heartbeat(node_id))
    assert done.status_code == 200, done.text
    kept = gateway.rows(
        "SELECT node_id, mta_state, transport, cpu_percent, disk_percent, queue_deferred, received_at"
        " FROM fleet.node_pulses"
    )
    received_at = datetime.fromisoformat(done.json()["received_at"])
    assert kept == [(node_id, "up", "released", 12.5, None, 2, received_at)]
    assert gateway.rows("SELECT node_id, queue_oldest_seconds FROM fleet.heartbeats") == [(node_id, 60)]


def test_the_agent_understands_the_answer(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine, status=NodeStatus.ACTIVE)
    told = Directive.from_json(gateway.post(HEARTBEAT, gateway.token(node_id), heartbeat(node_id)).json())
    assert (told.transport, told.restart, told.restart_id, told.hourly_allowance) == ("release", "none", None, None)
    assert told.version > 0


@pytest.mark.parametrize("status", sorted(NodeStatus))
def test_only_a_node_in_service_is_told_to_release(gateway: Gateway, status: NodeStatus) -> None:
    node_id = add_node(gateway.engine, 1, NodeStatus.WARMING)
    token = gateway.token(node_id)
    with gateway.engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET status = :status"), {"status": status})
    expected = "release" if status in {"warming", "active"} else "hold"

    def told() -> bool:
        directive = gateway.post(HEARTBEAT, token, heartbeat(node_id)).json()["directive"]
        return bool(directive["transport"] == expected)

    until("the directive is the status's", told, 5)


def test_a_pause_reaches_the_node_within_two_seconds_and_a_greater_version(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    token = gateway.token(node_id)
    before = gateway.post(HEARTBEAT, token, heartbeat(node_id)).json()["directive"]
    with gateway.engine.begin() as connection:
        nodes.apply_event(
            connection, node_id, NodeEvent.PAUSED, reason="r", requested_by="person:t", now=datetime.now(UTC)
        )

    def held() -> dict[str, object] | None:
        told: dict[str, object] = gateway.post(HEARTBEAT, token, heartbeat(node_id)).json()["directive"]
        return told if told["transport"] == "hold" else None

    told = until("the pause arrives", held, 3)
    assert told["version"] > before["version"]


def test_a_listed_address_is_held_until_it_is_delisted(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    token = gateway.token(node_id)
    versions = []

    def transport() -> str:
        told = gateway.post(HEARTBEAT, token, heartbeat(node_id)).json()["directive"]
        versions.append(told["version"])
        return str(told["transport"])

    assert transport() == "release"
    list_address(gateway.engine, node_id, at=datetime.now(UTC))
    until("it is held", lambda: transport() == "hold", 5)
    with gateway.engine.begin() as connection:
        connection.execute(text("UPDATE fleet.ip_blacklist_events SET delisted_at = now()"))
    until("it is released", lambda: transport() == "release", 5)
    assert versions == sorted(versions)
    assert len(set(versions)) == 3


def test_a_restart_is_told_until_it_is_done_and_then_forgotten(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    token, restart_id = gateway.token(node_id), str(uuid4())
    with gateway.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO fleet.node_directives VALUES (:node, 'mta', :id, now())"),
            {"node": node_id, "id": restart_id},
        )

    def told(**changes: str) -> tuple[str, str | None]:
        directive = gateway.post(HEARTBEAT, token, heartbeat(node_id, **changes)).json()["directive"]
        return directive["restart"], directive["restart_id"]

    until("it is told", lambda: told() == ("mta", restart_id), 5)
    assert told(restart_done_id=str(uuid4())) == ("mta", restart_id)
    assert told(restart_done_id=restart_id) == ("none", None)
    assert gateway.rows("SELECT * FROM fleet.node_directives") == []
    until("it is told no more", lambda: told() == ("none", None), 5)


@pytest.mark.parametrize("days", [-20_000, -1, 1, 20_000])
def test_a_node_whose_clock_is_wrong_is_heard_by_the_servers(gateway: Gateway, days: int) -> None:
    node_id = add_node(gateway.engine)
    sent_at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    assert gateway.post(HEARTBEAT, gateway.token(node_id), heartbeat(node_id, sent_at=sent_at)).status_code == 200
    ((age, skew),) = gateway.rows(
        "SELECT abs(extract(epoch FROM now() - received_at)), (details->>'clock_skew_seconds')::numeric"
        " FROM fleet.node_pulses"
    )
    assert age < 30
    assert abs(float(skew) - days * 86400) < 30


def test_what_the_queue_and_the_spool_say_is_kept_in_the_details(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    beat = heartbeat(node_id, spool={"batches": 3, "dropped_batches": 0, "unread_lines": 9})
    beat["probes"]["mta"] |= {
        "is_truncated": True, "delay_reasons": [{"reason": "Connection timed out\0 é", "count": 4}],
    }  # fmt: skip
    assert gateway.post(HEARTBEAT, gateway.token(node_id), beat).status_code == 200
    ((details,),) = gateway.rows("SELECT details FROM fleet.node_pulses")
    assert details["spool"] == {"batches": 3, "dropped_batches": 0, "unread_lines": 9}
    assert details["delay_reasons"] == [{"reason": "Connection timed out é", "count": 4}]
    assert details["is_truncated"] is True


def test_the_smallest_numbers_harm_no_neighbour(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    beat = heartbeat(node_id)
    beat["probes"] |= {"cpu_percent": 5e-324, "rx_bytes_per_second": 5e-324}
    assert gateway.post(HEARTBEAT, gateway.token(node_id), beat).status_code == 200
