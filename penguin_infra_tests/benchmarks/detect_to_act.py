"""From a confirmed listing to the end of its pause, over real processes: this fleet's Dagster, and Dagster's defaults.

Listings come at random moments, as they do; each is measured from the commit that records it (and takes the node out
of the rotation) to the ledger's outcome.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID

from sqlalchemy import Engine, text

from penguin_infra.cli.programs import DEFINITIONS_MODULE
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store.database import make_engine
from penguin_infra.store.embedded import PostgresServer
from penguin_infra.wiring import SystemClock
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.fleets import add_nodes, list_address
from penguin_infra_tests.scenarios.fleet_processes import FleetProcesses, running_fleet, until
from penguin_infra_tests.simulator_process import SimulatorProcess, running_simulator

MEDIAN_BUDGET_SECONDS = 8.0
P95_BUDGET_SECONDS = 15.0
DEFAULTS_MODULE = "penguin_infra_tests.benchmarks.defaults_location"

# The budget of a tenth an hour must allow every listing, and the first one that warms things up.
_NODES = 300
# Far enough apart that few fall into one tick, and never in step with a sensor's pace.
_PAUSE_BETWEEN_SECONDS = (3.0, 9.0)


@dataclass(frozen=True, slots=True)
class DetectToAct:
    """Seconds from the listing's commit to the action's outcome, one a listing."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.seconds)

    @property
    def p95(self) -> float:
        """Nineteen of twenty are faster."""
        return quantiles(self.seconds, n=20, method="inclusive")[-1]


def measure_detect_to_act(directory: Path, *, listings: int) -> dict[str, DetectToAct]:
    """Both fleets in turn, on one PostgreSQL."""
    databases = Databases(PostgresServer(directory / "postgres"))
    try:
        with running_simulator(directory / "hostwind") as simulator:
            return {
                name: _measure(directory / name, databases, simulator, module, listings)
                for name, module in (("ours", DEFINITIONS_MODULE), ("Dagster's defaults", DEFAULTS_MODULE))
            }
    finally:
        databases.close()


def _measure(home: Path, databases: Databases, simulator: SimulatorProcess, module: str, listings: int) -> DetectToAct:
    with _fleet(home, databases, simulator, module) as (engine, node_ids):
        _list_and_await(engine, node_ids[0], 1)  # the first run pays for cold caches, which is not what is measured
        listed_at = {}
        for number, node_id in enumerate(node_ids[1 : listings + 1], start=2):
            time.sleep(random.uniform(*_PAUSE_BETWEEN_SECONDS))
            listed_at[node_id] = _list(engine, node_id, number)
        finished_at = until("every pause", lambda: _finished(engine, set(listed_at)), seconds=300)
    return DetectToAct(tuple((finished_at[each] - listed_at[each]).total_seconds() for each in listed_at))


@contextmanager
def _fleet(
    home: Path, databases: Databases, simulator: SimulatorProcess, module: str
) -> Iterator[tuple[Engine, list[UUID]]]:
    engine = make_engine(databases.create())
    dagster_url = databases.create(is_migrated=False).render_as_string(hide_password=False)
    node_ids = add_nodes(engine, _NODES, NodeStatus.ACTIVE)
    fleet = FleetProcesses(home, engine, simulator, dagster_url, definitions_module=module)
    if module == DEFAULTS_MODULE:
        fleet.forget_tuning()
    with running_fleet(fleet):
        yield engine, node_ids
    engine.dispose()


def _list_and_await(engine: Engine, node_id: UUID, number: int) -> None:
    _list(engine, node_id, number)
    until("the first pause", lambda: _finished(engine, {node_id}), seconds=300)


def _list(engine: Engine, node_id: UUID, number: int) -> datetime:
    list_address(engine, node_id, number, at=SystemClock().now())
    return SystemClock().now()


def _finished(engine: Engine, node_ids: set[UUID]) -> dict[UUID, datetime]:
    query = text("SELECT node_id, finished_at FROM fleet.node_actions WHERE kind = 'pause' AND status = 'succeeded'")
    with engine.connect() as connection:
        found = {row.node_id: row.finished_at for row in connection.execute(query)}
    return found if node_ids <= found.keys() else {}
