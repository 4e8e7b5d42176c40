"""The fleet's size in figures: what it can send as it ripens, what will be asked of it, and what caps its growth.

Facts and limits, with the sums that growing and shrinking share. Whether to grow is `policies/grow_fleet.py`'s, whether
to shrink `policies/shrink_fleet.py`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import median_low
from uuid import UUID

from penguin_infra.domain.forecast import DAYS_A_WEEK, Forecast, NoForecast


@dataclass(frozen=True, slots=True)
class NewNode:
    """What one more node is: its price, and what it can send on each day from its request on, until it is ripe."""

    plan: str
    monthly_usd: Decimal
    capacity_by_day: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.capacity_by_day or self.capacity_by_day[-1] <= 0:
            raise ValueError(f"a new node on {self.plan} never ripens: its curve is {self.capacity_by_day}")

    @property
    def ripe_per_day(self) -> int:
        """What it can send once it is ripe."""
        return self.capacity_by_day[-1]

    @property
    def days_to_ripen(self) -> int:
        """From the request to the first day of full capacity."""
        return self.capacity_by_day.index(self.ripe_per_day)


@dataclass(frozen=True, slots=True)
class RegionSize:
    """A region's nodes, all but the decommissioned. `wanted`: asked for by nodes at the ladder's top.

    `may_grow`: whether new nodes may come here; what is here counts all the same.
    """

    region: str
    nodes: int
    in_flight: int = 0
    warming: int = 0
    wanted: int = 0
    may_grow: bool = True

    @property
    def young(self) -> int:
        """Nodes that are on their way to full capacity."""
        return self.in_flight + self.warming


@dataclass(frozen=True, slots=True)
class FleetSize:
    """All that the fleet's size is decided on.

    `recent_demand`: sums of 24 hours, measured at several times of late. `capacity_by_day` begins today and counts
    every node as it ripens, those in flight too (`capacity.capacity_ahead`). `forecast` is by days and begins tomorrow.
    `grown_at` is the last request, `shrunk_at` the last scale-in.
    """

    recent_demand: tuple[float, ...]
    forecast: Forecast | NoForecast
    capacity_by_day: tuple[int, ...]
    regions: tuple[RegionSize, ...]
    requested_last_day: int
    monthly_usd: Decimal
    grown_at: datetime | None = None
    shrunk_at: datetime | None = None

    @property
    def nodes(self) -> int:
        """All nodes that are paid for or asked for."""
        return sum(region.nodes for region in self.regions)

    @property
    def young(self) -> int:
        """Nodes that are on their way to full capacity."""
        return sum(region.young for region in self.regions)

    @property
    def present_demand(self) -> float:
        """A day's demand as most of the recent measurements have it: one absurd sample says nothing."""
        return median_low(self.recent_demand) if self.recent_demand else 0.0


@dataclass(frozen=True, slots=True)
class GrowthLimits:
    """When the fleet grows, how far, and what stops it.

    80 % of warmed capacity is the specification's. The target leaves a gap below it, so that one growth is not at once
    followed by the next (hysteresis). Five requests a day can still be looked at by a person. Half of the fleet may be
    young, and two nodes where that is less: addresses that warm up together under the same domains draw the eye of the
    mailbox providers. No node is bought for a forecast that errs half as much again as last week repeated would.
    New nodes are of the specification's own `plan`; without `regions` they come where nodes are already.
    """

    trigger_share: float = 0.80
    target_share: float = 0.65
    warm_spares: int = 1
    most_requests_a_day: int = 5
    most_young_share: float = 0.5
    fewest_young_allowed: int = 2
    most_nodes: int = 500
    most_monthly_usd: Decimal | None = None
    worst_scaled_error: float = 1.5
    plan: str = "ssd-1"
    regions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.target_share < self.trigger_share <= 1:
            raise ValueError(
                f"the target ({self.target_share}) must lie below the trigger ({self.trigger_share}): "
                "else every growth would call for the next"
            )

    def most_young(self, nodes: int) -> int:
        """How many of so many nodes may be on their way at once."""
        # In decimals: 29 % of 100 nodes are 28.999... in floats.
        return max(self.fewest_young_allowed, int(nodes * Decimal(str(self.most_young_share))))


@dataclass(frozen=True, slots=True)
class Outlook:
    """Demand and usable capacity by day, today first; `note` says where the demand comes from.

    Usable is what is left beside the warm spares: below zero while those themselves are lacking.
    """

    demand: tuple[float, ...]
    usable: tuple[float, ...]
    note: str

    def peak_demand(self, first: int) -> float:
        """The highest demand from that day on, and no less than today's: a fall is believed once it has come."""
        return max(self.demand[0], *self.demand[first:])

    def least_usable(self, first: int) -> float:
        """The least usable capacity from that day on."""
        return min(self.usable[first:])


def look_ahead(fleet: FleetSize, new_node: NewNode, limits: GrowthLimits) -> Outlook:
    """From today until a week after a node that is asked for today is ripe: a week holds its strongest day.

    Warm spares are not used up by plan: they are taken off the capacity. Without a forecast that may be relied upon,
    demand stays as it is.
    """
    days = new_node.days_to_ripen + DAYS_A_WEEK
    present = fleet.present_demand
    ahead, note = _expected(fleet.forecast, limits)
    demand = (present, *(max(_at(ahead, day, present), 0.0) for day in range(days)))
    spares = limits.warm_spares * new_node.ripe_per_day
    usable = tuple(_at(fleet.capacity_by_day, day, 0) - spares for day in range(days + 1))
    return Outlook(demand, usable, note)


@dataclass(frozen=True, slots=True)
class RipeNode:
    """A node that may be given up, with its reputation (0 to 100)."""

    node_id: UUID
    label: str
    region: str
    reputation: int
    capacity_per_day: int
    monthly_usd: Decimal


def _expected(forecast: Forecast | NoForecast, limits: GrowthLimits) -> tuple[Sequence[float], str]:
    if isinstance(forecast, NoForecast):
        return (), f"demand taken as it is now: {forecast}"
    if forecast.scaled_error is not None and forecast.scaled_error > limits.worst_scaled_error:
        return (
            (),
            f"demand taken as it is now: the forecast erred too much ({forecast} > {limits.worst_scaled_error:g})",
        )
    return forecast.values, f"forecast: {forecast}"


def _at(values: Sequence[float], day: int, otherwise: float) -> float:
    """The day's value; beyond what is known, the last one."""
    return values[min(day, len(values) - 1)] if values else otherwise
