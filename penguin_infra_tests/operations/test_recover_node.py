"""A recovery of one node against a real simulated provider: gently first, and nothing is asked for twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind, ActionStatus, RetryLimits
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.recover_unhealthy import NAME, HealthLimits, plan_recoveries
from penguin_infra.hostwind.provider import ProviderUnavailable
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.operations import recover_node
from penguin_infra.operations.fleet_health import read_fleet_health
from penguin_infra.operations.judge_health import judge_health
from penguin_infra.operations.node_work import NodeWork, ProvisionLimits, claim_node_work
from penguin_infra.operations.recovery_steps import ManySilent, ObserverLost, RecoverError
from penguin_infra.store import actions as ledger
from penguin_infra.store import node_places, nodes, recoveries
from penguin_infra.store.alerts import list_alerts
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests.fleets import NOW, add_node, plan, status_of
from penguin_infra_tests.operations.runs import ProcessKilled, recover
from penguin_infra_tests.pulses import beat, tick
from penguin_infra_tests.simulator_process import SimulatorProcess

LIMITS = HealthLimits(directive_timeout_seconds=60, reboot_timeout_seconds=120, poll_seconds=10)


@dataclass
class World:
    """A node, its provider, and a clock by which the gateway serves while a recovery waits."""

    engine: Engine
    provider: RestProvider
    simulator: SimulatorProcess
    node_id: UUID
    provider_id: str
    at: datetime = NOW
    is_gateway_up: bool = True
    while_waiting: Callable[["World"], None] = lambda _world: None
    said: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        if self.is_gateway_up:
            with self.engine.begin() as connection:
                connection.execute(
                    text("UPDATE fleet.gateway_clock SET served_seconds = served_seconds + :s, ticked_at = :at"),
                    {"s": seconds, "at": self.at},
                )
        self.while_waiting(self)

    @property
    def reboots(self) -> object:
        return self.simulator.ask("GET", f"/lab/instances/{self.provider_id}").json()["reboots"]

    @property
    def directive(self) -> str | None:
        with self.engine.connect() as connection:
            found: str | None = connection.scalar(text("SELECT restart FROM fleet.node_directives"))
            return found

    def action(self) -> AnyRow:
        with self.engine.connect() as connection:
            rows = ledger.list_actions(connection, node_id=self.node_id)
        return next(row for row in rows if row.kind == ActionKind.RECOVER)

    def steps(self) -> list[tuple[str, str]]:
        with self.engine.connect() as connection:
            return [(row.step, row.status) for row in recoveries.list_steps(connection, self.action().id)]

    @contextmanager
    def working(self) -> Iterator[NodeWork]:
        """One run's claim on the newest recovery."""
        work = claim_node_work(
            engine=self.engine,
            provider=self.provider,
            fleet_name="penguin",
            limits=ProvisionLimits(retry=RetryLimits(rest_seconds=(0,))),
            clock=self,
            say=self.said.append,
            action_id=self.action().id,
            run_id=str(uuid4()),
        )
        try:
            yield work
        finally:
            work.close()

    def run(self, limits: HealthLimits = LIMITS) -> None:
        """One whole run."""
        with self.working() as work:
            recover_node.restart_by_directive(work, limits)
            recover_node.reboot(work, limits)
            recover_node.begin_maintenance(work, limits)


def beats(world: World, *, mta_state: str = "up") -> None:
    beat(world.engine, [world.node_id], silent_seconds=1, mta_state=mta_state, at=world.at)


def fall_ill(world: World, *, mta_state: str = "up", silent_seconds: float = 120) -> None:
    """The node spoke, and then fell ill; that was judged and a recovery planned."""
    tick(world.engine, at=world.at)
    beats(world)
    judge_health(world.engine, now=world.at)
    beat(world.engine, [world.node_id], silent_seconds=silent_seconds, mta_state=mta_state)
    judge_health(world.engine, now=world.at)
    world.at += timedelta(seconds=1)
    plan(world.engine, [world.node_id], ActionKind.RECOVER, by=NAME, at=world.at)


