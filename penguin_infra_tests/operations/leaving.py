"""One node's way out in tests: its runs, the clock that passes while they wait, and what its heartbeats tell."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind, PlannedAction, RetryLimits
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.operations.drain_node import drain
from penguin_infra.operations.maintain_node import begin_maintenance
from penguin_infra.operations.node_work import NodeWork, ProvisionLimits, claim_node_work
from penguin_infra.operations.recover_actions import recover_actions
from penguin_infra.store import actions as ledger
from penguin_infra.store import drains, steps
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests.fleets import NOW
from penguin_infra_tests.pulses import SERVED, beat, tick

LIMITS = ProvisionLimits(drain_minutes=30, poll_seconds=10, retry=RetryLimits(rest_seconds=(0,)))

# Nobody but the node itself: what the floor says is the guardrails' tests'.
NO_FLOOR = GuardrailLimits(smallest_rotation_share=0)


@dataclass
class Leaving:
    """A world for one node that leaves. Each wait lets both clocks go on, and then `meanwhile` happen."""

    engine: Engine
    provider: RestProvider
    node_id: UUID
    at: datetime = NOW
    kind: ActionKind = ActionKind.MAINTENANCE
    guardrails: GuardrailLimits = NO_FLOOR
    is_gateway_up: bool = True
    meanwhile: Callable[["Leaving"], None] = lambda _world: None
    said: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        if self.is_gateway_up:
            tick(self.engine, served_seconds=SERVED + (self.at - NOW).total_seconds(), at=self.at)
        self.meanwhile(self)

    @property
    def minutes(self) -> float:
        """How long the world has lasted."""
        return (self.at - NOW).total_seconds() / 60

    def ask(self, *, by: str = "person:ada", **evidence: object) -> UUID:
        """The action, planned without asking the guardrails."""
        with self.engine.begin() as connection:
            wanted = PlannedAction(self.node_id, self.kind, "kernel update", by, evidence)
            return ledger.insert_planned(connection, [wanted], self.at)[0]

    @contextmanager
    def working(self) -> Iterator[NodeWork]:
        """One run's claim on the action."""
        work = claim_node_work(
            engine=self.engine,
            provider=self.provider,
            fleet_name="penguin",
            limits=LIMITS,
            clock=self,
            say=self.said.append,
            action_id=self.action().id,
            run_id=str(uuid4()),
        )
        try:
            yield work
        finally:
            work.close()

    def maintain(self) -> AnyRow:
        """One whole run of a maintenance; returns the action."""
        with self.working() as work:
            drain(work, self.guardrails)
            begin_maintenance(work)
        return self.action()

    def find_dead_runs(self) -> None:
        """As the sensor's next tick does."""
        recover_actions(self.engine, self.kind, find_ended_runs=lambda _keys: {}, limits=LIMITS.retry, now=self.at)

    def action(self) -> AnyRow:
        with self.engine.connect() as connection:
            rows = ledger.list_actions(connection, node_id=self.node_id)
        return next(row for row in rows if row.kind == self.kind)

    def step(self, name: str) -> AnyRow:
        with self.engine.connect() as connection:
            rows = steps.list_steps(connection, self.node_id, (name,))
        return next(row for row in rows if row.step == name)

    @property
    def drain_until(self) -> datetime | None:
        with self.engine.connect() as connection:
            return drains.drain_until(connection, self.node_id)


def tell_queue(
    world: Leaving,
    *,
    active: int | None = 0,
    deferred: int | None = 0,
    held: int | None = 0,
    reasons: dict[str, int] | None = None,
    mta_state: str = "up",
    is_truncated: bool = False,
) -> None:
    """Let the node speak now, and say so of its queue."""
    beat(world.engine, [world.node_id], silent_seconds=0, mta_state=mta_state, at=world.at)
    details: dict[str, Any] = {"delay_reasons": [{"reason": why, "count": n} for why, n in (reasons or {}).items()]}
    if is_truncated:
        details["is_truncated"] = True
    with world.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE fleet.node_pulses SET queue_active = :active, queue_deferred = :deferred, queue_held = :held,"
                " details = :details WHERE node_id = :node_id"
            ),
            {
                "active": active, "deferred": deferred, "held": held,
                "details": json.dumps(details), "node_id": world.node_id,
            },
        )  # fmt: skip
