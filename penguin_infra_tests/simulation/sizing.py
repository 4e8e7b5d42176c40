"""The fleet's size as growth and shrinking see it, measured from what agents and dispatcher told, lies too."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from penguin_infra.domain.capacity import NodeCapacity, capacity_ahead
from penguin_infra.domain.demand import DemandHour, daily_history, recent_demand
from penguin_infra.domain.fleet_size import FleetSize, NewNode, RegionSize
from penguin_infra.domain.forecast import Forecast, NoForecast, forecast_demand
from penguin_infra.domain.node import NodeStatus
from penguin_infra_tests.simulation.nodes import RUNGS, SimulatedNode, plan_of
from penguin_infra_tests.simulation.weather import REGIONS

_NEW_PLAN = RUNGS["ssd-1"]
NEW_NODE = NewNode(_NEW_PLAN.name, _NEW_PLAN.monthly_usd, plan_of(_NEW_PLAN.name).dailies)
_DAYS_AHEAD = NEW_NODE.days_to_ripen + 8
# Sums of 24 hours at five moments, and what waited before the first of them.
_HOURS_KEPT = 24 * 8

_Alike = tuple[NodeStatus, str, int | None]


@dataclass(slots=True)
class Sizing:
    """The demand that was measured, and what was done about the fleet's size."""

    hours: list[DemandHour] = field(default_factory=list)
    daily: list[float | None] = field(default_factory=list)
    forecast: Forecast | NoForecast = field(default_factory=lambda: NoForecast("nothing was measured yet"))
    recent: tuple[float, ...] = ()
    requested_at: list[datetime] = field(default_factory=list)
    shrunk_at: datetime | None = None
    wanted: dict[str, int] = field(default_factory=dict)

    def measure(self, hour: DemandHour, now: datetime) -> None:
        """Another hour is over. History and forecast change once a day."""
        self.hours.append(hour)
        del self.hours[:-_HOURS_KEPT]
        if now.hour == 0:
            yesterday = daily_history(self.hours, now)[-1:]
            self.daily = [*self.daily, *yesterday][-182:]
            self.forecast = forecast_demand(self.daily, ahead=_DAYS_AHEAD)
        self.recent = recent_demand(self.hours, now)

    def size(self, nodes: Sequence[SimulatedNode], now: datetime) -> FleetSize:
        """All that growth is decided on."""
        known = [node for node in nodes if node.status is not NodeStatus.DECOMMISSIONED]
        alike = Counter(
            (node.status, node.plan, node.state.daily if node.state and node.status is NodeStatus.WARMING else None)
            for node in known
        )
        return FleetSize(
            recent_demand=self.recent,
            forecast=self.forecast,
            capacity_by_day=_ahead(tuple(sorted(alike.items(), key=str))),
            regions=tuple(self._region(region, known) for region in REGIONS),
            requested_last_day=sum(now - at < timedelta(days=1) for at in self.requested_at[-20:]),
            monthly_usd=sum((node.monthly_usd for node in known), NEW_NODE.monthly_usd * 0),
            grown_at=self.requested_at[-1] if self.requested_at else None,
            shrunk_at=self.shrunk_at,
        )

    def _region(self, region: str, nodes: Sequence[SimulatedNode]) -> RegionSize:
        here = [node.status for node in nodes if node.region == region]
        return RegionSize(
            region, len(here), here.count(NodeStatus.PROVISIONING), here.count(NodeStatus.WARMING),
            self.wanted.get(region, 0),
        )  # fmt: skip


@lru_cache(maxsize=4_096)
def _ahead(alike: tuple[tuple[_Alike, int], ...]) -> tuple[int, ...]:
    by_group = [(capacity_ahead([_capacity(*group)], days=_DAYS_AHEAD), count) for group, count in alike]
    return tuple(sum(days[day] * count for days, count in by_group) for day in range(_DAYS_AHEAD + 1))


def _capacity(status: NodeStatus, plan: str, daily: int | None) -> NodeCapacity:
    curve = plan_of(plan)
    ahead: tuple[int | None, ...] = ()
    if status is NodeStatus.WARMING and daily is not None:
        ahead = curve.dailies[curve.stage_at(daily) :] or (curve.full_daily,)
    elif status is NodeStatus.PROVISIONING:
        ahead = curve.dailies
    return NodeCapacity(UUID(int=0), "", "", status, RUNGS[plan].messages_per_day, daily, ahead)
