"""What a blacklist may be asked: its terms, the operator's own limit, and how often its turn comes within them.

Sums only. The bucket that spreads the questions over the day is `list_pace.py`'s; what was asked is the store's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Where an operator publishes no number: what Mailspike and SEM allow, the smallest of the large public lists.
DEFAULT_PER_DAY = 100_000

# An address that is looked at less than daily is sent from for a day after its listing: no watch at all.
LONGEST_INTERVAL_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """The limits that an operator may set; `own` holds questions a day by zone, which count where they are smaller."""

    default_per_day: int = DEFAULT_PER_DAY
    longest_interval_hours: float = LONGEST_INTERVAL_HOURS
    own: Mapping[str, int] = field(default_factory=dict)
