"""History by day and tenure: an address that changes hands, hours nobody held, scores and listings as they stood."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, insert, text

from penguin_infra.analytics.frames import frame_of
from penguin_infra.analytics.schemas import check_frame
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.reputation import wilson_interval
from penguin_infra.operations.sum_up_reputation import HistoryReport, sum_up_history, sum_up_impacts, sum_up_providers
from penguin_infra.store import listings
from penguin_infra.store.analytics_tables import (
    listing_impacts,
    provider_reputation,
    reputation_history,
    reputation_steps,
)
from penguin_infra.store.capacity_tables import delivery_hours
from penguin_infra.store.reputation_facts import Days
from penguin_infra.store.tables import ip_tenures
from penguin_infra_tests.deliveries import add_complaint
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, address, list_address

MONDAY, TUESDAY, WEDNESDAY = (date(2026, 11, day) for day in (16, 17, 18))
HOUR = timedelta(hours=1)


def at(day: date, hour: float = 0) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + hour * HOUR


def deliver(engine: Engine, node_id: UUID, hour_at: datetime, *, provider: str = "gmail", **counts: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            insert(delivery_hours).values(node_id=node_id, hour_at=hour_at, mailbox_provider=provider, **counts)
        )


def hold(engine: Engine, node_id: UUID, number: int, began_at: datetime, ended_at: datetime | None = None) -> UUID:
    with engine.begin() as connection:
        row = insert(ip_tenures).values(
            node_id=node_id, ip_address=str(address(number)), began_at=began_at, ended_at=ended_at
        )
        tenure_id: UUID = connection.execute(row.returning(ip_tenures.c.id)).scalar_one()
        return tenure_id


def step(engine: Engine, node_id: UUID, changed_at: datetime, score: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            insert(reputation_steps).values(
                node_id=node_id, changed_at=changed_at, score=score, version=1, components={}
            )
        )


@pytest.fixture
def node_ids(engine: Engine) -> list[UUID]:
    """Two nodes whose own tenures are gone: each test says who held what."""
    made = add_nodes(engine, 2, NodeStatus.ACTIVE)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM fleet.ip_tenures"))
    return made


def history(engine: Engine, first: date = MONDAY, last: date | None = None, now: datetime = NOW) -> HistoryReport:
    report = sum_up_history(engine, Days(first, last or first), now=now)
    check_frame(reputation_history, frame_of(reputation_history, report.rows))
    return report


def by_tenure(report: HistoryReport, day: date = MONDAY) -> dict[UUID, dict[str, Any]]:
    names = [column.name for column in reputation_history.columns]
    rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in report.rows]
    return {row["tenure_id"]: row for row in rows if row["day"] == day}


def test_a_days_mail_is_summed_with_its_rates_and_their_bounds(engine: Engine, node_ids: list[UUID]) -> None:
    tenure = hold(engine, node_ids[0], 1, at(MONDAY))
    deliver(engine, node_ids[0], at(MONDAY), sent=900, hard_bounces=50, policy_rejections=20, deferrals=100)
    deliver(engine, node_ids[0], at(MONDAY, 23), provider="other", sent=20, soft_bounces=4, expired=6)
    deliver(engine, node_ids[0], at(TUESDAY), sent=7)
    add_complaint(engine, node_ids[0], at=at(MONDAY, 23.9), incidents=3)
    add_complaint(engine, node_ids[0], at=at(MONDAY, 23.9), incidents=9, feedback_type="not-spam")
    row = by_tenure(history(engine))[tenure]
    assert (row["sent"], row["attempted"], row["complaints"], row["deferrals"]) == (920, 1_000, 3, 100)
    lower, upper = wilson_interval(50, 1_000)
    assert (row["bounce_rate"], row["bounce_lower"], row["bounce_upper"]) == (0.05, lower, upper)
    assert (row["complaint_rate"], row["policy_rejection_rate"]) == (3 / 920, 0.02)
    assert row["deferral_rate"] == 100 / 1_100


def test_a_day_without_mail_is_a_row_without_rates(engine: Engine, node_ids: list[UUID]) -> None:
    tenure = hold(engine, node_ids[0], 1, at(MONDAY))
    row = by_tenure(history(engine))[tenure]
    assert (row["sent"], row["bounce_rate"], row["bounce_upper"], row["score_last"]) == (0, None, None, None)


def test_an_address_that_changes_hands_within_a_day_has_a_row_for_each_with_its_own_part(
    engine: Engine, node_ids: list[UUID]
) -> None:
    first, second = node_ids
    before = hold(engine, first, 1, at(MONDAY) - 48 * HOUR, at(MONDAY, 10.5))
    after = hold(engine, second, 1, at(MONDAY, 11.25))
    deliver(engine, first, at(MONDAY, 10), sent=100)
    deliver(engine, second, at(MONDAY, 11), sent=7)
    deliver(engine, second, at(MONDAY, 12), sent=1)
    step(engine, first, at(MONDAY, 2), 30)
    step(engine, second, at(MONDAY, 12), 60)
    list_address(engine, first, at=at(MONDAY, 8))
    report = history(engine)
    rows = by_tenure(report)
    assert {tenure: row["sent"] for tenure, row in rows.items()} == {before: 100, after: 8}
    assert {tenure: row["score_last"] for tenure, row in rows.items()} == {before: 30, after: 60}
    # Listed from 8 on: two and a half hours of the one, twelve and three quarters of the other.
    assert {tenure: row["listed_hours"] for tenure, row in rows.items()} == {before: 2.5, after: 12.75}
    assert report.is_whole


def test_an_hour_that_a_node_had_two_addresses_in_is_the_ones_that_it_had_at_its_beginning(
    engine: Engine, node_ids: list[UUID]
) -> None:
    node_id = node_ids[0]
    one = hold(engine, node_id, 1, at(MONDAY), at(MONDAY, 10.25))
    brief = hold(engine, node_id, 2, at(MONDAY, 10.25), at(MONDAY, 10.5))
    last = hold(engine, node_id, 3, at(MONDAY, 10.5))
    for hour in (9, 10, 11):
        deliver(engine, node_id, at(MONDAY, hour), sent=10**hour)
    report = history(engine)
    sent = {tenure: row["sent"] for tenure, row in by_tenure(report).items()}
    assert sent == {one: 10**9 + 10**10, brief: 0, last: 10**11}
    assert report.is_whole


def test_the_hour_in_which_a_node_came_to_its_address_is_that_addresses(engine: Engine, node_ids: list[UUID]) -> None:
    tenure = hold(engine, node_ids[0], 1, at(MONDAY, 10.9))
    deliver(engine, node_ids[0], at(MONDAY, 10), sent=5)
    assert by_tenure(history(engine))[tenure]["sent"] == 5


def test_mail_of_a_node_without_an_address_is_told_and_not_lost(engine: Engine, node_ids: list[UUID]) -> None:
    hold(engine, node_ids[0], 1, at(MONDAY), at(MONDAY, 6))
    deliver(engine, node_ids[0], at(MONDAY, 5), sent=1)
    deliver(engine, node_ids[0], at(MONDAY, 6), sent=20, hard_bounces=2)
    deliver(engine, node_ids[1], at(MONDAY, 9), sent=300)
    report = history(engine)
    assert [(row.label, row.sent, row.messages) for row in report.unattributed] == [
        ("node-002", 300, 300), ("node-001", 20, 22),
    ]  # fmt: skip
    assert (report.sent, report.sent_in_rows, report.sent_unattributed) == (321, 1, 320)
    assert report.is_whole


def test_scores_are_those_in_force_at_the_days_end_and_the_lowest_of_the_day(
    engine: Engine, node_ids: list[UUID]
) -> None:
    node_id = node_ids[0]
    former = hold(engine, node_id, 9, at(MONDAY) - 90 * HOUR, at(MONDAY) - 50 * HOUR)
    tenure = hold(engine, node_id, 1, at(MONDAY) - 48 * HOUR)
    step(engine, node_id, at(MONDAY) - 60 * HOUR, 5)
    assert by_tenure(history(engine))[tenure]["score_last"] is None
    step(engine, node_id, at(MONDAY) - 30 * HOUR, 90)
    step(engine, node_id, at(MONDAY, 8), 40)
    step(engine, node_id, at(MONDAY, 9), 41)
    report = history(engine, MONDAY, WEDNESDAY)
    found = [by_tenure(report, day)[tenure] for day in (MONDAY, TUESDAY, WEDNESDAY)]
    assert [(row["score_last"], row["score_lowest"]) for row in found] == [(41, 40), (41, 41), (41, 41)]
    sunday = history(engine, MONDAY - timedelta(days=1))
    assert by_tenure(sunday, MONDAY - timedelta(days=1))[tenure]["score_lowest"] == 90
    assert former not in by_tenure(report)


def test_grave_listings_that_overlap_are_one_time_and_lesser_ones_only_count(
    engine: Engine, node_ids: list[UUID]
) -> None:
    tenure = hold(engine, node_ids[0], 1, at(MONDAY))
    list_address(engine, node_ids[0], at=at(MONDAY, 2))
    list_address(engine, node_ids[0], zone="b.barracudacentral.org", severity=Severity.HIGH, at=at(MONDAY, 4))
    list_address(engine, node_ids[0], zone="bl.spamcop.net", severity=Severity.MEDIUM, at=at(MONDAY, 1))
    with engine.begin() as connection:
        listings.close_event(connection, address(1), "zen.spamhaus.org", at(MONDAY, 6))
        listings.close_event(connection, address(1), "b.barracudacentral.org", at(MONDAY, 8))
    report = history(engine, MONDAY, TUESDAY)
    row = by_tenure(report)[tenure]
    assert (row["listings_open"], row["worst_severity"], row["listed_hours"]) == (3, "critical", 6.0)
    row = by_tenure(report, TUESDAY)[tenure]
    assert (row["listings_open"], row["worst_severity"], row["listed_hours"]) == (1, "medium", 0.0)


def test_today_is_summed_until_now_and_a_day_to_come_is_empty(engine: Engine, node_ids: list[UUID]) -> None:
    tenure = hold(engine, node_ids[0], 1, at(MONDAY))
    list_address(engine, node_ids[0], at=at(MONDAY))
    report = history(engine, MONDAY, TUESDAY, now=at(MONDAY, 5))
    assert by_tenure(report)[tenure]["listed_hours"] == 5.0
    assert by_tenure(report, TUESDAY) == {}


def test_the_sums_are_the_same_in_whatever_time_zone_the_session_is(engine: Engine, node_ids: list[UUID]) -> None:
    hold(engine, node_ids[0], 1, at(MONDAY, 3), at(TUESDAY, 3))
    deliver(engine, node_ids[0], at(MONDAY, 3), sent=1)
    deliver(engine, node_ids[0], at(TUESDAY, 2), sent=2)
    add_complaint(engine, node_ids[0], at=at(TUESDAY, 2))
    usual = history(engine, MONDAY, TUESDAY).rows
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {engine.url.database} SET timezone = 'America/Chicago'"))
    engine.dispose()
    assert history(engine, MONDAY, TUESDAY).rows == usual
    assert len(usual) == 2


def test_each_provider_has_a_row_where_there_was_mail_and_says_if_it_is_enough(
    engine: Engine, node_ids: list[UUID]
) -> None:
    hold(engine, node_ids[0], 1, at(MONDAY))
    deliver(engine, node_ids[0], at(MONDAY, 1), sent=90, policy_rejections=10)
    deliver(engine, node_ids[0], at(MONDAY, 1), provider="yahoo", sent=98, hard_bounces=1)
    rows = sum_up_providers(engine, Days(MONDAY, MONDAY))
    check_frame(provider_reputation, frame_of(provider_reputation, rows))
    assert [(row[2], row[6], row[14], row[16]) for row in rows] == [("gmail", 90, 0.1, True), ("yahoo", 98, 0.0, False)]


def impacts(engine: Engine, now: datetime = NOW) -> list[dict[str, Any]]:
    rows = sum_up_impacts(engine, now=now)
    check_frame(listing_impacts, frame_of(listing_impacts, rows))
    names = [column.name for column in listing_impacts.columns]
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture
def busy(engine: Engine, node_ids: list[UUID]) -> UUID:
    """A node that sent 100 messages an hour in the week before Tuesday, and holds its address still."""
    hold(engine, node_ids[0], 1, at(MONDAY) - timedelta(days=30))
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, sent) SELECT :id, hour_at,"
                " 'gmail', 100 FROM generate_series(CAST(:first AS timestamptz), :last, '1 hour') AS hour_at"
            ),
            {"id": node_ids[0], "first": at(TUESDAY) - timedelta(days=7), "last": at(TUESDAY, 9)},
        )
    return node_ids[0]


def test_a_listing_costs_what_the_node_would_have_sent_less_what_it_sent(engine: Engine, busy: UUID) -> None:
    list_address(engine, busy, at=at(TUESDAY, 6.5))
    with engine.begin() as connection:
        listings.close_event(connection, address(1), "zen.spamhaus.org", at(TUESDAY, 16.5))
    (row,) = impacts(engine)
    # It went on to send until ten o'clock: three hours and a half of the ten.
    assert (row["listed_hours"], row["expected_messages"], row["sent_messages"]) == (10.0, 1_000, 350)
    assert (row["lost_messages"], row["label"], row["node_id"]) == (650, "node-001", busy)


def test_a_listing_that_stands_has_cost_so_far_and_none_costs_less_than_nothing(engine: Engine, busy: UUID) -> None:
    list_address(engine, busy, at=at(TUESDAY, 2))
    deliver(engine, busy, at(TUESDAY, 2), provider="yahoo", sent=50)
    (early,) = impacts(engine, now=at(TUESDAY, 4))
    assert (early["listed_hours"], early["sent_messages"], early["delisted_at"]) == (2.0, 250, None)
    assert (early["expected_messages"], early["lost_messages"]) == (200, 0)
    (later,) = impacts(engine, now=at(TUESDAY, 20))
    assert (later["listed_hours"], later["lost_messages"]) == (18.0, 950)


def test_a_node_that_left_its_address_has_lost_nothing_more_by_its_listing(engine: Engine, busy: UUID) -> None:
    list_address(engine, busy, at=at(TUESDAY, 6))
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.ip_tenures SET ended_at = :at"), {"at": at(TUESDAY, 12)})
    (row,) = impacts(engine, now=at(WEDNESDAY, 6))
    assert (row["listed_hours"], row["expected_messages"], row["lost_messages"]) == (24.0, 600, 200)


def test_days_to_delist_are_of_those_that_ended(engine: Engine, busy: UUID) -> None:
    list_address(engine, busy, at=at(MONDAY))
    with engine.begin() as connection:
        listings.close_event(connection, address(1), "zen.spamhaus.org", at(WEDNESDAY))
    list_address(engine, busy, at=NOW - HOUR)
    with engine.begin() as connection:
        for row in sum_up_impacts(engine, now=NOW):
            connection.execute(insert(listing_impacts).values(row))
        (found,) = connection.execute(text("SELECT * FROM analytics.days_to_delist"))
    assert (found.listings, found.delisted, found.median_days) == (2, 1, 2.0)


def test_a_node_that_held_nothing_loses_nothing(engine: Engine) -> None:
    node_id = add_node(engine, 3)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM fleet.ip_tenures"))
    list_address(engine, node_id, 3, at=at(TUESDAY))
    (row,) = impacts(engine)
    assert (row["node_id"], row["expected_messages"], row["lost_messages"]) == (node_id, 0, 0)
