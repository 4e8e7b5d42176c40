"""What plans cost, and since when: every price that the provider ever showed, and the built-in ones beside them.

Which hours are billed at them is `pricing.py`'s.

    UnknownPlan   a plan is in no price list, nor in the built-in one
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

# The provider's own: 4.99 a month is 0.006931 an hour.
_HOURS_A_MONTH = 720
_HOURLY_PLACES = Decimal("0.000001")

# Only what the provider has published; whatever else is sold has a price that its API tells.
_FALLBACK_MONTHLY_USD = {"ssd-1": Decimal("4.99"), "ssd-2": Decimal("9.99")}


class PriceSource(StrEnum):
    """Who named a price: the provider's list, the built-in one where a plan is in no list, or the policy."""

    PROVIDER = "provider"
    FALLBACK = "fallback"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Price:
    """What a plan costs from a moment on."""

    from_at: datetime
    monthly_usd: Decimal
    hourly_usd: Decimal
    source: PriceSource = PriceSource.PROVIDER


class UnknownPlan(Exception):
    """A plan is in no price list, nor in the built-in one: what it costs cannot be told."""

    def __init__(self, plan: str) -> None:
        super().__init__(f"plan {plan} is in no price list that the provider ever showed, nor in the built-in one")
        self.plan = plan


class PriceList:
    """Every price of every plan, with since when it is in force."""

    def __init__(self, prices: Mapping[str, Sequence[Price]]) -> None:
        """`prices`: of each plan, the oldest first."""
        self._prices = {plan: tuple(known) for plan, known in prices.items() if known}
        self._moments = {plan: [price.from_at for price in known] for plan, known in self._prices.items()}

    def at(self, plan: str, moment: datetime) -> Price:
        """The price in force then; before the first that is known, that one. Errors: `UnknownPlan`."""
        if (known := self._prices.get(plan)) is None:
            return _fallback(plan)
        return known[max(0, bisect_right(self._moments[plan], moment) - 1)]

    def changes(self, plan: str) -> Sequence[datetime]:
        """When another price came into force, the first one left out: it holds for all time before."""
        return self._moments.get(plan, [])[1:]


def hourly_of(monthly_usd: Decimal) -> Decimal:
    """The price of an hour by that of a month, as the provider rounds it."""
    return (monthly_usd / _HOURS_A_MONTH).quantize(_HOURLY_PLACES)


def _fallback(plan: str) -> Price:
    monthly_usd = _FALLBACK_MONTHLY_USD.get(plan)
    if monthly_usd is None:
        raise UnknownPlan(plan)
    return Price(datetime.min.replace(tzinfo=UTC), monthly_usd, hourly_of(monthly_usd), PriceSource.FALLBACK)
