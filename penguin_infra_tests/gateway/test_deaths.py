"""The gateway killed and the database taken away: what was acknowledged is there once, and an outage ages nobody."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import pytest
from sqlalchemy import Engine, text

from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.fleets import add_nodes
from penguin_infra_tests.gateway.conftest import DELIVERIES, HEARTBEAT, Gateway, batch, heartbeat, until
from penguin_infra_tests.gateway.processes import GatewayProcess


@pytest.fixture
def process(engine: Engine, tmp_path: Path) -> Iterator[GatewayProcess]:
    started = GatewayProcess(engine, tmp_path)
    started.start()
    yield started
    started.stop()


class Agent(threading.Thread):
    """Sends one heartbeat and one batch after the other, again until each is acknowledged."""

    def __init__(self, url: str, node_id: UUID, token: str, stop: threading.Event) -> None:
        super().__init__()
        self.node_id = node_id
        self.acknowledged_beats: list[str] = []
        self.acknowledged_batches = 0
        self.tries = 0
        self.errors: list[str] = []
        self._token, self._stopped = token, stop
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=10)

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        while not self._stopped.is_set():
            body = batch(self.node_id, self.acknowledged_batches, messages=1)
            if self._send(DELIVERIES, body, headers) is not None:
                self.acknowledged_batches += 1
            answer = self._send(HEARTBEAT, heartbeat(self.node_id), headers)
            if answer is not None:
                self.acknowledged_beats.append(answer["received_at"])
        self._client.close()

    def _send(self, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any] | None:
        self.tries += 1
        try:
            done = self._client.post(path, json=body, headers=headers)
        except httpx.TransportError:
            time.sleep(0.05)
            return None
        if done.status_code in {429, 503}:
            time.sleep(0.1)
            return None
        if not done.is_success:
            self.errors.append(done.text)
            return None
        answer: dict[str, Any] = done.json()
        return answer


def test_what_was_acknowledged_survives_kill_9_under_load_once(
    engine: Engine, process: GatewayProcess, tmp_path: Path
) -> None:
    node_ids = add_nodes(engine, 4)
    stop = threading.Event()
    reader = Gateway(process.url, httpx.Client(), engine)
    agents = [Agent(process.url, node_id, reader.token(node_id), stop) for node_id in node_ids]
    for agent in agents:
        agent.start()
    for _ in range(3):
        time.sleep(1.0)
        process.kill()
        process.start()
    time.sleep(0.5)
    stop.set()
    for agent in agents:
        agent.join()
    reader.client.close()

    assert [agent.errors for agent in agents] == [[]] * 4
    assert sum(agent.acknowledged_batches for agent in agents) > 20
    kept = dict(reader.rows("SELECT node_id, sum(messages)::integer FROM fleet.delivery_counts GROUP BY 1"))
    batches = dict(reader.rows("SELECT node_id, count(*)::integer FROM fleet.delivery_batches GROUP BY 1"))
    for agent in agents:
        # One more may have been committed whose answer was lost with the process or with the end of the test.
        assert kept[agent.node_id] - agent.acknowledged_batches in {0, 1}
        assert kept[agent.node_id] == batches[agent.node_id]
        for received_at in agent.acknowledged_beats:
            found = reader.rows(
                f"SELECT count(*) FROM fleet.heartbeats WHERE node_id = '{agent.node_id}'"
                f" AND received_at = '{received_at}'"
            )
            assert found == [(1,)], received_at


def test_an_outage_ages_nobody(engine: Engine, process: GatewayProcess) -> None:
    """The clock is turned back in the database, so that the outage lasts an hour without waiting for it."""
    (node_id,) = add_nodes(engine, 1)
    reader = Gateway(process.url, httpx.Client(base_url=process.url, trust_env=False), engine)
    assert reader.post(HEARTBEAT, reader.token(node_id), heartbeat(node_id)).status_code == 200
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.node_pulses SET served_seconds = served_seconds - 80"))
    process.kill()
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.gateway_clock SET ticked_at = ticked_at - interval '1 hour'"))
    ((before,),) = reader.rows("SELECT served_seconds FROM fleet.gateway_clock")
    process.start()
    ((after,),) = reader.rows("SELECT served_seconds FROM fleet.gateway_clock")
    assert 0 <= after - before < 8
    assert reader.rows("SELECT node_id FROM fleet.silent_nodes") == []
    # While it serves, silence counts: the clock goes with the time, no faster and no slower.
    began = time.monotonic()
    until("the node is silent", lambda: reader.rows("SELECT node_id FROM fleet.silent_nodes") == [(node_id,)], 20)
    ((later,),) = reader.rows("SELECT served_seconds FROM fleet.gateway_clock")
    assert abs((later - after) - (time.monotonic() - began)) < 2.5
    reader.client.close()


def test_two_workers_tick_one_clock(engine: Engine, tmp_path: Path) -> None:
    process = GatewayProcess(engine, tmp_path, workers=2)
    process.start()
    query = text("SELECT served_seconds, extract(epoch FROM clock_timestamp()) FROM fleet.gateway_clock")
    readings = []
    for _ in range(2):
        time.sleep(2)
        with engine.connect() as connection:
            readings.append([float(value) for value in connection.execute(query).one()])
    process.stop()
    assert abs((readings[1][0] - readings[0][0]) - (readings[1][1] - readings[0][1])) < 1.6


def test_workers_end_with_the_process_that_started_them(engine: Engine, tmp_path: Path) -> None:
    process = GatewayProcess(engine, tmp_path, workers=2)
    process.start()
    workers = process.workers()
    assert len(workers) >= 2
    process.kill()
    gone, alive = psutil.wait_procs(workers, timeout=20)
    assert (len(gone), alive) == (len(workers), [])


def test_without_its_database_the_gateway_says_so_and_comes_back_by_itself(
    engine: Engine, gateway: Gateway, databases: Databases
) -> None:
    (node_id,) = add_nodes(engine, 1)
    token = gateway.token(node_id)
    assert gateway.post(HEARTBEAT, token, heartbeat(node_id)).status_code == 200
    engine.dispose()
    databases.refuse(engine.url)
    until("it is not ready", lambda: gateway.client.get("/readyz").status_code == 503, 15)
    for path, body in ((HEARTBEAT, heartbeat(node_id)), (DELIVERIES, batch(node_id))):
        done = gateway.post(path, token, body)
        assert (done.status_code, done.json()["error"]["code"]) == (503, "unavailable")
        assert int(done.headers["Retry-After"]) >= 1
    assert gateway.client.get("/healthz").status_code == 200
    databases.accept(engine.url)
    until("it is ready", lambda: gateway.client.get("/readyz").status_code == 200, 15)
    until("batches are taken", lambda: gateway.post(DELIVERIES, token, batch(node_id)).status_code == 200, 15)
    assert gateway.rows("SELECT sum(messages)::integer FROM fleet.delivery_counts") == [(7,)]
