"""When a warming node takes its curve's next stage, holds, steps back or begins again. One pure rule.

A stage is earned by time, volume and quality together; what was not measured holds and never advances. Evidence counts
from the last step on, and each step makes the evidence before it stale: a rule that runs again with the same facts
changes nothing. Curves, bounds, providers and the state itself stand in the `warmup_*.py` beside this.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from penguin_infra.domain.warmup_curves import WarmupPlan
from penguin_infra.domain.warmup_providers import ProviderReview, attainable_share, move_to, review_providers
from penguin_infra.domain.warmup_quality import DEFAULT_WARMUP_LIMITS, WarmupLimits, find_doubts
from penguin_infra.domain.warmup_state import WarmupEvidence, WarmupState


class WarmupDecision(StrEnum):
    """What becomes of a warming node. STUCK holds, and calls a person; FINISH leaves the state for `active`."""

    HOLD = "hold"
    ADVANCE = "advance"
    STEP_BACK = "step_back"
    RESTART = "restart"
    FINISH = "finish"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class WarmupStep:
    """The decision, the state to keep from now on, and why: a sentence each."""

    decision: WarmupDecision
    state: WarmupState
    reasons: tuple[str, ...]

    def changes(self, state: WarmupState) -> bool:
        """Whether there is something new to keep, or a warm-up to end; a curve's new name alone is neither."""
        return self.decision is WarmupDecision.FINISH or replace(self.state, curve=state.curve) != state

    @property
    def is_stuck(self) -> bool:
        """Whether a person is to be told, in the words of `reasons`."""
        return self.decision is WarmupDecision.STUCK


def advance_warmup(
    state: WarmupState,
    evidence: WarmupEvidence,
    plan: WarmupPlan,
    now: datetime,
    *,
    limits: WarmupLimits = DEFAULT_WARMUP_LIMITS,
) -> WarmupStep:
    """Decide a warming node's next step; the first that applies, in this order.

    1. Nothing to judge by: paused, or facts of another stage. Hold.
    2. Returned since the stage began: half. After a long silence: the first stage.
    3. Proven trouble: half, once a day; a provider's alone: that provider.
    4. Time, volume and quality: the next stage, or the end.
    5. Too long in a stage: stuck.
    """
    state = _fitted(state, plan)
    unjudged = _why_unjudged(state, evidence, now)
    if unjudged is not None:
        return WarmupStep(WarmupDecision.HOLD, state, (unjudged,))
    restart = _restart(state, evidence, plan, limits, now)
    if restart is not None:
        return restart
    review = review_providers(state, evidence, plan, limits, now)
    if review.node_trouble:
        return _step_back(review, plan, limits, now)
    lacks = _lacks(review, evidence, limits, now)
    if not lacks:
        return _earned(review, plan, now)
    long_in_stage = now - state.since_at >= timedelta(days=limits.stuck_days)
    if not long_in_stage:
        return WarmupStep(WarmupDecision.HOLD, review.state, review.reasons + lacks)
    days = (now - state.since_at).days
    stuck = f"It has been at {state.daily:,} messages a day, {_stage(plan, state.daily)}, for {days} days."
    return WarmupStep(WarmupDecision.STUCK, review.state, (stuck, *review.reasons, *lacks))


def find_cold(
    state: WarmupState,
    evidence: WarmupEvidence,
    plan: WarmupPlan,
    now: datetime,
    *,
    limits: WarmupLimits = DEFAULT_WARMUP_LIMITS,
) -> WarmupStep | None:
    """How a node that was warmed up begins again: after a pause at half, after a long silence at the first stage.

    Its rates are judged elsewhere: they alert and pause. None: it is as warm as it was.
    """
    state = _fitted(state, plan)
    if _why_unjudged(state, evidence, now) is not None:
        return None
    return _restart(state, evidence, plan, limits, now)


def planned_daily(
    plan: WarmupPlan, begun_at: datetime, now: datetime, *, limits: WarmupLimits = DEFAULT_WARMUP_LIMITS
) -> int:
    """What the plan would allow by now, had every stage since its beginning taken the least time."""
    passed = int(max(now - begun_at, timedelta()) / timedelta(hours=limits.minimum_stage_hours))
    return plan.dailies[min(passed, len(plan.dailies) - 1)]


def expected_full_at(
    state: WarmupState, plan: WarmupPlan, now: datetime, *, limits: WarmupLimits = DEFAULT_WARMUP_LIMITS
) -> datetime:
    """When the node reaches its full capacity if all goes well from now on; a full node's is when it did."""
    left = len(plan.dailies) - plan.stage_at(state.daily)
    if not left:
        return state.since_at
    a_stage = timedelta(hours=limits.minimum_stage_hours)
    return max(now, state.since_at + a_stage) + (left - 1) * a_stage


def _fitted(state: WarmupState, plan: WarmupPlan) -> WarmupState:
    """The state on the plan as it is now, should the curve or the node's capacity have changed."""
    return replace(state, curve=plan.curve, daily=plan.at_or_below(state.daily))


