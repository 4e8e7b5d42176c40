"""How a mailbox provider that alone complains or bounces is held back, and comes up again, while the others go on.

It walks the node's own curve, below the node: down to half at trouble, up to twice as much on good evidence. In between
it does not grow, however far its node does. The node's own steps are `warmup.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penguin_infra.domain.delivery import DeliveryFacts, total_of
from penguin_infra.domain.warmup_curves import WarmupPlan
from penguin_infra.domain.warmup_quality import WarmupLimits, find_doubts, find_trouble
from penguin_infra.domain.warmup_state import ProviderStage, WarmupEvidence, WarmupState, measured_since


@dataclass(frozen=True, slots=True)
class ProviderReview:
    """The state after the providers' own steps, what changed in words, and what the node itself is judged by.

    `rest`: the mail to providers that are neither held nor in trouble. `node_trouble`: why the node is in trouble.
    """

    state: WarmupState
    reasons: tuple[str, ...]
    rest: DeliveryFacts
    node_trouble: tuple[str, ...]


def review_providers(
    state: WarmupState, evidence: WarmupEvidence, plan: WarmupPlan, limits: WarmupLimits, now: datetime
) -> ProviderReview:
    """Step each provider by its own facts, and part its trouble from the node's."""
    fresh = {
        name: measured.facts
        for name, measured in evidence.by_provider.items()
        if measured.since_at >= measured_since(state, name)
    }
    troubles = {name: found for name, facts in fresh.items() if (found := find_trouble(facts, limits))}
    held = state.provider_factors
    rest = evidence.total.facts
    if state.providers or troubles:
        rest = total_of(facts for name, facts in fresh.items() if name not in held and name not in troubles)
    node_trouble = find_trouble(rest, limits)
    new = {name: found for name, found in troubles.items() if name not in held}
    if new and (rest.attempted < limits.provider_minimum or state.daily == plan.first_daily):
        # With so little mail beside it, nothing says that the trouble is this provider's alone; and below the first
        # stage there is nothing to hold it at.
        node_trouble += tuple(f"{name}: {sentence}" for name, found in new.items() for sentence in found)
    stages, reasons = _step_each(state, fresh, troubles, plan=plan, limits=limits, now=now)
    return ProviderReview(replace(state, providers=stages), reasons, rest, node_trouble)


def move_to(state: WarmupState, daily: int, since_at: datetime) -> WarmupState:
    """The node at another stage; providers that are not below both are its like again, and measured with it."""
    below = min(state.daily, daily)
    kept = {name: each for name, each in state.providers.items() if each.daily < below}
    return replace(state, daily=daily, since_at=since_at, providers=kept)


def attainable_share(state: WarmupState, delivered: Mapping[str, int]) -> float:
    """How much of its allowance a node can deliver while some providers get less than their share of it."""
    factors = state.provider_factors
    unheld = sum(messages / factors.get(name, 1.0) for name, messages in delivered.items())
    return sum(delivered.values()) / unheld if unheld else 1.0


def _step_each(
    state: WarmupState,
    fresh: Mapping[str, DeliveryFacts],
    troubles: Mapping[str, tuple[str, ...]],
    *,
    plan: WarmupPlan,
    limits: WarmupLimits,
    now: datetime,
) -> tuple[dict[str, ProviderStage], tuple[str, ...]]:
    stages = dict(state.providers)
    reasons: list[str] = []
    for name, facts in fresh.items():
        stage = stages.get(name)
        if stage and now - stage.since_at < timedelta(hours=limits.rest_hours):
            continue
        daily = min(stage.daily, state.daily) if stage else state.daily
        if name in troubles:
            stages[name] = ProviderStage(plan.at_or_below(daily // 2), now)
            step = f"{name} steps back from {daily:,} to {stages[name].daily:,} a day."
            reasons += [f"{name}: {sentence}" for sentence in troubles[name]] + [step]
        elif daily < state.daily and _is_good(facts, limits):
            higher = min(state.daily, max(plan.after(daily), plan.at_or_below(2 * daily)))
            stages[name] = ProviderStage(higher, now)
            reasons.append(
                f"{name} comes up from {daily:,} to {higher:,} a day: {facts.attempted:,} messages were good."
            )
    return stages, tuple(reasons)


def _is_good(facts: DeliveryFacts, limits: WarmupLimits) -> bool:
    is_enough = facts.attempted >= limits.provider_minimum
    return is_enough and not find_doubts(facts, limits, volume=facts.attempted)
