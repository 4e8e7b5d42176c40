"""What operators ask of one node by HTTP: who may, what the ledger keeps of it, and what is refused in which words."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import actions as ledger
from penguin_infra_tests.fleets import add_node, add_nodes, list_address, plan, status_of
from penguin_infra_tests.gateway.conftest import Gateway
from penguin_infra_tests.gateway.test_refusals import refused

API = "/api/v1/infrastructure"
WHY = {"reason": "kernel update"}


def asked(gateway: Gateway) -> list[tuple[Any, ...]]:
    return gateway.rows(
        "SELECT kind, status, requested_by, reason, evidence FROM fleet.node_actions ORDER BY planned_at, id"
    )


@pytest.mark.parametrize(
    ("verb", "kind", "status", "evidence"),
    [
        ("pause", "pause", "planned", {}),
        ("maintenance", "maintenance", "planned", {"drain_minutes": 30}),
        ("decommission", "decommission", "proposed", {"drain_minutes": 30}),
    ],
)
def test_what_is_asked_is_in_the_ledger_in_the_keys_name(
    gateway: Gateway, verb: str, kind: str, status: str, evidence: dict[str, object]
) -> None:
    node_id, *_ = add_nodes(gateway.engine, 3)
    done = gateway.post(f"{API}/nodes/{node_id}/{verb}", gateway.key("admin", "console"), WHY)
    assert done.status_code == 202, done.text
    told = done.json()
    assert (told["node_id"], told["label"], told["kind"], told["status"], told["attempt"]) == (
        str(node_id), "node-001", kind, status, 1,
    )  # fmt: skip
    assert (told["requested_by"], told["decided_by"], told["outcome"]) == ("api:console", None, None)
    assert asked(gateway) == [(kind, status, "api:console", "kernel update", evidence)]
    assert gateway.get(f"{API}/actions/{told['action_id']}", gateway.key("read")).json() == told
    assert status_of(gateway.engine, node_id) is NodeStatus.WARMING


@pytest.mark.parametrize("body", [None, WHY])
def test_a_paused_node_is_resumed_with_or_without_a_reason(gateway: Gateway, body: Any) -> None:
    node_id = add_node(gateway.engine, status=NodeStatus.PAUSED)
    done = gateway.post(f"{API}/nodes/{node_id}/resume", gateway.key("operate"), body)
    assert (done.status_code, done.json()["kind"]) == (202, "resume")
    assert asked(gateway)[0][3] == (WHY["reason"] if body else "asked for by the API")


def test_how_long_it_drains_travels_with_the_action(gateway: Gateway) -> None:
    node_id, *_ = add_nodes(gateway.engine, 3)
    body = WHY | {"drain_minutes": 0}
    assert gateway.post(f"{API}/nodes/{node_id}/maintenance", gateway.key("operate"), body).status_code == 202
    assert asked(gateway)[0][4] == {"drain_minutes": 0}


WRONG: list[tuple[Any, str]] = [
    ({}, "reason"),
    ({"reason": ""}, "reason"),
    ({"reason": "two\nlines"}, "reason"),
    ({"reason": "nul\0"}, "reason"),
    ({"reason": "x" * 501}, "reason"),
    ({"reason": 7}, "reason"),
    (WHY | {"drain_minutes": -1}, "drain_minutes"),
    (WHY | {"drain_minutes": 241}, "drain_minutes"),
    (WHY | {"drain_minutes": "long"}, "drain_minutes"),
    (WHY | {"force": True}, "force"),
]


def test_a_request_that_is_wrong_is_refused_by_its_field(gateway: Gateway) -> None:
    node_id, *_ = add_nodes(gateway.engine, 3)
    key = gateway.key("operate")
    for body, field in WRONG:
        refused(gateway.post(f"{API}/nodes/{node_id}/maintenance", key, body), 422, "invalid", field)
    assert asked(gateway) == []


IMPOSSIBLE = [
    ("pause", NodeStatus.PAUSED, "a node that is paused cannot be paused"),
    ("resume", NodeStatus.WARMING, "only a paused or maintained node can be resumed"),
    ("maintenance", NodeStatus.MAINTENANCE, "cannot be maintenance_begun"),
    ("decommission", NodeStatus.PROVISIONING, "cancel its provision run in the UI"),
    ("decommission", NodeStatus.DECOMMISSIONED, "it is final"),
    ("resize", NodeStatus.PAUSED, "only a node in service is resized"),
]


def test_what_is_not_possible_as_things_are_is_a_conflict(gateway: Gateway) -> None:
    key = gateway.key("admin")
    for number, (verb, status, words) in enumerate(IMPOSSIBLE, start=1):
        node_id = add_node(gateway.engine, number, status)
        body = WHY | {"plan": "ssd-4"} if verb == "resize" else WHY
        assert words in refused(gateway.post(f"{API}/nodes/{node_id}/{verb}", key, body), 409, "conflict")
    assert asked(gateway) == []


def test_a_node_that_is_still_listed_is_not_resumed(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine, status=NodeStatus.PAUSED)
    list_address(gateway.engine, node_id)
    told = refused(gateway.post(f"{API}/nodes/{node_id}/resume", gateway.key("operate"), WHY), 409, "conflict")
    assert "still listed by zen.spamhaus.org" in told


@pytest.mark.parametrize("verb", ["maintenance", "decommission"])
def test_the_capacity_floor_holds_for_programs_too_and_its_refusal_is_kept(gateway: Gateway, verb: str) -> None:
    node_id = add_node(gateway.engine)
    told = refused(gateway.post(f"{API}/nodes/{node_id}/{verb}", gateway.key("admin"), WHY), 409, "refused")
    assert told == "capacity_floor: 1 - 1 < 1 nodes in the rotation (50% of 1 in service, rounded up)"
    assert gateway.rows("SELECT status, refusal_rule FROM fleet.node_actions") == [("refused", "capacity_floor")]


def test_the_same_is_not_asked_twice(gateway: Gateway) -> None:
    node_id, *_ = add_nodes(gateway.engine, 3)
    key = gateway.key("operate")
    assert gateway.post(f"{API}/nodes/{node_id}/pause", key, WHY).status_code == 202
    assert "one_open_action" in refused(gateway.post(f"{API}/nodes/{node_id}/pause", key, WHY), 409, "refused")


def test_a_node_that_nobody_has_is_told(gateway: Gateway) -> None:
    key = gateway.key("admin")
    for verb in ("pause", "resume", "maintenance", "decommission"):
        refused(gateway.post(f"{API}/nodes/{uuid4()}/{verb}", key, WHY), 404, "not_found")


def test_reading_keys_ask_for_nothing_and_operating_ones_for_all_but_the_end(gateway: Gateway) -> None:
    keys = {scope: gateway.key(scope) for scope in ("read", "operate", "admin")}
    for verb in ("pause", "resume", "maintenance", "decommission"):
        url = f"{API}/nodes/{uuid4()}/{verb}"
        found = {scope: gateway.post(url, key, WHY).status_code for scope, key in keys.items()}
        assert found == {"read": 403, "operate": 403 if verb == "decommission" else 404, "admin": 404}
        refused(gateway.client.post(url, json=WHY), 401, "unauthorized")


@pytest.fixture
def proposal(gateway: Gateway) -> UUID:
    """A decommission that waits for an approval."""
    node_id, *_ = add_nodes(gateway.engine, 3)
    done = gateway.post(f"{API}/nodes/{node_id}/decommission", gateway.key("admin", "console"), WHY)
    return UUID(done.json()["action_id"])


def test_a_proposal_is_approved_in_the_keys_name_and_once(gateway: Gateway, proposal: UUID) -> None:
    key = gateway.key("admin", "boss")
    done = gateway.post(f"{API}/actions/{proposal}/approve", key, None)
    assert (done.status_code, done.json()["status"], done.json()["decided_by"]) == (200, "planned", "api:boss")
    again = refused(gateway.post(f"{API}/actions/{proposal}/approve", key, None), 409, "conflict")
    assert "decommission of node-001 is planned, decided by api:boss at" in again
    refused(gateway.post(f"{API}/actions/{proposal}/reject", key, WHY), 409, "conflict")


def test_a_proposal_is_rejected_with_its_reason(gateway: Gateway, proposal: UUID) -> None:
    done = gateway.post(f"{API}/actions/{proposal}/reject", gateway.key("admin", "boss"), {"reason": "still needed"})
    assert (done.status_code, done.json()["status"]) == (200, "rejected")
    assert done.json()["outcome"] == "rejected by api:boss: still needed"
    assert datetime.fromisoformat(done.json()["finished_at"]) <= datetime.now(UTC)


def test_what_the_floor_has_come_to_refuse_is_not_approved(gateway: Gateway, proposal: UUID) -> None:
    for node_id in gateway.rows("SELECT id FROM fleet.sending_nodes WHERE label <> 'node-001'"):
        plan(gateway.engine, node_id)
    told = refused(
        gateway.post(f"{API}/actions/{proposal}/approve", gateway.key("admin", "boss"), None), 409, "refused"
    )
    assert "capacity_floor: 1 - 1 < 2" in told
    assert gateway.rows("SELECT status FROM fleet.node_actions WHERE kind = 'decommission'") == [("proposed",)]


def test_only_an_admin_decides(gateway: Gateway, proposal: UUID) -> None:
    for scope in ("read", "operate"):
        key = gateway.key(scope)
        refused(gateway.post(f"{API}/actions/{proposal}/approve", key, None), 403, "forbidden")
        refused(gateway.post(f"{API}/actions/{proposal}/reject", key, WHY), 403, "forbidden")
    refused(gateway.post(f"{API}/actions/{uuid4()}/approve", gateway.key("admin", "boss"), None), 404, "not_found")


def test_the_ledger_shows_what_waits_first_and_as_much_as_is_asked_for(gateway: Gateway, proposal: UUID) -> None:
    (other,) = plan(gateway.engine, [add_node(gateway.engine, 9)], at=datetime.now(UTC))
    key = gateway.key("read")

    def listed(query: str = "") -> list[str]:
        done = gateway.get(f"{API}/actions{query}", key)
        assert done.status_code == 200, done.text
        return [each["action_id"] for each in done.json()["actions"]]

    assert listed() == [str(proposal), str(other)]
    assert listed("?limit=1") == [str(proposal)]
    assert listed("?status=planned&status=running") == [str(other)]
    assert listed("?status=succeeded") == []
    node_id = gateway.rows("SELECT id FROM fleet.sending_nodes WHERE label = 'node-009'")[0][0]
    assert listed(f"?node_id={node_id}") == [str(other)]


def test_a_query_that_is_wrong_is_refused_by_its_field(gateway: Gateway) -> None:
    key = gateway.key("read")
    for query, field in {
        "limit=0": "limit", "limit=201": "limit", "status=asleep": "status.0", "node_id=7": "node_id",
        "surprise=1": "surprise",
    }.items():  # fmt: skip
        refused(gateway.get(f"{API}/actions?{query}", key), 422, "invalid", field)


def test_an_action_that_nobody_has_is_told(gateway: Gateway) -> None:
    refused(gateway.get(f"{API}/actions/{uuid4()}", gateway.key("read")), 404, "not_found")


def test_a_programs_wish_is_due_in_a_frozen_fleet_as_a_persons_is(gateway: Gateway) -> None:
    node_id, *_ = add_nodes(gateway.engine, 3)
    with gateway.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO fleet.fleet_switches VALUES ('freeze', 'drill', 'person:ada', now())")
    assert gateway.post(f"{API}/nodes/{node_id}/pause", gateway.key("operate"), WHY).status_code == 202
    with gateway.engine.connect() as connection:
        assert len(ledger.due_actions(connection, ActionKind.PAUSE, datetime.now(UTC))) == 1
