"""What became of a year: an entry an hour, and every deed with the sums at its moment. Tests and the chart read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from penguin_infra.domain.actions import ActionKind
from penguin_infra_tests.simulation.weather import Weather


@dataclass(frozen=True, slots=True)
class HourSeen:
    """An hour of the fleet, as it truly was. `capacity`: messages a day that nodes in service can send."""

    at: datetime
    asked: int
    ended: int
    refused: int
    depth: int
    capacity: int
    monthly_usd: Decimal
    by_status: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done to a node, and what was true once it was.

    `by_person`: decided by one. `sending`, `capacity_left`: what is in the rotation without it. `demand`: of the day
    before. `disruptions`: nodes taken out of service within the hour, this one too. `is_own`: it was in the rotation.
    """

    at: datetime
    kind: ActionKind
    node_id: UUID
    label: str
    requested_by: str
    reason: str
    by_person: bool
    is_own: bool
    sending: int
    fleet_size: int
    capacity_left: int
    demand: float
    disruptions: int


@dataclass(frozen=True, slots=True)
class WarmingDay:
    """What a warming node sent on a day and in its busiest hour, and the most that its stages of that day allowed."""

    at: datetime
    label: str
    sent: int
    most_in_an_hour: int
    highest_daily: int


@dataclass(slots=True)
class Year:
    """The whole of it."""

    weather: Weather
    begin_at: datetime
    most_monthly_usd: Decimal
    hours: list[HourSeen] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    requests: list[tuple[datetime, int, float, float, str]] = field(default_factory=list)
    failed_requests: list[datetime] = field(default_factory=list)
    shrinks: list[tuple[datetime, float, float]] = field(default_factory=list)
    warming_days: list[WarmingDay] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    deepest_queue: int = 0

    def of(self, kind: ActionKind) -> list[Deed]:
        """All deeds of a kind."""
        return [deed for deed in self.deeds if deed.kind is kind]

    def daily_use(self) -> list[float]:
        """Each day's demand over its warmed capacity."""
        days = [self.hours[first : first + 24] for first in range(0, len(self.hours), 24)]
        return [sum(hour.asked for hour in day) / (sum(hour.capacity for hour in day) / len(day)) for day in days]

    def hour_of(self, at: datetime) -> int:
        """The number of an hour."""
        return (at - self.begin_at) // timedelta(hours=1)
