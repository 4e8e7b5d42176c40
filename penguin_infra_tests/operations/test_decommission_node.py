"""A node's end: drained, held, unnamed, destroyed, closed; over real DNS and a real provider's protocol."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.operations import leave_node
from penguin_infra.operations.carry_out_batch import CannotAct
from penguin_infra.operations.decommission_node import STEPS, begin_removal, close_node
from penguin_infra.operations.drain_node import drain
from penguin_infra.operations.issue_credentials import issue_agent_token
from penguin_infra.operations.maintain_node import begin_maintenance
from penguin_infra.operations.node_work import NodeWork, ProvisionLimits
from penguin_infra.operations.recover_actions import recover_actions
from penguin_infra.operations.resume_node import check_resumable
from penguin_infra.store import credentials, nodes
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.fleets import NOW, rotation
from penguin_infra_tests.operations.making import EXPECTED, LIMITS, Making
from penguin_infra_tests.operations.runs import ProcessKilled
from penguin_infra_tests.pretend_node import publisher_of
from penguin_infra_tests.pulses import SERVED, beat, tick
from penguin_infra_tests.simulator_process import SimulatorProcess

_labels = (f"ending-{number:03}" for number in count(1))
NO_FLOOR = GuardrailLimits(smallest_rotation_share=0)

OPS: tuple[Callable[[NodeWork, Making], None], ...] = (
    lambda work, _world: drain(work, NO_FLOOR),
    lambda work, _world: begin_maintenance(work),
    lambda work, _world: begin_removal(work),
    lambda work, world: leave_node.remove_records(work, world.parts.dns, is_leaving=True),
    lambda work, _world: leave_node.destroy_instance(work, is_leaving=True),
    lambda work, _world: leave_node.revoke_access(work, is_leaving=True),
    lambda work, _world: close_node(work),
)


@dataclass
class Ending(Making):
    """A made node, and the gateway's clock going on while its end is waited for."""

    limits: ProvisionLimits = field(default_factory=lambda: replace(LIMITS, drain_minutes=2))
    queue: int = 7

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        tick(self.engine, served_seconds=SERVED + (self.at - NOW).total_seconds(), at=self.at)
        self.speak()

    def speak(self) -> None:
        """Every node that spoke goes on, and tells of its queue."""
        with self.engine.connect() as connection:
            speaking = connection.scalars(text("SELECT node_id FROM fleet.node_pulses")).all()
        beat(self.engine, speaking, silent_seconds=0, at=self.at)
        with self.engine.begin() as connection:
            connection.execute(
                text("UPDATE fleet.node_pulses SET queue_active = 0, queue_deferred = :n, queue_held = 0"),
                {"n": self.queue},
            )

    def end(self, node_id: UUID, *, ops: int = len(OPS)) -> AnyRow:
        """A run of so many ops; returns the action."""
        with self.working(node_id, ActionKind.DECOMMISSION) as work:
            for op in OPS[:ops]:
                op(work, self)
        return self.action(node_id, ActionKind.DECOMMISSION)

    def find_dead_runs(self) -> None:
        kind = ActionKind.DECOMMISSION
        recover_actions(self.engine, kind, find_ended_runs=lambda _keys: {}, limits=LIMITS.retry, now=self.at)


@pytest.fixture
def world(engine: Engine, provider: RestProvider, simulator: SimulatorProcess, lab_dns: DnsProcess) -> Ending:
    return Ending(engine, provider, simulator, lab_dns)


@pytest.fixture
def node_id(world: Ending) -> UUID:
    made = world.request(next(_labels))
    world.provision(made)
    return made


def live_tokens(world: Ending, node_id: UUID) -> int:
    with world.engine.connect() as connection:
        return credentials.count_live_tokens(connection, node_id, world.at)


def held_addresses(world: Ending) -> int:
    with world.engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM fleet.ip_tenures WHERE ended_at IS NULL")) or 0


def assert_gone(world: Ending, node_id: UUID) -> None:
    node = world.node(node_id)
    assert node.status is NodeStatus.DECOMMISSIONED
    assert (world.instances(node_id), world.records(node_id), held_addresses(world)) == ([], [], 0)
    assert live_tokens(world, node_id) == 0
    assert node.hostname is not None
    assert {publisher_of(world.lab_dns).read(node.hostname, rdtype) for rdtype in ("A", "TXT")} == {frozenset()}


