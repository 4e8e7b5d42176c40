"""One run's claim on one node's action: what it takes to work at a provider on it, and the proof that the run lives.

The work itself is `provision_node.py`'s and `release_node.py`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionStatus, RetryLimits
from penguin_infra.hostwind.provider import NodeProvider
from penguin_infra.store import actions as ledger
from penguin_infra.store.actions import Action
from penguin_infra.store.database import RunLock


class ActionTaken(Exception):
    """The action is not this run's to carry out: another run has it, or it is closed."""


@dataclass(frozen=True, slots=True)
class ProvisionLimits:
    """How long each step of a provisioning may take, and how often we look.

    The provider's VPS are ready in about 10 minutes; after 15 cluster-autoscaler and we count one as failed. A reverse
    name spreads within minutes as a rule, and up to two days (reference: hostwind-api.md): an hour is waited for it.
    """

    address_timeout_minutes: float = 15
    # Dirty addresses are given back; after so many the region's range is to blame, and a person is told.
    most_addresses: int = 3
    screen_timeout_minutes: float = 5
    dns_timeout_minutes: float = 60
    install_timeout_minutes: float = 30
    mail_timeout_minutes: float = 5
    heartbeat_timeout_minutes: float = 5
    drain_minutes: float = 30
    # An instance of ours that no node asked for: long enough for every creation to be written down.
    orphan_grace_minutes: float = 60
    scan_ports: bool = True
    poll_seconds: float = 10
    retry: RetryLimits = field(default_factory=RetryLimits)


class Clock(Protocol):
    """The time, and a way to let it pass."""

    def now(self) -> datetime:
        """The aware time of now."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class NodeWork:
    """One attempt at one action of one node. Made by `claim_node_work`; close it when the run ends."""

    engine: Engine
    provider: NodeProvider
    fleet_name: str
    limits: ProvisionLimits
    clock: Clock
    say: Callable[[str], None]
    action: Action
    lock: RunLock

    @property
    def node_id(self) -> UUID:
        """The node that is worked on."""
        return self.action.node_id

    def close(self) -> None:
        """Give the run lock back."""
        self.lock.close()


def claim_node_work(
    *,
    engine: Engine,
    provider: NodeProvider,
    fleet_name: str,
    limits: ProvisionLimits,
    clock: Clock,
    say: Callable[[str], None],
    action_id: UUID,
    run_id: str,
) -> NodeWork:
    """Take the action for this run; raises `ActionTaken` where it is not to be had."""
    lock = RunLock(engine, run_id)
    try:
        with engine.begin() as connection:
            action = ledger.claim_one(connection, action_id, run_id, clock.now())
            found = action or ledger.get_action(connection, action_id)
    except BaseException:
        lock.close()
        raise
    if action is None:
        lock.close()
        raise ActionTaken(_why_not_ours(found, action_id))
    return NodeWork(engine, provider, fleet_name, limits, clock, say, action, lock)


def _why_not_ours(found: Action | None, action_id: UUID) -> str:
    if found is None:
        return f"the ledger has no action {action_id}"
    if found.status is ActionStatus.PLANNED:
        return f"the fleet is frozen: action {action_id} waits for `penguin-infra thaw`"
    return f"action {action_id} is {found.status}" + (f" in run {found.run_id}" if found.run_id else "")
