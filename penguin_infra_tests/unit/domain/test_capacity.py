"""What nodes can send by plan and allowance, now and as they ripen, and what is asked of them."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.domain.capacity import (
    Load,
    NodeCapacity,
    capacity_ahead,
    days_until_share,
    measure,
    measure_regions,
)
from penguin_infra.domain.node import NodeStatus


def node(
    number: int = 1,
    *,
    status: NodeStatus = NodeStatus.ACTIVE,
    allowance: int | None = None,
    ahead: tuple[int | None, ...] = (),
    region: str = "dallas",
    load: Load | None = None,
) -> NodeCapacity:
    return NodeCapacity(UUID(int=number), f"node-{number}", region, status, 1_000, allowance, ahead, load or Load())


@pytest.mark.parametrize(("allowance", "expected"), [(None, 1_000), (50, 50), (5_000, 1_000), (0, 0)])
def test_a_node_sends_what_its_plan_or_its_allowance_lets_through(allowance: int | None, expected: int) -> None:
    assert node(allowance=allowance).per_day == expected


@pytest.mark.parametrize("status", [NodeStatus.PAUSED, NodeStatus.MAINTENANCE, NodeStatus.DECOMMISSIONED])
def test_a_node_out_of_service_is_not_counted_on_today_nor_later(status: NodeStatus) -> None:
    assert capacity_ahead([node(status=status, ahead=(500, 1_000))], days=3) == (0, 0, 0, 0)


def test_a_node_in_flight_carries_nothing_today_and_its_curve_later() -> None:
    assert capacity_ahead([node(status=NodeStatus.PROVISIONING, ahead=(0, 50, 100))], days=4) == (0, 0, 50, 100, 100)


def test_a_warming_node_ripens_to_its_plan_and_no_further() -> None:
    warming = node(status=NodeStatus.WARMING, allowance=100, ahead=(250, 2_500, None))
    assert capacity_ahead([warming], days=3) == (100, 250, 1_000, 1_000)


def test_capacities_of_a_day_add_up() -> None:
    assert capacity_ahead([node(1), node(2, allowance=100, ahead=(200,))], days=1) == (1_100, 1_200)


def test_demand_is_what_came_in_whether_it_could_be_sent_or_not() -> None:
    assert Load(ended=700, queue_growth=200, refused=100).demand == 1_000


def test_mail_of_days_before_is_no_demand_of_today() -> None:
    assert Load(ended=700, queue_growth=-500).demand == 200
    assert Load(ended=100, queue_growth=-500).demand == 0


def test_a_node_is_measured_by_itself() -> None:
    measured = node(allowance=500, load=Load(ended=400, queue_growth=50, refused=50)).utilisation
    assert (measured.throughput_share, measured.demand_share) == (0.8, 1.0)
    assert str(measured) == ("100.0% (demand 500 = 400 ended + 50 queued + 50 refused; warmed capacity 500 a day)")


def test_regions_and_the_fleet_are_sums_of_their_nodes() -> None:
    nodes = [
        node(1, region="seattle", load=Load(ended=900)),
        node(2, load=Load(ended=100)),
        node(3, load=Load(ended=200, refused=100)),
    ]
    by_region = measure_regions(nodes)
    assert {name: each.demand_share for name, each in by_region.items()} == {"dallas": 0.2, "seattle": 0.9}
    assert measure(nodes).throughput_share == 0.4


def test_load_without_capacity_has_no_share() -> None:
    assert node(status=NodeStatus.PAUSED, load=Load(ended=5)).utilisation.demand_share is None
    assert measure([]).throughput_share is None


@pytest.mark.parametrize(
    ("demand", "capacity", "expected"),
    [
        ((70, 75, 80, 85), (100, 100, 100, 100), 2),
        ((80,), (100,), 0),
        ((70, 80, 90), (100, 110, 120), None),
        ((70, 79), (100, 100, 1), None),
        ((1,), (0,), 0),
        ((0,), (0,), None),
    ],
)
def test_the_day_of_80_percent_is_seen_against_ripening_capacity(
    demand: tuple[int, ...], capacity: tuple[int, ...], expected: int | None
) -> None:
    assert days_until_share(0.8, demand=demand, capacity=capacity) == expected


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 2_000), min_size=1, max_size=10),
    st.integers(0, 2_000),
    st.integers(0, 20),
    st.sampled_from(NodeStatus),
)
def test_no_node_ever_sends_more_than_its_plan(ahead: list[int], allowance: int, day: int, status: NodeStatus) -> None:
    one = node(status=status, allowance=allowance, ahead=tuple(sorted(ahead)))
    assert 0 <= one.per_day_in(day) <= one.plan_per_day
