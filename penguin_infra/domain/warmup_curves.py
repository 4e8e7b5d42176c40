"""How a node's allowance grows: named curves of messages a day, and one node's plan along a curve to its capacity.

Data and sums. When a node takes its next stage is `warmup.py`'s.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

# Where a node's capacity is beyond a curve's end, the curve goes on by a quarter a day: between Amazon SES (x1.17) and
# SendGrid (x1.4).
GROWTH_BEYOND = 1.25


class InvalidCurve(ValueError):
    """A curve that no warm-up can follow, or a name that none has; the message names the field and what is right."""


@dataclass(frozen=True, slots=True)
class WarmupCurve:
    """Messages a day, a stage each; raises `InvalidCurve` unless they rise."""

    name: str
    stages: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.stages:
            raise InvalidCurve(f"warm-up curve {self.name!r}: stages is empty; give messages a day, one number a stage")
        before = 0
        for index, daily in enumerate(self.stages):
            where = f"warm-up curve {self.name!r}: stages[{index}]"
            if isinstance(daily, bool) or not isinstance(daily, int):
                raise InvalidCurve(f"{where} is {daily!r}; give a whole number of messages a day")
            if daily < 1:
                raise InvalidCurve(f"{where} is {daily}; give 1 message a day at least")
            if daily <= before:
                raise InvalidCurve(f"{where} is {daily}, not above the {before} before it; let the stages rise")
            before = daily


@dataclass(frozen=True, slots=True)
class WarmupPlan:
    """One node's stages: a curve up to the node's own capacity, which is the last. Stages are counted from 1."""

    curve: str
    dailies: tuple[int, ...] = field(repr=False)

    @property
    def first_daily(self) -> int:
        """What the first stage allows: nothing goes below it."""
        return self.dailies[0]

    @property
    def full_daily(self) -> int:
        """What the last stage allows: the node's capacity."""
        return self.dailies[-1]

    def stage_at(self, daily: int) -> int:
        """The highest stage at or below so many messages a day; the first where none is."""
        return max(1, bisect_right(self.dailies, daily))

    def at_or_below(self, daily: int) -> int:
        """The allowance of the highest stage at or below so many messages a day."""
        return self.dailies[self.stage_at(daily) - 1]

    def after(self, daily: int) -> int:
        """The next stage's allowance; the last one's stays."""
        return self.dailies[min(self.stage_at(daily), len(self.dailies) - 1)]


def plan_warmup(curve: WarmupCurve, full_daily: int) -> WarmupPlan:
    """A curve cut at the node's capacity, or carried on to it; raises `InvalidCurve` for a capacity of none."""
    if full_daily < 1:
        raise InvalidCurve(f"full_daily is {full_daily}; a node to be warmed up can send 1 message a day at least")
    dailies = [daily for daily in curve.stages if daily < full_daily]
    if len(dailies) == len(curve.stages):
        daily = _grown(dailies[-1])
        while daily < full_daily:
            dailies.append(daily)
            daily = _grown(daily)
    return WarmupPlan(curve.name, (*dailies, full_daily))


def find_curve(name: str, own: Mapping[str, Sequence[int]] = MappingProxyType({})) -> WarmupCurve:
    """The curve of a name: one of `CURVES` or an operator's own numbers; raises `InvalidCurve`."""
    if name in CURVES:
        if name in own:
            raise InvalidCurve(f"warm-up curve {name!r} is built in; give the own curve another name")
        return CURVES[name]
    if name not in own:
        known = ", ".join([*CURVES, *own])
        raise InvalidCurve(f"there is no warm-up curve {name!r}; known: {known}")
    return WarmupCurve(name, tuple(own[name]))


def _grown(daily: int) -> int:
    return max(daily + 1, round(daily * GROWTH_BEYOND))


def _through(given: Mapping[int, int]) -> tuple[int, ...]:
    """A stage for each day: the given days' numbers, and a steady growth from one to the next."""
    days = sorted(given)
    stages = [given[days[0]]]
    for first, last in pairwise(days):
        growth = (given[last] / given[first]) ** (1 / (last - first))
        stages += [round(given[first] * growth**step) for step in range(1, last - first)]
        stages.append(given[last])
    return tuple(stages)


DEFAULT_CURVE = "cautious"

CURVES: Mapping[str, WarmupCurve] = MappingProxyType(
    {
        curve.name: curve
        for curve in (
            # Slower than both below in the first days, in which a fresh address is watched the most.
            WarmupCurve(
                DEFAULT_CURVE,
                _through({1: 50, 2: 100, 3: 250, 5: 1_000, 7: 5_000, 10: 15_000, 14: 55_000}),
            ),
            # SendGrid's automated warm-up: its messages an hour, times 24.
            WarmupCurve(
                "standard",
                _through({1: 480, 2: 672, 3: 936, 5: 1_848, 7: 3_624, 10: 9_912, 14: 38_088, 21: 401_616}),
            ),
            # SparkPost's: for a sender whose lists and domains are known to be good.
            WarmupCurve(
                "fast",
                _through({1: 200, 2: 500, 3: 1_000, 5: 5_000, 7: 20_000, 10: 75_000, 14: 250_000, 21: 1_250_000}),
            ),
        )
    }
)
