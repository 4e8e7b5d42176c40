"""Where a node stands in its warm-up, and the facts that its next step is decided by. No rule stands here.

What a node has earned is kept as messages a day, not as a stage's number: so a changed curve or capacity gives it the
highest stage at or below that, never a leap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.warmup_curves import WarmupPlan


@dataclass(frozen=True, slots=True)
class ProviderStage:
    """A mailbox provider that is held below its node: as if the node were at `daily`, measured since `since_at`."""

    daily: int
    since_at: datetime


@dataclass(frozen=True, slots=True)
class WarmupState:
    """What a node has earned: so many messages `daily`, since `since_at`. All there is to keep between two steps.

    `providers` holds those alone that are below the node, or came up to it within this stage.
    """

    curve: str
    daily: int
    since_at: datetime
    stepped_back_at: datetime | None = None
    steps_back: int = 0
    providers: Mapping[str, ProviderStage] = field(default_factory=dict)

    @property
    def provider_factors(self) -> dict[str, float]:
        """The part of its usual share of the node's mail that each held provider may get."""
        return {name: each.daily / self.daily for name, each in self.providers.items() if each.daily < self.daily}


@dataclass(frozen=True, slots=True)
class Measured:
    """Facts and since when they were counted; see `measured_since` for when they should be."""

    since_at: datetime
    facts: DeliveryFacts


@dataclass(frozen=True, slots=True)
class WarmupEvidence:
    """What is known of a warming node.

    `delivered_last_day`: sent to each provider within the last 24 hours of this stage. `last_sent_at`: whenever that
    was. `returned_at`: when it last came back from a pause or from maintenance. `is_held`: it is in one of them now.
    """

    total: Measured
    by_provider: Mapping[str, Measured] = field(default_factory=dict)
    delivered_last_day: Mapping[str, int] = field(default_factory=dict)
    last_sent_at: datetime | None = None
    returned_at: datetime | None = None
    is_held: bool = False


def begin_warmup(plan: WarmupPlan, now: datetime) -> WarmupState:
    """A fresh node's state."""
    return WarmupState(plan.curve, plan.first_daily, now)


def measured_since(state: WarmupState, provider: str | None = None) -> datetime:
    """From when on mail is evidence: the stage's beginning, or a held provider's last step."""
    each = state.providers.get(provider) if provider is not None else None
    return each.since_at if each else state.since_at
