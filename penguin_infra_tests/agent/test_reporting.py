"""An agent in this process, over real HTTP and real files: what the gateway gets."""

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from penguin_infra.agent.agent import AgentConfig
from penguin_infra_tests.agent.conftest import PlainMta, PlainProbes, StartAgent
from penguin_infra_tests.agent.log_writer import append, delivery, removed
from penguin_infra_tests.agent.stub_gateway import Reply, StubGateway, StubServer, wait_until


def test_a_heartbeat_tells_the_nodes_state(config: AgentConfig, gateway: StubGateway, start: StartAgent) -> None:
    start(config)
    wait_until(lambda: len(gateway.heartbeats) >= 2)
    heartbeat = gateway.heartbeats[0]
    assert heartbeat["node_id"] == "node-1"
    assert heartbeat["boot_id"] == "boot-1"
    assert heartbeat["probes"]["mta"] == {
        "state": "up", "active": 1, "deferred": None, "held": None, "oldest_age_seconds": None,
        "is_truncated": False, "delay_reasons": [],
    }  # fmt: skip
    assert heartbeat["spool"] == {"batches": 0, "dropped_batches": 0, "unread_lines": 0}
    assert gateway.tokens[0] == "secret-1"


def test_each_line_is_counted_once_by_provider_and_result(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    start(config)
    append(
        config.mail_log,
        delivery(1),
        delivery(2, status="bounced", dsn="5.1.1", reply="host x[1.2.3.4] said: 550 5.1.1 no such user"),
        delivery(3, status="deferred", dsn="4.7.0"),
        delivery(3, status="deferred", dsn="4.7.0"),
        delivery(3),
        removed(3),
        "no line at all\n",
    )
    wait_until(lambda: gateway.total() >= 4)
    wait_until(lambda: sum(batch["unread_lines"] for batch in gateway.batches.values()) == 1)
    assert gateway.counts() == {("gmail", "sent"): 2, ("gmail", "hard_bounce"): 1, ("gmail", "deferred"): 1}


def test_a_restart_goes_on_where_it_was_and_numbers_on(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    first = start(config)
    append(config.mail_log, delivery(1), delivery(2, status="deferred", dsn="4.2.0"))
    wait_until(lambda: gateway.total() == 2)
    first.stop()
    append(config.mail_log, delivery(3), delivery(2, status="deferred", dsn="4.2.0"))
    second = start(config)
    wait_until(lambda: gateway.total() == 3)
    second.stop()
    assert gateway.counts() == {("gmail", "sent"): 2, ("gmail", "deferred"): 1}
    assert sorted(sequence for _, sequence in gateway.batches) == list(range(1, len(gateway.batches) + 1))
    assert len({stream for stream, _ in gateway.batches}) == 1


def test_a_stop_writes_what_was_read(config: AgentConfig, gateway: StubGateway, start: StartAgent) -> None:
    gateway.directive = {"version": 1, "transport": "release", "hourly_allowance": 1, "expires_in_seconds": 10**6}
    mta = PlainMta()
    first = start(replace(config, batch_seconds=600.0), mta=mta)
    wait_until(lambda: "release" in mta.calls)
    append(config.mail_log, delivery(1))
    # It holds because it has read the line; its batch is not due for minutes.
    wait_until(lambda: mta.held)
    first.stop()
    assert gateway.total() == 0
    config.mail_log.unlink()
    start(config)
    wait_until(lambda: gateway.total() == 1)


def test_another_boot_is_another_stream(config: AgentConfig, gateway: StubGateway, start: StartAgent) -> None:
    append(config.mail_log, delivery(1))
    first = start(config)
    wait_until(lambda: gateway.total() == 1)
    first.stop()
    append(config.mail_log, delivery(2))
    start(config, probes=PlainProbes("boot-2"))
    wait_until(lambda: gateway.total() == 2)
    assert [stream.split(":")[0] for stream, _ in gateway.batches] == ["boot-1", "boot-2"]
    assert {sequence for _, sequence in gateway.batches} == {1}


def test_lost_answers_count_nothing_twice(config: AgentConfig, gateway: StubGateway, start: StartAgent) -> None:
    lost: list[str] = []

    def lose_every_second(path: str, body: dict[str, Any], token: str) -> Reply:
        lost.append(path)
        return Reply(is_lost=len(lost) % 2 == 1)

    gateway.answer = lose_every_second
    start(config)
    for number in range(40):
        append(config.mail_log, delivery(number))
        if number % 10 == 0:
            _wait_for_position(config, config.mail_log.stat().st_size)
    wait_until(lambda: gateway.total() == 40 and gateway.heartbeats[-1]["spool"]["batches"] == 0)
    deliveries = sum(path.endswith("/deliveries") for _, path, _ in gateway.posts)
    assert deliveries > len(gateway.batches)


def test_an_outage_is_spooled_and_replayed_in_order(config: AgentConfig, tmp_path: Path, start: StartAgent) -> None:
    stub = StubGateway()
    server = StubServer(stub)
    server.close()
    start(replace(config, gateway_url=stub.url))
    for number in range(5):
        append(config.mail_log, delivery(number))
        _wait_for_position(config, config.mail_log.stat().st_size)
    server = StubServer(stub, server.port)
    try:
        wait_until(lambda: stub.total() == 5)
        assert [sequence for _, sequence in stub.batches] == sorted(sequence for _, sequence in stub.batches)
        assert len(stub.batches) > 1
    finally:
        server.close()


def test_a_replay_keeps_to_its_rate(config: AgentConfig, start: StartAgent) -> None:
    stub = StubGateway()
    server = StubServer(stub)
    server.close()
    running = start(replace(config, gateway_url=stub.url))
    for number in range(5):
        append(config.mail_log, delivery(number))
        _wait_for_position(config, config.mail_log.stat().st_size)
    running.stop()
    server = StubServer(stub, server.port)
    try:
        start(replace(config, gateway_url=stub.url, replay_interval_seconds=0.2))
        wait_until(lambda: stub.total() == 5)
    finally:
        server.close()
    sent_at = [at for at, path, _ in stub.posts if path.endswith("/deliveries")]
    # Half the interval is the least that the jitter leaves.
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(sent_at))


def test_a_full_spool_drops_the_oldest_and_says_so(config: AgentConfig, start: StartAgent) -> None:
    stub = StubGateway()
    server = StubServer(stub)
    server.close()
    start(replace(config, gateway_url=stub.url, spool_cap_bytes=1000))
    for number in range(9):
        append(config.mail_log, delivery(number), "unreadable\n")
        _wait_for_position(config, config.mail_log.stat().st_size)
    server = StubServer(stub, server.port)
    try:
        wait_until(lambda: bool(stub.heartbeats) and stub.heartbeats[-1]["spool"]["batches"] == 0)
        dropped = sum(batch["dropped_batches"] for batch in stub.batches.values())
        wait_until(lambda: sum(batch["unread_lines"] for batch in stub.batches.values()) == 9)
        assert 1 <= dropped <= 8
        assert stub.total() == 9 - sum(batch["dropped_batches"] for batch in stub.batches.values())
        assert ("gmail", "sent") in stub.counts()
    finally:
        server.close()


def test_a_batch_that_is_refused_for_good_does_not_block_the_next(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    def refuse_the_first(path: str, body: dict[str, Any], token: str) -> Reply:
        return Reply(422) if body.get("sequence") == 1 else Reply()

    gateway.answer = refuse_the_first
    start(config)
    append(config.mail_log, delivery(1))
    wait_until(lambda: sum(batch["dropped_batches"] for batch in gateway.batches.values()) == 1)
    append(config.mail_log, delivery(2))
    wait_until(lambda: gateway.total() == 1)


def test_retry_after_is_waited_for(config: AgentConfig, gateway: StubGateway, start: StartAgent) -> None:
    def refuse_once(path: str, body: dict[str, Any], token: str) -> Reply:
        refused = [post for post in gateway.posts if post[1].endswith("/deliveries")]
        if path.endswith("/deliveries") and len(refused) == 1:
            return Reply(429, headers={"Retry-After": "1"})
        return Reply()

    gateway.answer = refuse_once
    start(config)
    append(config.mail_log, delivery(1))
    wait_until(lambda: gateway.total() == 1)
    first, second = (at for at, path, _ in gateway.posts if path.endswith("/deliveries"))
    assert second - first >= 1.0


def test_a_rotated_token_is_read_again(config: AgentConfig, gateway: StubGateway, start: StartAgent) -> None:
    accepted = ["secret-1"]
    gateway.answer = lambda path, body, token: Reply(200 if token in accepted else 401)
    start(config)
    wait_until(lambda: len(gateway.heartbeats) >= 1)
    accepted[:] = ["secret-2"]
    config.token_file.write_text("secret-2\n")
    before = len(gateway.heartbeats)
    wait_until(lambda: len(gateway.heartbeats) > before)
    assert gateway.tokens[-1] == "secret-2"


def test_no_recipient_is_on_the_wire_or_in_the_spool(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    running = start(config)
    append(
        config.mail_log,
        delivery(1, to="secretive@private.example", status="deferred", dsn="4.2.2"),
        delivery(2, to="secretive@private.example", status="bounced", dsn="5.1.1"),
    )
    wait_until(lambda: gateway.total() == 2)
    running.stop()
    told = json.dumps([gateway.heartbeats, list(gateway.batches.values())])
    stored = b"".join(file.read_bytes() for file in config.spool_folder.iterdir())
    assert "secretive" not in told
    assert b"secretive" not in stored
    assert b"private.example" not in stored


def test_a_long_log_of_many_days_makes_bodies_that_are_taken(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    began = datetime.now(UTC) - timedelta(days=20)
    append(config.mail_log, *(delivery(n, at=began + timedelta(minutes=5 * n)) for n in range(4000)))
    start(replace(config, batch_seconds=60.0))
    wait_until(lambda: gateway.total() >= 3500)
    assert max(size for _, _, size in gateway.posts) < 256 * 1024


def _wait_for_position(config: AgentConfig, offset: int) -> None:
    """Until the spool has what the log holds up to here."""

    def is_there() -> bool:
        file = config.spool_folder / "spool.sqlite3"
        if not file.exists():
            return False
        database = sqlite3.connect(file, timeout=5)
        try:
            row = database.execute("SELECT value FROM kept WHERE name = 'position'").fetchone()
        except sqlite3.OperationalError:
            return False
        finally:
            database.close()
        return row is not None and json.loads(row[0])["offset"] >= offset

    wait_until(is_there)
