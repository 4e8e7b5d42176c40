"""What the provider bills, exact: which hours, at which price. Money is `Decimal`, and never rounded here."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class BillingCycle(StrEnum):
    """How the provider bills the account's instances."""

    HOURLY = "hourly"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True)
class CostLimits:
    """How costs are reckoned, and the budget that they are held against.

    `extra_address_monthly_usd`: the provider's published price. `budget_alert_share`: of the budget, at which a month's
    forecast alerts.
    """

    billing_cycle: BillingCycle = BillingCycle.HOURLY
    extra_address_monthly_usd: Decimal = Decimal("4.99")
    monthly_budget_usd: Decimal | None = None
    budget_alert_share: float = 1.0
