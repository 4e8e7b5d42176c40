"""What a year brings to a fleet, by a seed: demand by the hour, and troubles with their hours.

It knows nothing of nodes: a trouble names its strength, and the year (`year.py`) finds whom it meets.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from math import pi, sin
from random import Random

HOURS_A_DAY = 24
REGIONS = ("amsterdam", "dallas", "seattle")
FIRST_DAILY_DEMAND = 330_000

_WEEK = (1.0, 1.03, 1.02, 1.0, 0.97, 0.86, 0.82)
_DAILY_SWING = 0.22
_NOISE = 0.03


class Trouble(StrEnum):
    """What may happen."""

    SPIKE = "spike"
    REGION_OUTAGE = "region_outage"
    MAILBOX_OUTAGE = "mailbox_outage"
    LISTING_WAVE = "listing_wave"
    LYING_METRIC = "lying_metric"
    HARDWARE_FAULT = "hardware_fault"
    BAD_LIST = "bad_list"
    HOT_NODE = "hot_node"


@dataclass(frozen=True, slots=True)
class Event:
    """A trouble from an hour on, counted from the year's begin; `strength` is a share or a factor, as its kind says."""

    trouble: Trouble
    begin: int
    hours: int
    strength: float
    region: str

    @property
    def end(self) -> int:
        """The first hour without it."""
        return self.begin + self.hours


@dataclass(frozen=True, slots=True)
class Weather:
    """A year to live through. `demand` is what customers ask for in each hour, spikes and all."""

    seed: int
    demand: tuple[int, ...]
    events: tuple[Event, ...] = ()
    by_hour: dict[int, tuple[Event, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        hours: dict[int, tuple[Event, ...]] = {}
        for event in self.events:
            for hour in range(event.begin, event.end):
                hours[hour] = (*hours.get(hour, ()), event)
        object.__setattr__(self, "by_hour", hours)

    def at(self, hour: int) -> tuple[Event, ...]:
        """The troubles of an hour."""
        return self.by_hour.get(hour, ())


def make_weather(
    seed: int, *, days: int = 365, troubles: frozenset[Trouble] = frozenset(Trouble), is_flat: bool = False
) -> Weather:
    """The year of a seed; `is_flat`: demand without trend."""
    random = Random(seed)
    trend = [1.0] * days if is_flat else _trend(random, days)
    events = _events(random, days)
    chosen = tuple(event for event in events if event.trouble in troubles)
    demand = [
        FIRST_DAILY_DEMAND / HOURS_A_DAY * trend[hour // HOURS_A_DAY] * _WEEK[hour // HOURS_A_DAY % 7]
        * (1 + _DAILY_SWING * sin((hour % HOURS_A_DAY - 8) / HOURS_A_DAY * 2 * pi))
        * (1 + random.uniform(-_NOISE, _NOISE))
        for hour in range(days * HOURS_A_DAY)
    ]  # fmt: skip
    for event in chosen:
        if event.trouble is Trouble.SPIKE:
            for hour in range(event.begin, min(event.end, len(demand))):
                demand[hour] *= event.strength
    return Weather(seed, tuple(round(asked) for asked in demand), chosen)


def _trend(random: Random, days: int) -> list[float]:
    """Steady growth, growth that ends, or growth that turns into a fall."""
    grown, shape = random.uniform(1.4, 2.4), random.choice(("steady", "steady", "ends", "falls"))
    if shape == "steady":
        return [1 + (grown - 1) * day / days for day in range(days)]
    turn = int(days * random.uniform(0.3, 0.45))
    left = grown if shape == "ends" else 1 + (grown - 1) * random.uniform(-0.2, 0.2)
    fall_days = int(days * 0.25)
    return [
        1 + (grown - 1) * day / turn if day < turn else grown + (left - grown) * min(1.0, (day - turn) / fall_days)
        for day in range(days)
    ]


def _events(random: Random, days: int) -> list[Event]:
    """So many of each kind in a year, none in the first month, in which the fleet learns its demand."""
    kinds: list[tuple[Trouble, float, tuple[int, int], tuple[float, float]]] = [
        # A factor on the demand.
        (Trouble.SPIKE, 5, (3, 12), (1.5, 3.0)),
        (Trouble.REGION_OUTAGE, 1.5, (2, 10), (1, 1)),
        # The share of the mail that is put off.
        (Trouble.MAILBOX_OUTAGE, 4, (4, 18), (0.3, 0.9)),
        # The share of the nodes that is listed.
        (Trouble.LISTING_WAVE, 1.5, (1, 1), (0.2, 0.4)),
        (Trouble.LYING_METRIC, 25, (1, 6), (0, 1)),
        (Trouble.HARDWARE_FAULT, 4, (1, 30), (1, 1)),
        # The share of hard bounces.
        (Trouble.BAD_LIST, 3, (3, 8), (0.13, 0.25)),
        # What one node alone is asked for, as a factor of its plan.
        (Trouble.HOT_NODE, 3, (6, 10), (1.3, 1.8)),
    ]
    first, last = 30 * HOURS_A_DAY, (days - 2) * HOURS_A_DAY
    events = []
    for trouble, a_year, hours, strength in kinds:
        for _ in range(max(1, round(a_year * days / 365 + random.uniform(-0.5, 0.5)))):
            begin = random.randrange(first, last)
            events.append(
                Event(trouble, begin, random.randint(*hours), random.uniform(*strength), random.choice(REGIONS))
            )
    return sorted(events, key=lambda event: (event.begin, event.trouble))
