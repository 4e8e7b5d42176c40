"""The rules' limits in force, and the sections in which an operator may set them, checked field by field.

Every default is the domain's own. How the file is read, and its faults told, is `policy_file.py`'s.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from penguin_infra.domain.actions import ActionKind, RetryLimits
from penguin_infra.domain.capacity import ThroughputLimits
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.fleet_size import GrowthLimits
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.list_budget import BudgetLimits
from penguin_infra.domain.listing_limits import ListingLimits
from penguin_infra.domain.node import LABEL_PATTERN
from penguin_infra.domain.policies.leave_on_request import MOST_DRAIN_MINUTES
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra.domain.pricing import BillingCycle, CostLimits
from penguin_infra.domain.queue_pressure import QueueLimits
from penguin_infra.domain.reputation_score import ReputationLimits
from penguin_infra.domain.savings import SavingLimits
from penguin_infra.domain.warmup_curves import CURVES, DEFAULT_CURVE, InvalidCurve, WarmupCurve, find_curve
from penguin_infra.domain.warmup_quality import RateBounds, WarmupLimits
from penguin_infra.operations.begin_warmups import WarmupRules
from penguin_infra.operations.node_work import ProvisionLimits


@dataclass(frozen=True, slots=True)
class Policy:
    """All limits that the rules work with, and which blacklists are asked (None: the catalogue's default)."""

    guardrails: GuardrailLimits = field(default_factory=GuardrailLimits)
    retry: RetryLimits = field(default_factory=RetryLimits)
    provisioning: ProvisionLimits = field(default_factory=ProvisionLimits)
    listing: ListingLimits = field(default_factory=ListingLimits)
    delivery: DeliveryLimits = field(default_factory=DeliveryLimits)
    health: HealthLimits = field(default_factory=HealthLimits)
    budgets: BudgetLimits = field(default_factory=BudgetLimits)
    warmup: WarmupLimits = field(default_factory=WarmupLimits)
    curve: WarmupCurve = CURVES[DEFAULT_CURVE]
    throughput: ThroughputLimits = field(default_factory=ThroughputLimits)
    resize: ResizeLimits = field(default_factory=ResizeLimits)
    growth: GrowthLimits = field(default_factory=GrowthLimits)
    shrink: ShrinkLimits = field(default_factory=ShrinkLimits)
    cost: CostLimits = field(default_factory=CostLimits)
    savings: SavingLimits = field(default_factory=SavingLimits)
    reputation: ReputationLimits = field(default_factory=ReputationLimits)
    blacklist_zones: tuple[str, ...] | None = None

    @property
    def warmups(self) -> WarmupRules:
        """All that warm-ups are judged by."""
        return WarmupRules(self.curve, self.warmup, self.throughput)


_DEFAULTS = Policy()


class _Section(BaseModel):
    # TOML knows inf and nan, which no span and no share can be.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Guardrails(_Section):
    disruption_share_per_hour: Annotated[float, Field(ge=0, le=1)] = _DEFAULTS.guardrails.disruption_share_per_hour
    cool_down_minutes: Annotated[int, Field(ge=0)] = _DEFAULTS.guardrails.cool_down_minutes
    smallest_rotation_share: Annotated[float, Field(ge=0, le=1)] = _DEFAULTS.guardrails.smallest_rotation_share
    smallest_demand_share: Annotated[float, Field(ge=0, le=1)] = _DEFAULTS.guardrails.smallest_demand_share
    rejection_rest_hours: Annotated[float, Field(ge=0)] = _DEFAULTS.guardrails.rejection_rest_hours
    approve: tuple[ActionKind, ...] = tuple(sorted(_DEFAULTS.guardrails.approve))
    observe: tuple[ActionKind, ...] = tuple(sorted(_DEFAULTS.guardrails.observe))

    @model_validator(mode="after")
    def _one_mode_a_kind(self) -> Self:
        both = sorted(set(self.approve) & set(self.observe))
        # A default gives way to what the file says.
        if both and "approve" in self.model_fields_set:
            raise ValueError(f"{', '.join(both)} cannot be in approve and in observe")
        return self

    def limits(self) -> GuardrailLimits:
        """As the rules take them."""
        modes = {"approve": frozenset(self.approve), "observe": frozenset(self.observe)}
        return GuardrailLimits(**self.model_dump() | modes)


class _Retry(_Section):
    max_attempts: Annotated[int, Field(ge=1, le=20)] = _DEFAULTS.retry.max_attempts
    rest_seconds: tuple[Annotated[int, Field(ge=0)], ...] = _DEFAULTS.retry.rest_seconds


class _Provisioning(_Section):
    address_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.address_timeout_minutes
    most_addresses: Annotated[int, Field(ge=1, le=20)] = _DEFAULTS.provisioning.most_addresses
    screen_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.screen_timeout_minutes
    dns_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.dns_timeout_minutes
    install_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.install_timeout_minutes
    mail_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.mail_timeout_minutes
    heartbeat_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.heartbeat_timeout_minutes
    drain_minutes: Annotated[float, Field(ge=0)] = _DEFAULTS.provisioning.drain_minutes
    orphan_grace_minutes: Annotated[float, Field(ge=0)] = _DEFAULTS.provisioning.orphan_grace_minutes
    scan_ports: bool = _DEFAULTS.provisioning.scan_ports
    poll_seconds: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.poll_seconds


class _Blacklists(_Section):
    # None of them would look like a fleet without listings.
    zones: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    clean_answers_to_delist: Annotated[int, Field(ge=1)] = _DEFAULTS.listing.clean_answers_to_delist
    clean_span_seconds: Annotated[int, Field(ge=0)] = _DEFAULTS.listing.clean_span_seconds
    default_budget_per_day: PositiveInt = _DEFAULTS.budgets.default_per_day
    longest_interval_hours: Annotated[float, Field(gt=0)] = _DEFAULTS.budgets.longest_interval_hours
    budgets: dict[str, PositiveInt] = {}

    @field_validator("budgets", mode="before")
    @classmethod
    def _whole_zones(cls, value: object) -> object:
        # TOML makes tables within tables of a bare zen.spamhaus.org.
        if isinstance(value, dict) and any(isinstance(one, dict) for one in value.values()):
            raise ValueError('a zone stands in quotes: "zen.spamhaus.org" = 100000')
        return value

    def budget_limits(self) -> BudgetLimits:
        """As the rules take them."""
        return BudgetLimits(self.default_budget_per_day, self.longest_interval_hours, self.budgets)

    def listing_limits(self) -> ListingLimits:
        """As the rules take them."""
        return ListingLimits(self.clean_answers_to_delist, self.clean_span_seconds)


class _Health(_Section):
    most_silent_share: Annotated[float, Field(gt=0, le=1)] = _DEFAULTS.health.silence.most_silent_share
    fewest_silent: Annotated[int, Field(ge=1)] = _DEFAULTS.health.silence.fewest_silent
    directive_timeout_seconds: Annotated[float, Field(gt=0)] = _DEFAULTS.health.directive_timeout_seconds
    reboot_timeout_seconds: Annotated[float, Field(gt=0)] = _DEFAULTS.health.reboot_timeout_seconds
    poll_seconds: Annotated[float, Field(gt=0)] = _DEFAULTS.health.poll_seconds
    falls_to_maintenance: Annotated[int, Field(ge=1)] = _DEFAULTS.health.falls_to_maintenance
    rest_minutes: Annotated[int, Field(ge=0)] = _DEFAULTS.health.rest_minutes
    most_at_once: Annotated[int, Field(ge=1)] = _DEFAULTS.health.most_at_once

    def limits(self) -> HealthLimits:
        """As the rules take them."""
        told = self.model_dump()
        silence = SilenceLimits(**{name: told.pop(name) for name in ("most_silent_share", "fewest_silent")})
        return HealthLimits(silence=silence, **told)


_Share = Annotated[float, Field(ge=0, le=1)]


class _Delivery(_Section):
    bounce_alert_rate: _Share = _DEFAULTS.delivery.bounce_alert_rate
    bounce_pause_rate: _Share = _DEFAULTS.delivery.bounce_pause_rate
    complaint_alert_rate: _Share = _DEFAULTS.delivery.complaint_alert_rate
    complaint_pause_rate: _Share = _DEFAULTS.delivery.complaint_pause_rate
    policy_rejection_alert_rate: _Share = _DEFAULTS.delivery.policy_rejection_alert_rate
    # A rate of nothing is unknown, and would be above nought for every node.
    minimum_attempted: Annotated[int, Field(ge=1)] = _DEFAULTS.delivery.minimum_attempted
    complaint_minimum_sent: Annotated[int, Field(ge=1)] = _DEFAULTS.delivery.complaint_minimum_sent
    window_messages: Annotated[int, Field(ge=1)] = _DEFAULTS.delivery.window_messages
    minimum_pause_hours: Annotated[float, Field(ge=0)] = _DEFAULTS.delivery.minimum_pause_hours


class _Bounds(_Section):
    target: _Share
    ceiling: _Share
    trouble: _Share


def _bounds_of(bounds: RateBounds) -> _Bounds:
    return _Bounds(target=bounds.target, ceiling=bounds.ceiling, trouble=bounds.trouble)


class _Warmup(_Section):
    curve: str = DEFAULT_CURVE
    curves: dict[str, tuple[int, ...]] = {}
    bounces: _Bounds = _bounds_of(_DEFAULTS.warmup.bounces)
    complaints: _Bounds = _bounds_of(_DEFAULTS.warmup.complaints)
    policy_rejections: _Bounds = _bounds_of(_DEFAULTS.warmup.policy_rejections)
    minimum_stage_hours: Annotated[float, Field(gt=0)] = _DEFAULTS.warmup.minimum_stage_hours
    delivered_share: _Share = _DEFAULTS.warmup.delivered_share
    silent_days: Annotated[float, Field(gt=0)] = _DEFAULTS.warmup.silent_days
    stuck_days: Annotated[float, Field(gt=0)] = _DEFAULTS.warmup.stuck_days
    rest_hours: Annotated[float, Field(ge=0)] = _DEFAULTS.warmup.rest_hours
    provider_minimum: PositiveInt = _DEFAULTS.warmup.provider_minimum

    @model_validator(mode="after")
    def _known_curve(self) -> Self:
        # All of an operator's own curves, in use or not: a typing error is told when it is made.
        for name in [*self.curves, self.curve]:
            try:
                find_curve(name, self.curves)
            except InvalidCurve as error:
                raise ValueError(str(error)) from None
        return self

    def limits(self) -> WarmupLimits:
        """As the rules take them."""
        told = self.model_dump(exclude={"curve", "curves"})
        bounds = {name: RateBounds(**told[name]) for name in ("bounces", "complaints", "policy_rejections")}
        return WarmupLimits(**told | bounds)


class _Capacity(_Section):
    messages_per_hour_per_cpu: PositiveInt = _DEFAULTS.throughput.messages_per_hour_per_cpu
    messages_per_hour: dict[str, PositiveInt] = {}


class _Resize(_Section):
    windows: Annotated[int, Field(ge=2, le=36)] = _DEFAULTS.resize.queue.windows
    deep_messages: PositiveInt = _DEFAULTS.resize.queue.deep_messages
    old_seconds: Annotated[int, Field(ge=0)] = _DEFAULTS.resize.queue.old_seconds
    calm_share: _Share = _DEFAULTS.resize.queue.calm_share
    cpu_percent: Annotated[float, Field(gt=0, le=100)] = _DEFAULTS.resize.queue.cpu_percent
    memory_percent: Annotated[float, Field(gt=0, le=100)] = _DEFAULTS.resize.queue.memory_percent
    throughput_share: Annotated[float, Field(gt=0, le=1)] = _DEFAULTS.resize.queue.throughput_share
    deferred_share: Annotated[float, Field(gt=0, le=1)] = _DEFAULTS.resize.queue.deferred_share
    emptying_hours: Annotated[float, Field(ge=0)] = _DEFAULTS.resize.queue.emptying_hours
    target_share: Annotated[float, Field(gt=0, le=1)] = _DEFAULTS.resize.target_share
    cool_down_hours: Annotated[float, Field(ge=0)] = _DEFAULTS.resize.cool_down_hours
    drain_minutes: Annotated[float, Field(ge=0, le=MOST_DRAIN_MINUTES)] = _DEFAULTS.resize.drain_minutes
    ready_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.resize.ready_timeout_minutes

    def limits(self) -> ResizeLimits:
        """As the rules take them."""
        told = self.model_dump()
        queue = QueueLimits(**{name: told.pop(name) for name in list(told) if hasattr(_DEFAULTS.resize.queue, name)})
        return ResizeLimits(queue, **told)


class _Growth(_Section):
    trigger_share: Annotated[float, Field(gt=0, le=1)] = _DEFAULTS.growth.trigger_share
    target_share: Annotated[float, Field(gt=0, lt=1)] = _DEFAULTS.growth.target_share
    warm_spares: Annotated[int, Field(ge=0)] = _DEFAULTS.growth.warm_spares
    most_requests_a_day: Annotated[int, Field(ge=0)] = _DEFAULTS.growth.most_requests_a_day
    most_young_share: _Share = _DEFAULTS.growth.most_young_share
    fewest_young_allowed: Annotated[int, Field(ge=0)] = _DEFAULTS.growth.fewest_young_allowed
    most_nodes: Annotated[int, Field(ge=0)] = _DEFAULTS.growth.most_nodes
    most_monthly_usd: Annotated[Decimal, Field(ge=0)] | None = _DEFAULTS.growth.most_monthly_usd
    worst_scaled_error: Annotated[float, Field(gt=0)] = _DEFAULTS.growth.worst_scaled_error
    plan: Annotated[str, Field(min_length=1, max_length=50)] = _DEFAULTS.growth.plan
    regions: tuple[Annotated[str, Field(pattern=LABEL_PATTERN.pattern.replace(r"\Z", "$"))], ...] = ()

    @model_validator(mode="after")
    def _target_below_trigger(self) -> Self:
        self.limits()
        return self

    def limits(self) -> GrowthLimits:
        """As the rules take them; raises `ValueError`."""
        return GrowthLimits(**self.model_dump())


class _Shrink(_Section):
    highest_share_after: Annotated[float, Field(gt=0, le=1)] = _DEFAULTS.shrink.highest_share_after
    quiet_days_after_growth: Annotated[float, Field(ge=0)] = _DEFAULTS.shrink.quiet_days_after_growth
    days_between: Annotated[float, Field(ge=0)] = _DEFAULTS.shrink.days_between
    most_share_at_once: _Share = _DEFAULTS.shrink.most_share_at_once
    fewest_nodes: Annotated[int, Field(ge=1)] = _DEFAULTS.shrink.fewest_nodes
    fewest_a_region: Annotated[int, Field(ge=0)] = _DEFAULTS.shrink.fewest_a_region


class _Cost(_Section):
    billing_cycle: BillingCycle = _DEFAULTS.cost.billing_cycle
    extra_address_monthly_usd: Annotated[Decimal, Field(ge=0)] = _DEFAULTS.cost.extra_address_monthly_usd
    monthly_budget_usd: Annotated[Decimal, Field(gt=0)] | None = _DEFAULTS.cost.monthly_budget_usd
    budget_alert_share: Annotated[float, Field(gt=0)] = _DEFAULTS.cost.budget_alert_share


class _Savings(_Section):
    least_monthly_usd: Annotated[Decimal, Field(ge=0)] = _DEFAULTS.savings.least_monthly_usd
    highest_share_after: Annotated[float, Field(gt=0, le=1)] = _DEFAULTS.savings.highest_share_after
    idle_days: Annotated[float, Field(gt=0)] = _DEFAULTS.savings.idle_days
    burnt_days: Annotated[float, Field(gt=0)] = _DEFAULTS.savings.burnt_days
    burnt_score: Annotated[int, Field(ge=0, le=100)] = _DEFAULTS.savings.burnt_score


class _Reputation(_Section):
    points_a_day: Annotated[float, Field(gt=0)] = _DEFAULTS.reputation.points_a_day


class PolicySections(_Section):
    """The whole file: a section a room of the rules."""

    guardrails: _Guardrails = _Guardrails()
    retry: _Retry = _Retry()
    provisioning: _Provisioning = _Provisioning()
    blacklists: _Blacklists = _Blacklists()
    delivery: _Delivery = _Delivery()
    health: _Health = _Health()
    warmup: _Warmup = _Warmup()
    capacity: _Capacity = _Capacity()
    resize: _Resize = _Resize()
    growth: _Growth = _Growth()
    shrink: _Shrink = _Shrink()
    cost: _Cost = _Cost()
    savings: _Savings = _Savings()
    reputation: _Reputation = _Reputation()

    def policy(self) -> Policy:
        """As the rules take them."""
        retry = RetryLimits(**self.retry.model_dump())
        return Policy(
            guardrails=self.guardrails.limits(),
            retry=retry,
            provisioning=ProvisionLimits(**self.provisioning.model_dump(), retry=retry),
            blacklist_zones=self.blacklists.zones,
            listing=self.blacklists.listing_limits(),
            budgets=self.blacklists.budget_limits(),
            delivery=DeliveryLimits(**self.delivery.model_dump()),
            health=self.health.limits(),
            warmup=self.warmup.limits(),
            curve=find_curve(self.warmup.curve, self.warmup.curves),
            throughput=ThroughputLimits(**self.capacity.model_dump()),
            resize=self.resize.limits(),
            growth=self.growth.limits(),
            shrink=ShrinkLimits(**self.shrink.model_dump()),
            cost=CostLimits(**self.cost.model_dump()),
            savings=SavingLimits(**self.savings.model_dump()),
            reputation=ReputationLimits(**self.reputation.model_dump()),
        )
