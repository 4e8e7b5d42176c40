"""Which nodes the fleet could do without: a proposal that always waits for a person, the least reputable first.

A warmed address is the asset: nothing is given up soon after growth, on a guess, or below what growth would ask back.
How a node leaves (drained first) is the decommission's.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from penguin_infra.domain.fleet_size import FleetSize, GrowthLimits, NewNode, Outlook, RipeNode, look_ahead
from penguin_infra.domain.forecast import Forecast

NAME = "policy:shrink_fleet"


@dataclass(frozen=True, slots=True)
class ShrinkLimits:
    """How little a fleet may shrink.

    55 % afterwards: a tenth of capacity below what growth fills up to, so that neither calls for the other, and demand
    may rise by nearly a half before growth begins at 80 %. Sixty days after a request: thirty to ripen, and as many to
    be of use. A tenth at a time is the disruption budget's share, and a month shows what it did. Three nodes are the
    least that lose one and still send.
    """

    highest_share_after: float = 0.55
    quiet_days_after_growth: float = 60
    days_between: float = 30
    most_share_at_once: float = 0.10
    fewest_nodes: int = 3
    fewest_a_region: int = 1

    def most_at_once(self, nodes: int) -> int:
        """Nodes of one proposal; never none, else a small fleet could never shrink."""
        return max(1, int(nodes * Decimal(str(self.most_share_at_once))))


@dataclass(frozen=True, slots=True)
class ShrinkPlan:
    """Nodes to give up once a person approves; none at all is an answer too, with its reason."""

    node_ids: tuple[UUID, ...]
    reason: str
    evidence: dict[str, object]
    needs_approval: bool = True


def propose_shrink(
    fleet: FleetSize,
    candidates: Iterable[RipeNode],
    *,
    new_node: NewNode,
    growth: GrowthLimits,
    limits: ShrinkLimits,
    now: datetime,
) -> ShrinkPlan:
    """The nodes without which utilisation stays low on the strongest day in sight. `candidates`: nodes in service."""
    outlook = look_ahead(fleet, new_node, growth)
    evidence: dict[str, object] = {
        "peak_demand": round(_peak(fleet, outlook)),
        "usable_capacity": round(outlook.least_usable(0)),
        "nodes": fleet.nodes,
    }
    if why := next(reasons_against(fleet, growth, limits, now), None):
        return ShrinkPlan((), f"nothing is given up: {why}", evidence)
    share = min(limits.highest_share_after, growth.target_share)
    chosen = _spare_nodes(fleet, candidates, outlook, limits, share)
    if not chosen:
        return ShrinkPlan(
            (),
            f"nothing is given up: no node beyond {share:.0%} of usable capacity, the floor of {limits.fewest_nodes} "
            f"nodes and {limits.fewest_a_region} a region ({_peak(fleet, outlook):,.0f} of "
            f"{outlook.least_usable(0):,.0f} a day, {fleet.nodes} nodes)",
            evidence,
        )
    given_up = sum(node.capacity_per_day for node in chosen)
    saved = sum((node.monthly_usd for node in chosen), Decimal(0))
    named = ", ".join(f"{node.label} (reputation {node.reputation})" for node in chosen)
    return ShrinkPlan(
        tuple(node.node_id for node in chosen),
        f"{named} could be given up for ${saved:,.2f} a month: {_peak(fleet, outlook):,.0f} on the strongest day of "
        f"{outlook.least_usable(0):,.0f} - {given_up:,} usable is at most {share:.0%}; {outlook.note}",
        {**evidence, "given_up_per_day": given_up, "saved_monthly_usd": str(saved)},
    )


def reasons_against(fleet: FleetSize, growth: GrowthLimits, limits: ShrinkLimits, now: datetime) -> Iterator[str]:
    """Why nothing is given up, in order of precedence."""
    if fleet.young:
        yield f"the fleet is growing (nodes in flight or warming: {fleet.young})"
    if any(region.wanted for region in fleet.regions):
        yield "a node at the ladder's top asks for another beside it"
    if fleet.grown_at and now < (until := fleet.grown_at + timedelta(days=limits.quiet_days_after_growth)):
        yield f"the fleet grew on {fleet.grown_at:%Y-%m-%d} and is not shrunk before {until:%Y-%m-%d}"
    if fleet.shrunk_at and now < (until := fleet.shrunk_at + timedelta(days=limits.days_between)):
        yield f"the fleet shrank on {fleet.shrunk_at:%Y-%m-%d} and does not again before {until:%Y-%m-%d}"
    if not isinstance(fleet.forecast, Forecast):
        yield f"a warmed address is not given up on a guess ({fleet.forecast})"
    elif (error := fleet.forecast.scaled_error) is not None and error > growth.worst_scaled_error:
        yield f"a warmed address is not given up on a bad forecast ({fleet.forecast})"


def _spare_nodes(
    fleet: FleetSize, candidates: Iterable[RipeNode], outlook: Outlook, limits: ShrinkLimits, share: float
) -> list[RipeNode]:
    """The least reputable nodes, one by one, as long as all that must stay stays."""
    usable = outlook.least_usable(0)
    most = min(limits.most_at_once(fleet.nodes), fleet.nodes - limits.fewest_nodes)
    in_region = Counter({region.region: region.nodes for region in fleet.regions})
    chosen: list[RipeNode] = []
    for node in sorted(candidates, key=lambda each: (each.reputation, each.label, each.node_id)):
        left = usable - node.capacity_per_day
        is_spare = left > 0 and _peak(fleet, outlook) <= share * left
        if len(chosen) < most and is_spare and in_region[node.region] > limits.fewest_a_region:
            usable = left
            in_region[node.region] -= 1
            chosen.append(node)
    return chosen


def _peak(fleet: FleetSize, outlook: Outlook) -> float:
    """The strongest day in sight, and among the recent ones."""
    return max((outlook.peak_demand(0), *fleet.recent_demand))
