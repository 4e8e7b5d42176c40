"""How many nodes are asked for, and which are proposed to go: within every cap, and never one right after the other."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.domain.fleet_size import FleetSize, GrowthLimits, NewNode, RegionSize, RipeNode
from penguin_infra.domain.forecast import Forecast, NoForecast
from penguin_infra.domain.policies.grow_fleet import Cap, GrowthPlan, plan_growth
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits, ShrinkPlan, propose_shrink
from penguin_infra_tests.fleets import NOW

# Ripe after thirty days, and of little use before: 1,000 messages a day in the end.
NEW = NewNode("ssd-1", Decimal("4.99"), (*(int(10 * 1.16**day) for day in range(30)), 1_000))
LIMITS = GrowthLimits(warm_spares=0)
SHRINK = ShrinkLimits()


def sees(*values: float, error: float | None = 0.7) -> Forecast:
    return Forecast(values, drift=0, typical_error=1, scaled_error=error, trials=4)


def fleet(
    demand: float = 5_000,
    *,
    capacity: tuple[int, ...] = (10_000,),
    forecast: Forecast | NoForecast | None = None,
    regions: tuple[RegionSize, ...] = (RegionSize("dallas", 5), RegionSize("seattle", 5)),
    requested: int = 0,
    spend: str = "49.90",
) -> FleetSize:
    forecast = sees(demand) if forecast is None else forecast
    return FleetSize((demand,) * 3, forecast, capacity, regions, requested, Decimal(spend))


def grow(facts: FleetSize, limits: GrowthLimits = LIMITS) -> GrowthPlan:
    return plan_growth(facts, new_node=NEW, limits=limits)


def ripe(number: int, reputation: int, region: str = "dallas") -> RipeNode:
    return RipeNode(UUID(int=number), f"node-{number:03}", region, reputation, 1_000, Decimal("4.99"))


RIPE = [ripe(number, 100 - number, "dallas" if number % 2 else "seattle") for number in range(1, 11)]


def shrink(facts: FleetSize, candidates: list[RipeNode] = RIPE, limits: ShrinkLimits = SHRINK) -> ShrinkPlan:
    return propose_shrink(facts, candidates, new_node=NEW, growth=LIMITS, limits=limits, now=NOW)


def test_below_the_trigger_nothing_is_asked_for_and_the_sum_is_told() -> None:
    plan = grow(fleet(7_999))
    assert (plan.count, plan.needed) == (0, 0)
    assert plan.reason.startswith(
        "demand stays below 80% of usable capacity for 37 days: at most 7,999 of 10,000 a day, in 0 days; none needed"
    )


def test_at_80_percent_the_target_is_filled_up_to_with_the_sum() -> None:
    plan = grow(fleet(8_000))
    # 8,000 / 0.65 = 12,308: three nodes of a thousand beside ten.
    assert (plan.count, plan.by_region) == (3, (("dallas", 2), ("seattle", 1)))
    assert plan.reason.startswith(
        "demand has reached 80% of usable capacity: 8,000 of 10,000 a day; in 30 days 8,000 / 0.65 - 10,000 usable "
        "(0 young nodes ripened, 0 spare) at 1,000 a node: 3 nodes; 3 of 3 needed are asked for"
    )
    assert json.loads(json.dumps(plan.evidence)) == plan.evidence


def test_new_nodes_come_where_they_may_and_those_elsewhere_count_all_the_same() -> None:
    regions = (RegionSize("dallas", 5), RegionSize("seattle", 1, may_grow=False))
    plan = grow(fleet(8_000, regions=regions))
    assert plan.by_region == (("dallas", 3),)
    assert plan.evidence["nodes"] == 6
    nowhere = grow(fleet(8_000, regions=(RegionSize("seattle", 6, may_grow=False),)))
    assert (nowhere.count, nowhere.needed) == (0, 3)
    assert "no region is set to grow in" in nowhere.reason


def test_what_ripens_by_then_is_not_asked_for_again() -> None:
    assert grow(fleet(8_000, capacity=(10_000, *range(10_100, 13_100, 100)))).count == 0
    assert grow(fleet(8_000, capacity=(10_000, *range(10_050, 11_550, 50)))).needed == 1


def test_a_forecast_that_reaches_the_trigger_before_new_nodes_ripen_asks_in_time() -> None:
    rising = sees(*(5_000 + 110 * day for day in range(1, 38)))
    plan = grow(fleet(5_000, forecast=rising))
    # 9,070 on the strongest day of the week after the thirtieth.
    assert plan.needed == 4
    assert plan.reason.startswith("demand will in 28 days reach 80% of usable capacity: 8,080 of 10,000 a day; in 30")


def test_a_rise_beyond_that_horizon_can_wait() -> None:
    assert grow(fleet(5_000, forecast=sees(*([5_000] * 38 + [50_000])))).count == 0


def test_a_fall_of_demand_is_believed_once_it_has_come() -> None:
    assert grow(fleet(8_000, forecast=sees(1_000))).needed == 3


@pytest.mark.parametrize(
    ("forecast", "words"),
    [
        (NoForecast("3 periods"), "demand taken as it is now: no forecast: 3 periods"),
        (sees(50_000, error=1.6), "demand taken as it is now: the forecast erred too much"),
    ],
)
def test_no_node_is_bought_for_a_forecast_that_is_not_to_be_relied_on(
    forecast: Forecast | NoForecast, words: str
) -> None:
    plan = grow(fleet(5_000, forecast=forecast))
    assert plan.count == 0
    assert words in plan.reason


def test_a_single_absurd_measurement_buys_no_node() -> None:
    assert grow(replace(fleet(5_000), recent_demand=(5_000, 1e12, 5_000))).count == 0


def test_warm_spares_are_kept_beside_what_demand_needs() -> None:
    assert grow(fleet(6_400), replace(LIMITS, warm_spares=2)).needed == 2
    assert grow(fleet(0, capacity=(0,), regions=(RegionSize("dallas", 0),)), replace(LIMITS, warm_spares=2)).count == 2
    assert grow(fleet(6_400)).needed == 0


def test_a_node_at_the_ladders_top_gets_one_beside_it_once() -> None:
    asking = (RegionSize("dallas", 9, wanted=1), RegionSize("seattle", 1))
    assert grow(fleet(regions=asking)).by_region == (("dallas", 1),)
    answered = (RegionSize("dallas", 10, in_flight=1, wanted=1), RegionSize("seattle", 1))
    assert grow(fleet(regions=answered)).count == 0


def test_new_nodes_go_where_the_fewest_are() -> None:
    uneven = (RegionSize("dallas", 4), RegionSize("seattle", 4), RegionSize("tacoma", 2))
    assert grow(fleet(8_000, regions=uneven)).by_region == (("dallas", 1), ("tacoma", 2))


def test_without_a_region_nothing_is_asked_for() -> None:
    plan = grow(fleet(8_000, regions=()))
    assert (plan.count, plan.needed) == (0, 3)
    assert "no region is set to grow in" in plan.reason


@pytest.mark.parametrize(
    ("facts", "limits", "cap", "most", "words"),
    [
        (fleet(9_000, requested=4), LIMITS, Cap.REQUESTS_A_DAY, 1, "4 of 5 requests a day are made"),
        (
            fleet(9_000, regions=(RegionSize("dallas", 10, in_flight=1, warming=3),)), LIMITS, Cap.YOUNG_SHARE, 1,
            "4 nodes are in flight or warming of 5 that may be (max(2, 50% of 10))",
        ),
        (fleet(9_000), replace(LIMITS, most_nodes=12), Cap.FLEET_SIZE, 2, "the fleet has 10 of 12 nodes"),
        (
            fleet(9_000), replace(LIMITS, most_monthly_usd=Decimal("59.87")), Cap.MONTHLY_SPEND, 1,
            "$49.90 of $59.87 a month are spent, one ssd-1 more is $4.99",
        ),
        (fleet(9_000, spend="99"), replace(LIMITS, most_monthly_usd=Decimal(60)), Cap.MONTHLY_SPEND, 0, "$99.00 of"),
    ],
    ids=lambda value: value.value if isinstance(value, Cap) else "",
)  # fmt: skip
def test_a_cap_that_bites_is_told_with_its_sum(
    facts: FleetSize, limits: GrowthLimits, cap: Cap, most: int, words: str
) -> None:
    plan = grow(facts, limits)
    (bite,) = plan.bites
    assert (bite.cap, bite.most, plan.count, plan.needed) == (cap, most, most, 4)
    assert words in plan.reason
    assert f"{most} of 4 needed are asked for" in plan.reason


def test_a_cap_that_does_not_bite_is_not_spoken_of() -> None:
    assert grow(fleet(8_000), replace(LIMITS, most_monthly_usd=Decimal("64.87"), most_nodes=13)).bites == ()


def test_a_target_at_the_trigger_is_refused() -> None:
    with pytest.raises(ValueError, match="else every growth would call for the next"):
        GrowthLimits(target_share=0.8)


def test_a_node_that_never_ripens_is_refused() -> None:
    with pytest.raises(ValueError, match="never ripens"):
        NewNode("ssd-1", Decimal(1), (0, 0))


def test_the_least_reputable_node_is_proposed_to_go_and_a_person_decides() -> None:
    plan = shrink(fleet(3_000))
    assert ([node_id.int for node_id in plan.node_ids], plan.needs_approval) == ([10], True)
    assert plan.reason.startswith(
        "node-010 (reputation 90) could be given up for $4.99 a month: 3,000 on the strongest day of "
        "10,000 - 1,000 usable is at most 55%"
    )
    assert json.loads(json.dumps(plan.evidence)) == plan.evidence


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (fleet(4_951), "no node beyond 55% of usable capacity"),
        (fleet(3_000, forecast=sees(3_000, 5_500)), "no node beyond 55%"),
        (replace(fleet(3_000), recent_demand=(3_000, 3_000, 9_000)), "no node beyond 55%"),
        (fleet(3_000, forecast=NoForecast("young")), "not given up on a guess (no forecast: young)"),
        (fleet(3_000, forecast=sees(3_000, error=2)), "not given up on a bad forecast"),
        (fleet(3_000, regions=(RegionSize("dallas", 10, warming=1),)), "nodes in flight or warming: 1"),
        (fleet(3_000, regions=(RegionSize("dallas", 10, wanted=1),)), "asks for another beside it"),
        (replace(fleet(3_000), grown_at=NOW - timedelta(days=59)), "the fleet grew on 2026-"),
        (replace(fleet(3_000), shrunk_at=NOW - timedelta(days=29)), "the fleet shrank on 2026-"),
        (fleet(10, regions=(RegionSize("dallas", 3),)), "the floor of 3 nodes"),
    ],
)
def test_nothing_is_given_up_where_something_speaks_against_it(facts: FleetSize, words: str) -> None:
    plan = shrink(facts)
    assert plan.node_ids == ()
    assert words in plan.reason


def test_demand_just_below_is_enough_room_for_one_node_less() -> None:
    assert len(shrink(fleet(4_950)).node_ids) == 1


def test_the_last_node_of_a_region_stays_however_bad_it_is() -> None:
    regions = (RegionSize("dallas", 9), RegionSize("seattle", 1))
    plan = shrink(fleet(3_000, regions=regions), [ripe(1, 5, "seattle"), ripe(2, 50), ripe(3, 40)])
    assert [node_id.int for node_id in plan.node_ids] == [3]


sizes = st.builds(
    lambda demand, capacity, ahead, dallas, seattle, requested, spend: fleet(
        demand, capacity=tuple(sorted(capacity)), forecast=sees(*ahead), regions=(dallas, seattle),
        requested=requested, spend=str(spend),
    ),
    st.integers(0, 40_000),
    st.lists(st.integers(0, 30_000), min_size=1, max_size=40),
    st.lists(st.integers(0, 40_000), min_size=1, max_size=40),
    st.builds(
        RegionSize, st.just("dallas"), st.integers(8, 30), st.integers(0, 4), st.integers(0, 4), st.integers(0, 9)
    ),
    st.builds(RegionSize, st.just("seattle"), st.integers(8, 30), st.integers(0, 4), st.integers(0, 4)),
    st.integers(0, 9),
    st.integers(0, 300),
)  # fmt: skip
any_limits = st.builds(
    GrowthLimits,
    warm_spares=st.integers(0, 3),
    most_requests_a_day=st.integers(0, 20),
    most_young_share=st.sampled_from([0.1, 0.5, 1.0]),
    most_nodes=st.integers(0, 80),
    most_monthly_usd=st.one_of(st.none(), st.integers(0, 400).map(Decimal)),
)


@settings(deadline=None, max_examples=150)
@given(sizes, any_limits)
def test_whatever_the_facts_no_cap_is_passed(facts: FleetSize, limits: GrowthLimits) -> None:
    plan = grow(facts, limits)
    assert plan == grow(facts, limits)
    assert 0 <= plan.count <= plan.needed
    assert (plan.count == plan.needed) == (not plan.bites)
    if plan.count:
        assert plan.count + facts.requested_last_day <= limits.most_requests_a_day
        assert plan.count + facts.nodes <= limits.most_nodes
        assert plan.count + facts.young <= limits.most_young(facts.nodes)
        spend = facts.monthly_usd + plan.count * NEW.monthly_usd
        assert limits.most_monthly_usd is None or spend <= limits.most_monthly_usd


@settings(deadline=None, max_examples=150)
@given(sizes, any_limits, st.integers(0, 20_000))
def test_a_higher_demand_never_asks_for_fewer_nodes(facts: FleetSize, limits: GrowthLimits, more: int) -> None:
    assert isinstance(facts.forecast, Forecast)
    higher = replace(
        facts,
        recent_demand=tuple(each + more for each in facts.recent_demand),
        forecast=replace(facts.forecast, values=tuple(each + more for each in facts.forecast.values)),
    )
    assert grow(higher, limits).count >= grow(facts, limits).count


@settings(deadline=None, max_examples=150)
@given(sizes, st.integers(0, 9))
def test_what_is_given_up_is_never_asked_back_by_the_same_facts(facts: FleetSize, most_tenths: int) -> None:
    settled = replace(facts, regions=tuple(RegionSize(each.region, each.nodes) for each in facts.regions))
    limits = replace(SHRINK, most_share_at_once=most_tenths / 10)
    plan = shrink(settled, limits=limits)
    assert settled.nodes - len(plan.node_ids) >= SHRINK.fewest_nodes
    if plan.node_ids:
        left = tuple(each - 1_000 * len(plan.node_ids) for each in settled.capacity_by_day)
        assert grow(replace(settled, capacity_by_day=left)).needed == 0
        assert grow(settled).needed == 0
