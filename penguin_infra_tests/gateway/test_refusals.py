"""What the gateway refuses, with which words, and that nothing is kept of it."""

import gzip
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from penguin_infra.store import credentials
from penguin_infra_tests.fleets import add_node, add_nodes
from penguin_infra_tests.gateway.conftest import DELIVERIES, HEARTBEAT, Gateway, batch, bucket, heartbeat, until

JSON = {"Content-Type": "application/json"}


def refused(done: Any, status: int, code: str, field: str | None = None) -> str:
    """The message of a refusal, which has this shape and no other."""
    assert done.status_code == status, done.text
    error = done.json()["error"]
    assert (error["code"], error.get("field")) == (code, field)
    assert set(error) <= {"code", "message", "field"}
    assert "Traceback" not in done.text
    return str(error["message"])


def nothing_kept(gateway: Gateway) -> bool:
    return gateway.rows(
        "SELECT (SELECT count(*) FROM fleet.node_pulses) + (SELECT count(*) FROM fleet.delivery_batches)"
    ) == [(0,)]


@pytest.mark.parametrize("path", [HEARTBEAT, DELIVERIES])
def test_who_has_no_token_is_told_how_to_send_one(gateway: Gateway, path: str) -> None:
    for header in (None, "", "Bearer", "Bearer x y", "Basic YTpi", "Bearer pia_guess", "Bearer \xe9"):
        headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
        done = gateway.client.post(path, content=b"{}", headers=[(b"Content-Type", b"application/json"), *headers])
        assert "Authorization: Bearer" in refused(done, 401, "unauthorized"), header
        assert done.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("path", "build"), [(HEARTBEAT, heartbeat), (DELIVERIES, batch)])
def test_a_stolen_token_speaks_for_its_own_node_alone(gateway: Gateway, path: str, build: Any) -> None:
    robbed, other = add_nodes(gateway.engine, 2)
    refused(gateway.post(path, gateway.token(robbed), build(other)), 403, "forbidden", "node_id")
    assert nothing_kept(gateway)


