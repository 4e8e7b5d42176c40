"""Which savings are told: each by its figures, never two of one node, and all together carried by what stays."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.fleet_size import FleetSize, GrowthLimits, RegionSize
from penguin_infra.domain.forecast import Forecast, NoForecast
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.domain.policies.save_costs import SavingRules, recommend_savings
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra.domain.pricing import BillingCycle, CostLimits
from penguin_infra.domain.savings import (
    CapacityOutlook,
    FleetNode,
    Orphan,
    PlanRates,
    Recommendation,
    SavingFacts,
    SavingKind,
    SavingLimits,
    SavingPlan,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LONG_AGO = NOW - 100 * DAY

LADDER = (
    LadderPlan("small", 1, 1_024, 1_000, Decimal("7.30")),
    LadderPlan("middle", 2, 2_048, 2_000, Decimal("14.60")),
    LadderPlan("large", 4, 4_096, 4_000, Decimal("29.20")),
)
PER_DAY = {plan.name: plan.messages_per_day for plan in LADDER}
# A month of 730 hours costs as much as the monthly price: no cycle is the better one.
RATES = {plan.name: PlanRates(plan.monthly_usd, plan.monthly_usd / 730) for plan in LADDER}
RULES = SavingRules(GrowthLimits(warm_spares=0), ShrinkLimits(), ResizeLimits(), CostLimits(), SavingLimits())
DAYS = 40


def node(number: int, plan: str = "large", status: NodeStatus = NodeStatus.ACTIVE, **said: object) -> FleetNode:
    """A node that has long been in service and is well used."""
    busy = {"idle_ended": 1_000, "peak_hour": 3_900, "peak_hour_last_day": 3_900, "cpu_percent": 80.0}
    facts: dict[str, object] = {
        "reputation": 90, "created_at": LONG_AGO, "status_since": LONG_AGO, "serving_since": LONG_AGO,
        "is_speaking": True, "memory_percent": 50.0,
    }  # fmt: skip
    return FleetNode(
        UUID(int=number),
        f"node-{number:03}",
        "dallas",
        plan,
        status,
        **facts | busy | said,  # type: ignore[arg-type]
    )


def idle(number: int, **said: object) -> FleetNode:
    nothing = {"idle_ended": 0, "peak_hour": 0, "peak_hour_last_day": 0, "cpu_percent": 2.0}
    return node(number, **nothing | said)  # type: ignore[arg-type]


def burnt(number: int, **said: object) -> FleetNode:
    held = {"held_since": NOW - 31 * DAY, "critical_since": NOW - 31 * DAY, "serving_since": None}
    return node(number, **{"status": NodeStatus.PAUSED, **held, **said})  # type: ignore[arg-type]


def facts_of(
    nodes: Sequence[FleetNode],
    *,
    demand: float = 0,
    ahead: float | None = None,
    forecast: Forecast | NoForecast | None = None,
    orphans: Sequence[Orphan] = (),
    **size: object,
) -> SavingFacts:
    """A fleet of whom so much is asked on its highest day, and from tomorrow on."""
    capacity_of = {each.node_id: ((PER_DAY[each.plan] if each.is_serving else 0),) * DAYS for each in nodes}
    capacity = tuple(sum(days) for days in zip(*capacity_of.values(), strict=True))
    ahead = demand if ahead is None else ahead
    known = FleetSize(
        recent_demand=(demand,),
        forecast=forecast or Forecast((ahead,) * DAYS, 0, 0, None, 4),
        capacity_by_day=capacity,
        regions=(RegionSize("dallas", len(nodes)),),
        requested_last_day=0,
        monthly_usd=Decimal(0),
        **size,  # type: ignore[arg-type]
    )
    outlook = CapacityOutlook((demand, *(ahead for _ in range(DAYS - 1))), capacity)
    return SavingFacts(tuple(nodes), tuple(orphans), RATES, LADDER, known, outlook, capacity_of)


def found(facts: SavingFacts, rules: SavingRules = RULES) -> SavingPlan:
    return recommend_savings(facts, rules, NOW)


def told(facts: SavingFacts, rules: SavingRules = RULES) -> list[tuple[str, str]]:
    return sorted((each.kind.value, each.label) for each in found(facts, rules).recommendations)


def only(facts: SavingFacts, rules: SavingRules = RULES) -> Recommendation:
    (one,) = found(facts, rules).recommendations
    return one


def full(count: int) -> list[FleetNode]:
    """Nodes that are used as much as they may be, from the tenth on."""
    return [node(number) for number in range(10, 10 + count)]


def share_of(count: int, share: float) -> float:
    """So much of what so many large nodes send in a day."""
    return count * PER_DAY["large"] * share


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


def small_user(number: int, **said: object) -> FleetNode:
    """On `large`, and fits `small`: 550 of 1,000 an hour, 0.48 of one CPU, 573 of 1,024 MB."""
    little = {"peak_hour": 550, "peak_hour_last_day": 550, "cpu_percent": 12.0, "memory_percent": 14.0}
    return node(number, **little | said)  # type: ignore[arg-type]


def crowded(*others: FleetNode) -> SavingFacts:
    """A fleet that is not shrunk, with room for a smaller plan."""
    return facts_of([*others, *full(4)], demand=100_000, forecast=NoForecast("a test"))


def test_a_node_is_downsized_to_the_cheapest_plan_that_its_peaks_fit() -> None:
    one = only(crowded(small_user(1)))
    assert (one.kind, one.plan, one.to_plan) == (SavingKind.DOWNSIZE, "large", "small")
    assert one.saving_usd == Decimal("21.90")
    assert (one.before.capacity_per_day, one.after.capacity_per_day) == (480_000, 408_000)
    assert "550 messages in the busiest hour of 14 days are 55% of its 1,000, CPU 48%, memory 56%" in one.reason
    assert "undocumented" in one.risk


@pytest.mark.parametrize(
    ("said", "to_plan"),
    [
        ({"peak_hour": 601, "peak_hour_last_day": 601}, "middle"),
        ({"cpu_percent": 16.0}, "middle"),
        ({"memory_percent": 16.0}, "middle"),
        ({"peak_hour": 599, "peak_hour_last_day": 400}, "middle"),  # on its busiest day the CPU was busier, too
        ({"memory_percent": 31.0}, None),
        ({"cpu_percent": None}, None),
        ({"memory_percent": None}, None),
        ({"peak_hour_last_day": 0}, None),
        ({"peak_hour": 0}, None),
        ({"status_since": NOW - 13 * DAY}, None),
        ({"resized_at": NOW - 13 * DAY}, None),
        ({"is_engaged": True}, None),
        ({"status": NodeStatus.WARMING}, None),
    ],
)
def test_what_does_not_fit_or_was_not_measured_keeps_its_plan(said: dict[str, object], to_plan: str | None) -> None:
    plans = [each.to_plan for each in found(crowded(small_user(1, **said))).recommendations]
    assert plans == ([to_plan] if to_plan else [])


def test_a_longer_cool_down_after_a_resize_holds_the_plan_longer() -> None:
    rested = crowded(small_user(1, resized_at=NOW - 20 * DAY))
    assert told(rested) == [("downsize", "node-001")]
    assert told(rested, replace(RULES, resize=ResizeLimits(cool_down_hours=21 * 24))) == []


def test_no_plan_is_made_smaller_whose_capacity_the_fleet_needs() -> None:
    fleet = [small_user(1), *full(4)]
    assert told(facts_of(fleet, demand=408_000 * 0.6)) == [("downsize", "node-001")]
    assert told(facts_of(fleet, demand=408_001 * 0.6)) == [("downsize", "node-001")]  # to the next plan up
    assert told(facts_of(fleet, demand=432_001 * 0.6)) == []


def test_who_takes_over_the_mail_of_others_is_not_made_small_for_its_own() -> None:
    # Alone it fits `small`; with the mail of the node that is given up it does not.
    fleet = [small_user(1), *full(5)]
    facts = facts_of(fleet, demand=share_of(5, 0.55))
    plans = {each.label: (each.kind.value, each.to_plan) for each in found(facts).recommendations}
    assert plans["node-001"] == ("consolidate", None)
    engaged = [small_user(1, reputation=99), *full(5)]
    changes = {each.label: each.to_plan for each in found(facts_of(engaged, demand=share_of(5, 0.5))).recommendations}
    assert changes == {"node-010": None, "node-001": "middle"}


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