def _why_unjudged(state: WarmupState, evidence: WarmupEvidence, now: datetime) -> str | None:
    if evidence.is_held:
        return "It is paused or in maintenance: nothing is earned."
    if now <= state.since_at:
        # Also what ends a repeated run, and a clock that was set back.
        return f"Its stage begins at {state.since_at.isoformat()}: there is no time yet to judge."
    if evidence.total.since_at < state.since_at:
        return f"The facts were counted from before its stage began at {state.since_at.isoformat()}."
    return None


def _restart(
    state: WarmupState, evidence: WarmupEvidence, plan: WarmupPlan, limits: WarmupLimits, now: datetime
) -> WarmupStep | None:
    last_at = max(evidence.last_sent_at or state.since_at, state.since_at)
    silent = now - last_at
    returned_at = evidence.returned_at
    has_returned = returned_at is not None and returned_at > state.since_at
    # A first stage that waits for mail is stuck: to begin it again would only hide for how long.
    is_silent = silent >= timedelta(days=limits.silent_days) and (has_returned or state.daily > plan.first_daily)
    if not is_silent and not has_returned:
        return None
    if is_silent:
        why, daily = f"It was silent for {silent.days} days", plan.first_daily
    else:
        why, daily = "It came back from a pause or from maintenance", plan.at_or_below(state.daily // 2)
    reason = f"{why}: from {state.daily:,} messages a day it begins again at {daily:,}, {_stage(plan, daily)}."
    begun_at = max(now, returned_at or now)
    return WarmupStep(WarmupDecision.RESTART, move_to(state, daily, begun_at), (reason,))


def _step_back(review: ProviderReview, plan: WarmupPlan, limits: WarmupLimits, now: datetime) -> WarmupStep:
    state = review.state
    reasons = review.node_trouble + review.reasons
    rest = timedelta(hours=limits.rest_hours)
    if state.stepped_back_at is not None and now - state.stepped_back_at < rest:
        waits = f"It stepped back less than {limits.rest_hours:g} h ago, and holds."
        return WarmupStep(WarmupDecision.HOLD, state, (*reasons, waits))
    # At the first stage it stays, and what it sends from now on is judged by itself.
    daily = plan.at_or_below(state.daily // 2)
    back = replace(move_to(state, daily, now), stepped_back_at=now, steps_back=state.steps_back + 1)
    step = f"From {state.daily:,} messages a day it steps back to {daily:,}, {_stage(plan, daily)}."
    return WarmupStep(WarmupDecision.STEP_BACK, back, (*reasons, step))


def _lacks(review: ProviderReview, evidence: WarmupEvidence, limits: WarmupLimits, now: datetime) -> tuple[str, ...]:
    """What the next stage still wants, a sentence each."""
    state = review.state
    lacks = []
    hours = (now - state.since_at) / timedelta(hours=1)
    if hours < limits.minimum_stage_hours:
        lacks.append(f"It has been in this stage for {max(hours, 0):.1f} of {limits.minimum_stage_hours:g} h.")
    delivered = min(sum(evidence.delivered_last_day.values()), evidence.total.facts.sent)
    share = limits.delivered_share * attainable_share(state, evidence.delivered_last_day)
    if delivered <= share * state.daily:
        lacks.append(f"{delivered:,} of {state.daily:,} messages were delivered in a day, not above {share:.0%}.")
    if state.providers and review.rest.attempted < limits.provider_minimum:
        few = f"{review.rest.attempted:,} messages of this stage tell of providers that are not held back"
        lacks.append(f"{few}, fewer than {limits.provider_minimum:,}.")
    return (*lacks, *find_doubts(review.rest, limits, volume=state.daily))


def _earned(review: ProviderReview, plan: WarmupPlan, now: datetime) -> WarmupStep:
    state, rest = review.state, review.rest
    good = f"Bounces are {rest.bounce_rate}, complaints {rest.complaint_rate}."
    if state.daily < plan.full_daily:
        daily = plan.after(state.daily)
        step = f"{state.daily:,} messages a day were delivered: it goes on to {daily:,}, {_stage(plan, daily)}."
        return WarmupStep(WarmupDecision.ADVANCE, move_to(state, daily, now), (step, good, *review.reasons))
    held = ", ".join(sorted(state.provider_factors))
    if held:
        waits = f"It is at its full {plan.full_daily:,} messages a day, but {held} is held back."
        return WarmupStep(WarmupDecision.HOLD, state, (waits, *review.reasons))
    done = f"Its full {plan.full_daily:,} messages a day were delivered: it is warmed up."
    return WarmupStep(WarmupDecision.FINISH, state, (done, good, *review.reasons))


def _stage(plan: WarmupPlan, daily: int) -> str:
    return f"stage {plan.stage_at(daily)} of {len(plan.dailies)}"
