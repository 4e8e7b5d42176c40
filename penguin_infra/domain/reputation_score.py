"""A node's reputation as one number from 0 (burnt) to 100 (spotless): it falls at once, and rises slowly.

What counts how much stands in `reputation_evidence.py`, the words for it in `reputation_words.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, floor

from penguin_infra.domain.reputation_evidence import BEST, CAPS, Component, Evidence, points_lost

# Stored with every score: who compares two of different rules knows that he does.
VERSION = 1

_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ReputationLimits:
    """How fast a score may rise again: points a day."""

    points_a_day: float = 5.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A score, and since when its next point is being earned; None: there is none to earn, or nobody looked yet."""

    score: int
    rising_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReputationScore:
    """A node's score, and how it came about. `target`: what the evidence of now says; `points`: what each takes."""

    standing: Standing
    target: int
    points: Mapping[Component, int]

    @property
    def score(self) -> int:
        """0 (burnt) to 100 (spotless)."""
        return self.standing.score

    @property
    def cap(self) -> int:
        """The most that open listings allow."""
        return BEST - self.points[Component.LISTINGS]


def score_node(evidence: Evidence, former: Standing | None, now: datetime, limits: ReputationLimits) -> ReputationScore:
    """Score a node by its evidence and its former score; None: its address has none yet, and begins at the target."""
    points = points_lost(evidence)
    target = target_of(points)
    return ReputationScore(_move(former, target, now, limits), target, points)


def target_of(points: Mapping[Component, int]) -> int:
    """What the evidence says: no more than the caps allow, and no more than the points that were not lost."""
    lost = sum(taken for component, taken in points.items() if component not in CAPS)
    return max(0, BEST - max(lost, *(points[cap] for cap in CAPS)))


def _move(former: Standing | None, target: int, now: datetime, limits: ReputationLimits) -> Standing:
    if former is None or target <= former.score:
        return Standing(target)
    # What was earned so far is kept to the fraction: how often somebody looks must change nothing.
    since = now if former.rising_since is None else min(former.rising_since, now)
    earned = min(floor((now - since) / _A_DAY * limits.points_a_day), target - former.score)
    score = former.score + earned
    if score == target:
        return Standing(score)
    spent = timedelta(microseconds=ceil(earned * (_A_DAY / timedelta(microseconds=1)) / limits.points_a_day))
    return Standing(score, min(since + spent, now))
