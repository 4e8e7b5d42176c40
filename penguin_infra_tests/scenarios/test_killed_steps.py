"""Runs killed by `kill -9` at every boundary between two steps, and in every step with its work done and unrecorded.

Real processes in a lab; the two steps that work on a host are killed on a real one besides (`hosts/test_kills.py`).
"""

import time
from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import text

from penguin_infra.dns_records.publisher import Record
from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations import resize_node
from penguin_infra.operations.leave_node import LEAVING_STEPS
from penguin_infra.operations.provision_node import STEPS
from penguin_infra.operations.release_node import CLOSE_REQUEST
from penguin_infra.store import actions as ledger
from penguin_infra.store import drains
from penguin_infra.store.database import make_engine
from penguin_infra.store.tables import AnyRow
from penguin_infra.wiring import SystemClock
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.dns_process import free_port
from penguin_infra_tests.fleets import rotation
from penguin_infra_tests.scenarios.fleet_processes import FleetProcesses, reverse_dns_options, running_fleet, until
from penguin_infra_tests.simulator_process import running_simulator

pytestmark = pytest.mark.xdist_group("killed processes")

# A run that is to write such a row waits inside its transaction for as long as the hold stands.
_HOLDS = """
CREATE TABLE public.holds (node_id uuid, step text, status text);
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM public.holds AS one
                  WHERE (one.node_id, one.step, one.status) = (NEW.node_id, NEW.step, NEW.status)) LOOP
        PERFORM pg_advisory_xact_lock(4711, hashtext(NEW.node_id::text));
        PERFORM pg_sleep(0.05);
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER hold BEFORE INSERT OR UPDATE ON fleet.provisioning_steps FOR EACH ROW EXECUTE FUNCTION public.hold();
"""
# A boundary: the step before is recorded, and this one is not begun. An end: what it did is done, and not recorded.
MOMENTS = ("running", "succeeded")

# One run more than the deaths of one action.
_POLICY = "[retry]\nmax_attempts = 12\nrest_seconds = [0]\n[provisioning]\npoll_seconds = 0.5\nscan_ports = false\n"
# Nobody but the node itself: what the floor says is the guardrails' tests'.
_POLICY += "[guardrails]\nsmallest_rotation_share = 0\nsmallest_demand_share = 0\n"


@pytest.fixture(scope="module")
def fleet(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcesses]:
    url, dagster_url = databases.create(), databases.create(is_migrated=False)
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text(_HOLDS))
    directory = tmp_path_factory.mktemp("steps")
    dns_port = free_port()
    options = reverse_dns_options(dns_port)
    with running_simulator(directory / "hostwind", boot_seconds=0.5, options=options) as simulator:
        secret = dagster_url.render_as_string(hide_password=False)
        made = FleetProcesses(directory / "home", engine, simulator, secret, lab_dns_port=dns_port)
        (made.home / "policy.toml").write_text(_POLICY)
        with running_fleet(made) as running:
            yield running
    engine.dispose()
    for each in (url, dagster_url):
        databases.drop(each)


def test_whichever_step_a_run_dies_at_its_request_becomes_one_node(fleet: FleetProcesses) -> None:
    node_ids = fleet.request(4)
    points = [(step, moment) for step in STEPS for moment in MOMENTS]
    kill_at(fleet, {node_id: points[number::4] for number, node_id in enumerate(node_ids)})

    until("all are warming", lambda: {fleet.node(each).status for each in node_ids} == {NodeStatus.WARMING}, 240)
    assert [fleet.instances_ever_made(each) for each in node_ids] == [1] * len(node_ids)
    assert sum(fleet.attempts(each) - 1 for each in node_ids) == len(points)
    assert records(fleet) == sorted((node_id, rdtype) for node_id in node_ids for rdtype in ("A", "PTR", "TXT", "TXT"))


def test_whichever_step_a_release_dies_at_nothing_of_its_request_is_left(fleet: FleetProcesses) -> None:
    before, instances = records(fleet), fleet.simulator.instances()
    theirs = Record("node-dallas-005.nodes.lab.test", "A", "192.0.2.7")
    publisher = fleet.publisher()
    publisher.publish([theirs])
    (node_id,) = fleet.request()
    assert fleet.node(node_id).label == "node-dallas-005"
    kill_at(fleet, {node_id: [(step, moment) for step in (*LEAVING_STEPS, CLOSE_REQUEST) for moment in MOMENTS]})

    until("it is given up", lambda: fleet.node(node_id).status is NodeStatus.DECOMMISSIONED, 240)
    assert fleet.instances_ever_made(node_id) == 1
    assert fleet.simulator.instances() == instances
    assert records(fleet) == before
    assert publisher.read(theirs.name, "A") == {theirs.value}


