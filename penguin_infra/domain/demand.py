"""What was asked of the fleet, hour by hour, and the sums of it that forecast and growth work with.

Demand is what came to an end, what was turned away for want of allowance, and what the queues grew by.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from statistics import median_low

from penguin_infra.domain.capacity import HOURS_A_DAY, Load

# Sums of 24 hours, each an hour before the one after it: of five, two may be absurd.
RECENT_SAMPLES = 5

# A spike is a few times the busiest hours of its week; a counter that overflowed is thousands of times that.
ABSURD_FACTOR = 20
# So many hours of a week may lie.
_LYING_HOURS = 3
_HOURS_A_WEEK = 7 * HOURS_A_DAY


@dataclass(frozen=True, slots=True)
class DemandHour:
    """An hour of the fleet (or of a region). `queue_depth`: what waited at its end; None: not known."""

    hour_at: datetime
    ended: int
    refused: int = 0
    queue_depth: int | None = None


def load_until(hours: Sequence[DemandHour], end_at: datetime) -> Load | None:
    """The load of the 24 hours before a full hour; None where not one of them was measured."""
    begin_at = end_at - timedelta(hours=HOURS_A_DAY)
    within = [hour for hour in hours if begin_at <= hour.hour_at < end_at]
    if not within:
        return None
    return Load(
        ended=sum(hour.ended for hour in within),
        queue_growth=_depth_before(hours, end_at) - _depth_before(hours, begin_at),
        refused=sum(hour.refused for hour in within),
    )


def recent_demand(hours: Sequence[DemandHour], now: datetime) -> tuple[float, ...]:
    """The last sums of 24 whole hours, the newest last; fewer where less was measured."""
    this_hour = _hour_of(now)
    # The sums reach back for five hours and a day, and for what waited a day before that.
    earliest = this_hour - timedelta(hours=2 * HOURS_A_DAY + RECENT_SAMPLES)
    hours = [hour for hour in _believed(hours[-_HOURS_A_WEEK:]) if hour.hour_at >= earliest]
    ends = [this_hour - timedelta(hours=back) for back in reversed(range(RECENT_SAMPLES))]
    return tuple(float(load.demand) for end_at in ends if (load := load_until(hours, end_at)) is not None)


def daily_history(hours: Sequence[DemandHour], now: datetime) -> tuple[float | None, ...]:
    """The demand of each whole day (UTC) up to yesterday, the oldest first; None of a day that nobody measured.

    A day that was measured in part is one that was not: its sum says too little.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    measured: dict[datetime, list[DemandHour]] = {}
    for hour in _believed(hours):
        day = hour.hour_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        measured.setdefault(day, []).append(hour)
    past = [day for day in measured if day < today]
    if not past:
        return ()
    first = min(past)
    days = [first + timedelta(days=day) for day in range((today - first).days)]
    return tuple(_demand_of(measured.get(day, []), measured.get(day - timedelta(days=1), [])) for day in days)


def _believed(hours: Sequence[DemandHour]) -> list[DemandHour]:
    """The hours as they can have been: an absurd one, which stands in every sum of its day, counts as a usual one.

    Measured against the busiest hours of the same week, not the usual ones: some senders mail in bursts.
    """
    weeks = [hours[max(0, end - _HOURS_A_WEEK) : end] for end in range(len(hours), 0, -_HOURS_A_WEEK)]
    return [hour for week in reversed(weeks) for hour in _believed_of(week)]


def _believed_of(week: Sequence[DemandHour]) -> Sequence[DemandHour]:
    asked = [hour.ended + hour.refused for hour in week]
    busiest = nlargest(_LYING_HOURS + 1, asked)[-1]
    if len(week) < HOURS_A_DAY or busiest <= 0:
        return week
    usual = median_low(asked)
    return [
        hour if 0 <= total <= ABSURD_FACTOR * busiest else replace(hour, ended=max(0, usual), refused=0)
        for hour, total in zip(week, asked, strict=True)
    ]


def _demand_of(day: Sequence[DemandHour], day_before: Sequence[DemandHour]) -> float | None:
    if len(day) < HOURS_A_DAY:
        return None
    load = load_until([*day_before, *day], max(hour.hour_at for hour in day) + timedelta(hours=1))
    return float(load.demand) if load else None


def _depth_before(hours: Sequence[DemandHour], at: datetime) -> int:
    """What waited at that moment; of an hour that nobody looked at, the last known before it within a day."""
    earliest = at - timedelta(hours=HOURS_A_DAY)
    known = [hour for hour in hours if hour.queue_depth is not None and earliest <= hour.hour_at < at]
    newest = max(known, key=lambda hour: hour.hour_at, default=None)
    return newest.queue_depth or 0 if newest else 0


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
