"""A node's reputation as one number from 0 (burnt) to 100 (spotless), and the words for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReputationLimits:
    """How fast a score may rise again: points a day."""

    points_a_day: float = 5.0