def test_a_node_that_is_decommissioned_leaves_nothing_that_costs_or_speaks(world: Ending, node_id: UUID) -> None:
    with world.engine.begin() as connection:
        issue_agent_token(connection, node_id, world.at)
    world.queue = 0
    hostname = world.node(node_id).hostname
    assert hostname is not None
    assert publisher_of(world.lab_dns).read(hostname, "A") == {str(world.node(node_id).ip_address)}
    assert len(world.instances(node_id)) == 1
    action = world.end(node_id)
    assert_gone(world, node_id)
    assert action.status == "succeeded"
    assert action.outcome.endswith("is decommissioned, 0 h after it was asked for; no mail was left")
    with world.engine.connect() as connection:
        history = nodes.transitions(connection, node_id)
    assert [row.to_status for row in history] == ["provisioning", "warming", "maintenance", "decommissioned"]
    assert history[-2].reason == "it is being decommissioned: test"
    assert history[-1].reason == "test; no mail was left"


def test_what_could_not_be_delivered_is_counted_to_the_last(world: Ending, node_id: UUID) -> None:
    world.queue = 9
    began_at = world.at
    action = world.end(node_id)
    assert (world.at - began_at).total_seconds() >= 120
    assert "not delivered: 9 mails wait (0 active, 9 deferred, 0 held), as it said at" in action.outcome
    assert action.evidence["queue_left"]["deferred"] == 9
    with world.engine.connect() as connection:
        assert "9 mails wait" in nodes.transitions(connection, node_id)[-1].reason


def test_every_step_is_kept_with_what_it_did(world: Ending, node_id: UUID) -> None:
    world.end(node_id)
    done = world.steps(node_id)
    assert [done[step].status for step in STEPS] == ["succeeded"] * len(STEPS)
    assert done["drain"].result["ended"] == "deadline"
    assert len(done["destroy_instance"].result["destroyed"]) == 1
    assert len({done[step].action_id for step in STEPS}) == 1


@pytest.mark.parametrize("ops", range(len(OPS)))
def test_killed_between_any_two_steps_it_ends_in_the_next_run(world: Ending, node_id: UUID, ops: int) -> None:
    world.queue = 0
    with suppress(ProcessKilled):
        world.end(node_id, ops=ops)
    world.find_dead_runs()
    assert world.end(node_id).status == "succeeded"
    assert_gone(world, node_id)


def test_a_node_that_sends_nothing_is_not_waited_for(world: Ending, node_id: UUID) -> None:
    with world.engine.begin() as connection:
        nodes.apply_event(connection, node_id, NodeEvent.PAUSED, reason="r", requested_by="p", now=world.at)
    began_at = world.at
    action = world.end(node_id)
    assert (world.at - began_at).total_seconds() < 60
    assert action.status == "succeeded"


def test_a_node_whose_instance_is_gone_already_is_closed_without_waiting(world: Ending, node_id: UUID) -> None:
    for instance in world.instances(node_id):
        world.provider.delete_instance(instance)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE fleet.node_pulses SET served_seconds = served_seconds - 3600"))
    action = world.end(node_id)
    assert_gone(world, node_id)
    assert action.status == "succeeded"


@pytest.fixture
def half_gone(world: Ending, node_id: UUID) -> UUID:
    """A decommission that failed for good where the provider would not destroy the instance."""
    world.queue = 0
    world.simulator.add_fault("server_error", method="DELETE")
    for _ in range(3):
        with suppress(*EXPECTED):
            world.end(node_id)
    world.simulator.clear_faults()
    assert world.action(node_id, ActionKind.DECOMMISSION).status == "failed"
    return node_id


def test_one_that_fails_for_good_leaves_a_node_that_is_held(world: Ending, half_gone: UUID) -> None:
    assert world.node(half_gone).status is NodeStatus.MAINTENANCE
    assert rotation(world.engine) == set()
    assert len(world.instances(half_gone)) == 1
    assert [record.rdtype for record in world.records(half_gone)] == ["PTR"]


def test_a_node_without_its_names_is_not_simply_resumed(world: Ending, half_gone: UUID) -> None:
    with world.engine.connect() as connection, pytest.raises(CannotAct, match="had begun to take its names away"):
        check_resumable(connection, world.node(half_gone))


def test_it_is_resumed_once_it_was_installed_again(world: Ending, half_gone: UUID) -> None:
    world.at += timedelta(minutes=1)
    world.reinstall(half_gone)
    with world.engine.connect() as connection:
        check_resumable(connection, world.node(half_gone))


def test_it_is_ended_by_asking_again(world: Ending, half_gone: UUID) -> None:
    assert world.end(half_gone).status == "succeeded"
    assert_gone(world, half_gone)


def test_a_node_that_is_being_decommissioned_is_not_resumed_meanwhile(world: Ending, node_id: UUID) -> None:
    world.queue = 0
    with world.working(node_id, ActionKind.DECOMMISSION) as work:
        for op in OPS[:2]:
            op(work, world)
        with (
            world.engine.connect() as connection,
            pytest.raises(CannotAct, match=r"is being decommissioned \(action .*nodes undrain"),
        ):
            check_resumable(connection, world.node(node_id))
