"""Runs killed by `kill -9` while they install and verify a real host: another run ends the work, once."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.real_fleet import RealFleet, real_fleet

pytestmark = pytest.mark.xdist_group("hosts")

# Where a run is killed, in the order in which it comes by: the step, and a word of its progress (the role at work).
POINTS = (
    ("install_node", None),
    ("install_node", "firewall"),
    ("install_node", "opendkim"),
    ("install_node", "postfix"),
    ("install_node", "worker"),
    ("install_node", "agent"),
    ("verify_delivery", None),
    ("verify_delivery", "checking"),
    ("admit_node", None),
)


@pytest.fixture
def fleet(engine: Engine, bare_host: Host, tmp_path: Path) -> Iterator[RealFleet]:
    with real_fleet(engine, bare_host, tmp_path, max_attempts=20) as made:
        yield made


def test_a_run_killed_in_the_midst_of_installing_and_verifying_is_carried_on_to_one_node(fleet: RealFleet) -> None:
    node_id = fleet.request("kill-001")
    killed = [point for point in POINTS if kill_at(fleet, node_id, *point)]
    assert len(killed) >= 7, killed
    # The last death may have come just after the work was recorded.
    deaths = fleet.action(ActionKind.PROVISION, node_id).attempt - 1
    if fleet.action(ActionKind.PROVISION, node_id).status == "planned":
        run = fleet.start_run(ActionKind.PROVISION, node_id)
        assert run.wait(600) == 0, (fleet.wiring.settings.home / "runs.log").read_text()[-5000:]

    assert deaths >= 7
    action = fleet.action(ActionKind.PROVISION, node_id)
    assert (action.status, action.attempt) == ("succeeded", deaths + 1)
    assert fleet.node(node_id).status is NodeStatus.WARMING
    bill: list[object] = fleet.simulator.bill()["instances"]  # type: ignore[assignment]
    assert len(bill) == 1
    assert fleet.unaccounted() == []
    assert all(row.is_ok for row in fleet.findings(node_id).values())


def kill_at(fleet: RealFleet, node_id: UUID, step: str, word: str | None) -> bool:
    """Start a run and kill it there; False where the work ended before, which only its last points may."""
    if (step, word) != POINTS[0] and fleet.action(ActionKind.PROVISION, node_id).status == "succeeded":
        return False
    run = fleet.start_run(ActionKind.PROVISION, node_id)
    deadline = time.monotonic() + 600
    while run.poll() is None:
        row = fleet.steps(node_id).get(step)
        is_there = row is not None and row.status == "running" and (word is None or word in (row.progress or ""))
        if is_there and row is not None and row.run_id == fleet.action(ActionKind.PROVISION, node_id).run_id:
            break
        assert time.monotonic() < deadline, f"the run never came to {step} {word or ''}"
        time.sleep(0.02)
    was_alive = run.poll() is None
    run.kill()
    run.wait(60)
    fleet.take_back(ActionKind.PROVISION)
    return was_alive
