"""Another plan that a person wants for a node: the larger is planned as asked, the smaller only proposed.

Which nodes ask for one by themselves is `resize_deep_queue.py`'s; whether enough nodes are left meanwhile, the
guardrails'.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.leave_on_request import DRAIN_MINUTES, check_can_leave

# In a resize's evidence.
FROM_PLAN = "from_plan"
TO_PLAN = "to_plan"


class CannotResize(Exception):
    """A node cannot be given that plan; the message says what to do instead."""


def ask_to_resize(
    node: Node,
    plan: str,
    *,
    ladder: Sequence[LadderPlan],
    reason: str,
    requested_by: str,
    drain_minutes: float,
    may_shrink: bool = False,
) -> PlannedAction:
    """The resize of a node; raises `CannotResize`, `CannotLeave`.

    `ladder`: what is on offer, from small to large. The provider documents no downsizing, so that a smaller plan must
    be meant (`may_shrink`), and waits for an approval.
    """
    check_can_leave(node, ActionKind.RESIZE)
    names = [each.name for each in ladder]
    if plan not in names:
        known = ", ".join(f"{each.name} ({each.monthly_usd} USD a month)" for each in ladder) or "nothing"
        raise CannotResize(f"plan: the provider has no {plan!r}; it has {known}")
    if plan == node.plan:
        raise CannotResize(f"{node.label} is on {plan} already")
    is_smaller = node.plan in names and names.index(plan) < names.index(node.plan)
    if is_smaller and not may_shrink:
        raise CannotResize(
            f"{plan} is smaller than {node.plan}, and the provider documents no downsizing: say that smaller is "
            "allowed, and it is proposed"
        )
    evidence: dict[str, object] = {FROM_PLAN: node.plan, TO_PLAN: plan, DRAIN_MINUTES: drain_minutes}
    return PlannedAction(node.node_id, ActionKind.RESIZE, reason, requested_by, evidence, needs_approval=is_smaller)


def monthly_difference_usd(from_plan: str, to_plan: str, ladder: Sequence[LadderPlan]) -> Decimal | None:
    """What a month costs more, or less than nothing; None where a plan has no price."""
    prices: Mapping[str, Decimal] = {each.name: each.monthly_usd for each in ladder}
    if from_plan not in prices or to_plan not in prices:
        return None
    return prices[to_plan] - prices[from_plan]
