"""When a warming node goes on, holds, steps back, begins again, is stuck and is done; and what it says to that."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.warmup import WarmupDecision, WarmupStep, advance_warmup, expected_full_at
from penguin_infra.domain.warmup_curves import CURVES, find_curve, plan_warmup
from penguin_infra.domain.warmup_state import Measured, WarmupEvidence, WarmupState, begin_warmup

BEGUN = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = plan_warmup(CURVES["cautious"], 10_000)
D = WarmupDecision


def at_daily(daily: int) -> WarmupState:
    return WarmupState(PLAN.curve, daily, BEGUN)


def evidence_of(facts: DeliveryFacts, *, last_day: int | None = None, sent_at: datetime = BEGUN) -> WarmupEvidence:
    """The facts of one stage; all of it within the last day unless told otherwise."""
    delivered = facts.sent if last_day is None else last_day
    return WarmupEvidence(Measured(BEGUN, facts), delivered_last_day={"other": delivered}, last_sent_at=sent_at)


def decide(daily: int, facts: DeliveryFacts, *, after: timedelta = DAY, last_day: int | None = None) -> WarmupStep:
    now = BEGUN + after
    return advance_warmup(at_daily(daily), evidence_of(facts, last_day=last_day, sent_at=now), PLAN, now)


def test_a_fresh_node_begins_at_the_curves_first_stage() -> None:
    assert begin_warmup(PLAN, BEGUN) == at_daily(50)


def test_a_day_of_good_mail_earns_the_next_stage() -> None:
    step = decide(250, DeliveryFacts(sent=240))
    assert (step.decision, step.state) == (D.ADVANCE, replace(at_daily(500), since_at=BEGUN + DAY))
    assert step.reasons == (
        "250 messages a day were delivered: it goes on to 500, stage 4 of 9.",
        "Bounces are 0.00% (0 of 240; 95 %: 0.00% to 1.58%), complaints 0.00% (0 of 240; 95 %: 0.00% to 1.58%).",
    )


def test_less_than_a_day_holds_however_much_was_delivered() -> None:
    step = decide(250, DeliveryFacts(sent=250), after=timedelta(hours=23.5))
    assert (step.decision, step.state) == (D.HOLD, at_daily(250))
    assert step.reasons == ("It has been in this stage for 23.5 of 24 h.",)


@pytest.mark.parametrize(("sent", "decision"), [(225, D.HOLD), (226, D.ADVANCE), (0, D.HOLD)])
def test_more_than_nine_tenths_of_the_stages_volume_must_be_delivered(sent: int, decision: WarmupDecision) -> None:
    step = decide(250, DeliveryFacts(sent=sent))
    assert step.decision is decision
    if decision is D.HOLD:
        assert step.reasons[0] == f"{sent} of 250 messages were delivered in a day, not above 90%."


def test_the_volume_counts_by_the_day_not_by_gathering_for_weeks() -> None:
    assert decide(250, DeliveryFacts(sent=900), after=9 * DAY, last_day=100).decision is D.HOLD


def test_no_evidence_holds_and_never_advances() -> None:
    step = decide(50, DeliveryFacts(), after=3 * DAY)
    assert (step.decision, step.state) == (D.HOLD, at_daily(50))
    assert "Nothing was attempted, which shows nothing." in step.reasons


@pytest.mark.parametrize(
    ("daily", "facts"),
    [
        # The observed rate is good, its upper bound is not: 1.0 % (up to 5.4 %).
        (100, DeliveryFacts(sent=99, hard_bounces=1)),
        (1_000, DeliveryFacts(sent=965, hard_bounces=35)),
        (1_000, DeliveryFacts(sent=970, policy_rejections=35)),
        (5_000, DeliveryFacts(sent=5_000, complaints=6)),
        # A first day is too small for bounds: two events are no good sign, and prove nothing.
        (50, DeliveryFacts(sent=48, hard_bounces=2)),
        (50, DeliveryFacts(sent=50, complaints=2)),
    ],
)
def test_what_is_neither_proven_good_nor_bad_holds(daily: int, facts: DeliveryFacts) -> None:
    step = decide(daily, facts)
    assert (step.decision, step.state) == (D.HOLD, at_daily(daily))
    assert "rate is" in step.reasons[0]


@pytest.mark.parametrize(
    ("daily", "facts"),
    [
        (50, DeliveryFacts(sent=49, hard_bounces=1)),
        (50, DeliveryFacts(sent=50, complaints=1)),
        (1_000, DeliveryFacts(sent=1_000, hard_bounces=20)),
        (5_000, DeliveryFacts(sent=5_000, complaints=2, soft_bounces=400)),
    ],
)
def test_a_lone_event_of_a_small_day_and_a_good_senders_rates_are_forgiven(daily: int, facts: DeliveryFacts) -> None:
    assert decide(daily, facts).decision is D.ADVANCE


@pytest.mark.parametrize(
    ("daily", "facts", "back_to", "name"),
    [
        (1_000, DeliveryFacts(sent=900, hard_bounces=100), 500, "bounce"),
        (1_000, DeliveryFacts(sent=900, policy_rejections=100), 500, "policy rejection"),
        (5_000, DeliveryFacts(sent=5_000, complaints=15), 2_236, "complaint"),
        (250, DeliveryFacts(sent=17, hard_bounces=3), 100, "bounce"),
        (100, DeliveryFacts(sent=50, complaints=3), 50, "complaint"),
        (50, DeliveryFacts(sent=30, hard_bounces=20), 50, "bounce"),
    ],
)
def test_proven_trouble_steps_back_to_half_at_once(daily: int, facts: DeliveryFacts, back_to: int, name: str) -> None:
    after = timedelta(hours=2)
    step = decide(daily, facts, after=after)
    assert step.decision is D.STEP_BACK
    assert step.state == WarmupState(PLAN.curve, back_to, BEGUN + after, BEGUN + after, 1)
    assert step.reasons[0].startswith(f"The {name} rate is ")
    stage = PLAN.dailies.index(back_to) + 1
    assert step.reasons[-1] == f"From {daily:,} messages a day it steps back to {back_to:,}, stage {stage} of 9."


def test_between_two_steps_back_lies_a_day() -> None:
    bad = DeliveryFacts(sent=400, hard_bounces=100)
    once = decide(1_000, bad).state
    for hours, decision in ((1, D.HOLD), (23, D.HOLD), (24, D.STEP_BACK)):
        now = BEGUN + DAY + timedelta(hours=hours)
        measured = replace(evidence_of(bad, sent_at=now), total=Measured(once.since_at, bad))
        assert advance_warmup(once, measured, PLAN, now).decision is decision


def test_facts_of_the_stage_before_count_no_more() -> None:
    bad = DeliveryFacts(sent=400, hard_bounces=100)
    once = decide(1_000, bad).state
    step = advance_warmup(once, evidence_of(bad), PLAN, BEGUN + 5 * DAY)
    assert (step.decision, step.state) == (D.HOLD, once)


def test_thirty_silent_days_begin_at_the_first_stage_again() -> None:
    quiet = evidence_of(DeliveryFacts(sent=900), last_day=0)
    assert advance_warmup(at_daily(1_000), quiet, PLAN, BEGUN + 29 * DAY).decision is D.STUCK
    step = advance_warmup(at_daily(1_000), quiet, PLAN, BEGUN + 30 * DAY)
    assert (step.decision, step.state) == (D.RESTART, replace(at_daily(50), since_at=BEGUN + 30 * DAY))
    assert "silent for 30 days" in step.reasons[0]


def test_a_first_stage_without_any_mail_is_stuck_and_does_not_begin_anew_unseen() -> None:
    silent = WarmupEvidence(Measured(BEGUN, DeliveryFacts()))
    step = advance_warmup(at_daily(50), silent, PLAN, BEGUN + 31 * DAY)
    assert (step.decision, step.state) == (D.STUCK, at_daily(50))


def test_a_pause_holds_and_the_return_from_it_begins_at_half() -> None:
    good = evidence_of(DeliveryFacts(sent=1_000))
    paused = advance_warmup(at_daily(1_000), replace(good, is_held=True), PLAN, BEGUN + DAY)
    assert (paused.decision, paused.state) == (D.HOLD, at_daily(1_000))
    returned = replace(good, returned_at=BEGUN + DAY)
    step = advance_warmup(at_daily(1_000), returned, PLAN, BEGUN + 1.1 * DAY)
    assert (step.decision, step.state) == (D.RESTART, replace(at_daily(500), since_at=BEGUN + 1.1 * DAY))
    assert "came back" in step.reasons[0]
    again = replace(returned, total=Measured(step.state.since_at, DeliveryFacts(sent=500)))
    assert advance_warmup(step.state, again, PLAN, BEGUN + 2 * DAY).state == step.state


def test_a_return_that_lies_ahead_of_the_clock_halves_once() -> None:
    ahead = replace(evidence_of(DeliveryFacts(sent=1_000)), returned_at=BEGUN + 1.1 * DAY)
    once = advance_warmup(at_daily(1_000), ahead, PLAN, BEGUN + DAY).state
    assert (once.daily, once.since_at) == (500, BEGUN + 1.1 * DAY)
    for days in (1.05, 1.1, 1.2):
        assert advance_warmup(once, ahead, PLAN, BEGUN + days * DAY).state == once


def test_a_pause_of_a_month_begins_at_the_first_stage() -> None:
    back = replace(evidence_of(DeliveryFacts(sent=1_000)), returned_at=BEGUN + 40 * DAY)
    step = advance_warmup(at_daily(1_000), back, PLAN, BEGUN + 40 * DAY)
    assert (step.decision, step.state.daily) == (D.RESTART, 50)


def test_ten_days_without_enough_mail_are_stuck_with_the_numbers_in_words() -> None:
    few = DeliveryFacts(sent=300)
    assert decide(250, few, after=9.9 * DAY, last_day=30).decision is D.HOLD
    step = decide(250, few, after=10 * DAY, last_day=30)
    assert step.is_stuck
    assert step.state == at_daily(250)
    assert step.reasons == (
        "It has been at 250 messages a day, stage 3 of 9, for 10 days.",
        "30 of 250 messages were delivered in a day, not above 90%.",
    )


def test_the_last_stage_with_volume_and_quality_is_the_end() -> None:
    step = decide(10_000, DeliveryFacts(sent=10_000, complaints=2))
    assert (step.decision, step.state) == (D.FINISH, at_daily(10_000))
    assert decide(10_000, DeliveryFacts(sent=8_000)).decision is D.HOLD


def test_another_curve_or_capacity_gives_the_stage_at_or_below_what_was_earned() -> None:
    evidence = WarmupEvidence(Measured(BEGUN, DeliveryFacts()))
    own = plan_warmup(find_curve("own", {"own": [100, 900, 4_000]}), 4_000)
    smaller = plan_warmup(CURVES["cautious"], 700)
    for plan, daily in ((own, 900), (smaller, 700), (PLAN, 1_000)):
        step = advance_warmup(at_daily(1_000), evidence, plan, BEGUN + DAY)
        assert (step.state.curve, step.state.daily) == (plan.curve, daily)


def test_full_capacity_is_expected_a_day_for_each_stage_that_is_left() -> None:
    assert expected_full_at(at_daily(50), PLAN, BEGUN) == BEGUN + 8 * DAY
    assert expected_full_at(at_daily(5_000), PLAN, BEGUN + 0.5 * DAY) == BEGUN + 2 * DAY
    assert expected_full_at(at_daily(5_000), PLAN, BEGUN + 9 * DAY) == BEGUN + 10 * DAY
    assert expected_full_at(at_daily(10_000), PLAN, BEGUN + 9 * DAY) == BEGUN
