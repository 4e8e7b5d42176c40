"""The lab's numbers, held against the fleet's real rules: usual demand calls for no node, and 60 % more for some."""

from datetime import datetime
from math import comb
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from penguin_infra.cli.database import FRESH_LAB_NODES
from penguin_infra.cli.fleet_env import lab_policy_file, write_lab_policy
from penguin_infra.domain.policies.grow_fleet import GrowthPlan
from penguin_infra.domain.reputation import Rate
from penguin_infra.domain.sending_allowance import allowance_now
from penguin_infra.domain.warmup_state import WarmupState
from penguin_infra.lab.history import demand_batches, history_batches
from penguin_infra.messages.telemetry import DeliveryBatch
from penguin_infra.operations.grow_fleet import read_growth_plan
from penguin_infra.operations.read_fleet_size import SizeLimits
from penguin_infra.policy import Policy
from penguin_infra.policy_file import read_policy
from penguin_infra.store import warmups
from penguin_infra.store.capacity_tables import demand_hours
from penguin_infra_tests.fleets import NOW, add_nodes
from penguin_infra_tests.growing import sell


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    write_lab_policy(tmp_path)
    return read_policy(lab_policy_file(tmp_path))


def ended(batches: list[DeliveryBatch]) -> dict[str, int]:
    """What came to an end, by hour."""
    sums: dict[str, int] = {}
    for batch in batches:
        for count in batch.counts:
            if count.result != "deferred":
                sums[count.bucket_at] = sums.get(count.bucket_at, 0) + count.messages
    return sums


def usual(seed: int) -> list[DeliveryBatch]:
    return list(history_batches("a-node", now=NOW, seed=seed))


def besides(seed: int, percent: int) -> list[DeliveryBatch]:
    return list(demand_batches("a-node", now=NOW, seed=seed, from_percent=0, to_percent=percent))


def test_a_day_of_a_node_is_as_much_as_it_sends_from_then_on() -> None:
    days = [sum(list(ended(usual(seed)).values())[-24:]) for seed in range(20)]
    assert sum(days) / 20 == pytest.approx(17_280, rel=0.02)
    more = [sum(list(ended(besides(seed, 60)).values())[-24:]) for seed in range(20)]
    assert sum(more) / 20 == pytest.approx(0.6 * 17_280, rel=0.02)


def test_what_is_told_besides_is_told_once_and_is_nothing_where_nothing_was_raised() -> None:
    assert besides(1, 60) == besides(1, 60)
    assert {batch.stream for batch in besides(1, 60)} == {"demand-0-60"}
    again = list(demand_batches("a-node", now=NOW, seed=1, from_percent=60, to_percent=60))
    lower = list(demand_batches("a-node", now=NOW, seed=1, from_percent=60, to_percent=20))
    assert ended(again) == ended(lower) == {}


@pytest.mark.parametrize("daily", [31_200, 33_600])
@pytest.mark.parametrize("seed", [1, 1_000, 1_000_000])
def test_usual_demand_calls_for_no_node_and_60_percent_more_for_two(
    engine: Engine, policy: Policy, daily: int, seed: int
) -> None:
    sell(engine)
    with engine.begin() as connection:
        for node_id in add_nodes(engine, FRESH_LAB_NODES):
            warmups.save_state(connection, node_id, WarmupState("lab", daily, NOW), NOW)
    ask(engine, seed, percent=0)
    plan = read(engine, policy)
    assert plan.count == 0, plan.reason
    ask(engine, seed, percent=60)
    plan = read(engine, policy)
    assert (plan.count, plan.bites) == (2, ()), plan.reason


@pytest.mark.parametrize("hour", range(24))
def test_60_percent_more_are_told_within_what_each_hour_allows(policy: Policy, hour: int) -> None:
    now = NOW.replace(hour=hour, minute=1)
    usual_rate = 720
    for seed in range(20):
        both = [
            *history_batches("a-node", now=now, seed=seed),
            *demand_batches("a-node", now=now, seed=seed, from_percent=0, to_percent=60),
        ]
        today = now.date().isoformat()
        sent = sum(
            count.messages
            for batch in both
            for count in batch.counts
            if count.result == "sent" and count.bucket_at.startswith(today)
        )
        assert allowance_now(policy.curve.stages[0], sent, 0, now).hour >= 1.6 * usual_rate


def test_a_storm_of_the_hours_allowance_is_surely_above_the_pauses_limit(policy: Policy) -> None:
    limits = policy.delivery
    first, _ = policy.curve.stages[:2]
    for hour_allowance, is_paused in ((2 * first // 24, True), (600, False)):
        rate = Rate(207 + hour_allowance // 2, 17_280 + hour_allowance)
        assert (rate.lower > limits.bounce_pause_rate) is is_paused
    # Within two minutes of 600.
    assert Rate(207 + 600, 17_280 + 1_200).point > limits.bounce_alert_rate
    # A usual day bounces nowhere near.
    assert Rate(250, 17_280).upper < limits.bounce_alert_rate


def test_usual_bounces_of_a_node_that_has_just_begun_alert_nobody_by_chance(policy: Policy) -> None:
    limits, usual_rate = policy.delivery, 0.012
    mails = limits.minimum_attempted
    most = int(limits.bounce_alert_rate * mails)
    chances = (
        comb(mails, bounces) * usual_rate**bounces * (1 - usual_rate) ** (mails - bounces)
        for bounces in range(most + 1)
    )
    assert 1 - sum(chances) < 0.001
    # A storm's mails of a minute are as many.
    assert mails <= 600


def ask(engine: Engine, seed: int, *, percent: int) -> None:
    for number in range(FRESH_LAB_NODES):
        told = [usual(seed + number), besides(seed + number, percent)][1 if percent else 0]
        with engine.begin() as connection:
            rows = [
                {"hour_at": datetime.fromisoformat(hour), "region": f"{number}-{percent}", "ended": messages}
                for hour, messages in ended(told).items()
            ]
            connection.execute(insert(demand_hours), rows)


def read(engine: Engine, policy: Policy) -> GrowthPlan:
    limits = SizeLimits(policy.growth, policy.curve, policy.warmup, policy.throughput, policy.resize)
    with engine.connect() as connection:
        plan = read_growth_plan(connection, limits=limits, now=NOW)
    assert plan is not None
    return plan
