"""How much a rate can be trusted: the count behind it, and the Wilson interval around it.

Alerts look at the point, pauses at the lower bound, warm-ups at the upper one. Thresholds stand in the limits.
"""

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

# The normal distribution's quantile for a two-sided interval of 95 %.
Z_95 = 1.959964


def wilson_interval(count: int, attempted: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927, without continuity correction).

    Unlike the textbook's interval it never leaves 0..1 and does not collapse at a count of 0. Nothing attempted says
    nothing: then it is the whole of 0..1.
    """
    if not 0 <= count <= attempted:
        raise ValueError(f"{count} of {attempted} is no proportion")
    if attempted == 0:
        return 0.0, 1.0
    share = count / attempted
    weight = Z_95 * Z_95 / attempted
    centre = share + weight / 2
    half_width = Z_95 * sqrt((share * (1 - share) + weight / 4) / attempted)
    lower, upper = (centre - half_width) / (1 + weight), (centre + half_width) / (1 + weight)
    # Rounding may leave 1e-18 where the formula gives the share itself (a count of none or of all).
    return max(0.0, min(share, lower)), min(1.0, max(share, upper))


@dataclass(frozen=True)
class Rate:
    """So many of so many attempted."""

    count: int
    attempted: int

    @property
    def point(self) -> float:
        """The share itself; 0 where nothing was attempted, which the bounds show to be no knowledge."""
        return self.count / self.attempted if self.attempted else 0.0

    @property
    def lower(self) -> float:
        """What the rate is at least, with 97.5 % confidence."""
        return self._bounds[0]

    @property
    def upper(self) -> float:
        """What the rate is at most, with 97.5 % confidence."""
        return self._bounds[1]

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        return wilson_interval(self.count, self.attempted)

    def __str__(self) -> str:
        return f"{self.point:.2%} ({self.count} of {self.attempted}; 95 %: {self.lower:.2%} to {self.upper:.2%})"
