"""A node's resize: drained, changed by the provider, read back, heard again; ended well however its runs end."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.hostwind.provider import InstanceStatus, ProviderError
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.installer.installer import HostUnreachable
from penguin_infra.operations import resize_node
from penguin_infra.operations.call_off_leaving import call_off_leaving
from penguin_infra.operations.carry_out_batch import CannotAct
from penguin_infra.operations.drain_node import CalledOff, drain
from penguin_infra.operations.node_steps import StepError, StepImpossible
from penguin_infra.operations.node_work import NodeWork, claim_node_work
from penguin_infra.operations.recover_actions import recover_actions
from penguin_infra.operations.resize_node import CHANGE_PLAN, check_region_is_free
from penguin_infra.operations.verify_services import verify_services
from penguin_infra.store import actions as ledger
from penguin_infra.store import drains, nodes, steps
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.fleets import NOW, rotation
from penguin_infra_tests.operations.leaving import NO_FLOOR
from penguin_infra_tests.operations.making import EXPECTED, FLEET, LIMITS, Making
from penguin_infra_tests.pulses import SERVED, beat, tick
from penguin_infra_tests.simulator_process import SimulatorProcess

_labels = (f"growing-{number:03}" for number in count(1))

RESIZE = ResizeLimits(drain_minutes=2, ready_timeout_minutes=5)
HEALTH = HealthLimits(reboot_timeout_seconds=60, directive_timeout_seconds=30)

OPS: tuple[Callable[[NodeWork, "Growing"], None], ...] = (
    lambda work, _world: resize_node.begin_resize(work),
    lambda work, _world: drain(work, NO_FLOOR),
    lambda work, _world: resize_node.change_plan(work, RESIZE),
    lambda work, world: verify_services(work, HEALTH, world.installer),
    lambda work, _world: resize_node.end_resize(work),
)


@dataclass
class Growing(Making):
    """A made node, and the gateway's clock going on. It speaks at each wait unless it `is_deaf`."""

    is_deaf: bool = False
    mta_state: str = "up"
    meanwhile: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        tick(self.engine, served_seconds=SERVED + (self.at - NOW).total_seconds(), at=self.at)
        if not self.is_deaf:
            self.speak()
        self.meanwhile()

    def speak(self) -> None:
        with self.engine.connect() as connection:
            speaking = connection.scalars(text("SELECT node_id FROM fleet.node_pulses")).all()
        beat(self.engine, speaking, silent_seconds=0, mta_state=self.mta_state, at=self.at)
        with self.engine.begin() as connection:
            connection.execute(
                text("UPDATE fleet.node_pulses SET queue_active = 0, queue_deferred = 0, queue_held = 0")
            )

    def ask(self, node_id: UUID, plan: str = "ssd-4") -> UUID:
        evidence = {"from_plan": "ssd-1", "to_plan": plan, "drain_minutes": 2}
        wanted = PlannedAction(node_id, ActionKind.RESIZE, "its queue grows", "policy:resize_deep_queue", evidence)
        with self.engine.begin() as connection:
            return ledger.insert_planned(connection, [wanted], self.at)[0]

    def resize(self, node_id: UUID, *, ops: int = len(OPS)) -> AnyRow:
        """A run of so many ops on the node's open resize; returns the action."""
        work = claim_node_work(
            engine=self.engine,
            provider=self.provider,
            fleet_name=FLEET,
            limits=LIMITS,
            clock=self,
            say=self.said.append,
            action_id=self.action(node_id, ActionKind.RESIZE).id,
            run_id=str(uuid4()),
        )
        try:
            for op in OPS[:ops]:
                op(work, self)
        finally:
            work.close()
        return self.action(node_id, ActionKind.RESIZE)

    def resize_until_over(self, node_id: UUID) -> AnyRow:
        while self.action(node_id, ActionKind.RESIZE).status == "planned":
            with suppress(*EXPECTED):
                self.resize(node_id)
        return self.action(node_id, ActionKind.RESIZE)

    def find_dead_runs(self) -> None:
        recover_actions(
            self.engine, ActionKind.RESIZE, find_ended_runs=lambda _keys: {}, limits=LIMITS.retry, now=self.at
        )

    def ordered(self, node_id: UUID) -> list[str]:
        """Every plan that was ever ordered for the node's instance."""
        (provider_id,) = self.instances(node_id)
        plans: list[str] = self.simulator.ask("GET", f"/lab/instances/{provider_id}").json()["plans"]
        return plans

    def drains(self, node_id: UUID) -> bool:
        with self.engine.connect() as connection:
            return drains.drain_until(connection, node_id) is not None

    def call_off(self, node_id: UUID) -> str:
        with self.engine.begin() as connection:
            node = nodes.get_node(connection, node_id)
            return call_off_leaving(connection, node, requested_by="person:bob", reason="not now", now=self.at)


