"""What a fleet's counts add up to, on both servers: the window's edges, the providers, and what is not counted."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, select

from penguin_infra.domain.delivery import DeliveryFacts, NodeDelivery, Span
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import delivery, nodes
from penguin_infra.store.telemetry_tables import delivery_rates
from penguin_infra_tests.deliveries import BUCKET, add_complaint, add_counts, measure_rates
from penguin_infra_tests.fleets import NOW, add_node, add_nodes

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def measured(
    engine: Engine, span: Span = Span.RECENT, *, now: datetime = NOW, window_messages: int = 10_000
) -> dict[UUID, NodeDelivery]:
    with engine.connect() as connection:
        found = delivery.measure(connection, now, window_messages=window_messages)
    return {each.node.node_id: each.node for each in found if each.span is span}


def change(engine: Engine, node_id: UUID, event: NodeEvent, at: datetime, by: str = "policy:pause_bouncing") -> None:
    with engine.begin() as connection:
        nodes.apply_event(connection, node_id, event, reason="test", requested_by=by, now=at)


def alarming(engine: Engine, now: datetime = NOW, node_id: UUID | None = None) -> list[str]:
    with engine.connect() as connection:
        found = delivery.alarming_nodes(
            connection, now, above_bounce_rate=0.1, above_complaint_rate=0.003, node_id=node_id
        )
    return [node.label for node in found]


def test_every_result_is_counted_in_its_place(engine: Engine) -> None:
    node_id = add_node(engine)
    add_counts(engine, node_id, sent=1, hard_bounce=2, soft_bounce=3, policy_rejection=4, expired=5, deferred=6)
    add_complaint(engine, node_id, incidents=7)
    expected = DeliveryFacts(1, 2, 3, 4, 5, 6, 7)
    assert measured(engine)[node_id].total == measured(engine, Span.HOUR)[node_id].total == expected


def test_providers_are_told_apart_and_add_up_to_the_whole(engine: Engine) -> None:
    node_id = add_node(engine)
    add_counts(engine, node_id, provider="gmail", sent=10)
    add_counts(engine, node_id, provider="gmail", at=NOW - HOUR, sent=5)
    add_counts(engine, node_id, provider="microsoft", sent=1, hard_bounce=1)
    found = measured(engine)[node_id]
    assert found.by_provider == {"gmail": DeliveryFacts(sent=15), "microsoft": DeliveryFacts(sent=1, hard_bounces=1)}
    assert found.total == DeliveryFacts(sent=16, hard_bounces=1)


def test_a_bucket_counts_in_the_spans_that_it_begins_in(engine: Engine) -> None:
    node_id = add_node(engine)
    for age, count in ((HOUR, 1), (HOUR + BUCKET, 10), (DAY, 100), (DAY + BUCKET, 1000)):
        add_counts(engine, node_id, at=NOW - age, sent=count)
    assert measured(engine, Span.HOUR)[node_id].total.sent == 1
    assert measured(engine, window_messages=1)[node_id].total.sent == 111
    assert measured(engine, window_messages=1)[node_id].since_at == NOW - DAY


def test_a_small_senders_window_reaches_back_to_its_last_messages_and_no_further(engine: Engine) -> None:
    small, large = add_nodes(engine, 2)
    for days in range(6):
        add_counts(engine, small, at=NOW - days * DAY - BUCKET, sent=30, hard_bounce=10, deferred=500)
        add_counts(engine, large, at=NOW - days * DAY - BUCKET, sent=100)
    found = measured(engine, window_messages=100)
    # Three buckets of 40 hold the last 100; deferrals are no messages that ended.
    assert found[small].total.attempted == 120
    assert found[small].since_at == NOW - 2 * DAY - BUCKET
    assert found[large].total.attempted == 100
    assert found[large].since_at == NOW - DAY


@pytest.mark.parametrize(("missing", "attempted"), [(40, 40), (41, 80)])
def test_the_window_ends_at_the_bucket_that_fills_it(engine: Engine, missing: int, attempted: int) -> None:
    node_id = add_node(engine)
    for days in (1, 2, 3):
        add_counts(engine, node_id, at=NOW - days * DAY - BUCKET, provider="gmail", sent=25)
        add_counts(engine, node_id, at=NOW - days * DAY - BUCKET, provider="yahoo", sent=15)
    assert measured(engine, window_messages=missing)[node_id].total.attempted == attempted


def test_nobody_is_judged_by_what_is_older_than_a_week(engine: Engine) -> None:
    node_id = add_node(engine)
    add_counts(engine, node_id, at=NOW - 7 * DAY, sent=1)
    add_counts(engine, node_id, at=NOW - 7 * DAY - BUCKET, sent=10)
    assert measured(engine)[node_id].total.sent == 1


def test_complaints_count_by_when_the_mail_arrived_and_not_before_the_window(engine: Engine) -> None:
    node_id = add_node(engine)
    add_counts(engine, node_id, at=NOW - BUCKET, sent=1)
    for age, incidents in ((HOUR, 1), (2 * HOUR, 10), (DAY, 100), (DAY + BUCKET, 1000)):
        add_complaint(engine, node_id, at=NOW - age, incidents=incidents)
    assert measured(engine, Span.HOUR)[node_id].total.complaints == 1
    assert measured(engine)[node_id].total.complaints == 111


@pytest.mark.parametrize("feedback_type", delivery.NO_COMPLAINTS)
def test_reports_that_say_the_contrary_are_no_complaints(engine: Engine, feedback_type: str) -> None:
    node_id = add_node(engine)
    add_complaint(engine, node_id, feedback_type=feedback_type)
    assert measured(engine) == {}


def test_a_node_that_is_gone_is_not_measured(engine: Engine) -> None:
    add_counts(engine, add_node(engine, 1, NodeStatus.DECOMMISSIONED), sent=1)
    assert measured(engine) == {}


@pytest.mark.parametrize("paused_for", [DAY, HOUR])
def test_what_a_node_was_paused_for_is_not_held_against_it_once_it_sends_again(
    engine: Engine, paused_for: timedelta
) -> None:
    node_id = add_node(engine)
    add_counts(engine, node_id, at=NOW - paused_for - HOUR, hard_bounce=500)
    change(engine, node_id, NodeEvent.PAUSED, NOW - paused_for)
    assert measured(engine)[node_id].total.hard_bounces == 500
    change(engine, node_id, NodeEvent.RETURNED_TO_WARMING, NOW)
    assert measured(engine) == {}
    add_counts(engine, node_id, at=NOW + BUCKET, sent=7)
    assert measured(engine, now=NOW + 2 * BUCKET)[node_id].total == DeliveryFacts(sent=7)


def test_a_pause_for_another_cause_forgets_nothing(engine: Engine) -> None:
    node_id = add_node(engine)
    add_counts(engine, node_id, at=NOW - HOUR, hard_bounce=500)
    change(engine, node_id, NodeEvent.PAUSED, NOW - BUCKET, by="person:ada")
    change(engine, node_id, NodeEvent.RETURNED_TO_WARMING, NOW)
    assert measured(engine)[node_id].total.hard_bounces == 500


def test_a_measurement_replaces_the_last_one(engine: Engine) -> None:
    first, second = add_nodes(engine, 2)
    add_counts(engine, first, sent=80, hard_bounce=20)
    measure_rates(engine)
    add_counts(engine, second, at=NOW + 8 * DAY, provider="apple", sent=1)
    measure_rates(engine, NOW + 8 * DAY)
    with engine.connect() as connection:
        rows = connection.execute(select(delivery_rates).order_by(delivery_rates.c.span)).all()
    assert {(row.node_id, row.span, row.mailbox_provider) for row in rows} == {
        (second, span, provider) for span in ("recent", "hour") for provider in ("all", "apple")
    }


def test_two_measurements_at_once_leave_one(engine: Engine) -> None:
    for node_id in add_nodes(engine, 3):
        add_counts(engine, node_id, sent=1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: measure_rates(engine), range(8)))
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(delivery_rates)) == 12


def test_rates_are_written_with_their_bounds_and_none_of_nothing(engine: Engine) -> None:
    node_id = add_node(engine)
    add_counts(engine, node_id, hard_bounce=20, soft_bounce=80)
    measure_rates(engine)
    with engine.connect() as connection:
        row = connection.execute(
            select(delivery_rates).where(delivery_rates.c.span == "recent", delivery_rates.c.mailbox_provider == "all")
        ).one()
    assert (row.bounce_rate, row.attempted) == (0.2, 100)
    assert (row.bounce_lower, row.bounce_upper) == pytest.approx((0.1334, 0.2888), abs=1e-4)
    assert (row.complaint_rate, row.complaint_lower, row.complaint_upper) == (None, 0, 1)


def test_only_sending_nodes_with_high_and_fresh_rates_alarm(engine: Engine) -> None:
    bad, good, complained = add_nodes(engine, 3)
    stopped = add_node(engine, 4, NodeStatus.PAUSED)
    for node_id in (bad, stopped):
        add_counts(engine, node_id, sent=50, hard_bounce=50)
    for node_id in (good, complained):
        add_counts(engine, node_id, sent=1000, hard_bounce=10)
    add_complaint(engine, complained, incidents=4)
    measure_rates(engine)
    assert alarming(engine) == ["node-001", "node-003"]
    assert alarming(engine, node_id=complained) == ["node-003"]
    assert alarming(engine, NOW + timedelta(minutes=10)) == ["node-001", "node-003"]
    assert alarming(engine, NOW + timedelta(minutes=11)) == []


def test_rates_from_before_a_nodes_return_alarm_nobody(engine: Engine) -> None:
    node_id = add_node(engine)
    add_counts(engine, node_id, sent=50, hard_bounce=50)
    change(engine, node_id, NodeEvent.PAUSED, NOW, by="person:ada")
    measure_rates(engine)
    change(engine, node_id, NodeEvent.RETURNED_TO_WARMING, NOW + timedelta(seconds=1))
    assert alarming(engine, NOW + timedelta(seconds=5)) == []
    measure_rates(engine, NOW + timedelta(seconds=10))
    assert alarming(engine, NOW + timedelta(seconds=15)) == ["node-001"]


def test_reports_and_senders_are_counted(engine: Engine) -> None:
    node_id = add_node(engine)
    add_node(engine, 2, NodeStatus.PAUSED)
    add_counts(engine, node_id, at=NOW - HOUR, sent=1)
    add_complaint(engine, node_id)
    with engine.connect() as connection:
        assert delivery.sending_count(connection) == 1
        assert delivery.was_reported_since(connection, NOW - HOUR)
        assert not delivery.was_reported_since(connection, NOW - HOUR + BUCKET)
        assert delivery.complaints_by_attribution(connection, NOW - HOUR) == {"attributed": 1}
        assert delivery.complaints_by_attribution(connection, NOW) == {}
        assert connection.scalar(select(func.count()).select_from(delivery_rates)) == 0
