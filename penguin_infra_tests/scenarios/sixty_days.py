"""Sixty days of a fleet at a simulated provider whose clock is the test's: what happens, and what was billed for it.

The product's own parts ask, look and write down; the inventory is taken every five minutes around whatever happens.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import InstanceLabel
from penguin_infra.operations.instances import destroy_instances, note_billed, read_instance
from penguin_infra.operations.node_work import NodeWork, ProvisionLimits, claim_node_work
from penguin_infra.operations.refresh_prices import refresh_prices
from penguin_infra.operations.take_inventory import compare_inventory, refresh_listing
from penguin_infra.store import actions as ledger
from penguin_infra.store import node_places, nodes
from penguin_infra_tests.fleets import plan
from penguin_infra_tests.simulated_provider import SimulatedProvider

FLEET = "sixty"
FIRST = datetime(2026, 1, 10, tzinfo=UTC)
LAST = FIRST + timedelta(days=59)
BOOT_SECONDS = 20.0

_SETTLED = timedelta(seconds=30)
_LOOKS = timedelta(minutes=5)


@dataclass
class SixtyDays:
    """The world: events are told by their day, hour and minute, in order."""

    engine: Engine
    provider: SimulatedProvider
    at: datetime = FIRST
    nodes: dict[str, UUID] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def until(self, day: int, hour: int, minute: int) -> None:
        """Let the time pass; the last looks before and the first after whatever happens are the inventory's."""
        moment = FIRST + timedelta(days=day, hours=hour, minutes=minute)
        assert moment > self.at, (moment, self.at)
        self._look(self.at - (self.at - FIRST) % _LOOKS + _LOOKS)
        self._look(moment - (moment - FIRST) % _LOOKS)
        self.at = moment

    def provision(self, label: str, plan_name: str = "ssd-1") -> None:
        """A node is asked for, made and admitted."""
        self._create(label, plan_name)
        self.event(label, NodeEvent.ADMITTED)

    def fail(self, label: str) -> None:
        """A node is asked for, its instance is made, and the provisioning is given up before it is ready."""
        self._create(label, "ssd-1")
        self.sleep(2 * 60)
        self._destroy(label, ActionKind.RELEASE)
        self.event(label, NodeEvent.PROVISIONING_FAILED)

    def resize(self, label: str, plan_name: str) -> None:
        with self._work(label, ActionKind.RESIZE) as work:
            self.provider.port.resize_instance(self.instances[label], plan_name)
            self.at += _SETTLED
            with self.engine.connect() as connection:
                instance = read_instance(work, nodes.get_node(connection, work.node_id))
            assert instance.plan == plan_name
            note_billed(work, [instance], self.now())
            with self.engine.begin() as connection:
                node_places.record_plan(connection, work.node_id, plan_name, self.now())

    def decommission(self, label: str) -> None:
        self.event(label, NodeEvent.DECOMMISSIONED)
        self._destroy(label, ActionKind.DECOMMISSION)

    def stranger(self, name: str, *, is_ours: bool) -> None:
        """An instance that no node asked for."""
        label = InstanceLabel.of(fleet_name=FLEET, label=name, node_id=uuid4()) if is_ours else name
        made = self.provider.port.create_instance(label=str(label), region="seattle", plan="ssd-1")
        self.instances[name] = made.provider_id

    def end_stranger(self, name: str) -> None:
        self.provider.port.delete_instance(self.instances[name])

    def addresses(self, name: str, count: int) -> None:
        """Somebody orders or gives back addresses at the provider's own site."""
        self.provider.ask("POST", f"/lab/instances/{self.instances[name]}/extra-addresses", {"count": count})

    def price(self, plan_name: str, monthly_usd: str) -> None:
        self.provider.ask("POST", "/lab/prices", {"plan": plan_name, "monthly_usd": monthly_usd})

    def event(self, label: str, event: NodeEvent) -> None:
        with self.engine.begin() as connection:
            nodes.apply_event(
                connection, self.nodes[label], event, reason="test", requested_by="person:test", now=self.now()
            )

    def bill(self, cycle: str) -> Mapping[str, Decimal]:
        """What the provider bills by now, an instance a line."""
        lines = self.provider.ask("GET", f"/lab/bill?cycle={cycle}")["instances"]
        assert isinstance(lines, list)
        return {line["id"]: Decimal(line["amount_usd"]) for line in lines}

    def end(self) -> None:
        """To the last day's midnight, and the inventory after it."""
        self.until(59, 23, 57)
        self._look(LAST + timedelta(days=1))

    def _create(self, label: str, plan_name: str) -> None:
        with self.engine.begin() as connection:
            self.nodes[label] = nodes.insert_request(
                connection, label=label, region="dallas", plan=plan_name, requested_by="person:test", now=self.now()
            )
        name = str(InstanceLabel.of(fleet_name=FLEET, label=label, node_id=self.nodes[label]))
        with self._work(label, ActionKind.PROVISION) as work:
            asked_at = self.now()
            made = self.provider.port.create_instance(label=name, region="dallas", plan=plan_name)
            note_billed(work, [made], asked_at)
            self.instances[label] = made.provider_id
            self.at += _SETTLED
            address = self.provider.port.get_instance(made.provider_id).ip_address
            assert address is not None
            with self.engine.begin() as connection:
                node_places.record_instance(connection, work.node_id, made.provider_id, self.now())
                node_places.record_address(connection, work.node_id, address, self.now())

    def _destroy(self, label: str, kind: ActionKind) -> None:
        with self._work(label, kind) as work:
            destroy_instances(work, {self.instances[label]})

    @contextmanager
    def _work(self, label: str, kind: ActionKind) -> Iterator[NodeWork]:
        (action_id,) = plan(self.engine, [self.nodes[label]], kind, at=self.now())
        work = claim_node_work(
            engine=self.engine,
            provider=self.provider.port,
            fleet_name=FLEET,
            limits=ProvisionLimits(),
            clock=self,
            say=lambda _: None,
            action_id=action_id,
            run_id=str(uuid4()),
        )
        try:
            yield work
            with self.engine.begin() as connection:
                ledger.finish(connection, action_id, outcome="done", now=self.now())
        finally:
            work.close()

    def _look(self, moment: datetime) -> None:
        """The five minutes' run, at its time."""
        if moment <= self.at and moment != FIRST:
            return
        self.at = moment
        refresh_prices(self.engine, self.provider.port, self.now())
        refresh_listing(self.engine, self.provider.port, self.now())
        compare_inventory(self.engine, fleet_name=FLEET, now=self.now())