@pytest.fixture
def world(engine: Engine, provider: RestProvider, simulator: SimulatorProcess, lab_dns: DnsProcess) -> Growing:
    return Growing(engine, provider, simulator, lab_dns)


@pytest.fixture
def node_id(world: Growing) -> UUID:
    made = world.request(next(_labels))
    world.provision(made)
    return made


def assert_as_before(world: Growing, node_id: UUID, *, plan: str) -> None:
    """In service, sending, and on one plan by the registry and the provider."""
    with world.engine.begin() as connection:
        drains.end_abandoned_drains(connection)
    node = world.node(node_id)
    assert node.status is NodeStatus.WARMING
    assert node.plan == plan
    assert node.provider_id is not None
    found = world.provider.get_instance(node.provider_id)
    assert (found.plan, found.status, found.ip_address) == (plan, InstanceStatus.RUNNING, node.ip_address)
    assert rotation(world.engine) == {node_id}


def test_a_resized_node_sends_on_its_new_plan_as_before(world: Growing, node_id: UUID) -> None:
    world.ask(node_id)
    seen: list[tuple[set[UUID], NodeStatus]] = []
    world.meanwhile = lambda: seen.append((rotation(world.engine), world.node(node_id).status))
    action = world.resize(node_id)
    assert action.status == "succeeded"
    assert action.outcome.startswith(f"{world.node(node_id).label} went from ssd-1 to ssd-4 in ")
    assert "its queue was empty after" in action.outcome
    assert "heard again" in action.outcome
    assert seen
    assert all(one == (set(), NodeStatus.WARMING) for one in seen), "in the rotation while it was resized"
    assert_as_before(world, node_id, plan="ssd-4")
    assert world.ordered(node_id) == ["ssd-1", "ssd-4"]


@pytest.mark.parametrize("ops", range(len(OPS)))
def test_killed_between_any_two_steps_it_ends_in_the_next_run(world: Growing, node_id: UUID, ops: int) -> None:
    world.ask(node_id)
    world.resize(node_id, ops=ops)
    world.find_dead_runs()
    assert world.resize(node_id).status == "succeeded"
    assert_as_before(world, node_id, plan="ssd-4")
    assert world.ordered(node_id) == ["ssd-1", "ssd-4"]


