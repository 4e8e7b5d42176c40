"""How many nodes to ask for, and where: what brings utilisation to the target once they are ripe, within every cap.

A new address carries next to nothing for weeks: hence the look ahead, and hence nodes in flight and in warm-up count by
what they will carry. The figures stand in `fleet_size.py`, shrinking in `shrink_fleet.py`.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from penguin_infra.domain.fleet_size import FleetSize, GrowthLimits, NewNode, Outlook, look_ahead

NAME = "policy:grow_fleet"


class Cap(StrEnum):
    """What keeps a fleet from growing as it should."""

    REQUESTS_A_DAY = "requests_a_day"
    YOUNG_SHARE = "young_share"
    FLEET_SIZE = "fleet_size"
    MONTHLY_SPEND = "monthly_spend"


@dataclass(frozen=True, slots=True)
class CapBite:
    """A cap that allows fewer nodes than are needed: how many it allows, and the sum."""

    cap: Cap
    most: int
    explanation: str


@dataclass(frozen=True, slots=True)
class GrowthPlan:
    """Nodes to ask for, by region; none at all is an answer too, with its reason.

    `needed` is what would be asked for without the caps in `bites`.
    """

    by_region: tuple[tuple[str, int], ...]
    needed: int
    reason: str
    evidence: dict[str, object]
    bites: tuple[CapBite, ...] = ()

    @property
    def count(self) -> int:
        """Nodes to ask for in all."""
        return sum(count for _, count in self.by_region)


def plan_growth(fleet: FleetSize, *, new_node: NewNode, limits: GrowthLimits) -> GrowthPlan:
    """The answer to the present facts. What it asks for must be among the facts' nodes the next time it is called."""
    outlook = look_ahead(fleet, new_node, limits)
    full_on = _day_of_trigger(outlook, limits)
    for_share = _missing(outlook, new_node, limits) if full_on is not None else 0
    beside = sum(max(0, region.wanted - region.young) for region in fleet.regions)
    needed = max(for_share, beside)
    bites = tuple(bite for bite in _caps(fleet, new_node, limits) if bite.most < needed) if needed else ()
    can_grow = any(region.may_grow for region in fleet.regions)
    count = min((needed, *(bite.most for bite in bites))) if can_grow else 0
    words = [
        _why(outlook, full_on, limits),
        _sum(outlook, new_node, limits, fleet) if full_on is not None else "",
        f"{beside} asked for beside nodes at the ladder's top" if beside else "",
        *(bite.explanation for bite in bites),
        "" if can_grow else "no region is set to grow in",
        f"{count} of {needed} needed are asked for" if needed else "none needed",
        outlook.note,
    ]
    return GrowthPlan(
        by_region=_spread(fleet, count),
        needed=needed,
        reason="; ".join(word for word in words if word),
        evidence=_evidence(fleet, outlook, new_node, full_on),
        bites=bites,
    )


def _day_of_trigger(outlook: Outlook, limits: GrowthLimits) -> int | None:
    days = zip(outlook.demand, outlook.usable, strict=True)
    return next((day for day, (asked, usable) in enumerate(days) if asked >= limits.trigger_share * usable), None)


def _missing(outlook: Outlook, new_node: NewNode, limits: GrowthLimits) -> int:
    """Nodes that bring the strongest day after they are ripe to the target, beside all that are on their way."""
    ripe_on = new_node.days_to_ripen
    lacking = outlook.peak_demand(ripe_on) / limits.target_share - outlook.least_usable(ripe_on)
    return max(0, ceil(lacking / new_node.ripe_per_day))