def test_whichever_step_a_resize_dies_at_it_is_one_resize_and_the_node_sends_again(fleet: FleetProcesses) -> None:
    (node_id,) = fleet.request()
    fleet.await_warming(node_id)
    points = [(step, moment) for step in resize_node.STEPS for moment in MOMENTS]
    hold(fleet, node_id, *points[0])
    evidence = {"from_plan": "ssd-1", "to_plan": "ssd-4", "drain_minutes": 0.02}
    wanted = PlannedAction(node_id, ActionKind.RESIZE, "its queue grows", "person:test", evidence)
    with fleet.engine.begin() as connection:
        ledger.insert_planned(connection, [wanted], SystemClock().now())
    kill_at(fleet, {node_id: [*points]})

    until("it is resized", lambda: resize_of(fleet, node_id).status == "succeeded", 240)
    assert resize_of(fleet, node_id).attempt - 1 == len(points)
    node = fleet.node(node_id)
    assert (node.status, node.plan) == (NodeStatus.WARMING, "ssd-4")
    shown = fleet.simulator.ask("GET", f"/lab/instances/{node.provider_id}").json()
    assert shown["plans"] == ["ssd-1", "ssd-4"]
    until("it sends again", lambda: node_id in rotation(fleet.engine))
    with fleet.engine.connect() as connection:
        assert drains.drain_until(connection, node_id) is None


def resize_of(fleet: FleetProcesses, node_id: UUID) -> AnyRow:
    with fleet.engine.connect() as connection:
        rows = ledger.list_actions(connection, node_id=node_id)
    return next(row for row in rows if row.kind == ActionKind.RESIZE)


def kill_at(fleet: FleetProcesses, ahead: dict[UUID, list[tuple[str, str]]]) -> None:
    """Kill each node's run at each of its points, in the order of the steps."""
    for node_id, wanted in ahead.items():
        hold(fleet, node_id, *wanted[0])
    deadline = time.monotonic() + 400
    while any(ahead.values()):
        assert time.monotonic() < deadline, f"still ahead: {ahead}"
        for node_id, wanted in ahead.items():
            if wanted and is_held(fleet, node_id):
                fleet.kill_run(current_run(fleet, node_id))
                release(fleet, node_id)
                # The dead run's session learns of its death when its statement ends.
                await_free(fleet, node_id)
                wanted.pop(0)
                if wanted:
                    hold(fleet, node_id, *wanted[0])
        time.sleep(0.05)


def current_run(fleet: FleetProcesses, node_id: UUID) -> str:
    query = text("SELECT run_id FROM fleet.node_actions WHERE node_id = :node_id AND status = 'running'")
    with fleet.engine.connect() as connection:
        return str(connection.execute(query, {"node_id": node_id}).scalar_one())


def records(fleet: FleetProcesses) -> list[tuple[UUID, str]]:
    """What is, or may be, published, by node and type."""
    query = text("SELECT node_id, rdtype FROM fleet.dns_records WHERE removed_at IS NULL")
    with fleet.engine.connect() as connection:
        return sorted((row.node_id, row.rdtype) for row in connection.execute(query))


def hold(fleet: FleetProcesses, node_id: UUID, step: str, status: str) -> None:
    with fleet.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO public.holds VALUES (:node_id, :step, :status)"),
            {"node_id": node_id, "step": step, "status": status},
        )


def release(fleet: FleetProcesses, node_id: UUID) -> None:
    with fleet.engine.begin() as connection:
        connection.execute(text("DELETE FROM public.holds WHERE node_id = :node_id"), {"node_id": node_id})


def await_free(fleet: FleetProcesses, node_id: UUID) -> None:
    until("the dead run's session is gone", lambda: not is_held(fleet, node_id))


def is_held(fleet: FleetProcesses, node_id: UUID) -> bool:
    """Whether a run waits at the node's hold."""
    query = text(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 4711 AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND objid = (hashtext(CAST(:node_id AS text))::bigint & 4294967295)::oid)"
    )
    with fleet.engine.connect() as connection:
        return bool(connection.scalar(query, {"node_id": str(node_id)}))
