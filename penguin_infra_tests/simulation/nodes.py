"""A simulated node: what it is, what waits in it, and what was seen of it; the ladder of its plans.

State and sums. Who moves a node stands in `deciding.py`, who gives it mail in `mail.py`.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from penguin_infra.domain.capacity import LadderPlan, PlanOffer, ThroughputLimits
from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus
from penguin_infra.domain.queue_pressure import QueueWindow
from penguin_infra.domain.warmup_curves import CURVES, DEFAULT_CURVE, WarmupPlan, plan_warmup
from penguin_infra.domain.warmup_state import WarmupState

_OFFERS = (
    PlanOffer("ssd-1", 1, 1_024, Decimal("4.99")),
    PlanOffer("ssd-2", 1, 2_048, Decimal("9.99")),
    PlanOffer("ssd-4", 2, 4_096, Decimal("18.99")),
)
LADDER = ThroughputLimits(messages_per_hour={"ssd-1": 2_500, "ssd-2": 4_000, "ssd-4": 8_000}).ladder(_OFFERS)
RUNGS: dict[str, LadderPlan] = {plan.name: plan for plan in LADDER}


@lru_cache
def plan_of(name: str) -> WarmupPlan:
    """The warm-up of a node on that plan, along the default curve."""
    return plan_warmup(CURVES[DEFAULT_CURVE], RUNGS[name].messages_per_day)


@dataclass(slots=True, eq=False)
class SimulatedNode:
    """One node. `away_until`: resized or drained; `silent_until`: its host or region is gone; None: neither."""

    node_id: UUID
    label: str
    region: str
    plan: str
    status: NodeStatus
    state: WarmupState | None = None
    rate: int = 0
    queue: int = 0
    deferred: int = 0
    deferred_at: datetime | None = None
    hour_allowance: int = 0
    sent_this_hour: int = 0
    sent_today: int = 0
    hours: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=24))
    stage_hours: deque[int] = field(default_factory=lambda: deque(maxlen=24))
    stage: DeliveryFacts = field(default_factory=DeliveryFacts)
    bounced_this_hour: int = 0
    complained_this_hour: int = 0
    bounce_share: float = 0.005
    last_sent_at: datetime | None = None
    returned_at: datetime | None = None
    ready_at: datetime | None = None
    to_plan: str | None = None
    resized_at: datetime | None = None
    away_until: datetime | None = None
    is_leaving: bool = False
    silent_until: datetime | None = None
    listed_until: datetime | None = None
    paused_by: str = ""
    paused_at: datetime | None = None
    left_status: NodeStatus | None = None
    windows: list[QueueWindow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rate = RUNGS[self.plan].messages_per_hour

    @property
    def is_in_rotation(self) -> bool:
        """As the view `fleet.sending_rotation` says."""
        return (
            self.status in SENDING_STATUSES
            and self.away_until is None
            and self.silent_until is None
            and self.listed_until is None
        )

    @property
    def per_day(self) -> int:
        """What it can send in a day while it is in service."""
        if self.status not in SENDING_STATUSES:
            return 0
        most = self.rate * 24
        return min(most, self.state.daily) if self.status is NodeStatus.WARMING and self.state else most

    @property
    def monthly_usd(self) -> Decimal:
        """Its price; the new plan's as soon as a resize is decided."""
        return RUNGS[self.to_plan or self.plan].monthly_usd

    @property
    def depth(self) -> int:
        """All that waits in it."""
        return self.queue + self.deferred