@pytest.fixture
def world(engine: Engine, provider: RestProvider, simulator: SimulatorProcess) -> World:
    """A node whose instance is real to the simulated provider."""
    node_id = add_node(engine)
    made = provider.create_instance(label=f"penguin-{node_id.hex}", region="dallas", plan="ssd-1")
    with engine.begin() as connection:
        node_places.record_instance(connection, node_id, made.provider_id, NOW - timedelta(days=1))
    return World(engine, provider, simulator, node_id, made.provider_id)


def test_a_down_mta_is_restarted_by_the_agent_and_seen_up_again(world: World) -> None:
    fall_ill(world, mta_state="down", silent_seconds=5)
    seen: list[str | None] = []

    def obey(world: World) -> None:
        seen.append(world.directive)
        beats(world, mta_state="down" if len(seen) < 3 else "up")

    world.while_waiting = obey
    world.run()
    assert seen == ["mta"] * 3
    assert world.action().status == ActionStatus.SUCCEEDED
    assert world.action().outcome == "node-001 is healthy again after the restart of the mta"
    assert (world.reboots, world.steps(), world.directive) == (0, [("directive", "succeeded")], None)


def test_a_silent_node_is_asked_for_its_agent_and_then_rebooted(world: World) -> None:
    fall_ill(world)
    seen: list[str | None] = []

    def boot(world: World) -> None:
        seen.append(world.directive)
        if world.reboots:
            beats(world)

    world.while_waiting = boot
    world.run()
    # Six looks for the directive, which is withdrawn before the reboot.
    assert seen == ["agent"] * 6 + [None]
    assert world.reboots == 1
    assert world.steps() == [("directive", "failed"), ("reboot", "succeeded")]
    assert world.action().outcome == f"node-001 is healthy again after the reboot of instance {world.provider_id}"
    assert status_of(world.engine, world.node_id) is NodeStatus.WARMING


def test_a_node_that_nothing_helps_goes_to_a_person_with_a_high_alert(world: World) -> None:
    fall_ill(world)
    with pytest.raises(
        RecoverError, match=r"node-001 is in maintenance: silent.*restart of the agent: no better after"
    ):
        world.run()
    assert world.reboots == 1
    assert status_of(world.engine, world.node_id) is NodeStatus.MAINTENANCE
    assert world.action().status == ActionStatus.FAILED
    with world.engine.connect() as connection:
        (alert,) = list_alerts(connection)
        last = nodes.transitions(connection, world.node_id)[-1]
    assert (alert.rule, alert.subject, alert.severity, alert.node_id) == (
        "maintenance", "node-001", "high", world.node_id,
    )  # fmt: skip
    assert (last.event, last.requested_by, last.run_id) == ("maintenance_begun", NAME, alert.run_id)
    assert f"reboot of instance {world.provider_id}: no better after 120 s" in last.reason


def test_a_heartbeat_from_before_the_restart_proves_nothing(world: World) -> None:
    fall_ill(world, mta_state="down", silent_seconds=5)
    world.while_waiting = lambda world: beat(world.engine, [world.node_id], silent_seconds=80)
    world.run()
    assert world.steps() == [("directive", "failed")]
    assert "healthy by itself" in world.action().outcome


def test_a_node_that_came_back_by_itself_is_left_alone(world: World) -> None:
    fall_ill(world)
    beats(world)
    world.run()
    assert (world.action().status, world.steps(), world.reboots) == (ActionStatus.SUCCEEDED, [], 0)
    assert "healthy by itself" in world.action().outcome


def test_a_node_that_a_person_took_meanwhile_is_left_alone(world: World) -> None:
    fall_ill(world)
    with world.engine.begin() as connection:
        event = NodeEvent.MAINTENANCE_BEGUN
        nodes.apply_event(connection, world.node_id, event, reason="mine", requested_by="person:ada", now=NOW)
    world.run()
    assert (world.action().outcome, world.reboots) == ("node-001 is maintenance: nothing to recover", 0)


def test_a_node_whose_resize_runs_is_left_to_that(world: World) -> None:
    fall_ill(world)
    (resize_id,) = plan(world.engine, [world.node_id], ActionKind.RESIZE, at=world.at)
    with world.engine.begin() as connection:
        assert ledger.claim_one(connection, resize_id, str(uuid4()), world.at)
        facts = read_fleet_health(connection, limits=LIMITS, now=world.at)
    assert [one.node_id for one in facts.ill] == [world.node_id]
    world.run()
    assert world.action().outcome == "node-001 is being resized or installed anew: left to that"
    assert (world.reboots, world.directive, world.steps()) == (0, None, [])
    with world.engine.begin() as connection:
        facts = read_fleet_health(connection, limits=LIMITS, now=world.at)
    assert (facts.recovering, plan_recoveries(facts, LIMITS, world.at)) == (frozenset(), ())


