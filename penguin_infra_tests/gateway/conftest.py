"""A gateway on loopback for each test, in a thread of its own, on a database of the test's own."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from sqlalchemy import Engine, text

from penguin_infra.gateway.app import build_app
from penguin_infra.messages.telemetry import DeliveryBatch, DeliveryCount, Heartbeat, Mta, Probes
from penguin_infra.operations.issue_credentials import Scope, create_api_key, issue_agent_token
from penguin_infra.settings import Settings
from penguin_infra.wiring import Wiring

HEARTBEAT = "/api/v1/agents/heartbeat"
DELIVERIES = "/api/v1/agents/deliveries"


@dataclass
class Gateway:
    """A running gateway, a client of it, and the database behind it."""

    url: str
    client: httpx.Client
    engine: Engine

    def token(self, node_id: UUID) -> str:
        with self.engine.begin() as connection:
            return issue_agent_token(connection, node_id, datetime.now(UTC))

    def key(self, scope: Scope, name: str | None = None) -> str:
        with self.engine.begin() as connection:
            return create_api_key(
                connection, name=name or scope, scope=scope, created_by="person:test", now=datetime.now(UTC)
            )

    def post(self, path: str, token: str, body: Any, **headers: str) -> httpx.Response:
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {token}", **headers})

    def get(self, path: str, token: str) -> httpx.Response:
        return self.client.get(path, headers={"Authorization": f"Bearer {token}"})

    def rows(self, query: str) -> list[Any]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


def wiring(engine: Engine) -> Wiring:
    url = engine.url.render_as_string(hide_password=False)
    return Wiring(Settings(_env_file=None, database_url=SecretStr(url)), application_name="gateway-test")


@pytest.fixture
def gateway(engine: Engine) -> Iterator[Gateway]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(build_app(wiring(engine)), log_level="warning", lifespan="on", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until("the gateway serves", lambda: server.started)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        yield Gateway(url, client, engine)
    server.should_exit = True
    thread.join()


def until(what: str, condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait for the condition's first true answer and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        # Slower than a node may send, so that waiting with heartbeats meets no limit.
        time.sleep(0.2)
    return found


def heartbeat(node_id: UUID, **changes: Any) -> dict[str, Any]:
    """A heartbeat as an agent builds it."""
    usual = Heartbeat(
        node_id=str(node_id),
        sent_at=datetime.now(UTC).isoformat(),
        boot_id="boot-1",
        agent_version="0.1.0",
        transport="released",
        probes=Probes(
            cpu_percent=12.5,
            memory_percent=40,
            disk_percent=None,
            rx_bytes_per_second=1000.0,
            tx_bytes_per_second=2000.0,
            mta=Mta(state="up", active=1, deferred=2, held=0, oldest_age_seconds=60),
        ),
    )
    return usual.to_json() | changes


def bucket(minutes_ago: int = 5) -> str:
    """The aligned beginning of a bucket."""
    at = datetime.now(UTC).timestamp() - minutes_ago * 60
    return datetime.fromtimestamp(at - at % 300, UTC).isoformat()


def batch(node_id: UUID, sequence: int = 1, *, messages: int = 7, **changes: Any) -> dict[str, Any]:
    """A batch of one count as an agent builds it."""
    counts = (DeliveryCount(bucket(), "gmail", "sent", messages),)
    return DeliveryBatch(str(node_id), "boot-1:spool-1", sequence, counts).to_json() | changes
