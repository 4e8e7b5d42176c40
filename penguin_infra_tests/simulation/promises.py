"""What every year must keep, whatever it brings; `test_years_*.py` hold twenty seeds to it.

The sums are made again from what happened: no rule is asked whether it was kept.
"""

from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil

from penguin_infra.domain.actions import DISRUPTIVE_KINDS, DRAINING_KINDS, ActionKind
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra_tests.simulation.record import Deed, Year
from penguin_infra_tests.simulation.weather import HOURS_A_DAY, Trouble

MOST_USE = 0.90
LIMITS = GuardrailLimits()
# The fleet decides on the middle one of five sums, of which the newest is the truth: demand moves in those hours.
DEMAND_TOLERANCE = 0.10

# The fleet learns its weeks in three of them, and new nodes ripen in two more.
LEARNING_DAYS = 35

# What took nodes away, and how many days it takes to have their capacity again: back to half, and up the curve.
_RECOVERY_DAYS = {
    Trouble.SPIKE: 2,
    Trouble.REGION_OUTAGE: 2,
    Trouble.MAILBOX_OUTAGE: 2,
    Trouble.LISTING_WAVE: 12,
    Trouble.HARDWARE_FAULT: 2,
    Trouble.BAD_LIST: 6,
    Trouble.HOT_NODE: 2,
}


def calm_days(year: Year) -> list[int]:
    """The days whose demand the trend announced: past the learning, outside troubles and what they left behind."""
    troubled = set(range(LEARNING_DAYS))
    for event in year.weather.events:
        if days := _RECOVERY_DAYS.get(event.trouble):
            troubled |= set(range(event.begin // HOURS_A_DAY, event.end // HOURS_A_DAY + days + 1))
    return [day for day in range(len(year.hours) // HOURS_A_DAY) if day not in troubled]


def own_disruptions(year: Year) -> list[Deed]:
    """What took a node out of the rotation."""
    return [deed for deed in year.deeds if deed.kind in DISRUPTIVE_KINDS and deed.is_own]


def _demand_leapt(year: Year, at: datetime) -> bool:
    """Whether a spike, or a customer too large for its node, came within a day: no sum of days shows it yet."""
    hour = year.hour_of(at)
    events = [event for before in range(hour - HOURS_A_DAY, hour + 1) for event in year.weather.at(before)]
    return any(event.trouble in {Trouble.SPIKE, Trouble.HOT_NODE} for event in events)


class PromisesOfAYear:
    """A test each; whoever inherits them says which years."""

    def test_demand_that_its_trend_announced_never_takes_ninety_percent_of_warmed_capacity(self, year: Year) -> None:
        days, use = calm_days(year), year.daily_use()
        assert len(days) > 120, "hardly any day was calm: nothing is shown"
        assert {day: use[day] for day in days if use[day] >= MOST_USE} == {}

    def test_what_the_fleet_costs_a_month_stays_under_its_cap_in_every_hour(self, year: Year) -> None:
        assert max(hour.monthly_usd for hour in year.hours) <= year.most_monthly_usd

    def test_no_node_is_given_up_soon_after_the_fleet_grew(self, year: Year) -> None:
        quiet = timedelta(days=ShrinkLimits().quiet_days_after_growth)
        grown = [at for at, *_ in year.requests]
        assert [at for at, *_ in year.shrinks if any(at - quiet < growth <= at for growth in grown)] == []

    def test_the_fleet_grows_after_it_shrank_only_where_demand_rose_or_nodes_were_lost(self, year: Year) -> None:
        span = timedelta(days=ShrinkLimits().quiet_days_after_growth)
        for shrunk_at, demand_then, capacity_then in year.shrinks:
            for grown_at, _, demand, capacity, reason in year.requests:
                if shrunk_at < grown_at <= shrunk_at + span and not _demand_leapt(year, grown_at):
                    assert demand > 1.15 * demand_then or capacity < 0.85 * capacity_then, reason

    def test_what_is_drained_leaves_half_of_the_nodes_sending(self, year: Year) -> None:
        draining = [deed for deed in own_disruptions(year) if deed.kind in DRAINING_KINDS]
        assert draining
        assert [
            deed for deed in draining if deed.sending < ceil(deed.fleet_size * LIMITS.smallest_rotation_share)
        ] == []

    def test_what_is_taken_out_leaves_enough_capacity_for_the_days_demand(self, year: Year) -> None:
        least = LIMITS.smallest_demand_share * (1 - DEMAND_TOLERANCE)
        assert [deed for deed in own_disruptions(year) if deed.capacity_left < least * deed.demand] == []

    def test_no_hour_sees_more_nodes_taken_out_of_service_than_the_budget(self, year: Year) -> None:
        disruptions = [deed for deed in year.deeds if deed.kind in DISRUPTIVE_KINDS]
        within = [
            sum(timedelta(0) <= deed.at - other.at < timedelta(hours=1) for other in disruptions[: number + 1])
            for number, deed in enumerate(disruptions)
        ]
        most = [max(1, deed.fleet_size // 10) for deed in disruptions]
        assert [(d.at, d.label) for d, n, m in zip(disruptions, within, most, strict=True) if n > m] == []

    def test_whoever_is_given_up_was_approved_by_a_person(self, year: Year) -> None:
        assert all(deed.by_person for deed in year.of(ActionKind.DECOMMISSION))

    def test_no_node_is_resized_again_within_its_cool_down(self, year: Year) -> None:
        resizes = year.of(ActionKind.RESIZE)
        by_node: dict[str, list[timedelta]] = {}
        for deed in resizes:
            by_node.setdefault(deed.label, []).append(deed.at - year.begin_at)
        cool_down = timedelta(hours=ResizeLimits().cool_down_hours)
        assert [label for label, ats in by_node.items() if any(b - a < cool_down for a, b in pairwise(ats))] == []

    def test_a_warming_node_keeps_to_its_days_allowance_and_spreads_it_over_the_hours(self, year: Year) -> None:
        days = year.warming_days
        assert len(days) > 50
        assert [day for day in days if day.sent > day.highest_daily] == []
        assert [day for day in days if day.most_in_an_hour > 2 * -(-day.highest_daily // 24)] == []
