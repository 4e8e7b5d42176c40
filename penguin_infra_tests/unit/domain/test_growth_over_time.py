"""The fleet's size over many months: the real policies day by day, over demand that grows, rests, jumps and falls.

A simulated day measures, forecasts, grows and, as though a person approved at once, shrinks. Nodes take thirty days to
ripen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest

from penguin_infra.domain.capacity import NodeCapacity, capacity_ahead
from penguin_infra.domain.fleet_size import FleetSize, GrowthLimits, NewNode, RegionSize, RipeNode
from penguin_infra.domain.forecast import forecast_demand
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.grow_fleet import plan_growth
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits, propose_shrink
from penguin_infra_tests.fleets import NOW

PER_DAY = 50_000
CURVE = (0, *(min(PER_DAY, int(50 * 1.27**day)) for day in range(29)), PER_DAY)
NEW = NewNode("ssd-1", Decimal("4.99"), CURVE)
REGIONS = ("dallas", "seattle")
WEEK = (1.0, 1.02, 1.0, 0.98, 0.95, 0.5, 0.4)
PAST_DAYS = 42


@dataclass
class World:
    """A fleet of ripe nodes and all that became of it; `requests` and `losses` are nodes by day."""

    limits: GrowthLimits
    ages: list[int]
    requests: dict[int, int] = field(default_factory=dict)
    losses: dict[int, int] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    most_young_share: float = 0.0

    def nodes(self) -> list[NodeCapacity]:
        return [
            NodeCapacity(
                UUID(int=number), f"node-{number:03}", REGIONS[number % 2],
                NodeStatus.PROVISIONING if age == 0 else NodeStatus.ACTIVE,
                PER_DAY, CURVE[min(age, 30)], CURVE[min(age + 1, 30) :],
            )
            for number, age in enumerate(self.ages)
        ]  # fmt: skip

    def sizes(self) -> tuple[RegionSize, ...]:
        return tuple(
            RegionSize(
                region, sum(number % 2 == of for number in range(len(self.ages))),
                warming=sum(age < 30 for number, age in enumerate(self.ages) if number % 2 == of),
            )
            for of, region in enumerate(REGIONS)
        )  # fmt: skip


def facts_of(world: World, past: list[float | None], today: float, day: int) -> FleetSize:
    def last(days: dict[int, int]) -> datetime | None:
        return NOW + timedelta(days=max(days)) if days else None

    return FleetSize(
        recent_demand=(*(sample for sample in past[-2:] if sample is not None), today),
        forecast=forecast_demand([*past, today], ahead=40),
        capacity_by_day=capacity_ahead(world.nodes(), days=40),
        regions=world.sizes(),
        requested_last_day=0,
        monthly_usd=NEW.monthly_usd * len(world.ages),
        grown_at=last(world.requests),
        shrunk_at=last(world.losses),
    )


def live(demand: list[float], *, nodes: int = 20, limits: GrowthLimits | None = None) -> World:
    """Let a fleet of ripe nodes live through the demand; the first days of it are its past."""
    world = World(limits or GrowthLimits(), [30] * nodes)
    for day in range(PAST_DAYS, len(demand)):
        world.shares.append(demand[day] / capacity_ahead(world.nodes(), days=0)[0])
        facts = facts_of(world, list(demand[:day]), demand[day], day)
        plan = plan_growth(facts, new_node=NEW, limits=world.limits)
        if plan.count:
            world.requests[day] = plan.count
            world.ages += [-1] * plan.count
            assert dict(plan.by_region).keys() <= set(REGIONS)
        else:
            give_up(world, facts, day)
        world.ages = [age + 1 for age in world.ages]
        world.most_young_share = max(world.most_young_share, sum(age < 30 for age in world.ages) / len(world.ages))
    return world


def give_up(world: World, facts: FleetSize, day: int) -> None:
    ripe = [
        RipeNode(node.node_id, node.label, node.region, 90, node.per_day, NEW.monthly_usd)
        for node, age in zip(world.nodes(), world.ages, strict=True)
        if age >= 30
    ]
    gone = propose_shrink(
        facts, ripe, new_node=NEW, growth=world.limits, limits=ShrinkLimits(), now=NOW + timedelta(days=day)
    ).node_ids
    if gone:
        world.losses[day] = len(gone)
        world.ages = [age for number, age in enumerate(world.ages) if UUID(int=number) not in gone]


def seasons(levels: Sequence[float], *, seed: int, noise: float = 0.03) -> list[float]:
    random = Random(seed)
    return [level * WEEK[day % 7] * max(0.5, 1 + random.gauss(0, noise)) for day, level in enumerate(levels)]


def undone_within(world: World, days: int) -> list[tuple[int, int]]:
    return [(grown, lost) for grown in world.requests for lost in world.losses if abs(grown - lost) < days]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("growth_a_day", [1_000, 4_000, 8_000])
def test_growth_that_is_announced_is_met_in_time_and_nothing_is_given_up(growth_a_day: int, seed: int) -> None:
    world = live(seasons([550_000 + growth_a_day * day for day in range(-PAST_DAYS, 200)], seed=seed))
    assert max(world.shares) < 0.9
    assert sum(world.requests.values()) > 0
    assert world.losses == {}
    assert world.most_young_share <= 0.5
    # Not bought in heaps either: what the growth needs at the target, a spare, and what thirty days ahead will need.
    needed = (550_000 + growth_a_day * (200 + 37)) * 1.1 / 0.65 / PER_DAY + 1
    assert len(world.ages) <= needed * 1.1


@pytest.mark.parametrize("seed", range(3))
def test_a_fleet_whose_demand_rests_is_left_as_it_is(seed: int) -> None:
    world = live(seasons([600_000] * (PAST_DAYS + 200), seed=seed), nodes=21)
    assert (world.requests, world.losses) == ({}, {})


@pytest.mark.parametrize("day", [60, 90, 121])
@pytest.mark.parametrize("absurd", [0.0, 1e12])
def test_a_day_that_was_measured_absurdly_changes_nothing(day: int, absurd: float) -> None:
    demand = seasons([600_000] * (PAST_DAYS + 100), seed=5)
    demand[day] = absurd
    world = live(demand, nodes=21)
    assert (world.requests, world.losses) == ({}, {})


@pytest.mark.parametrize("seed", range(3))
def test_a_wave_up_and_down_never_has_a_growth_and_a_loss_close_together(seed: int) -> None:
    up = [600_000 + 6_000 * day for day in range(100)]
    down = [max(300_000, up[-1] - 6_000 * day) for day in range(300)]
    world = live(seasons(up + down + [300_000 + 5_000 * day for day in range(80)], seed=seed))
    assert world.requests
    assert world.losses
    assert undone_within(world, 30) == []


def test_a_jump_of_60_percent_leads_to_nodes_at_once_and_only_once() -> None:
    levels = [550_000.0] * (PAST_DAYS + 14) + [880_000.0] * 120
    world = live(seasons(levels, seed=2))
    first = min(world.requests)
    assert PAST_DAYS + 14 <= first <= PAST_DAYS + 14 + 4
    assert max(world.requests) <= first + 21
    assert max(world.shares[-60:]) < 0.8
    assert world.losses == {}
