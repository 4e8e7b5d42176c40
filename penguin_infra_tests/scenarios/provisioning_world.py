"""A small fleet whose processes die where a test says: ticks and runs over the real operations, database and HTTP.

A process that dies is an exception that no `except Exception` stops, and its database session ended by the server.
What must hold afterwards stands in the tests.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, text

from penguin_infra.dns_records.publisher import DnsError
from penguin_infra.domain.actions import ActionKind, PlannedAction, RetryLimits
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.lifecycle import IllegalTransition
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.clear_leftovers import plan_clearances
from penguin_infra.domain.policies.provision_requested import plan_provisions, plan_releases
from penguin_infra.hostwind.provider import ProviderError
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.installer.installer import InstallError
from penguin_infra.operations.carry_out_batch import carry_out_batch
from penguin_infra.operations.node_steps import StepError
from penguin_infra.operations.node_work import ActionTaken, ProvisionLimits, claim_node_work
from penguin_infra.operations.pause_node import pause_node
from penguin_infra.operations.plan_actions import plan_actions
from penguin_infra.operations.provision_parts import ProvisionParts
from penguin_infra.operations.recover_actions import recover_actions
from penguin_infra.operations.request_nodes import request_nodes
from penguin_infra.operations.resume_node import resume_node
from penguin_infra.operations.take_inventory import compare_inventory, refresh_listing
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes
from penguin_infra.store.actions import Action
from penguin_infra.store.database import RunLockLost
from penguin_infra.store.requests import leftovers, requested_nodes
from penguin_infra_tests import job_runs
from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.pretend_node import clear_zone
from penguin_infra_tests.scenarios.deaths import LATENCY_SECONDS, FakeClock, Points, ProcessKilled
from penguin_infra_tests.simulator_process import SimulatorProcess

FLEET = "random"

_LIMITS = ProvisionLimits(address_timeout_minutes=2, retry=RetryLimits(max_attempts=2))

_EXPECTED = (
    ActionTaken,
    StepError,
    ProviderError,
    DnsError,
    InstallError,
    RunLockLost,
    IllegalTransition,
    nodes.NodeError,
)
_PLANS: dict[ActionKind, Callable[[Connection], tuple[PlannedAction, ...]]] = {
    ActionKind.PROVISION: lambda connection: plan_provisions(requested_nodes(connection)),
    ActionKind.RELEASE: lambda connection: (
        *plan_releases(requested_nodes(connection)),
        *plan_clearances(leftovers(connection)),
    ),
}


@dataclass
class World:
    """`engine` is the processes' own, with points at its commits; `outside` is the observer's."""

    engine: Engine
    outside: Engine
    simulator: SimulatorProcess
    provider: RestProvider
    parts: ProvisionParts
    lab_dns: DnsProcess
    points: Points
    clock: FakeClock = field(default_factory=FakeClock)
    limits: ProvisionLimits = _LIMITS
    is_slow: bool = False
    _ended_runs: set[str] = field(default_factory=set)
    _living_runs: list[str] = field(default_factory=list)

    def add_fault(self, kind: str, *, count: int, method: str | None) -> None:
        self.is_slow |= kind == "latency"
        self.simulator.add_fault(kind, count=count, method=method, seconds=LATENCY_SECONDS)

    def request(self, node_count: int) -> None:
        with self.outside.begin() as connection:
            request_nodes(
                connection,
                node_count=node_count,
                region="dallas",
                plan="ssd-1",
                requested_by="person:anna",
                now=self.clock.now(),
            )

    def tick(self) -> list[Action]:
        """What the provision and the release sensor do; returns the actions that a run was asked for."""
        asked: list[Action] = []
        with self._mortal():
            for kind, plan in _PLANS.items():
                now = self.clock.now()
                plan_actions(self.engine, plan, limits=GuardrailLimits(), now=now)
                recover_actions(
                    self.engine,
                    kind,
                    find_ended_runs=lambda keys: {key: "failure" for key in keys if key in self._ended_runs},
                    limits=self.limits.retry,
                    now=now,
                )
                with self.engine.begin() as connection:
                    due = ledger.due_actions(connection, kind, now)
                    ledger.mark_dispatched(connection, [action.action_id for action in due], now)
                asked += due
        return asked

    def tick_and_run(self) -> None:
        for action in self.tick():
            self.run(action)
            self._ended_runs.add(action.run_key)

    def tick_and_lose_runs(self, *, is_dagster_aware: bool) -> None:
        """The runs asked for die before they take their action up, or never come into being."""
        asked = self.tick()
        if is_dagster_aware:
            self._ended_runs |= {action.run_key for action in asked}

    def run(self, action: Action) -> None:
        """One run of the job, in whatever way it ends."""
        run_id = str(uuid4())
        self._living_runs.append(run_id)
        try:
            with self._mortal():
                self._work_on(action, run_id)
        except _EXPECTED:
            pass
        finally:
            self._living_runs.remove(run_id)
        if self.is_slow:
            # A request that the client gave up on is carried out before the next tick, five seconds later at least.
            time.sleep(LATENCY_SECONDS)
            self.is_slow = any(fault["kind"] == "latency" for fault in self.simulator.faults())

    def force(self, kind: ActionKind, node_id: UUID) -> None:
        """Run an action that no policy planned."""
        with self.outside.begin() as connection:
            wanted = [PlannedAction(node_id, kind, "a test", "person:anna")]
            (action_id,) = ledger.insert_planned(connection, wanted, self.clock.now())
            action = ledger.get_action(connection, action_id)
        assert action is not None
        self.run(action)

    def person_asks(self, kind: ActionKind) -> None:
        """Anna pauses or resumes every node that is in service, as the command does, and the batch runs."""
        act = pause_node if kind is ActionKind.PAUSE else resume_node
        wanted = [
            PlannedAction(node.node_id, kind, "a test", "person:anna") for node in self.nodes() if node.ip_address
        ]
        run_id = str(uuid4())
        with self._mortal():
            plan_actions(self.engine, lambda _: wanted, limits=GuardrailLimits(), now=self.clock.now())
            carry_out_batch(self.engine, kind, act, run_id=run_id, clock=self.clock.now, limits=self.limits.retry)

    def lose_lock(self) -> None:
        """The database session that proves the newest run alive ends, and the run does not know yet."""
        with self.outside.begin() as connection:
            query = text("SELECT pg_terminate_backend(fleet.run_lock_holder(:run_id), 5000)")
            connection.execute(query, {"run_id": self._living_runs[-1]} if self._living_runs else {"run_id": ""})

    def lose_lock_to_a_successor(self) -> None:
        """As above, and another run carries the action on before the first one wakes.

        It may fail for good and be released meanwhile: what the first run then makes is an instance that comes late.
        """
        self.lose_lock()
        self.tick_and_run()

    def kill(self) -> None:
        raise ProcessKilled

    def restart_simulator(self) -> None:
        self.simulator.kill()
        self.simulator.start()

    def settle(self) -> None:
        """Let everything work again and time pass until nothing is open."""
        self.points.disarm()
        self.simulator.clear_faults()
        for _ in range(30):
            self.clock.sleep(301)
            refresh_listing(self.outside, self.provider, self.clock.now())
            compare_inventory(self.outside, fleet_name=FLEET, now=self.clock.now())
            self.tick_and_run()
            if not self.open_work():
                return
        raise AssertionError(f"still open after 30 rounds without a fault: {self.open_work()}")

    def open_work(self) -> list[str]:
        query = text(
            "SELECT 'request ' || label FROM fleet.sending_nodes WHERE status = 'provisioning' UNION ALL "
            "SELECT kind || ' ' || status FROM fleet.node_actions WHERE status IN ('planned', 'running') "
            "AND kind IN ('provision', 'release')"
        )
        with self.outside.connect() as connection:
            return list(connection.scalars(query))

    def nodes(self) -> list[Node]:
        with self.outside.connect() as connection:
            return nodes.list_nodes(connection)

    def statuses(self, node_id: UUID) -> list[tuple[str | None, str]]:
        """A node's history as pairs of statuses, oldest first."""
        with self.outside.connect() as connection:
            return [(row.from_status, row.to_status) for row in nodes.transitions(connection, node_id)]

    def known_records(self) -> set[tuple[str, str, str]]:
        """What the registry says that it published, reverse names aside."""
        query = text("SELECT name, rdtype, value FROM fleet.dns_records WHERE removed_at IS NULL AND rdtype <> 'PTR'")
        with self.outside.connect() as connection:
            return {(row.name, row.rdtype, row.value) for row in connection.execute(query)}

    def created_labels(self) -> list[str]:
        """The label of every instance that was ever paid for."""
        lines: Any = self.simulator.bill()["instances"]
        return [line["label"] for line in lines]

    def clear(self) -> None:
        """An empty database and an empty account, with nothing in force."""
        self.is_slow = False
        self.points.disarm()
        self.simulator.clear_faults()
        self._ended_runs.clear()
        with self.outside.begin() as connection:
            # As a replica, so that the triggers that guard history let it go.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for table in (
                "sink_messages",
                "verification_findings",
                "address_rejections",
                "dns_records",
                "agent_tokens",
                "node_pulses",
                "instance_drift",
                "provider_instances",
                "node_transitions",
                "provisioning_steps",
                "ip_tenures",
                "node_actions",
                "sending_nodes",
            ):
                connection.execute(text(f"DELETE FROM fleet.{table}"))
        for instance in self.simulator.instances():
            self.simulator.ask("DELETE", f"/instances/{instance['id']}").raise_for_status()
        clear_zone(self.lab_dns)

    def _work_on(self, action: Action, run_id: str) -> None:
        work = claim_node_work(
            engine=self.engine,
            provider=self.provider,
            fleet_name=FLEET,
            limits=self.limits,
            clock=self.clock,
            say=lambda _: None,
            action_id=action.action_id,
            run_id=run_id,
        )
        try:
            run = job_runs.release if action.kind is ActionKind.RELEASE else job_runs.provision
            run(work, self.parts)
        except ProcessKilled:
            self.lose_lock()
            raise
        finally:
            work.close()

    @contextmanager
    def _mortal(self) -> Iterator[None]:
        with suppress(ProcessKilled):
            yield
