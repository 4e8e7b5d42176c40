"""A mailbox provider that alone makes trouble is held back and comes up again, while the others go on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from penguin_infra.domain.delivery import DeliveryFacts, total_of
from penguin_infra.domain.warmup import WarmupDecision, WarmupStep, advance_warmup
from penguin_infra.domain.warmup_curves import CURVES, WarmupCurve, WarmupPlan, plan_warmup
from penguin_infra.domain.warmup_state import (
    Measured,
    ProviderStage,
    WarmupEvidence,
    WarmupState,
    measured_since,
)

BEGUN = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = plan_warmup(CURVES["cautious"], 10_000)
D = WarmupDecision
STATE = WarmupState(PLAN.curve, 1_000, BEGUN)
HELD = replace(STATE, providers={"yahoo": ProviderStage(500, BEGUN)})


def decide(state: WarmupState, now: datetime, *, plan: WarmupPlan = PLAN, **providers: DeliveryFacts) -> WarmupStep:
    by_provider = {name: Measured(measured_since(state, name), facts) for name, facts in providers.items()}
    evidence = WarmupEvidence(
        total=Measured(state.since_at, total_of(providers.values())),
        by_provider=by_provider,
        delivered_last_day={name: facts.sent for name, facts in providers.items()},
        last_sent_at=now,
    )
    return advance_warmup(state, evidence, plan, now)


def test_a_provider_that_alone_complains_gets_half_and_the_others_go_on() -> None:
    step = decide(STATE, BEGUN + DAY, gmail=DeliveryFacts(sent=600), yahoo=DeliveryFacts(sent=400, complaints=9))
    assert (step.decision, step.state.daily) == (D.ADVANCE, 2_236)
    assert step.state.providers == {"yahoo": ProviderStage(500, BEGUN + DAY)}
    assert step.state.steps_back == 0
    assert step.reasons[-2].startswith("yahoo: The complaint rate is 2.25% (9 of 400")
    assert step.reasons[-1] == "yahoo steps back from 1,000 to 500 a day."


def test_a_held_providers_mail_does_not_grow_while_its_node_does() -> None:
    step = decide(HELD, BEGUN + DAY, gmail=DeliveryFacts(sent=600), yahoo=DeliveryFacts(sent=20))
    assert HELD.provider_factors == {"yahoo": 0.5}
    assert step.decision is D.HOLD  # 620 of the 1,000 that it may send, 640 of which it can
    step = decide(HELD, BEGUN + DAY, gmail=DeliveryFacts(sent=920), yahoo=DeliveryFacts(sent=40))
    assert (step.decision, step.state.daily) == (D.ADVANCE, 2_236)
    assert step.state.provider_factors == {"yahoo": 500 / 2_236}


def test_the_node_needs_no_volume_that_its_held_provider_cannot_take() -> None:
    # Half of all mail is Yahoo's: at a factor of a half, 750 are all that there is.
    step = decide(HELD, BEGUN + DAY, gmail=DeliveryFacts(sent=480), yahoo=DeliveryFacts(sent=230, complaints=2))
    assert step.decision is D.ADVANCE


def test_a_held_provider_comes_up_to_twice_as_much_on_good_evidence_only() -> None:
    held = replace(STATE, daily=5_000, providers={"yahoo": ProviderStage(500, BEGUN)})
    for facts, daily in (
        (DeliveryFacts(sent=60), 1_000),
        (DeliveryFacts(sent=30), 500),
        (DeliveryFacts(sent=60, complaints=2), 500),
        (DeliveryFacts(sent=60, complaints=3), 250),
    ):
        step = decide(held, BEGUN + DAY, gmail=DeliveryFacts(sent=900), yahoo=facts)
        assert step.decision is D.HOLD
        assert step.state.providers["yahoo"].daily == daily
    early = decide(held, BEGUN + 0.9 * DAY, gmail=DeliveryFacts(sent=900), yahoo=DeliveryFacts(sent=60))
    assert early.state == held


def test_a_provider_that_came_up_is_not_judged_by_its_old_mail_again() -> None:
    step = decide(HELD, BEGUN + DAY, gmail=DeliveryFacts(sent=500), yahoo=DeliveryFacts(sent=300))
    assert step.state.provider_factors == {}
    assert measured_since(step.state, "yahoo") == BEGUN + DAY
    assert measured_since(step.state, "gmail") == BEGUN
    later = decide(step.state, BEGUN + 2 * DAY, gmail=DeliveryFacts(sent=600), yahoo=DeliveryFacts(sent=400))
    assert (later.decision, later.state.providers) == (D.ADVANCE, {})


def test_trouble_at_the_only_provider_with_mail_is_the_nodes_own() -> None:
    step = decide(STATE, BEGUN + DAY, gmail=DeliveryFacts(sent=40), yahoo=DeliveryFacts(sent=960, complaints=9))
    assert (step.decision, step.state.daily, step.state.providers) == (D.STEP_BACK, 500, {})
    assert step.reasons[0].startswith("yahoo: The complaint rate")


def test_trouble_everywhere_steps_the_node_back() -> None:
    bad = DeliveryFacts(sent=400, hard_bounces=90)
    step = decide(STATE, BEGUN + DAY, gmail=bad, yahoo=bad, other=replace(bad, hard_bounces=45))
    assert (step.decision, step.state.daily) == (D.STEP_BACK, 500)


def test_a_full_node_waits_for_its_held_provider_before_it_is_warmed_up() -> None:
    full = replace(HELD, daily=10_000)
    step = decide(full, BEGUN + DAY, gmail=DeliveryFacts(sent=9_900), yahoo=DeliveryFacts(sent=30))
    assert (step.decision, step.state) == (D.HOLD, full)
    assert step.reasons == ("It is at its full 10,000 messages a day, but yahoo is held back.",)


def test_at_the_first_stage_a_providers_trouble_is_the_nodes_for_nothing_is_lower() -> None:
    first = replace(STATE, daily=50)
    step = decide(first, BEGUN + 5 * DAY, gmail=DeliveryFacts(sent=200), yahoo=DeliveryFacts(sent=20, hard_bounces=9))
    assert (step.decision, step.state.daily, step.state.providers) == (D.STEP_BACK, 50, {})


def test_a_small_node_whose_mail_nearly_all_goes_to_a_held_provider_has_shown_too_little() -> None:
    plan = plan_warmup(WarmupCurve("own", (10, 20, 40)), 80)
    held = WarmupState("own", 40, BEGUN, providers={"yahoo": ProviderStage(20, BEGUN)})
    for gmail, decision in ((5, D.HOLD), (49, D.HOLD), (50, D.ADVANCE)):
        yahoo = DeliveryFacts(sent=30, complaints=2)
        step = decide(held, BEGUN + 3 * DAY, plan=plan, gmail=DeliveryFacts(sent=gmail), yahoo=yahoo)
        assert step.decision is decision
        if decision is D.HOLD:
            few = f"{gmail} messages of this stage tell of providers that are not held back"
            assert step.reasons == (f"{few}, fewer than 50.",)


def test_a_providers_mail_from_before_its_last_step_holds_it_back_no_further() -> None:
    held = replace(STATE, providers={"yahoo": ProviderStage(500, BEGUN + DAY)})
    bad = DeliveryFacts(sent=400, complaints=9)
    old = WarmupEvidence(Measured(BEGUN, bad), by_provider={"yahoo": Measured(BEGUN, bad)}, last_sent_at=BEGUN)
    assert advance_warmup(held, old, PLAN, BEGUN + 3 * DAY).state == held