def test_a_revoked_token_is_refused_within_seconds(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    token = gateway.token(node_id)
    assert gateway.post(HEARTBEAT, token, heartbeat(node_id)).status_code == 200
    with gateway.engine.begin() as connection:
        credentials.end_tokens(connection, node_id, datetime.now(UTC))
    until("it is refused", lambda: gateway.post(HEARTBEAT, token, heartbeat(node_id)).status_code == 401, 3)


def test_a_rotated_token_works_until_its_grace_is_over(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    old, new = gateway.token(node_id), gateway.token(node_id)
    time.sleep(1.5)
    assert [gateway.post(HEARTBEAT, token, heartbeat(node_id)).status_code for token in (old, new)] == [200, 200]
    with gateway.engine.begin() as connection:
        connection.execute(text("UPDATE fleet.agent_tokens SET revoked_at = revoked_at - interval '5 minutes'"))
    until("the old one is refused", lambda: gateway.post(HEARTBEAT, old, heartbeat(node_id)).status_code == 401, 3)
    assert gateway.post(HEARTBEAT, new, heartbeat(node_id)).status_code == 200


def test_an_api_key_is_no_agents_token_and_the_reverse(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    refused(gateway.post(HEARTBEAT, gateway.key("admin"), heartbeat(node_id)), 401, "unauthorized")
    refused(gateway.get("/api/v1/infrastructure/nodes", gateway.token(node_id)), 401, "unauthorized")


WRONG_HEARTBEATS: list[tuple[dict[str, Any], str | None]] = [
    ({"surprise": 1}, None),
    ({"version": 2}, "version"),
    ({"sent_at": "2026-11-24T12:00:00"}, "sent_at"),
    ({"sent_at": 5}, "sent_at"),
    ({"boot_id": ""}, "boot_id"),
    ({"boot_id": "a\0b"}, "boot_id"),
    ({"agent_version": "x" * 31}, "agent_version"),
    ({"transport": "flying"}, "transport"),
    ({"directive_version": 2**63}, "directive_version"),
    ({"restart_done_id": "soon"}, "restart_done_id"),
    ({"probes": None}, "probes"),
    ({"spool": {"batches": -1}}, "spool.batches"),
]


def test_a_heartbeat_that_is_wrong_is_refused_by_its_field(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    token = gateway.token(node_id)
    for changes, field in WRONG_HEARTBEATS:
        refused(gateway.post(HEARTBEAT, token, heartbeat(node_id, **changes)), 422, "invalid", field)
    assert nothing_kept(gateway)


def test_a_number_that_is_none_or_out_of_bounds_is_refused(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    headers = JSON | {"Authorization": f"Bearer {gateway.token(node_id)}"}
    for number in ("NaN", "Infinity", "1e999", "100.1", "-0.1", '"1"', "true"):
        body = json.dumps(heartbeat(node_id)).replace('"cpu_percent": 12.5', f'"cpu_percent": {number}')
        done = gateway.client.post(HEARTBEAT, content=body, headers=headers)
        assert (done.status_code, done.json()["error"]["code"] in {"invalid", "malformed"}) == (422, True), number
    assert nothing_kept(gateway)


def test_what_is_no_json_or_no_object_is_refused(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    headers = JSON | {"Authorization": f"Bearer {gateway.token(node_id)}"}
    for body in (b"", b"{", b"\xff", b"[" * 100_000, b"null", b'{"node_id": "\xed\xa0\x80"}'):
        for path in (HEARTBEAT, DELIVERIES):
            assert gateway.client.post(path, content=body, headers=headers).status_code == 422, body[:20]
    assert nothing_kept(gateway)


def test_a_bucket_of_another_time_is_refused_by_its_number(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    token = gateway.token(node_id)
    good = batch(node_id)["counts"][0]
    now = datetime.now(UTC)
    for at in (now + timedelta(minutes=16), now - timedelta(days=7, minutes=6), datetime(9999, 12, 31, tzinfo=UTC)):
        seconds = at.timestamp() - at.timestamp() % 300
        aligned = datetime.fromtimestamp(seconds, UTC).isoformat()
        done = gateway.post(DELIVERIES, token, batch(node_id, counts=[good, good | {"bucket_at": aligned}]))
        refused(done, 422, "invalid", "counts[1].bucket_at")
    unaligned = bucket().replace(":00+", ":01+")
    done = gateway.post(DELIVERIES, token, batch(node_id, counts=[good | {"bucket_at": unaligned}]))
    assert "beginning" in refused(done, 422, "invalid", "counts[0].bucket_at")
    assert nothing_kept(gateway)
    for edge in (-5, 7 * 24 * 60 - 10):
        done = gateway.post(DELIVERIES, token, batch(node_id, edge + 10, counts=[good | {"bucket_at": bucket(edge)}]))
        assert done.status_code == 200, done.text


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_over_the_limit_is_refused_however_it_comes(gateway: Gateway, is_chunked: bool) -> None:
    size = 256 * 1024 + 1
    for path in (HEARTBEAT, DELIVERIES, "/api/v1/infrastructure/nodes", "/api/v1/feedback/arf"):
        body: Any = (b"x" * 1024 for _ in range(size // 1024 + 1)) if is_chunked else b"x" * size
        assert "256 KiB" in refused(gateway.client.post(path, content=body, headers=JSON), 413, "too_large")


def test_a_gzip_bomb_is_refused_packed(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    headers = JSON | {"Content-Encoding": "gzip", "Authorization": f"Bearer {gateway.token(node_id)}"}
    done = gateway.client.post(HEARTBEAT, content=gzip.compress(b" " * 100_000_000), headers=headers)
    assert "Content-Encoding" in refused(done, 415, "unsupported_media_type")


def test_another_media_type_is_refused(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    token = gateway.token(node_id)
    for path in (HEARTBEAT, DELIVERIES):
        refused(gateway.post(path, token, {}, **{"Content-Type": "text/plain"}), 415, "unsupported_media_type")


def test_a_node_that_sends_too_often_is_told_when_to_come_again(gateway: Gateway) -> None:
    busy, calm = add_nodes(gateway.engine, 2)
    token = gateway.token(busy)
    answers = [gateway.post(HEARTBEAT, token, heartbeat(busy)) for _ in range(60)]
    slowed = [done for done in answers if done.status_code == 429]
    assert slowed
    assert int(slowed[0].headers["Retry-After"]) == 1
    refused(slowed[0], 429, "too_many_requests")
    assert gateway.post(HEARTBEAT, gateway.token(calm), heartbeat(calm)).status_code == 200
    ((kept,),) = gateway.rows("SELECT count(*)::integer FROM fleet.heartbeats")
    assert kept == 61 - len(slowed)


def test_unknown_ways_are_told_in_the_apis_words(gateway: Gateway) -> None:
    refused(gateway.client.get("/api/v1/nothing"), 404, "not_found")
    refused(gateway.client.get(HEARTBEAT), 405, "method_not_allowed")


def test_what_fails_inside_is_told_without_its_insides_and_logged_without_secrets(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """The tables are gone: what the database says of it names them, and the answers do not."""
    node_id = add_node(gateway.engine)
    token, key = gateway.token(node_id), gateway.key("operate")
    with gateway.engine.begin() as connection:
        connection.execute(text("ALTER TABLE fleet.node_pulses RENAME TO gone"))
        connection.execute(text("ALTER TABLE fleet.node_transitions RENAME TO gone_too"))
    body = {"region": "dallas", "plan": "ssd-1"}
    answers = [
        gateway.post(HEARTBEAT, token, heartbeat(node_id)),
        gateway.post("/api/v1/infrastructure/nodes", key, body),
    ]
    for done in answers:
        assert "log" in refused(done, 500, "internal")
        assert "fleet." not in done.text
    said = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert [line for line in said if "UndefinedTable" in line]
    assert not [line for line in said if token in line or key in line or str(node_id) in line]
