"""Savings chosen one after another: what the fleet would still carry and cost with all that were chosen before.

Sums only. Which savings are put to it, and in which order, is `policies/save_costs.py`'s.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra.domain.pricing import CostLimits
from penguin_infra.domain.savings import (
    CapacityOutlook,
    FleetNode,
    FleetSums,
    Orphan,
    Recommendation,
    SavingFacts,
    SavingKind,
    SavingLimits,
    SavingPlan,
    saving_id,
)

FLEET = "fleet"


class SavingChoice:
    """What is chosen so far. `share`: how full the fleet may be afterwards."""

    def __init__(
        self, facts: SavingFacts, *, cost: CostLimits, savings: SavingLimits, shrink: ShrinkLimits, share: float
    ) -> None:
        self._facts, self._cost, self._savings, self._shrink, self._share = facts, cost, savings, shrink, share
        self._taken: set[object] = set()
        self._chosen: list[Recommendation] = []
        self._together = facts.outlook
        self._left = facts.outlook
        serving = [node for node in facts.nodes if node.is_serving]
        self._serving = Counter(node.region for node in serving if not node.is_leaving)
        # What leaves by somebody else's doing is nobody's saving, and carries nothing any more.
        for node in serving:
            if node.is_leaving and self._left:
                self._left = self._left.without(self._capacity(node))
        billed: list[FleetNode | Orphan] = [*(node for node in facts.nodes if node.is_billed), *facts.orphans]
        self._before = _sums(sum(map(self.month_usd, billed), Decimal(0)), facts.outlook)

    def month_usd(self, instance: FleetNode | Orphan) -> Decimal:
        """What an instance costs a month; nothing is known of a plan without a price, and it counts as none."""
        rates = self._facts.rates.get(instance.plan)
        if rates is None:
            return Decimal(0)
        extra = self._cost.extra_address_monthly_usd * instance.extra_addresses
        return rates.month_usd(self._cost.billing_cycle) + extra

    def is_free(self, node: FleetNode) -> bool:
        """Whether nothing was chosen for the node, nobody else is at work on it, and its price is known."""
        return node.node_id not in self._taken and not node.is_engaged and node.plan in self._facts.rates

    def may_leave(self, node: FleetNode) -> bool:
        """Whether nodes enough stay in service, here and in its region, and carry all that is asked."""
        return (
            self._serving.total() > self._shrink.fewest_nodes
            and self._serving[node.region] > self._shrink.fewest_a_region
            and self.may_lose(self._capacity(node))
        )

    def may_lose(self, lost: Sequence[int]) -> bool:
        """Whether what is left carries all that is asked without so much capacity."""
        return self._left is not None and self._left.without(lost).is_carried(self._share)

    @property
    def load_factor(self) -> float:
        """How many times its present load each node that stays carries on the day on which that is most."""
        if self._left is None or self._facts.outlook is None:
            return 1.0
        pairs = zip(self._facts.outlook.capacity, self._left.capacity, strict=True)
        return max((was / left if left > 0 else float("inf") for was, left in pairs), default=1.0)

    def without_node(self, node: FleetNode) -> str:
        """What is asked, and what would be left, in words; for a node that may leave."""
        if self._left is None:
            return "nothing is known of the demand"
        left = self._left.without(self._capacity(node))
        spares = f" ({left.spares:,} of it warm spares)" if left.spares else ""
        return (
            f"{max(left.demand):,.0f} messages on the highest day of {min(left.capacity):,}{spares} left a day "
            f"are at most {self._share:.0%}"
        )

    def retire(self, node: FleetNode, kind: SavingKind, *, reason: str, risk: str) -> None:
        """Give a node up, if that saves enough."""
        lost = self._capacity(node)
        if self._take(kind, self.month_usd(node), reason=reason, risk=risk, node=node, lost=lost):
            self._serving[node.region] -= node.is_serving

    def downsize(self, node: FleetNode, to_plan: str, lost: Sequence[int], *, reason: str, risk: str) -> None:
        """Give a node a smaller plan, if that saves enough."""
        cycle, rates = self._cost.billing_cycle, self._facts.rates
        saving = rates[node.plan].month_usd(cycle) - rates[to_plan].month_usd(cycle)
        self._take(SavingKind.DOWNSIZE, saving, reason=reason, risk=risk, node=node, to_plan=to_plan, lost=lost)

    def release(self, orphan: Orphan, *, reason: str, risk: str, by_hand: str) -> None:
        """Let an instance go that nobody holds, if that saves enough."""
        if (saving := self.month_usd(orphan)) >= self._savings.least_monthly_usd and saving:
            self._add(
                SavingKind.ORPHAN, orphan.provider_id, saving, reason=reason, risk=risk, by_hand=by_hand,
                label=orphan.label, region=orphan.region, plan=orphan.plan,
            )  # fmt: skip

    def bill_otherwise(self, saving_usd: Decimal, *, reason: str, risk: str, by_hand: str) -> None:
        """Have the provider bill by another cycle, if that saves enough."""
        if saving_usd >= self._savings.least_monthly_usd and saving_usd > 0:
            self._add(
                SavingKind.BILLING_CYCLE, FLEET, saving_usd, reason=reason, risk=risk, by_hand=by_hand, label=FLEET
            )  # fmt: skip

    def plan(self, notes: Sequence[str]) -> SavingPlan:
        """All of it, the greatest saving first."""
        ordered = sorted(self._chosen, key=lambda each: (-each.saving_usd, each.label, each.id))
        saved = sum((each.saving_usd for each in ordered), Decimal(0))
        together = _sums(self._before.monthly_usd - saved, self._together)
        return SavingPlan(tuple(ordered), self._before, together, tuple(notes))

    def _take(
        self,
        kind: SavingKind,
        saving_usd: Decimal,
        *,
        node: FleetNode,
        lost: Sequence[int],
        reason: str,
        risk: str,
        to_plan: str | None = None,
    ) -> bool:
        if saving_usd < self._savings.least_monthly_usd or saving_usd <= 0:
            return False
        self._taken.add(node.node_id)
        self._left = self._left and self._left.without(lost)
        self._together = self._together and self._together.without(lost)
        self._add(
            kind, node.node_id, saving_usd, lost=lost, reason=reason, risk=risk, node_id=node.node_id,
            label=node.label, region=node.region, plan=node.plan, to_plan=to_plan,
        )  # fmt: skip
        return True

    def _add(
        self, kind: SavingKind, subject: object, saving_usd: Decimal, *, lost: Sequence[int] = (), **said: object
    ) -> None:
        alone = self._facts.outlook
        if alone and lost:
            alone = alone.without(lost)
        after = _sums(self._before.monthly_usd - saving_usd, alone)
        self._chosen.append(
            Recommendation(
                id=saving_id(kind, subject), kind=kind, saving_usd=saving_usd, before=self._before, after=after,
                **said,  # type: ignore[arg-type]
            )
        )  # fmt: skip

    def _capacity(self, node: FleetNode) -> Sequence[int]:
        """What the node sends by day; nothing where that is not known, as of one that is held."""
        days = len(self._facts.outlook.capacity) if self._facts.outlook else 0
        return self._facts.capacity_of.get(node.node_id) or (0,) * days


def _sums(monthly_usd: Decimal, outlook: CapacityOutlook | None) -> FleetSums:
    if outlook is None:
        return FleetSums(monthly_usd)
    return FleetSums(monthly_usd, outlook.capacity[0], outlook.peak_share)
