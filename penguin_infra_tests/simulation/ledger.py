"""The simulated ledger: what is proposed and under way, what was done lately, and the guardrails over it."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from penguin_infra.domain.actions import DISRUPTIVE_KINDS, ActionKind, PlannedAction
from penguin_infra.domain.guardrails import Decision, GuardrailLimits, LedgerFacts, NodeAndKind, Rejection, judge
from penguin_infra.domain.node import NodeStatus
from penguin_infra_tests.simulation.nodes import SimulatedNode

_IN_FLEET = frozenset({NodeStatus.WARMING, NodeStatus.ACTIVE, NodeStatus.PAUSED, NodeStatus.MAINTENANCE})


@dataclass(slots=True)
class Ledger:
    """What `store/ledger.py` keeps in the product."""

    limits: GuardrailLimits = field(default_factory=GuardrailLimits)
    proposed: dict[NodeAndKind, tuple[PlannedAction, datetime]] = field(default_factory=dict)
    under_way: set[NodeAndKind] = field(default_factory=set)
    rejected: dict[NodeAndKind, Rejection] = field(default_factory=dict)
    disrupted: deque[datetime] = field(default_factory=deque)
    refusals: Counter[str] = field(default_factory=Counter)

    def facts(self, nodes: Sequence[SimulatedNode], demand: float | None, now: datetime) -> LedgerFacts:
        """As `store.guardrails` reads them."""
        return LedgerFacts(
            fleet_size=sum(node.status in _IN_FLEET for node in nodes),
            disruptions_last_hour=self.disruptions(now),
            open_actions=frozenset(self.proposed) | frozenset(self.under_way),
            under_way=frozenset(self.under_way),
            rejected=self.rejected,
            rotation=frozenset(node.node_id for node in nodes if node.is_in_rotation),
            capacity={node.node_id: node.per_day for node in nodes},
            present_demand=demand,
        )

    def decide(self, actions: Sequence[PlannedAction], facts: LedgerFacts, now: datetime) -> Decision:
        """Let the guardrails judge, and write down what they allow."""
        decision = judge(actions, facts, self.limits, now)
        for action in decision.allowed:
            self.begin(action.node_id, action.kind, now)
        self.refusals.update(refusal.rule.value for refusal in decision.refused)
        return decision

    def begin(self, node_id: UUID, kind: ActionKind, now: datetime) -> None:
        """An action is decided."""
        self.under_way.add((node_id, kind))
        if kind in DISRUPTIVE_KINDS:
            self.disrupted.append(now)

    def end(self, node_id: UUID, kind: ActionKind) -> None:
        """An action is done."""
        self.under_way.discard((node_id, kind))

    def disruptions(self, now: datetime) -> int:
        """Disruptive actions that were decided within the last hour, whoever asked."""
        while self.disrupted and self.disrupted[0] <= now - timedelta(hours=1):
            self.disrupted.popleft()
        return len(self.disrupted)
