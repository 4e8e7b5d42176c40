"""Which savings are worth making, one after another, so that all of them can be made together.

Orphans first, then what gives up no capacity (burnt addresses), then whole nodes (idle ones, spare ones), then smaller
plans (`downsize_nodes.py`), and the billing of what is left. A node is in one of them at most, and each must hold with
all before it made already. Nothing here acts: a person plans a saving, and approves its action.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median_high

from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.fleet_size import GrowthLimits
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.downsize_nodes import is_judged, peaks_of, smaller_plans
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits, reasons_against
from penguin_infra.domain.pricing import BillingCycle, CostLimits
from penguin_infra.domain.saving_choice import SavingChoice
from penguin_infra.domain.savings import (
    HOURS_A_MONTH,
    FleetNode,
    SavingFacts,
    SavingKind,
    SavingLimits,
    SavingPlan,
)

_MONTH = timedelta(days=30)
_HELD = frozenset({NodeStatus.PAUSED, NodeStatus.MAINTENANCE})

_ADDRESS_IS_LOST = "its warmed address is given up for good, and a new one takes weeks to warm up"
_BURNT_RISK = "its address is given up for good; a listing that ends by itself later would have brought it back"
_SPARE_RISK = f"{_ADDRESS_IS_LOST}; the rest carries its mail, with less room for the next listing"
_DOWNSIZE_RISK = (
    "the provider documents no downsizing: its REST interface takes it, its cloud contract calls shrinking "
    "undocumented, and a disk that is too full for the smaller plan makes it fail; the node restarts, drained"
)
_ORPHAN_RISK = "somebody may still use it: look at what it is before it is deleted, nothing brings it back"


@dataclass(frozen=True, slots=True)
class SavingRules:
    """All limits that savings are judged by."""

    growth: GrowthLimits
    shrink: ShrinkLimits
    resize: ResizeLimits
    cost: CostLimits
    savings: SavingLimits

    @property
    def share(self) -> float:
        """How full the fleet may be afterwards: no fuller than growth would leave it."""
        return min(self.savings.highest_share_after, self.growth.target_share)


def recommend_savings(facts: SavingFacts, rules: SavingRules, now: datetime) -> SavingPlan:
    """All savings that can be made together, the greatest first."""
    choice = SavingChoice(facts, cost=rules.cost, savings=rules.savings, shrink=rules.shrink, share=rules.share)
    notes: list[str] = []
    if unknown := sorted({node.plan for node in facts.nodes} - facts.rates.keys()):
        notes.append(f"no price is known of {', '.join(unknown)}: its nodes are not judged, and count as costing none")
    _take_orphans(choice, facts, now)
    _take_burnt(choice, facts, rules, now)
    if facts.size is None or facts.outlook is None:
        notes.append("no capacity is given up: the demand, or the price of new nodes, is not known yet")
    else:
        _take_idle(choice, facts, rules, now)
        if why := next(reasons_against(facts.size, rules.growth, rules.shrink, now), None):
            notes.append(f"nothing is consolidated: {why}")
        else:
            _take_spare(choice, facts)
        _take_oversized(choice, facts, rules, now)
    _take_billing(choice, facts, rules, now)
    return choice.plan(notes)


def _take_orphans(choice: SavingChoice, facts: SavingFacts, now: datetime) -> None:
    for orphan in sorted(facts.orphans, key=lambda each: (each.label, each.provider_id)):
        choice.release(
            orphan,
            reason=f"{orphan.label} ({orphan.provider_id}) is billed and held by no node since "
            f"{orphan.since:%Y-%m-%d}, {_days(now - orphan.since)}",
            risk=_ORPHAN_RISK,
            by_hand=f"look at {orphan.provider_id} ({orphan.label}) at the provider, and delete it there if nobody "
            "needs it; the next inventory sees it gone",
        )


def _take_burnt(choice: SavingChoice, facts: SavingFacts, rules: SavingRules, now: datetime) -> None:
    """Addresses that were bad and out of service for so long that they will not recover; they carry nothing."""
    for node in _by_worth(facts):
        if node.status in _HELD and choice.is_free(node) and (why := _burnt(node, rules.savings, now)):
            choice.retire(node, SavingKind.RETIRE, reason=why, risk=_BURNT_RISK)


def _take_idle(choice: SavingChoice, facts: SavingFacts, rules: SavingRules, now: datetime) -> None:
    """Nodes that serve and got nothing to send while others did."""
    spell = timedelta(days=rules.savings.idle_days)
    if not any(node.idle_ended for node in facts.nodes):
        return  # Nobody sent: that says nothing about any one of them.
    for node in _by_worth(facts):
        has_served = node.serving_since is not None and now - node.serving_since >= spell
        # A node that does not speak may have sent, and not told.
        is_idle = node.is_serving and has_served and node.is_speaking and not node.idle_ended
        if is_idle and choice.is_free(node) and choice.may_leave(node):
            why = f"{node.label} sent nothing in {_days(spell)} in service; the others carry all: "
            reason = why + choice.without_node(node)
            choice.retire(node, SavingKind.RETIRE, reason=reason, risk=_ADDRESS_IS_LOST)


def _take_spare(choice: SavingChoice, facts: SavingFacts) -> None:
    """Small nodes that the rest can do without, the least reputable first."""
    per_day = {plan.name: plan.messages_per_day for plan in facts.ladder}
    sizes: dict[str, list[int]] = {}
    for node in facts.nodes:
        if node.is_serving and node.plan in per_day:
            sizes.setdefault(node.region, []).append(per_day[node.plan])
    for node in _by_worth(facts):
        if node.status is not NodeStatus.ACTIVE or node.plan not in per_day:
            continue
        is_small = per_day[node.plan] <= median_high(sizes[node.region])
        if is_small and choice.is_free(node) and choice.may_leave(node):
            reason = (
                f"{node.label} (reputation {node.reputation}) is one of the nodes of {node.region} whose mail the "
                f"rest carries, with those given up before it: {choice.without_node(node)}"
            )
            choice.retire(node, SavingKind.CONSOLIDATE, reason=reason, risk=_SPARE_RISK)


def _take_oversized(choice: SavingChoice, facts: SavingFacts, rules: SavingRules, now: datetime) -> None:
    """Nodes whose peaks fit a smaller plan; what left before makes the others carry more."""
    ladder = {plan.name: plan for plan in facts.ladder}
    for node in _by_worth(facts):
        present = ladder.get(node.plan)
        is_judged_now = is_judged(node, cool_down_hours=rules.resize.cool_down_hours, now=now)
        if present is not None and is_judged_now and choice.is_free(node):
            _downsize(choice, facts, rules, node, present)


def _downsize(
    choice: SavingChoice, facts: SavingFacts, rules: SavingRules, node: FleetNode, present: LadderPlan
) -> None:
    peaks = peaks_of(node, present, load_factor=choice.load_factor)
    if peaks is None:
        return
    for plan in smaller_plans(present, facts.ladder, facts.rates, rules.cost.billing_cycle):
        lost = tuple(max(0, able - plan.messages_per_day) for able in facts.capacity_of[node.node_id])
        if peaks.fits(plan, rules.share) and choice.may_lose(lost):
            reason = f"{node.label} fits {plan.name}: {peaks.on(plan)}; at most {rules.share:.0%} is allowed"
            choice.downsize(node, plan.name, lost, reason=reason, risk=_DOWNSIZE_RISK)
            return


def _take_billing(choice: SavingChoice, facts: SavingFacts, rules: SavingRules, now: datetime) -> None:
    """The other way of billing, for what stays as it is and has been there for a month."""
    present = rules.cost.billing_cycle
    other = BillingCycle.MONTHLY if present is BillingCycle.HOURLY else BillingCycle.HOURLY
    savings: list[tuple[str, Decimal]] = []
    for node in facts.nodes:
        if node.is_billed and now - node.created_at >= _MONTH and choice.is_free(node):
            rates = facts.rates[node.plan]
            if (saved := rates.month_usd(present) - rates.month_usd(other)) > 0:
                savings.append((node.plan, saved))
    plans = ", ".join(
        f"{plan} ${facts.rates[plan].month_usd(present):,.2f} against ${facts.rates[plan].month_usd(other):,.2f}"
        for plan in sorted({plan for plan, _ in savings})
    )
    choice.bill_otherwise(
        sum((saved for _, saved in savings), Decimal(0)),
        reason=f"{len(savings)} nodes are older than a month and cost less billed {other}, a month of {HOURS_A_MONTH} "
        f"hours {present} against {other}: {plans}",
        risk="a month is paid ahead: what is deleted or resized within it is lost"
        if other is BillingCycle.MONTHLY
        else "by the hour a price change bites at once, and an instance that is left running costs on",
        by_hand=f'have the provider bill these nodes {other}, and set [cost] billing_cycle = "{other}" in the policy',
    )


def _by_worth(facts: SavingFacts) -> list[FleetNode]:
    """The least reputable first; before all others those whose saving waits for a person, else two might be made."""
    return sorted(facts.nodes, key=lambda node: (not node.is_proposed, node.reputation, node.label, node.node_id))


def _burnt(node: FleetNode, limits: SavingLimits, now: datetime) -> str | None:
    spell = timedelta(days=limits.burnt_days)
    if node.held_since is None or now - node.held_since < spell:
        return None
    held = f"{node.label} is {node.status} since {node.held_since:%Y-%m-%d} ({_days(now - node.held_since)})"
    if node.critical_since and now - node.critical_since >= spell:
        return f"{held}, and under a critical listing since {node.critical_since:%Y-%m-%d}: it will not recover"
    if node.low_score_since and now - node.low_score_since >= spell:
        return (
            f"{held}, and its reputation is below {limits.burnt_score} since {node.low_score_since:%Y-%m-%d} "
            f"({node.reputation} now): it will not recover"
        )
    return None


def _days(spell: timedelta) -> str:
    return f"{spell / timedelta(days=1):,.0f} days"
