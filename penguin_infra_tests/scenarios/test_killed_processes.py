"""Real processes, killed by `kill -9` in the middle of provisioning: each request still ends with one instance."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from penguin_infra.store.database import make_engine
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.dns_process import free_port
from penguin_infra_tests.scenarios.fleet_processes import (
    CODE_SERVER,
    DAEMON,
    FleetProcesses,
    reverse_dns_options,
    running_fleet,
)
from penguin_infra_tests.simulator_process import running_simulator

pytestmark = pytest.mark.xdist_group("killed processes")

# Longer than a look into the database and a kill take, on a busy machine too.
BOOT_SECONDS = 5.0
SLOW_SECONDS = 4.0


@pytest.fixture(scope="module")
def fleet(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcesses]:
    url, dagster_url = databases.create(), databases.create(is_migrated=False)
    engine = make_engine(url)
    directory = tmp_path_factory.mktemp("fleet")
    dns_port = free_port()
    options = reverse_dns_options(dns_port)
    with running_simulator(directory / "hostwind", boot_seconds=BOOT_SECONDS, options=options) as simulator:
        secret = dagster_url.render_as_string(hide_password=False)
        fleet = FleetProcesses(directory / "home", engine, simulator, secret, lab_dns_port=dns_port)
        with running_fleet(fleet) as running:
            yield running
    engine.dispose()
    for each in (url, dagster_url):
        databases.drop(each)


def test_a_run_killed_at_any_step_is_carried_on_by_another(fleet: FleetProcesses) -> None:
    node_ids = fleet.request(3)
    left = set(node_ids)
    # A creation is carried out although nobody waits for its answer any more; looks at instances are slow too.
    fleet.simulator.add_fault("latency", seconds=SLOW_SECONDS, method="POST")
    fleet.simulator.add_fault("latency", seconds=SLOW_SECONDS, path_prefix="/instances/hw-")
    for step in ("request_instance", "await_address", "admit_node"):
        node_id, run_id = fleet.await_step(step, *left)
        fleet.kill_run(run_id)
        left.remove(node_id)
    fleet.simulator.clear_faults()

    fleet.await_warming(*node_ids)
    assert [fleet.instances_ever_made(each) for each in node_ids] == [1, 1, 1]
    assert [fleet.attempts(each) for each in node_ids] == [2, 2, 2]


def test_a_run_outlives_its_daemon_and_its_code_server_and_ends_its_work(fleet: FleetProcesses) -> None:
    (node_id,) = fleet.request()
    fleet.await_step("await_address", node_id)
    fleet.kill(DAEMON)
    fleet.kill(CODE_SERVER)
    fleet.await_warming(node_id)
    assert (fleet.instances_ever_made(node_id), fleet.attempts(node_id)) == (1, 1)
    fleet.start(CODE_SERVER)
    fleet.start(DAEMON)


def test_after_everything_was_killed_at_once_the_request_is_carried_on_and_dagster_knows_of_the_dead_run(
    fleet: FleetProcesses,
) -> None:
    (node_id,) = fleet.request()
    _, run_id = fleet.await_step("await_address", node_id)
    fleet.end()
    fleet.simulator.kill()
    fleet.simulator.start()
    fleet.start(CODE_SERVER)
    fleet.start(DAEMON)
    fleet.await_warming(node_id)
    assert (fleet.instances_ever_made(node_id), fleet.attempts(node_id)) == (1, 2)
    assert run_status(fleet, run_id) == "FAILURE"


def run_status(fleet: FleetProcesses, run_id: str) -> str:
    """What Dagster's own database says of a run."""
    engine = make_engine(fleet.engine.url.set(database=fleet.dagster_database_url.rpartition("/")[2]))
    with engine.connect() as connection:
        status = connection.scalar(text("SELECT status FROM runs WHERE run_id = :run_id"), {"run_id": run_id})
    engine.dispose()
    return str(status)
