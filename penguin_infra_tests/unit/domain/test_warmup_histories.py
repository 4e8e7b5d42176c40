"""Whole warm-ups, thousands of them: whatever a node's mail and its clock do, the allowance keeps to its laws."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.domain.delivery import DeliveryFacts, total_of
from penguin_infra.domain.warmup import WarmupDecision, advance_warmup, expected_full_at
from penguin_infra.domain.warmup_curves import CURVES, WarmupCurve, WarmupPlan, plan_warmup
from penguin_infra.domain.warmup_quality import DEFAULT_WARMUP_LIMITS, find_trouble
from penguin_infra.domain.warmup_state import Measured, WarmupEvidence, WarmupState, begin_warmup, measured_since

BEGUN = datetime(2026, 3, 2, 6, tzinfo=UTC)
PROVIDERS = ("gmail", "yahoo", "other")
D = WarmupDecision

own_curves = st.sets(st.integers(1, 300_000), min_size=1, max_size=12).map(
    lambda stages: WarmupCurve("own", tuple(sorted(stages)))
)
plans = st.builds(plan_warmup, st.sampled_from([*CURVES.values()]) | own_curves, st.integers(1, 400_000))
counts = st.integers(0, 40) | st.integers(0, 20_000)
facts = st.builds(
    DeliveryFacts,
    sent=st.integers(0, 400_000),
    hard_bounces=counts,
    soft_bounces=counts,
    policy_rejections=counts,
    complaints=counts,
)
hours = st.integers(-30, 60) | st.integers(-24 * 40, 24 * 40)


@st.composite
def evidences(draw: st.DrawFn, state: WarmupState) -> WarmupEvidence:
    """What a store could tell of the state: mostly counted from where it should be, now and then from elsewhere."""
    by_provider = draw(st.dictionaries(st.sampled_from(PROVIDERS), facts))
    late = timedelta(hours=draw(st.sampled_from([0, 0, 0, 0, -5, 5])))
    moments = st.none() | st.integers(-24 * 40, 24 * 40).map(lambda hour: state.since_at + timedelta(hours=hour))
    return WarmupEvidence(
        total=Measured(state.since_at + late, total_of(by_provider.values())),
        by_provider={name: Measured(measured_since(state, name) + late, each) for name, each in by_provider.items()},
        delivered_last_day={name: each.sent for name, each in by_provider.items()},
        last_sent_at=draw(moments),
        returned_at=draw(st.none() | st.none() | moments),
        is_held=draw(st.sampled_from([False, False, False, True])),
    )


def check_laws(state: WarmupState, plan: WarmupPlan) -> None:
    assert state.daily in plan.dailies
    assert plan.first_daily <= state.daily <= plan.full_daily
    assert all(plan.first_daily <= each.daily for each in state.providers.values())
    assert all(0 < factor < 1 for factor in state.provider_factors.values())


@settings(max_examples=150, deadline=None)
@given(plan=plans, data=st.data())
def test_no_history_leaves_the_curve_and_a_repeated_run_changes_nothing(plan: WarmupPlan, data: st.DataObject) -> None:
    state, now = begin_warmup(plan, BEGUN), BEGUN
    for _ in range(data.draw(st.integers(1, 12))):
        now += timedelta(hours=data.draw(hours))
        evidence = data.draw(evidences(state))
        step = advance_warmup(state, evidence, plan, now)
        check_laws(step.state, plan)
        assert step.reasons
        assert all(reason.endswith(".") for reason in step.reasons)
        again = advance_warmup(step.state, evidence, plan, now)
        assert again.state == step.state
        for back in (1, 24, 24 * 90):
            earlier = advance_warmup(step.state, evidence, plan, min(now, step.state.since_at) - timedelta(hours=back))
            assert (earlier.decision, earlier.state) == (D.HOLD, step.state)
        assert expected_full_at(step.state, plan, now) <= max(now, step.state.since_at) + timedelta(
            days=len(plan.dailies)
        )
        state = step.state


@settings(max_examples=200, deadline=None)
@given(plan=plans, bad=facts, after=hours, data=st.data())
def test_an_allowance_never_rises_after_bad_evidence(
    plan: WarmupPlan, bad: DeliveryFacts, after: int, data: st.DataObject
) -> None:
    state = WarmupState(plan.curve, data.draw(st.sampled_from(plan.dailies)), BEGUN)
    if not find_trouble(bad, DEFAULT_WARMUP_LIMITS):
        bad = replace(bad, hard_bounces=bad.attempted // 5 + 10)
    now = BEGUN + timedelta(hours=after)
    part = data.draw(st.none() | st.sampled_from(PROVIDERS))
    evidence = WarmupEvidence(
        Measured(BEGUN, bad),
        by_provider={} if part is None else {part: Measured(BEGUN, bad)},
        delivered_last_day={"other": plan.full_daily},
        last_sent_at=now,
    )
    step = advance_warmup(state, evidence, plan, now)
    assert step.state.daily <= state.daily
    assert step.decision in {D.STEP_BACK, D.HOLD}
    if after > 0:
        assert step.state.daily == plan.at_or_below(state.daily // 2)


@settings(max_examples=100, deadline=None)
@given(plan=plans, good=st.dictionaries(st.sampled_from(PROVIDERS), facts, min_size=1), data=st.data())
def test_a_provider_in_trouble_never_gets_more_mail(
    plan: WarmupPlan, good: dict[str, DeliveryFacts], data: st.DataObject
) -> None:
    state = WarmupState(plan.curve, data.draw(st.sampled_from(plan.dailies)), BEGUN)
    bad = DeliveryFacts(sent=200, hard_bounces=60)
    every = {**good, "microsoft": bad}
    evidence = WarmupEvidence(
        Measured(BEGUN, total_of(every.values())),
        by_provider={name: Measured(BEGUN, each) for name, each in every.items()},
        delivered_last_day={name: each.sent for name, each in every.items()},
        last_sent_at=BEGUN,
    )
    after = advance_warmup(state, evidence, plan, BEGUN + timedelta(days=1)).state
    assert after.daily * after.provider_factors.get("microsoft", 1.0) <= max(state.daily / 2, plan.first_daily) + 1e-6


@settings(max_examples=60, deadline=None)
@given(plan=plans, bounces=st.floats(0, 0.012), complaints=st.floats(0, 0.0003), every_hours=st.sampled_from([24, 25]))
def test_a_node_with_good_mail_always_becomes_full_in_a_bounded_time(
    plan: WarmupPlan, bounces: float, complaints: float, every_hours: int
) -> None:
    state, now, total = begin_warmup(plan, BEGUN), BEGUN, DeliveryFacts()
    decisions = []
    for _ in range(6 * len(plan.dailies)):
        now += timedelta(hours=every_hours)
        sent = total.sent + state.daily
        total = DeliveryFacts(sent=sent, hard_bounces=int(sent * bounces), complaints=int(sent * complaints))
        evidence = WarmupEvidence(Measured(state.since_at, total), {}, {"other": state.daily}, last_sent_at=now)
        step = advance_warmup(state, evidence, plan, now)
        decisions.append(step.decision)
        total = total if step.state.since_at == state.since_at else DeliveryFacts()
        state = step.state
    assert state.daily == plan.full_daily
    assert decisions[-1] is D.FINISH
    assert set(decisions) <= {D.HOLD, D.ADVANCE, D.FINISH}


@settings(max_examples=50, deadline=None)
@given(plan=plans)
def test_without_any_trouble_it_is_full_on_the_day_that_was_expected(plan: WarmupPlan) -> None:
    state = begin_warmup(plan, BEGUN)
    expected = expected_full_at(state, plan, BEGUN)
    now = BEGUN
    while state.daily < plan.full_daily:
        now += timedelta(days=1)
        sent = DeliveryFacts(sent=state.daily)
        evidence = WarmupEvidence(Measured(state.since_at, sent), {}, {"other": state.daily}, last_sent_at=now)
        state = advance_warmup(state, evidence, plan, now).state
        assert expected_full_at(state, plan, now) == expected
    assert now == expected
