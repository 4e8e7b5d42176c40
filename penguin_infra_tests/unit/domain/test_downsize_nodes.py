"""Smaller plans: only for peaks that were measured, that fit, and whose capacity nobody needs."""

from dataclasses import replace
from decimal import Decimal

import pytest

from penguin_infra.domain.forecast import NoForecast
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.domain.savings import (
    FleetNode,
    SavingFacts,
    SavingKind,
)
from penguin_infra_tests.unit.domain.saving_fleets import (
    DAY,
    NOW,
    RULES,
    facts_of,
    found,
    full,
    only,
    share_of,
    small_user,
    told,
)


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
