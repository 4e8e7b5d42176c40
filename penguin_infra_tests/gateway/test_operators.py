"""The operators' routes: who may what, what they change, and that nothing is done twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import credentials
from penguin_infra_tests.fleets import AMPLE_DAILY, add_node, list_address
from penguin_infra_tests.gateway.conftest import HEARTBEAT, Gateway, heartbeat
from penguin_infra_tests.gateway.test_allowances import hourly_now
from penguin_infra_tests.gateway.test_refusals import refused

NODES = "/api/v1/infrastructure/nodes"
ROTATION = "/api/v1/infrastructure/rotation"
ARF = "/api/v1/feedback/arf"
ASKED = {"region": "dallas", "plan": "ssd-1"}
REPORT = b"""\
From: <abuse@example.com>
Date: Tue, 24 Nov 2026 10:00:00 +0000
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part"

--part
Content-Type: text/plain

This is a complaint.
--part
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Example/1.0
Version: 1
Source-IP: 127.77.0.1
Arrival-Date: Tue, 24 Nov 2026 09:00:00 +0000

--part
Content-Type: message/rfc822

From: <sender@example.com>
Date: Tue, 24 Nov 2026 09:00:00 +0000
Subject: an offer

Text
--part--
"""


def arf(gateway: Gateway, key: str, raw: bytes, content_type: str = "message/rfc822") -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": content_type}
    return gateway.client.post(ARF, content=raw, headers=headers)


def test_each_scope_may_what_those_before_it_may_and_no_more(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine, 1)
    keys = {scope: gateway.key(scope) for scope in ("read", "operate", "admin")}

    def allowed(key: str) -> list[bool]:
        answers = [
            gateway.get(NODES, key),
            gateway.get(ROTATION, key),
            gateway.post(NODES, key, ASKED),
            arf(gateway, key, REPORT),
            gateway.post(f"{NODES}/{node_id}/agent-token", key, None),
        ]
        assert {done.status_code for done in answers} <= {200, 201, 202, 403}
        return [done.is_success for done in answers]

    assert allowed(keys["read"]) == [True, True, False, False, False]
    assert allowed(keys["operate"]) == [True, True, True, True, False]
    assert allowed(keys["admin"]) == [True] * 5
    assert "operate" in refused(gateway.post(NODES, keys["read"], ASKED), 403, "forbidden")


def test_without_a_key_nothing_is_told(gateway: Gateway) -> None:
    for path in (NODES, ROTATION):
        refused(gateway.client.get(path), 401, "unauthorized")
        refused(gateway.get(path, "pik_guess"), 401, "unauthorized")


def test_a_revoked_key_is_refused_at_once(gateway: Gateway) -> None:
    key = gateway.key("read")
    assert gateway.get(NODES, key).status_code == 200
    with gateway.engine.begin() as connection:
        credentials.revoke_key(connection, "read", datetime.now(UTC))
    refused(gateway.get(NODES, key), 401, "unauthorized")


def test_the_rotation_holds_who_may_send(gateway: Gateway) -> None:
    sending = add_node(gateway.engine, 1)
    listed = add_node(gateway.engine, 2)
    add_node(gateway.engine, 3, NodeStatus.PAUSED)
    list_address(gateway.engine, listed, 2)
    key = gateway.key("read")
    (told,) = gateway.get(ROTATION, key).json()["nodes"]
    assert (told["node_id"], told["ip_address"], told["status"]) == (str(sending), "127.77.0.1", "warming")
    assert (told["hour_left"], told["day_left"]) == (hourly_now(AMPLE_DAILY), AMPLE_DAILY)
    assert [node["label"] for node in gateway.get(NODES, key).json()["nodes"]] == ["node-001", "node-002", "node-003"]


def test_a_node_is_asked_for_in_the_keys_name(gateway: Gateway) -> None:
    done = gateway.post(NODES, gateway.key("operate", "shop"), ASKED | {"label": "node-7"})
    assert (done.status_code, done.json()["label"], done.json()["status"]) == (202, "node-7", "provisioning")
    assert gateway.rows("SELECT id::text, requested_by FROM fleet.sending_nodes") == [
        (done.json()["node_id"], "api:shop")
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"region": "dallas"}, "plan"),
        (ASKED | {"region": "Dallas, TX"}, "region"),
        (ASKED | {"region": 5}, "region"),
        (ASKED | {"label": "Node_7"}, "label"),
        (ASKED | {"plan": ""}, "plan"),
        (ASKED | {"count": 100}, "count"),
        ([], None),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_its_field(gateway: Gateway, body: Any, field: str | None) -> None:
    refused(gateway.post(NODES, gateway.key("operate"), body), 422, "invalid", field)
    assert gateway.rows("SELECT * FROM fleet.sending_nodes") == []


def test_a_label_that_is_taken_is_a_conflict(gateway: Gateway) -> None:
    key = gateway.key("operate")
    assert gateway.post(NODES, key, ASKED | {"label": "node-7"}).status_code == 202
    refused(gateway.post(NODES, key, ASKED | {"label": "node-7"}), 409, "conflict", "label")


def test_a_repeated_request_is_answered_the_same_and_done_once(gateway: Gateway) -> None:
    key = gateway.key("operate")

    def ask(_number: int) -> tuple[int, str]:
        done = gateway.post(NODES, key, ASKED, **{"Idempotency-Key": "order-1"})
        return done.status_code, done.text

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(ask, range(12)))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 202
    assert len(gateway.rows("SELECT * FROM fleet.sending_nodes")) == 1


def test_requests_that_come_together_are_nodes_of_their_own(gateway: Gateway) -> None:
    key = gateway.key("operate")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: gateway.post(NODES, key, ASKED).status_code, range(8)))
    assert answers == [202] * 8


def test_an_idempotency_key_belongs_to_one_request_of_one_caller(gateway: Gateway) -> None:
    key, other = gateway.key("operate", "one"), gateway.key("operate", "two")
    headers = {"Idempotency-Key": "order-1"}
    assert gateway.post(NODES, key, ASKED, **headers).status_code == 202
    refused(gateway.post(NODES, key, ASKED | {"plan": "ssd-2"}, **headers), 422, "idempotency_key_reused")
    assert gateway.post(NODES, other, ASKED | {"plan": "ssd-2"}, **headers).status_code == 202
    assert len(gateway.rows("SELECT * FROM fleet.sending_nodes")) == 2


def test_a_request_that_failed_leaves_its_key_free(gateway: Gateway) -> None:
    key = gateway.key("operate")
    add_node(gateway.engine, 7)
    headers = {"Idempotency-Key": "order-1"}
    refused(gateway.post(NODES, key, ASKED | {"label": "node-007"}, **headers), 409, "conflict", "label")
    assert gateway.post(NODES, key, ASKED | {"label": "node-008"}, **headers).status_code == 202


def test_a_token_is_answered_once_and_speaks_for_its_node(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    done = gateway.post(f"{NODES}/{node_id}/agent-token", gateway.key("admin"), None)
    assert (done.status_code, done.headers["Cache-Control"]) == (201, "no-store")
    assert gateway.post(HEARTBEAT, done.json()["token"], heartbeat(node_id)).status_code == 200


def test_tokens_are_for_living_nodes_that_exist(gateway: Gateway) -> None:
    key = gateway.key("admin")
    gone = add_node(gateway.engine, 1, NodeStatus.DECOMMISSIONED)
    refused(gateway.post(f"{NODES}/{uuid4()}/agent-token", key, None), 404, "not_found")
    refused(gateway.post(f"{NODES}/{gone}/agent-token", key, None), 422, "invalid")
    refused(gateway.post(f"{NODES}/7/agent-token", key, None), 422, "invalid", "node_id")


def test_a_complaint_is_taken_once_and_other_mail_is_not(gateway: Gateway) -> None:
    add_node(gateway.engine, 1)
    key = gateway.key("operate")
    first, again = arf(gateway, key, REPORT), arf(gateway, key, REPORT)
    assert (first.status_code, first.json()) == (200, {"attribution": "attributed", "is_new": True})
    assert again.json() == {"attribution": "attributed", "is_new": False}
    refused(arf(gateway, key, b"Subject: hello\r\n\r\nhello"), 422, "invalid")
    refused(arf(gateway, key, REPORT, "text/plain"), 415, "unsupported_media_type")
    assert len(gateway.rows("SELECT * FROM fleet.complaints")) == 1


def test_the_probes_need_no_key(gateway: Gateway) -> None:
    assert gateway.client.get("/healthz").json() == {"status": "ok"}
    assert gateway.client.get("/readyz").json() == {"status": "ready"}
    assert "penguin_gateway_group_seconds" in gateway.client.get("/metrics").text
