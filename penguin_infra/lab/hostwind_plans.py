"""What the simulated Hostwind sells: plans with prices, regions and the image.

ssd-1 and ssd-2 carry the provider's published prices; every other number is the lab's own and proves nothing about
the real price list.
"""

from dataclasses import dataclass
from decimal import Decimal

HOURS_A_MONTH = 720  # gives the contract's example: 4.99 a month is 0.006931 an hour

# Published too.
EXTRA_ADDRESS_MONTHLY_USD = Decimal("4.99")

REGIONS = ("seattle", "dallas", "amsterdam")
IMAGES = ("ubuntu-22.04",)


@dataclass(frozen=True, slots=True)
class SimulatedPlan:
    """A plan with its monthly list price."""

    name: str
    cpu: int
    memory_mb: int
    disk_gb: int
    transfer_gb: int
    monthly_usd: Decimal

    @property
    def hourly_usd(self) -> Decimal:
        """The price of a started hour."""
        return hourly_usd(self.monthly_usd)

    def answer(self) -> dict[str, object]:
        """The plan as the contract writes it."""
        return {
            "id": self.name,
            "cpu": self.cpu,
            "memory_mb": self.memory_mb,
            "disk_gb": self.disk_gb,
            "transfer_gb": self.transfer_gb,
            "monthly_usd": str(self.monthly_usd),
            "hourly_usd": str(self.hourly_usd),
        }


PLANS = {
    plan.name: plan
    for plan in (
        SimulatedPlan("ssd-1", cpu=1, memory_mb=1024, disk_gb=30, transfer_gb=1000, monthly_usd=Decimal("4.99")),
        SimulatedPlan("ssd-2", cpu=1, memory_mb=2048, disk_gb=50, transfer_gb=2000, monthly_usd=Decimal("9.99")),
        # The lab's own numbers: the provider's baseline prices end at ssd-2.
        SimulatedPlan("ssd-4", cpu=2, memory_mb=4096, disk_gb=75, transfer_gb=2000, monthly_usd=Decimal("18.99")),
    )
}


def hourly_usd(monthly_usd: Decimal) -> Decimal:
    """The price of a started hour by that of a month."""
    return (monthly_usd / HOURS_A_MONTH).quantize(Decimal("0.000001"))
