"""A small lab for this room: a real gateway with its database, the simulated Hostwind, the nodes, a place for mail."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.issue_credentials import create_api_key, issue_agent_token
from penguin_infra.store import node_places, nodes
from penguin_infra.store.database import make_engine
from penguin_infra_tests import fleets
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.gateway.processes import GatewayProcess
from penguin_infra_tests.lab_nodes_process import LabNodesProcess
from penguin_infra_tests.simulator_process import SimulatorProcess, free_port, running_simulator
from penguin_infra_tests.waiting import until

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class LabHost:
    """A node of the registry and its machine at the provider, installed or not."""

    node_id: UUID
    label: str
    ip_address: str
    provider_id: str
    token: str = field(repr=False)

    @property
    def hostname(self) -> str:
        return f"{self.label}.nodes.lab.test"


@dataclass
class Lab:
    """All of it, running."""

    engine: Engine
    gateway: GatewayProcess
    simulator: SimulatorProcess
    nodes: LabNodesProcess
    folder: Path
    sink_port: int

    def host(self, status: NodeStatus = NodeStatus.PROVISIONING) -> LabHost:
        """A new node with its machine: the registry and the provider count the same."""
        number = next(_numbers)
        node_id = fleets.add_node(self.engine, number, status)
        label = f"node-{number:03}"
        body = {"label": f"lab-{label}-{node_id.hex[:8]}", "region": "dallas", "plan": "ssd-1", "image": "ubuntu-22.04"}
        provider_id = self.simulator.ask("POST", "/instances", body=body).json()["id"]
        until("it runs", lambda: self._status(provider_id) == "running")
        if status is NodeStatus.PROVISIONING:
            with self.engine.begin() as connection:
                node_places.record_instance(connection, node_id, provider_id, fleets.NOW)
                node_places.record_address(connection, node_id, fleets.address(number), fleets.NOW)
        return LabHost(node_id, label, str(fleets.address(number)), provider_id, self.token(node_id))

    def token(self, node_id: UUID) -> str:
        with self.engine.begin() as connection:
            return issue_agent_token(connection, node_id, datetime.now(UTC))

    def order(self, host: LabHost, **changes: object) -> dict[str, object]:
        told: dict[str, object] = {
            "node_id": str(host.node_id),
            "ip_address": host.ip_address,
            "hostname": host.hostname,
            "gateway_url": self.gateway.url,
            "agent_token": host.token,
        }
        return told | changes

    def install(self, host: LabHost, **changes: object) -> dict[str, Any]:
        answer = self.nodes.ask("PUT", f"/hosts/{host.label}", self.order(host, **changes))
        assert answer.status_code == 200, answer.text
        installed: dict[str, Any] = answer.json()
        return installed

    def installed(self, status: NodeStatus = NodeStatus.WARMING) -> LabHost:
        """A new node that is installed, and of which the gateway has heard."""
        host = self.host(status)
        self.install(host)
        self.await_heartbeat(host)
        return host

    def happen(self, host: LabHost, event: NodeEvent) -> None:
        """Let the node's status change, as the fleet's operations do."""
        with self.engine.begin() as connection:
            now = fleets.NOW + timedelta(days=1)
            nodes.apply_event(connection, host.node_id, event, reason="test", requested_by="person:test", now=now)

    def scalar(self, query: str, host: LabHost) -> Any:
        with self.engine.connect() as connection:
            return connection.scalar(text(query), {"node_id": host.node_id})

    def await_heartbeat(self, host: LabHost) -> None:
        """Wait for one that comes from now on."""
        query = "SELECT count(*) FROM fleet.heartbeats WHERE node_id = :node_id"
        before = self.scalar(query, host)
        until("the gateway hears of it", lambda: self.scalar(query, host) > before)

    def _status(self, provider_id: str) -> object:
        return self.simulator.ask("GET", f"/instances/{provider_id}/status").json()["status"]


@pytest.fixture(scope="session")
def lab(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    url = databases.create()
    engine = make_engine(url)
    with engine.begin() as connection:
        now = datetime.now(UTC)
        key = create_api_key(connection, name="lab", scope="admin", created_by="person:test", now=now)
    gateway = GatewayProcess(engine, folder)
    with running_simulator(folder / "hostwind", boot_seconds=0) as simulator:
        sink_port = free_port()
        served = LabNodesProcess(folder / "nodes", simulator, gateway.port, sink_port, key)
        try:
            gateway.start()
            served.start()
            yield Lab(engine, gateway, simulator, served, folder, sink_port)
        finally:
            served.stop()
            gateway.stop()
    engine.dispose()
    databases.drop(url)
