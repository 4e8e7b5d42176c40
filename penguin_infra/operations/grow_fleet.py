"""Ask for the nodes that the fleet lacks. Each becomes a request with the sums that led to it; nothing is bought here.

How many are lacking is `domain/policies/grow_fleet.py`'s; what it is reckoned on, `read_fleet_size.py`'s.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.guardrails import GuardrailLimits, Mode, Rule
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.grow_fleet import NAME, GrowthPlan, plan_growth
from penguin_infra.operations.read_fleet_size import SizeLimits, read_fleet_size
from penguin_infra.operations.request_nodes import request_nodes
from penguin_infra.store.decisions import last_rejection_of_request
from penguin_infra.store.switches import frozen_by


@dataclass(frozen=True, slots=True)
class GrowthHold:
    """What keeps the fleet from asking for nodes by itself, and why."""

    rule: Rule
    explanation: str


def read_growth_plan(connection: Connection, *, limits: SizeLimits, now: datetime) -> GrowthPlan | None:
    """What is lacking now; None where the price list is not known, or has no plan for new nodes."""
    figures = read_fleet_size(connection, limits, now)
    return plan_growth(figures.size, new_node=figures.new_node, limits=limits.growth) if figures else None


def growth_hold(connection: Connection, guardrails: GuardrailLimits, now: datetime) -> GrowthHold | None:
    """Why nothing may be asked for now, in the guardrails' order of precedence; None where it may.

    A person who rejects one of growth's provisions says no to all of it for a while: the same sums would only bring
    the next request.
    """
    frozen = frozen_by(connection)
    if frozen is not None:
        return GrowthHold(Rule.KILL_SWITCH, f"the fleet is frozen by {frozen}; thaw it to go on")
    rejection = last_rejection_of_request(connection, NAME)
    if rejection and now < (until := rejection.rejected_at + timedelta(hours=guardrails.rejection_rest_hours)):
        said = f"{rejection.rejected_by} rejected a node of growth at {rejection.rejected_at:%Y-%m-%d %H:%M}"
        return GrowthHold(Rule.COOL_DOWN, f"{said}; none is asked for before {until:%Y-%m-%d %H:%M} UTC")
    if guardrails.mode_of(ActionKind.PROVISION) is Mode.OBSERVE:
        return GrowthHold(Rule.OBSERVE_ONLY, "provision is only observed: they would have been asked for now")
    return None


def grow_fleet(
    connection: Connection, *, limits: SizeLimits, guardrails: GuardrailLimits, now: datetime
) -> tuple[GrowthPlan | None, list[Node]]:
    """Ask for what is lacking, in the given transaction, which holds the planning lock: no cap is spent twice."""
    if growth_hold(connection, guardrails, now) is not None:
        return None, []
    plan = read_growth_plan(connection, limits=limits, now=now)
    if plan is None:
        return None, []
    asked = [
        node
        for region, count in plan.by_region
        for node in request_nodes(
            connection,
            node_count=count,
            region=region,
            plan=limits.growth.plan,
            requested_by=NAME,
            now=now,
            reason=plan.reason,
        )
    ]
    return plan, asked