def test_killed_before_the_change_is_recorded_it_is_not_ordered_again(
    world: Growing, node_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ask(node_id)
    finish = steps.finish_step

    def dying(connection: object, of: UUID, step: str, **told: object) -> None:
        if step == CHANGE_PLAN:
            raise KeyboardInterrupt
        finish(connection, of, step, **told)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(steps, "finish_step", dying)
        with pytest.raises(KeyboardInterrupt):
            world.resize(node_id)
    assert world.node(node_id).plan == "ssd-4", "what was read back is kept at once"
    world.find_dead_runs()
    assert world.resize(node_id).status == "succeeded"
    assert world.ordered(node_id) == ["ssd-1", "ssd-4"]


def test_a_lost_answer_orders_no_second_resize(world: Growing, node_id: UUID) -> None:
    world.ask(node_id)
    world.simulator.add_fault("cut_after_act", method="POST")
    assert world.resize(node_id).status == "succeeded"
    assert world.ordered(node_id) == ["ssd-1", "ssd-4"]


def test_a_provider_that_is_away_for_a_while_is_waited_for(world: Growing, node_id: UUID) -> None:
    world.ask(node_id)
    world.resize(node_id, ops=2)
    world.find_dead_runs()
    world.simulator.add_fault("server_error", count=9)
    assert world.resize(node_id).status == "succeeded"
    assert_as_before(world, node_id, plan="ssd-4")


def test_a_plan_that_the_provider_will_not_give_fails_at_once_and_leaves_the_node_as_it_was(
    world: Growing, node_id: UUID
) -> None:
    world.ask(node_id, "ssd-99")
    with pytest.raises(ProviderError, match="unknown_plan"):
        world.resize(node_id)
    assert world.action(node_id, ActionKind.RESIZE).status == "failed"
    assert_as_before(world, node_id, plan="ssd-1")


def test_a_provider_that_never_does_it_leaves_the_node_as_it_was(world: Growing, node_id: UUID) -> None:
    world.ask(node_id)
    world.simulator.add_fault("rate_limit", seconds=0, method="POST")
    action = world.resize_until_over(node_id)
    assert (action.status, action.attempt) == ("failed", 3)
    assert "not running on ssd-4 after" in action.outcome
    world.simulator.clear_faults()
    assert_as_before(world, node_id, plan="ssd-1")


def test_a_resize_that_ends_after_it_was_given_up_is_picked_up_by_the_next(world: Growing, node_id: UUID) -> None:
    (provider_id,) = world.instances(node_id)
    world.provider.resize_instance(provider_id, "ssd-4")
    world.ask(node_id)
    world.sleep(5)
    assert world.resize_until_over(node_id).status == "succeeded"
    assert_as_before(world, node_id, plan="ssd-4")
    assert world.ordered(node_id) == ["ssd-1", "ssd-4"]


def test_a_node_that_does_not_come_back_is_restarted_once_and_then_given_up(world: Growing, node_id: UUID) -> None:
    world.ask(node_id)
    world.resize(node_id, ops=3)
    world.find_dead_runs()
    world.is_deaf = True
    action = world.resize_until_over(node_id)
    assert action.status == "failed"
    assert "does not serve on its new plan: no heartbeat since" in action.outcome
    assert world.installer.restarts == [world.node(node_id).label]
    world.is_deaf = False
    world.sleep(1)
    assert_as_before(world, node_id, plan="ssd-4")


def test_a_node_whose_mail_server_is_down_is_mended_by_the_restart(world: Growing, node_id: UUID) -> None:
    world.ask(node_id)
    world.resize(node_id, ops=3)
    world.find_dead_runs()
    world.mta_state = "down"
    world.speak()

    def mend() -> None:
        if world.installer.restarts:
            world.mta_state = "up"

    world.meanwhile = mend
    assert world.resize(node_id).status == "succeeded"
    assert len(world.installer.restarts) == 1


def test_a_host_that_no_installer_reaches_is_told_so(world: Growing, node_id: UUID) -> None:
    world.ask(node_id)
    world.resize(node_id, ops=3)
    world.find_dead_runs()
    world.is_deaf = True
    world.installer.failures = [HostUnreachable("no SSH")]
    with pytest.raises(StepError, match="its services could not be restarted: no SSH"):
        world.resize(node_id)


def test_while_it_drains_a_person_calls_it_off(world: Growing, node_id: UUID) -> None:
    world.ask(node_id)
    world.meanwhile = lambda: None if world.said and "called" in world.said[-1] else _once(world, node_id)
    with pytest.raises(CalledOff, match="called off by person:bob"):
        world.resize(node_id)
    assert world.action(node_id, ActionKind.RESIZE).status == "rejected"
    assert_as_before(world, node_id, plan="ssd-1")
    assert world.ordered(node_id) == ["ssd-1"]


def _once(world: Growing, node_id: UUID) -> None:
    world.meanwhile = lambda: None
    assert world.call_off(node_id).startswith("resize of ")


def test_once_the_provider_was_asked_it_is_too_late(world: Growing, node_id: UUID) -> None:
    world.ask(node_id)
    world.resize(node_id, ops=3)
    with pytest.raises(CannotAct, match="too late to call it off"):
        world.call_off(node_id)


def test_a_node_that_is_not_in_service_is_not_resized(world: Growing, node_id: UUID) -> None:
    with world.engine.begin() as connection:
        nodes.apply_event(connection, node_id, NodeEvent.PAUSED, reason="r", requested_by="p", now=world.at)
    world.ask(node_id)
    with pytest.raises(StepImpossible, match="only a node in service is resized"):
        world.resize(node_id)
    assert world.ordered(node_id) == ["ssd-1"]


def test_an_instance_on_a_third_plan_is_a_persons(world: Growing, node_id: UUID) -> None:
    (provider_id,) = world.instances(node_id)
    world.provider.resize_instance(provider_id, "ssd-2")
    world.sleep(5)
    world.ask(node_id)
    with pytest.raises(StepImpossible, match="is on ssd-2, and the registry says ssd-1"):
        world.resize(node_id)


def test_a_node_that_is_being_recovered_is_not_resized_meanwhile(world: Growing, node_id: UUID) -> None:
    with world.engine.begin() as connection:
        wanted = [PlannedAction(node_id, ActionKind.RECOVER, "ill", "policy:recover_unhealthy")]
        ledger.insert_planned(connection, wanted, world.at)
    world.ask(node_id)
    with pytest.raises(StepError, match="is being recovered: tried again later"):
        world.resize(node_id)
    assert world.action(node_id, ActionKind.RESIZE).status == "planned"
    assert world.ordered(node_id) == ["ssd-1"]


def test_two_of_a_region_are_never_resized_at_once(world: Growing, node_id: UUID) -> None:
    other = world.request(next(_labels))
    world.provision(other)
    world.ask(node_id)
    world.ask(other)
    with world.engine.connect() as connection, pytest.raises(Exception, match="is being resized: one of a region"):
        check_region_is_free(connection, world.node(node_id))

    def meanwhile() -> None:
        world.meanwhile = lambda: None
        with pytest.raises(StepError, match="one of a region at a time"):
            world.resize(other)

    world.meanwhile = meanwhile
    assert world.resize(node_id).status == "succeeded"
    assert world.ordered(other) == ["ssd-1"]
