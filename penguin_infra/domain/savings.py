"""Which savings are worth making, each with its sum and its risk. Making them is a person's to decide."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class SavingLimits:
    """What is worth a person's time, and how full the fleet may be afterwards.

    `least_monthly_usd`: the smallest saving that is told. `highest_share_after`: of the capacity, by the highest day's
    demand. `idle_days`: without a message in service. `burnt_days`: under a critical listing, or below `burnt_score`.
    """

    least_monthly_usd: Decimal = Decimal(1)
    highest_share_after: float = 0.6
    idle_days: float = 7
    burnt_days: float = 30
    burnt_score: int = 20