def play(world: SixtyDays) -> None:
    """Whatever is billed in its own way, at least once."""
    world.until(0, 0, 7)
    world.provision("whole")  # lives on
    world.until(0, 9, 31)
    world.provision("grows", "ssd-1")
    world.until(1, 3, 17)
    world.stranger("somebody-elses", is_ours=False)
    world.until(2, 23, 48)
    world.provision("brief")
    world.until(3, 0, 12)
    world.decommission("brief")  # within its first hour, over midnight
    world.until(5, 10, 22)
    world.fail("unlucky")
    world.until(9, 14, 3)
    world.resize("grows", "ssd-2")
    world.until(12, 6, 41)
    world.price("ssd-1", "5.49")
    world.until(14, 12, 13)
    world.addresses("whole", 2)
    world.until(18, 2, 33)
    world.stranger("lost", is_ours=True)
    world.until(19, 1, 58)
    world.end_stranger("lost")
    world.until(20, 8, 27)
    world.event("grows", NodeEvent.WARMED_UP)
    world.until(21, 15, 36)
    world.provision("end-of-month", "ssd-2")  # 31 January
    world.until(24, 20, 9)
    world.addresses("whole", 1)
    world.until(27, 4, 16)
    world.resize("grows", "ssd-4")
    world.until(27, 6, 2)
    world.resize("grows", "ssd-2")  # back within hours
    world.until(33, 11, 53)
    world.price("ssd-2", "8.99")
    world.until(36, 18, 24)
    world.event("end-of-month", NodeEvent.PAUSED)
    world.until(41, 13, 38)
    world.end_stranger("somebody-elses")
    world.until(45, 22, 11)
    world.decommission("grows")
    world.until(52, 5, 29)
    world.addresses("whole", 0)
    world.until(53, 7, 44)
    world.provision("late", "ssd-4")
    world.end()
