"""A simulated node's warm-up, step by step, by the domain's own rule."""

from collections import deque
from datetime import datetime

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.warmup import WarmupDecision, WarmupStep, advance_warmup
from penguin_infra.domain.warmup_state import Measured, WarmupEvidence
from penguin_infra_tests.simulation.nodes import SimulatedNode, plan_of

STEPS = frozenset({WarmupDecision.ADVANCE, WarmupDecision.STEP_BACK, WarmupDecision.RESTART, WarmupDecision.FINISH})


def review(node: SimulatedNode, now: datetime) -> WarmupStep | None:
    """What the rule says of a warming node, or of an active one that came back; None of all others."""
    if node.state is None:
        return None
    has_returned = node.returned_at is not None and node.returned_at > node.state.since_at
    if node.status is not NodeStatus.WARMING and not (node.status is NodeStatus.ACTIVE and has_returned):
        return None
    evidence = WarmupEvidence(
        total=Measured(node.state.since_at, node.stage),
        delivered_last_day={"other": sum(node.stage_hours)},
        last_sent_at=node.last_sent_at,
        returned_at=node.returned_at,
    )
    return advance_warmup(node.state, evidence, plan_of(node.plan), now)


def take(node: SimulatedNode, step: WarmupStep) -> None:
    """Keep a step: another stage's facts begin, and the node is warm, or went cold."""
    node.state = step.state
    node.stage, node.stage_hours = DeliveryFacts(), deque(maxlen=24)
    if step.decision is WarmupDecision.FINISH:
        node.status = NodeStatus.ACTIVE
    elif step.decision is WarmupDecision.RESTART:
        node.status = NodeStatus.WARMING
