"""One kind of trouble alone, over months of steady demand: what follows from it, and that nothing follows from lies."""

from dataclasses import replace
from decimal import Decimal

import pytest

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.queue_pressure import QueueLimits
from penguin_infra_tests.simulation.limits import Limits
from penguin_infra_tests.simulation.promises import LEARNING_DAYS, MOST_USE
from penguin_infra_tests.simulation.record import Year
from penguin_infra_tests.simulation.weather import Trouble, make_weather
from penguin_infra_tests.simulation.year import live

SEEDS = range(1, 21)
TIGHT_CAP = Decimal(55)


def quiet_months_with(seed: int, trouble: Trouble) -> Year:
    return live(make_weather(seed, days=75, troubles=frozenset({trouble}), is_flat=True))


@pytest.mark.parametrize("seed", [2, 9])
def test_a_cap_that_bites_is_kept_although_more_nodes_are_needed(seed: int) -> None:
    limits = Limits()
    limits = replace(limits, growth=replace(limits.growth, most_monthly_usd=TIGHT_CAP))
    year = live(make_weather(seed, days=240, troubles=frozenset()), limits)
    assert TIGHT_CAP - Decimal(5) < max(hour.monthly_usd for hour in year.hours) <= TIGHT_CAP
    assert max(year.daily_use()) > 0.9, "more was never needed"


def test_it_is_growth_that_keeps_a_rising_demand_below_ninety_percent() -> None:
    limits = Limits()
    never_deep = replace(limits.resize.queue, deep_messages=10**9)
    without = replace(
        limits,
        growth=replace(limits.growth, most_requests_a_day=0),
        resize=replace(limits.resize, queue=never_deep),
    )
    weather = make_weather(2, days=240, troubles=frozenset())
    assert max(live(weather, limits).daily_use()[LEARNING_DAYS:]) < MOST_USE
    assert max(live(weather, without).daily_use()[LEARNING_DAYS:]) > MOST_USE


@pytest.mark.parametrize("seed", SEEDS)
def test_queues_that_other_hosts_make_deep_lead_to_no_resize_and_no_node(seed: int) -> None:
    months = quiet_months_with(seed, Trouble.MAILBOX_OUTAGE)
    assert months.deepest_queue > QueueLimits().deep_messages, "no queue was deep: nothing is shown"
    assert (months.of(ActionKind.RESIZE), months.requests) == ([], [])


@pytest.mark.parametrize("seed", SEEDS)
def test_metrics_that_lie_lead_to_nothing(seed: int) -> None:
    months = quiet_months_with(seed, Trouble.LYING_METRIC)
    assert (months.deeds, months.requests, months.shrinks) == ([], [], [])


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_a_customer_who_is_too_much_for_one_node_gets_a_larger_one(seed: int) -> None:
    resizes = quiet_months_with(seed, Trouble.HOT_NODE).of(ActionKind.RESIZE)
    assert resizes
    assert all("messages an hour" in deed.reason for deed in resizes)


def test_the_same_seed_is_the_same_year() -> None:
    again = quiet_months_with(3, Trouble.HOT_NODE)
    assert again.hours == quiet_months_with(3, Trouble.HOT_NODE).hours
