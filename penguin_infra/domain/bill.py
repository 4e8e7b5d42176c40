"""The provider's bill held against what the fleet reckoned: which instances differ, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

# What is less is rounding.
CENT = Decimal("0.01")
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class BillDifference:
    """An instance of which the bill and the fleet's own reckoning differ; None: the one or the other knows none."""

    provider_id: str
    billed_usd: Decimal | None
    reckoned_usd: Decimal | None

    @property
    def difference_usd(self) -> Decimal:
        """What the provider billed beyond what was reckoned."""
        return (self.billed_usd or _NOTHING) - (self.reckoned_usd or _NOTHING)


def differences(billed: Mapping[str, Decimal], reckoned: Mapping[str, Decimal]) -> list[BillDifference]:
    """Those of a cent or more, the greatest first."""
    both = [BillDifference(one, billed.get(one), reckoned.get(one)) for one in billed.keys() | reckoned.keys()]
    found = [one for one in both if abs(one.difference_usd) >= CENT]
    return sorted(found, key=lambda one: (-abs(one.difference_usd), one.provider_id))
