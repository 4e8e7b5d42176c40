"""Ask the provider what its plans hold and cost, and keep what changed. What they cost the fleet is told elsewhere."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Engine

from penguin_infra.hostwind.provider import NodeProvider, Plan
from penguin_infra.store import plan_prices
from penguin_infra.store.plan_prices import PlanPrice
from penguin_infra.store.tables import AnyRow


@dataclass(frozen=True, slots=True)
class PriceReport:
    """The provider's answer, and what is kept. `faults`: why the answer was not taken; a sentence each."""

    offers: Sequence[Plan]
    faults: tuple[str, ...]
    changed_count: int
    kept: tuple[AnyRow, ...]


def refresh_prices(engine: Engine, provider: NodeProvider, now: datetime) -> PriceReport:
    """Take the price list whole or not at all; `now` is the time just before asking.

    An empty list, or a plan for nothing, says that the provider or its account is ill, not that nodes are free: growth
    would buy on such prices. What was known stays.
    """
    offers = provider.list_plans()
    faults = tuple(_faults(offers))
    with engine.begin() as connection:
        changed = 0
        if not faults:
            changed = plan_prices.save_prices(connection, [PlanPrice(**asdict(offer)) for offer in offers], now)
        kept = tuple(plan_prices.newest_prices(connection))
    return PriceReport(offers, faults, changed, kept)


def _faults(offers: Sequence[Plan]) -> list[str]:
    if not offers:
        return ["the provider offers no plan at all"]
    named = [offer.plan for offer in offers]
    return [
        *(
            f"{offer.plan} is offered for {offer.monthly_usd} USD a month and {offer.hourly_usd} an hour"
            for offer in offers
            if offer.monthly_usd <= 0 or offer.hourly_usd <= 0
        ),
        *(f"{plan} is offered {named.count(plan)} times" for plan in sorted(set(named)) if named.count(plan) > 1),
    ]
