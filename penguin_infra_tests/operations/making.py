"""One node's making in tests: its runs over a simulated provider, the lab's real DNS and a pretended host."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from uuid import UUID, uuid4

from sqlalchemy import Engine, text

from penguin_infra.dns_records.publisher import DnsError
from penguin_infra.domain.actions import ActionKind, RetryLimits
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import Node
from penguin_infra.domain.node_names import NamedRecord
from penguin_infra.hostwind.provider import ProviderError
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.installer.installer import InstallError
from penguin_infra.operations import provision_node
from penguin_infra.operations.node_steps import StepError
from penguin_infra.operations.node_work import NodeWork, ProvisionLimits, claim_node_work
from penguin_infra.operations.provision_parts import DirtyListing, ProvisionParts, Screening
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes, published_names, steps
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests import job_runs
from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.fleets import NOW, plan
from penguin_infra_tests.pretend_node import PretendInstaller, pretend_parts
from penguin_infra_tests.simulator_process import SimulatorProcess

FLEET = "making"
LIMITS = ProvisionLimits(
    address_timeout_minutes=5, dns_timeout_minutes=5, poll_seconds=5, retry=RetryLimits(rest_seconds=(0,))
)
EXPECTED = (StepError, ProviderError, DnsError, InstallError, nodes.NodeError)


@dataclass
class Making:
    """A world for one node. Its clock runs fast; `dirty` are addresses that a list has."""

    engine: Engine
    provider: RestProvider
    simulator: SimulatorProcess
    lab_dns: DnsProcess
    limits: ProvisionLimits = LIMITS
    at: datetime = NOW
    dirty: dict[str, str] = field(default_factory=dict)
    unanswered: tuple[str, ...] = ()
    said: list[str] = field(default_factory=list)
    installer: PretendInstaller = field(init=False)
    parts: ProvisionParts = field(init=False)

    def __post_init__(self) -> None:
        self.installer = PretendInstaller(self.engine, self.now)
        self.parts = pretend_parts(self.lab_dns, self.installer, screen=self._screen)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        # The simulator's instances boot, and its reverse names spread, in real time.
        time.sleep(0.02)

    def request(self, label: str) -> UUID:
        with self.engine.begin() as connection:
            return nodes.insert_request(
                connection, label=label, region="dallas", plan="ssd-1", requested_by="person:test", now=self.at
            )

    def node(self, node_id: UUID) -> Node:
        with self.engine.connect() as connection:
            return nodes.get_node(connection, node_id)

    def steps(self, node_id: UUID) -> dict[str, AnyRow]:
        with self.engine.connect() as connection:
            return {row.step: row for row in steps.list_steps(connection, node_id, provision_node.STEPS)}

    def action(self, node_id: UUID, kind: ActionKind) -> AnyRow:
        with self.engine.connect() as connection:
            return next(row for row in ledger.list_actions(connection, node_id=node_id) if row.kind == kind)

    def records(self, node_id: UUID) -> list[NamedRecord]:
        with self.engine.connect() as connection:
            return published_names.live_records(connection, node_id)

    def instances(self, node_id: UUID) -> list[str]:
        """The node's instances at the provider."""
        return [str(one["id"]) for one in self.simulator.instances() if str(one["label"]).endswith(node_id.hex[:8])]

    @contextmanager
    def working(self, node_id: UUID, kind: ActionKind) -> Iterator[NodeWork]:
        """One run's claim on the node's open action of that kind, or on a new one."""
        with self.engine.begin() as connection:
            open_ids = connection.scalars(
                text("SELECT id FROM fleet.node_actions WHERE node_id = :n AND kind = :k AND status = 'planned'"),
                {"n": node_id, "k": kind},
            ).all()
        action_id = open_ids[0] if open_ids else plan(self.engine, [node_id], kind, at=self.at)[0]
        work = claim_node_work(
            engine=self.engine,
            provider=self.provider,
            fleet_name=FLEET,
            limits=self.limits,
            clock=self,
            say=self.said.append,
            action_id=action_id,
            run_id=str(uuid4()),
        )
        try:
            yield work
        finally:
            work.close()

    def provision(self, node_id: UUID) -> None:
        """One whole run; what it raises is the caller's."""
        with self.working(node_id, ActionKind.PROVISION) as work:
            job_runs.provision(work, self.parts)

    def provision_until_over(self, node_id: UUID) -> AnyRow:
        """As many runs as the ledger asks for; returns the action."""
        while True:
            with suppress(*EXPECTED):
                self.provision(node_id)
            action = self.action(node_id, ActionKind.PROVISION)
            if action.status != "planned":
                return action

    def release(self, node_id: UUID) -> None:
        with self.working(node_id, ActionKind.RELEASE) as work:
            job_runs.release(work, self.parts)

    def reinstall(self, node_id: UUID) -> None:
        with self.working(node_id, ActionKind.REINSTALL) as work:
            job_runs.reinstall(work, self.parts)

    def _screen(self, address: IPv4Address) -> Screening:
        zone = self.dirty.get(str(address))
        listings = (DirtyListing(zone, Severity.CRITICAL, ("127.0.0.2",)),) if zone else ()
        return Screening(listings, self.unanswered)