def test_a_third_fall_within_the_hour_is_a_persons_and_nothing_is_restarted(world: World) -> None:
    for _ in range(2):
        fall_ill(world)
        beats(world)
        world.run()
    fall_ill(world)
    with pytest.raises(RecoverError, match="it fell ill 3 times in an hour"):
        world.run()
    assert status_of(world.engine, world.node_id) is NodeStatus.MAINTENANCE
    assert (world.reboots, world.directive, world.steps()) == (0, None, [])


@pytest.mark.parametrize("provider_id", ["hw-999999", None])
def test_a_node_without_an_instance_is_not_rebooted_and_goes_to_a_person(world: World, provider_id: str | None) -> None:
    fall_ill(world)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET provider_id = :id"), {"id": provider_id})
    with pytest.raises(RecoverError, match="in maintenance"):
        world.run()
    assert world.steps() == [("directive", "failed")]


def test_an_outage_of_the_provider_is_no_ones_fault_and_tried_again(world: World) -> None:
    fall_ill(world)
    world.simulator.add_fault("server_error", method="POST")
    with pytest.raises(ProviderUnavailable):
        world.run()
    assert (world.action().status, world.action().attempt) == (ActionStatus.PLANNED, 2)
    assert status_of(world.engine, world.node_id) is NodeStatus.WARMING
    world.simulator.clear_faults()
    world.while_waiting = beats
    world.run()
    assert world.action().status == ActionStatus.SUCCEEDED
    assert world.steps() == [("directive", "failed"), ("reboot", "succeeded")]
    assert [entry["attempt"] for entry in world.action().attempts] == [1, 2]


def test_a_gateway_that_dies_meanwhile_leads_to_no_reboot(world: World) -> None:
    fall_ill(world)
    world.is_gateway_up = False
    with pytest.raises(ObserverLost, match="nothing can be verified"):
        world.run()
    assert (world.reboots, world.action().status) == (0, ActionStatus.PLANNED)
    with pytest.raises(ObserverLost):
        world.run()
    assert (world.reboots, world.steps()) == (0, [("directive", "waiting")])
    assert status_of(world.engine, world.node_id) is NodeStatus.WARMING


def test_a_run_that_was_killed_after_the_reboot_does_not_reboot_again(world: World) -> None:
    fall_ill(world)

    def die(world: World) -> None:
        if world.reboots:
            raise ProcessKilled

    world.while_waiting = die
    with pytest.raises(ProcessKilled):
        world.run()
    assert world.action().status == ActionStatus.RUNNING
    (recovery,) = recover(world.engine, ActionKind.RECOVER)
    assert "died while it was acting" in recovery.explanation
    world.while_waiting = beats
    world.run()
    assert world.reboots == 1
    assert (world.action().status, world.steps()) == (
        ActionStatus.SUCCEEDED, [("directive", "failed"), ("reboot", "succeeded")],
    )  # fmt: skip


def test_when_the_fleet_goes_silent_meanwhile_only_the_oldest_recovery_goes_on_and_blames_nobody(world: World) -> None:
    others = [add_node(world.engine, number) for number in (2, 3)]
    fall_ill(world)
    beat(world.engine, others, silent_seconds=120)
    (second,) = plan(world.engine, [others[0]], ActionKind.RECOVER, by=NAME, at=NOW + timedelta(seconds=2))
    probe, world.node_id = world.node_id, others[0]
    with pytest.raises(ManySilent, match="3 of 3 nodes are silent together: not touched"):
        world.run()
    assert world.action().status == ActionStatus.FAILED
    world.node_id = probe
    with pytest.raises(ManySilent, match="the probe did not come back"):
        world.run()
    assert world.reboots == 1
    assert {status_of(world.engine, each) for each in (probe, *others)} == {NodeStatus.WARMING}
    assert second != world.action().id
