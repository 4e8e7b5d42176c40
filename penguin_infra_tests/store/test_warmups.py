"""Warm-up's facts: allowances as the rule says, evidence from full hours alone, and progress that is replaced whole."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.sending_allowance import SendingAllowance, allowance_now
from penguin_infra.domain.warmup_state import Measured, ProviderStage
from penguin_infra.store import nodes
from penguin_infra.store.warmup_facts import WarmupSubject, read_subjects
from penguin_infra_tests.deliveries import add_complaint
from penguin_infra_tests.fleets import NOW, add_node, add_nodes
from penguin_infra_tests.warmups import HOUR, add_day, add_hour, stand_at


def the_subject(engine: Engine, node_id: UUID, now: datetime = NOW) -> WarmupSubject:
    with engine.connect() as connection:
        (found,) = read_subjects(connection, now, [node_id])
        return found


def test_the_view_allows_what_the_rule_allows_at_the_present_hour(engine: Engine) -> None:
    cases = [
        (daily, before, this_hour)
        for daily in (1, 2, 23, 24, 25, 50, 99, 1_000, 55_000, 3_000_001)
        for before in (0, 1, 7, daily // 24, daily // 2, daily, 2 * daily)
        for this_hour in (0, 1, daily // 12)
    ]
    with engine.begin() as connection:
        now: datetime = connection.execute(text("SELECT now()")).scalar_one()
        hour_at, day_at = now.replace(minute=0, second=0, microsecond=0), now.astimezone(UTC).replace(hour=0, minute=0)
        for number, (daily, before, this_hour) in enumerate(cases):
            node_id = nodes.insert_request(
                connection, label=f"n-{number}", region="dallas", plan="ssd-1", requested_by="person:t", now=now
            )
            row = {"n": node_id, "daily": daily, "now": now}
            connection.execute(
                text(
                    "INSERT INTO fleet.node_warmups (node_id, curve, daily, since_at, begun_at)"
                    " VALUES (:n, 'c', :daily, :now, :now)"
                ),
                row,
            )
            # Yesterday's mail counts in no sum of today.
            sent = {day_at.replace(second=0, microsecond=0) - HOUR: 9_999, hour_at: this_hour}
            if now.astimezone(UTC).hour:
                sent[hour_at - HOUR] = before
            connection.execute(
                text(
                    "INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, sent)"
                    " VALUES (:n, :h, 'gmail', :s)"
                ),
                [{"n": node_id, "h": at, "s": count} for at, count in sent.items()],
            )
        connection.execute(
            text(
                "UPDATE fleet.sending_nodes SET status = 'warming', provider_id = label,"
                " ip_address = '10.0.0.0'::inet + substr(label, 3)::int"
            )
        )
        rows = connection.execute(
            text("SELECT label, daily, hourly FROM fleet.sending_allowances JOIN fleet.sending_nodes ON id = node_id")
        )
        found = {int(row.label[2:]): SendingAllowance(row.hourly, row.daily) for row in rows}
    for number, (daily, before, this_hour) in enumerate(cases):
        earlier = before if now.astimezone(UTC).hour else 0
        assert found[number] == allowance_now(daily, earlier + this_hour, this_hour, now), cases[number]


def test_facts_count_from_the_first_full_hour_of_the_stage(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 50, NOW - timedelta(hours=3, minutes=30))
    add_hour(engine, node_id, NOW - 4 * HOUR, sent=1000)
    add_hour(engine, node_id, NOW - 3 * HOUR, sent=5, hard_bounces=1, deferrals=2)
    add_hour(engine, node_id, NOW, provider="yahoo", sent=7, policy_rejections=1)
    add_complaint(engine, node_id, at=NOW - timedelta(hours=3, minutes=10))
    add_complaint(engine, node_id, at=NOW - timedelta(minutes=10), incidents=2)
    add_complaint(engine, node_id, at=NOW - timedelta(minutes=10), feedback_type="not-spam")
    evidence = the_subject(engine, node_id, NOW + timedelta(minutes=10)).evidence
    assert evidence.total == Measured(
        NOW - 3 * HOUR, DeliveryFacts(sent=12, hard_bounces=1, policy_rejections=1, deferrals=2, complaints=2)
    )
    assert {name: measured.facts.sent for name, measured in evidence.by_provider.items()} == {"gmail": 5, "yahoo": 7}
    assert evidence.by_provider["yahoo"].facts.complaints == 2
    assert evidence.last_sent_at == NOW + timedelta(minutes=10)


def test_a_stage_that_begins_with_an_hour_has_all_of_it(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 50, NOW - 3 * HOUR)
    add_hour(engine, node_id, NOW - 3 * HOUR, sent=5)
    assert the_subject(engine, node_id).evidence.total == Measured(NOW - 3 * HOUR, DeliveryFacts(sent=5))


def test_what_was_delivered_in_a_day_is_of_this_stage_and_of_24_hours(engine: Engine) -> None:
    long, short = add_nodes(engine, 2)
    stand_at(engine, long, 50, NOW - timedelta(days=3))
    stand_at(engine, short, 50, NOW - timedelta(hours=5))
    for node_id in (long, short):
        add_day(engine, node_id, hours=30, sent=1)
    assert the_subject(engine, long).evidence.delivered_last_day == {"gmail": 24}
    assert the_subject(engine, short).evidence.delivered_last_day == {"gmail": 5}
    assert the_subject(engine, long).evidence.total.facts.sent == 30


@pytest.mark.parametrize("provider_hours", [2, 20])
def test_a_held_provider_is_measured_since_its_own_step(engine: Engine, provider_hours: int) -> None:
    node_id = add_node(engine)
    held = {"gmail": ProviderStage(50, NOW - provider_hours * HOUR)}
    stand_at(engine, node_id, 100, NOW - 10 * HOUR, providers=held)
    add_day(engine, node_id, sent=1)
    add_day(engine, node_id, provider="yahoo", sent=2)
    evidence = the_subject(engine, node_id).evidence
    assert evidence.by_provider["gmail"] == Measured(NOW - provider_hours * HOUR, DeliveryFacts(sent=provider_hours))
    assert evidence.by_provider["yahoo"] == Measured(NOW - 10 * HOUR, DeliveryFacts(sent=20))
    assert evidence.total == Measured(NOW - 10 * HOUR, DeliveryFacts(sent=30))


def test_a_return_from_a_pause_is_known_and_an_admission_is_none(engine: Engine) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 50, NOW - timedelta(days=3))
    assert the_subject(engine, node_id).evidence.returned_at is None
    with engine.begin() as connection:
        for event, at in ((NodeEvent.PAUSED, NOW - 2 * HOUR), (NodeEvent.RETURNED_TO_WARMING, NOW - HOUR)):
            nodes.apply_event(connection, node_id, event, reason="t", requested_by="person:t", now=at)
    assert the_subject(engine, node_id).evidence.returned_at == NOW - HOUR


def test_who_is_held_in_its_warm_up_is_judged_as_held_and_who_was_warmed_up_is_not_judged_while_held(
    engine: Engine,
) -> None:
    warming, warmed, gone = (
        add_node(engine, 1, NodeStatus.PAUSED),
        add_node(engine, 2, NodeStatus.PAUSED),
        add_node(engine, 3, NodeStatus.DECOMMISSIONED),
    )
    stand_at(engine, warming, 50, NOW - HOUR)
    stand_at(engine, warmed, 50, NOW - HOUR, is_finished=True)
    stand_at(engine, gone, 50, NOW - HOUR)
    with engine.connect() as connection:
        assert [(one.node_id, one.evidence.is_held) for one in read_subjects(connection, NOW)] == [(warming, True)]
