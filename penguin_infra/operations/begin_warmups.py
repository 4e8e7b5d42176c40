"""Begin warm-ups: a node's as it is admitted, and those of nodes in service that have none yet.

One place says what plan a node follows. When it takes the next stage is `measure_warmups.py`'s and its followers'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from penguin_infra.domain.capacity import ThroughputLimits
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.warmup_curves import CURVES, DEFAULT_CURVE, WarmupCurve, WarmupPlan, plan_warmup
from penguin_infra.domain.warmup_quality import WarmupLimits
from penguin_infra.domain.warmup_state import WarmupState, begin_warmup
from penguin_infra.store import warmups
from penguin_infra.store.plan_prices import read_offers


@dataclass(frozen=True, slots=True)
class WarmupRules:
    """What an operator may set of warm-ups: the curve, the bounds, and what plans deliver."""

    curve: WarmupCurve = CURVES[DEFAULT_CURVE]
    limits: WarmupLimits = field(default_factory=WarmupLimits)
    throughput: ThroughputLimits = field(default_factory=ThroughputLimits)


def read_capacities(connection: Connection, throughput: ThroughputLimits) -> dict[str, int]:
    """What each plan on offer delivers in a day; empty before the price list was read."""
    return {plan.name: plan.messages_per_day for plan in throughput.ladder(read_offers(connection))}


def plan_for(curve: WarmupCurve, capacities: Mapping[str, int], plan_name: str, *, earned_daily: int = 0) -> WarmupPlan:
    """A node's way along the curve to its plan's capacity.

    Where nobody knows that: to the curve's end, or to what the node has earned beyond it. Not to know is not bad.
    """
    return plan_warmup(curve, capacities.get(plan_name) or max(curve.stages[-1], earned_daily))


def begin_warmup_of(
    connection: Connection,
    node_id: UUID,
    plan_name: str,
    *,
    rules: WarmupRules,
    now: datetime,
) -> WarmupState:
    """Put a fresh node at its curve's first stage; in the transaction that admits it, so that it may send at once."""
    state = begin_warmup(plan_for(rules.curve, read_capacities(connection, rules.throughput), plan_name), now)
    warmups.save_state(connection, node_id, state, now)
    return state


def begin_missing_warmups(
    connection: Connection, *, curve: WarmupCurve, capacities: Mapping[str, int], now: datetime
) -> int:
    """Give a state to nodes that were in service before warm-ups were kept; returns how many.

    A warming one begins at the first stage. An active one has earned its full capacity, and keeps that.
    """
    without = warmups.stateless_nodes(connection)
    for row in without:
        plan = plan_for(curve, capacities, row.plan)
        is_active = row.status == NodeStatus.ACTIVE
        state = WarmupState(plan.curve, plan.full_daily, now) if is_active else begin_warmup(plan, now)
        warmups.save_state(connection, row.node_id, state, now, is_finished=is_active)
    return len(without)
