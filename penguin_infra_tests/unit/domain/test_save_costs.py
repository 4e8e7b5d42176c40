"""Which savings are told: each by its figures, never two of one node, and all together carried by what stays."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.fleet_size import RegionSize
from penguin_infra.domain.forecast import NoForecast
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.save_costs import recommend_savings
from penguin_infra.domain.pricing import BillingCycle, CostLimits
from penguin_infra.domain.savings import (
    FleetNode,
    Orphan,
    PlanRates,
    SavingKind,
    SavingLimits,
)
from penguin_infra_tests.unit.domain.saving_fleets import (
    DAY,
    LONG_AGO,
    NOW,
    PER_DAY,
    RATES,
    RULES,
    burnt,
    facts_of,
    found,
    full,
    idle,
    node,
    only,
    share_of,
    small_user,
    told,
)


def test_a_fleet_that_is_well_used_has_nothing_to_save() -> None:
    plan = found(facts_of(full(5), demand=share_of(5, 0.6)))
    assert plan.recommendations == ()
    assert plan.before == plan.together
    assert (plan.before.monthly_usd, plan.before.capacity_per_day) == (5 * Decimal("29.20"), 5 * 96_000)
    assert plan.before.peak_share == pytest.approx(0.6)


def test_an_idle_node_is_retired_while_the_others_carry_all() -> None:
    one = only(facts_of([idle(1), *full(4)], demand=share_of(4, 0.6)))
    assert (one.kind, one.label, one.saving_usd) == (SavingKind.RETIRE, "node-001", Decimal("29.20"))
    assert (one.before.capacity_per_day, one.after.capacity_per_day) == (480_000, 384_000)
    assert one.after.peak_share == pytest.approx(0.6)
    assert one.after.monthly_usd == one.before.monthly_usd - one.saving_usd
    assert "sent nothing in 7 days" in one.reason
    assert "230,400 messages on the highest day of 384,000 left" in one.reason
    assert one.command == f"penguin-infra actions plan {str(one.id)[:8]}"


def test_no_idle_node_is_retired_that_the_demand_needs_on_any_day_ahead() -> None:
    assert told(facts_of([idle(1), *full(4)], demand=share_of(4, 0.601))) == []
    assert told(facts_of([idle(1), *full(4)], demand=1_000, ahead=share_of(4, 0.601))) == []


def test_warm_spares_are_not_taken_for_idle_capacity() -> None:
    facts = facts_of([idle(1), *full(4)], demand=share_of(4, 0.6))
    assert facts.outlook
    assert told(replace(facts, outlook=replace(facts.outlook, spares=1))) == []


def test_a_fleet_that_sent_nothing_at_all_has_no_idle_node() -> None:
    assert told(facts_of([idle(number) for number in range(1, 9)], forecast=NoForecast("a test"))) == []


@pytest.mark.parametrize(
    "said",
    [
        {"is_speaking": False},
        {"serving_since": NOW - 6 * DAY},
        {"idle_ended": 1},
        {"is_engaged": True},
    ],
)
def test_what_may_not_be_idle_stays(said: dict[str, object]) -> None:
    assert told(facts_of([idle(1, **said), *full(4)], demand=1_000, forecast=NoForecast("a test"))) == []


def test_the_fewest_nodes_stay_however_idle_they_are() -> None:
    fleet = [idle(1), idle(2), node(3), node(4)]
    assert told(facts_of(fleet, demand=100, forecast=NoForecast("a test"))) == [("retire", "node-001")]


def test_a_burnt_address_is_retired_although_the_fleet_is_full() -> None:
    plan = found(facts_of([burnt(1), *full(3)], demand=share_of(3, 0.95)))
    (one,) = plan.recommendations
    assert (one.kind, one.label) == (SavingKind.RETIRE, "node-001")
    assert one.before.capacity_per_day == one.after.capacity_per_day
    assert "under a critical listing since 2026-10-24: it will not recover" in one.reason
    low = burnt(1, critical_since=None, low_score_since=NOW - 30 * DAY, reputation=4)
    assert "below 20 since 2026-10-25 (4 now)" in only(facts_of([low, *full(3)], demand=share_of(3, 0.95))).reason


@pytest.mark.parametrize(
    "said",
    [
        {"held_since": NOW - 29 * DAY},
        {"critical_since": NOW - 29 * DAY},
        {"critical_since": None},
        {"status": NodeStatus.ACTIVE},
    ],
)
def test_an_address_that_may_still_recover_stays(said: dict[str, object]) -> None:
    assert told(facts_of([burnt(1, **said), *full(3)], demand=share_of(3, 0.95))) == []


def test_spare_nodes_are_given_up_the_least_reputable_first() -> None:
    fleet = [replace(each, reputation=50 + each.node_id.int) for each in full(6)]
    plan = found(facts_of(fleet, demand=share_of(4, 0.6)))
    assert sorted(each.label for each in plan.recommendations) == ["node-010", "node-011"]
    assert {each.kind for each in plan.recommendations} == {SavingKind.CONSOLIDATE}
    assert plan.saving_usd == Decimal("58.40")
    # Each alone, and all of them together.
    assert [each.after.capacity_per_day for each in plan.recommendations] == [480_000, 480_000]
    assert (plan.together.capacity_per_day, plan.together.monthly_usd) == (384_000, 4 * Decimal("29.20"))
    assert plan.together.peak_share == pytest.approx(0.6)


def test_only_small_nodes_of_a_region_are_consolidated() -> None:
    fleet = [node(1, "large", reputation=10), node(2, "small"), node(3, "small"), node(4, "small"), node(5, "small")]
    busy = [replace(each, peak_hour=990, peak_hour_last_day=990) if each.plan == "small" else each for each in fleet]
    assert told(facts_of(busy, demand=50_000)) == [("consolidate", "node-002"), ("consolidate", "node-003")]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"regions": (RegionSize("dallas", 6, warming=1),)}, "the fleet is growing"),
        ({"grown_at": NOW - 59 * DAY}, "the fleet grew on"),
        ({"shrunk_at": NOW - 29 * DAY}, "the fleet shrank on"),
        ({"forecast": NoForecast("too short")}, "not given up on a guess"),
    ],
)
def test_nothing_is_consolidated_where_nothing_may_be_shrunk(changed: dict[str, object], why: str) -> None:
    facts = facts_of(full(6), demand=share_of(4, 0.6))
    assert facts.size
    plan = found(replace(facts, size=replace(facts.size, **changed)))  # type: ignore[arg-type]
    assert plan.recommendations == ()
    assert any(why in note for note in plan.notes)


def test_orphans_are_told_with_their_age_and_done_by_hand() -> None:
    orphan = Orphan("hw-9", "penguin-node-9-0000", "dallas", "middle", 1, NOW - 3 * DAY)
    plan = found(facts_of(full(3), demand=share_of(3, 0.6), orphans=[orphan]))
    (one,) = plan.recommendations
    assert (one.kind, one.saving_usd, one.node_id) == (SavingKind.ORPHAN, Decimal("14.60") + Decimal("4.99"), None)
    assert "held by no node since 2026-11-21, 3 days" in one.reason
    assert not one.is_plannable
    assert "delete it there" in one.command
    assert plan.before.monthly_usd == 3 * Decimal("29.20") + one.saving_usd


@pytest.mark.parametrize(
    ("cycle", "hourly", "saves"),
    [
        (BillingCycle.HOURLY, "0.03", "5.73"),  # 21.90 a month by the hour
        (BillingCycle.HOURLY, "0.02", None),
        (BillingCycle.MONTHLY, "0.02", "16.17"),  # 14.60 by the hour
        (BillingCycle.MONTHLY, "0.03", None),
    ],
)
def test_billing_is_changed_where_a_whole_month_costs_less_so(
    cycle: BillingCycle, hourly: str, saves: str | None
) -> None:
    young = node(1, created_at=NOW - 29 * DAY)
    facts = replace(
        facts_of([young, *full(3)], demand=share_of(4, 0.6)),
        rates=RATES | {"large": PlanRates(Decimal("19.99"), Decimal(hourly))},
    )
    plan = found(facts, replace(RULES, cost=CostLimits(billing_cycle=cycle)))
    assert [str(each.saving_usd) for each in plan.recommendations] == ([saves] if saves else [])
    if saves:
        (one,) = plan.recommendations
        assert (one.kind, one.label, one.node_id) == (SavingKind.BILLING_CYCLE, "fleet", None)
        assert one.reason.startswith("3 nodes are older than a month")


def test_less_than_the_least_is_not_told() -> None:
    facts = facts_of([idle(1, plan="small"), *full(4)], demand=1_000, forecast=NoForecast("a test"))
    assert told(facts) == [("retire", "node-001")]
    assert told(facts, replace(RULES, savings=SavingLimits(least_monthly_usd=Decimal("7.31")))) == []


def test_without_a_known_demand_only_what_takes_no_capacity_is_told() -> None:
    facts = facts_of([burnt(1), idle(2), small_user(3), *full(4)], demand=100)
    plan = found(replace(facts, outlook=None, size=None))
    assert [each.label for each in plan.recommendations] == ["node-001"]
    assert any("no capacity is given up" in note for note in plan.notes)


def test_a_plan_without_a_price_is_said_and_not_judged() -> None:
    facts = facts_of([idle(1, plan="small"), *full(4)], demand=1_000, forecast=NoForecast("a test"))
    plan = found(replace(facts, rates={name: rate for name, rate in RATES.items() if name != "small"}))
    assert plan.recommendations == ()
    assert any("no price is known of small" in note for note in plan.notes)


def test_what_leaves_by_another_hand_is_not_counted_on() -> None:
    leaving = node(2, is_engaged=True, is_leaving=True)
    assert told(facts_of([idle(1), leaving, *full(3)], demand=share_of(4, 0.6))) == []
    assert told(facts_of([idle(1), leaving, *full(3)], demand=share_of(3, 0.6))) == [("retire", "node-001")]


def test_ids_are_the_same_from_day_to_day() -> None:
    facts = facts_of([idle(1), *full(4)], demand=share_of(4, 0.6))
    assert only(facts).id == recommend_savings(facts, RULES, NOW + DAY).recommendations[0].id


_fleets = st.lists(
    st.builds(
        node,
        st.integers(1, 10**6),
        st.sampled_from(list(PER_DAY)),
        reputation=st.integers(0, 100),
        idle_ended=st.sampled_from([0, 1_000]),
        peak_hour=st.integers(0, 900),
        peak_hour_last_day=st.integers(1, 900),
        cpu_percent=st.floats(0, 40),
        memory_percent=st.floats(0, 40),
        is_leaving=st.booleans(),
        status_since=st.sampled_from([LONG_AGO, NOW]),
    ),
    min_size=1,
    max_size=15,
    unique_by=lambda each: each.node_id,
)


@given(fleet=_fleets, share=st.floats(0, 1), ahead=st.floats(0, 1))
def test_all_savings_together_are_carried_and_add_up(fleet: list[FleetNode], share: float, ahead: float) -> None:
    fleet = [replace(each, is_engaged=each.is_leaving) for each in fleet]
    capacity = sum(PER_DAY[each.plan] for each in fleet)
    facts = facts_of(fleet, demand=share * capacity, ahead=ahead * capacity)
    plan = found(facts)
    subjects = [each.node_id for each in plan.recommendations]
    assert len(set(subjects)) == len(subjects)
    assert plan.before.monthly_usd - plan.together.monthly_usd == plan.saving_usd
    by_id = {each.node_id: each for each in fleet}
    left = 0
    after = {each.node_id: each.to_plan for each in plan.recommendations}
    for node_id, each in by_id.items():
        plan_after = after.get(node_id, each.plan)
        left += 0 if each.is_leaving or plan_after is None else PER_DAY[plan_after]
    if any(after):
        assert max(share, ahead) * capacity <= RULES.share * left + 1e-6
        staying = [each for each in fleet if not each.is_leaving and after.get(each.node_id, each.plan) is not None]
        assert len(staying) >= RULES.shrink.fewest_nodes or all(after.values())
