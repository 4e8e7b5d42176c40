"""The limits of a simulated fleet: the domain's own, but for the cap on spending."""

from dataclasses import dataclass, field
from decimal import Decimal

from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.fleet_size import GrowthLimits
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra_tests.simulation.weather import REGIONS

ROOMY_MONTHLY_USD = Decimal(300)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rules are held to."""

    growth: GrowthLimits = field(
        default_factory=lambda: GrowthLimits(most_monthly_usd=ROOMY_MONTHLY_USD, regions=REGIONS)
    )
    shrink: ShrinkLimits = field(default_factory=ShrinkLimits)
    resize: ResizeLimits = field(default_factory=ResizeLimits)
    delivery: DeliveryLimits = field(default_factory=DeliveryLimits)
    guardrails: GuardrailLimits = field(default_factory=GuardrailLimits)