def _caps(fleet: FleetSize, new_node: NewNode, limits: GrowthLimits) -> tuple[CapBite, ...]:
    """What every cap allows, in the order in which they are told."""
    most_young = limits.most_young(fleet.nodes)
    caps = [
        CapBite(
            Cap.REQUESTS_A_DAY,
            max(0, limits.most_requests_a_day - fleet.requested_last_day),
            f"{fleet.requested_last_day} of {limits.most_requests_a_day} requests a day are made",
        ),
        CapBite(
            Cap.YOUNG_SHARE,
            max(0, most_young - fleet.young),
            f"{fleet.young} nodes are in flight or warming of {most_young} that may be "
            f"(max({limits.fewest_young_allowed}, {limits.most_young_share * 100:g}% of {fleet.nodes}))",
        ),
        CapBite(
            Cap.FLEET_SIZE,
            max(0, limits.most_nodes - fleet.nodes),
            f"the fleet has {fleet.nodes} of {limits.most_nodes} nodes",
        ),
    ]
    if limits.most_monthly_usd is not None and new_node.monthly_usd > 0:
        room = limits.most_monthly_usd - fleet.monthly_usd
        caps.append(
            CapBite(
                Cap.MONTHLY_SPEND,
                max(0, int(room // new_node.monthly_usd)),
                f"${fleet.monthly_usd:,.2f} of ${limits.most_monthly_usd:,.2f} a month are spent, "
                f"one {new_node.plan} more is ${new_node.monthly_usd:,.2f}",
            )
        )
    return tuple(caps)


def _spread(fleet: FleetSize, count: int) -> tuple[tuple[str, int], ...]:
    """First where a node at the ladder's top asked for one, then wherever the fewest nodes are."""
    regions = [region for region in fleet.regions if region.may_grow]
    given = dict.fromkeys((region.region for region in regions), 0)
    for _ in range(count):
        chosen = min(
            regions,
            key=lambda region: (
                region.wanted - region.young <= given[region.region],
                region.nodes + given[region.region],
                region.region,
            ),
        )
        given[chosen.region] += 1
    return tuple((region, nodes) for region, nodes in sorted(given.items()) if nodes)


def _why(outlook: Outlook, full_on: int | None, limits: GrowthLimits) -> str:
    if full_on is None:
        busiest = max(range(len(outlook.demand)), key=lambda day: outlook.demand[day] / outlook.usable[day])
        return (
            f"demand stays below {limits.trigger_share:.0%} of usable capacity for {len(outlook.demand) - 1} days: at "
            f"most {outlook.demand[busiest]:,.0f} of {outlook.usable[busiest]:,.0f} a day, in {busiest} days"
        )
    when = "has reached" if full_on == 0 else f"will in {full_on} days reach"
    return (
        f"demand {when} {limits.trigger_share:.0%} of usable capacity: "
        f"{outlook.demand[full_on]:,.0f} of {outlook.usable[full_on]:,.0f} a day"
    )


def _sum(outlook: Outlook, new_node: NewNode, limits: GrowthLimits, fleet: FleetSize) -> str:
    ripe_on = new_node.days_to_ripen
    return (
        f"in {ripe_on} days {outlook.peak_demand(ripe_on):,.0f} / {limits.target_share:g} - "
        f"{outlook.least_usable(ripe_on):,.0f} usable ({fleet.young} young nodes ripened, "
        f"{limits.warm_spares} spare) at {new_node.ripe_per_day:,} a node: "
        f"{_missing(outlook, new_node, limits)} nodes"
    )


def _evidence(fleet: FleetSize, outlook: Outlook, new_node: NewNode, full_on: int | None) -> dict[str, object]:
    ripe_on = new_node.days_to_ripen
    return {
        "present_demand": round(outlook.demand[0]),
        "usable_capacity": round(outlook.usable[0]),
        "days_until_trigger": full_on,
        "days_to_ripen": ripe_on,
        "demand_when_ripe": round(outlook.peak_demand(ripe_on)),
        "usable_when_ripe": round(outlook.least_usable(ripe_on)),
        "nodes": fleet.nodes,
        "young": fleet.young,
        "monthly_usd": str(fleet.monthly_usd),
        "plan": new_node.plan,
    }
