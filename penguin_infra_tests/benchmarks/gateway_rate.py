"""How many heartbeats a second two gateway workers commit, beside a plain handler, all on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import Engine, text

from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.simulator_process import free_port

BUDGET_RATE = 4_000
BUDGET_P99_SECONDS = 0.150
BUDGET_RATIO = 6
NODES = 10_000
_CONNECTIONS = 128

_NODES = """
INSERT INTO fleet.sending_nodes (label, region, plan, status, requested_by, ip_address, provider_id)
SELECT 'node-' || number, 'dallas', 'ssd-1', 'active', 'person:bench', '10.0.0.0'::inet + number, 'hw-' || number
FROM generate_series(1, :count) AS number
"""
_TOKENS = """
INSERT INTO fleet.agent_tokens (node_id, token_hash, created_at)
SELECT id, sha256(convert_to('pia_bench_' || id, 'UTF8')), now() FROM fleet.sending_nodes
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """Committed heartbeats a second, by the database's count, and the answers' latency in seconds."""

    per_second: float
    median: float
    p99: float
    refused: int


@dataclass(frozen=True, slots=True)
class GatewayRate:
    """The gateway's and the plain handler's, one after the other on one database."""

    ours: Rate
    plain: Rate


def measure_gateway_rate(directory: Path, *, seconds: float = 10) -> GatewayRate:
    """Load both, each with two workers, for so many seconds."""
    databases = Databases(PostgresServer(directory / "postgres-gateway"))
    try:
        url = databases.create()
        engine = make_engine(url)
        _make_durable(databases)
        nodes_file = _fill(engine, directory)
        environment = os.environ | {
            "PENGUIN_DATABASE_URL": url.render_as_string(hide_password=False),
            "PENGUIN_HOME": str(directory / "gateway-home"),
        }
        port = free_port()
        ours = [sys.executable, "-m", "penguin_infra", "gateway", "serve", "--port", str(port), "--workers", "2"]
        with _serving(ours, environment, f"http://127.0.0.1:{port}/readyz"):
            ours_rate = _load(engine, port, "/api/v1/agents/heartbeat", nodes_file, seconds)
        port = free_port()
        peer = "penguin_infra_tests.benchmarks.plain_gateway:from_environment"
        options = ["--factory", "--port", str(port), "--workers", "2", "--no-access-log", "--log-level", "warning"]
        with _serving([sys.executable, "-m", "uvicorn", peer, *options], environment, f"http://127.0.0.1:{port}/docs"):
            plain_rate = _load(engine, port, "/heartbeat", nodes_file, seconds)
        engine.dispose()
        return GatewayRate(ours_rate, plain_rate)
    finally:
        databases.close()


def _make_durable(databases: Databases) -> None:
    """The tests' server does not wait for its disk; here each commit does."""
    admin = make_engine(databases.url("postgres")).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("ALTER SYSTEM RESET fsync"))
        connection.execute(text("SELECT pg_reload_conf()"))
    admin.dispose()


def _fill(engine: Engine, directory: Path) -> Path:
    with engine.begin() as connection:
        connection.execute(text(_NODES), {"count": NODES})
        connection.execute(text(_TOKENS))
        connection.execute(text("SELECT fleet.make_heartbeat_partitions((now() AT TIME ZONE 'UTC')::date, 2)"))
        ids = connection.scalars(text("SELECT id FROM fleet.sending_nodes ORDER BY random()")).all()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    path = directory / "nodes.txt"
    path.write_text("".join(f"{node_id} pia_bench_{node_id}\n" for node_id in ids))
    return path


@contextmanager
def _serving(command: list[str], environment: dict[str, str], url: str) -> Iterator[None]:
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[3:6]} does not serve at {url}")
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _load(engine: Engine, port: int, path: str, nodes_file: Path, seconds: float) -> Rate:
    command = [sys.executable, "-m", "penguin_infra_tests.benchmarks.heartbeat_load", str(port), path, str(nodes_file)]
    # A first, short load: connections, plans and caches are made before what is measured.
    for duration in (2.0, seconds):
        before = _count(engine)
        done = subprocess.run(
            [*command, str(_CONNECTIONS), str(duration)], check=True, stdout=subprocess.PIPE, timeout=duration + 60
        )
        told = json.loads(done.stdout)
    committed = _count(engine) - before
    return Rate(committed / told["seconds"], told["median"], told["p99"], told["refused"])


def _count(engine: Engine) -> int:
    with engine.connect() as connection:
        found: int = connection.execute(text("SELECT count(*) FROM fleet.heartbeats")).scalar_one()
    return found
