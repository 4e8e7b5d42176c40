"""Which days are summed up next: today so far, what was left half, and at midnight what late agents may have told."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, insert

from penguin_infra.store.analytics_tables import instance_spells, node_costs, reputation_history
from penguin_infra.store.reported_days import days_to_report
from penguin_infra_tests.fleets import add_node

FIRST = date(2026, 1, 1)
BORN = datetime(2026, 9, 1, 10, 20, tzinfo=UTC)
NOON = datetime(2026, 11, 20, 12, 5, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 20, 0, 5, tzinfo=UTC)
TODAY = NOON.date()


def bill(engine: Engine, *, began_at: datetime) -> None:
    values = {"provider_id": "hw-1", "began_at": began_at, "plan": "ssd-1", "label": "one", "region": "dallas"}
    with engine.begin() as connection:
        connection.execute(insert(instance_spells).values(values))


def report(engine: Engine, day: date) -> None:
    with engine.begin() as connection:
        connection.execute(
            insert(node_costs).values(
                day=day, provider_id="hw-1", plan="ssd-1", charge="plan", usage="active", label="one", region="dallas",
                hours=24, unhealthy_hours=0, idle_hours=0, amount_usd=1, price_source="provider",
            )
        )  # fmt: skip


def due(engine: Engine, now: datetime, *, first_day: date = FIRST) -> tuple[date, date] | None:
    with engine.connect() as connection:
        return days_to_report(connection, now, first_day=first_day)


def test_where_nothing_was_ever_billed_nothing_is_due(engine: Engine) -> None:
    assert due(engine, NOON) is None


def test_the_first_time_every_day_since_the_first_bill_is_due(engine: Engine) -> None:
    bill(engine, began_at=BORN)
    assert due(engine, NOON) == (BORN.date(), TODAY)
    assert due(engine, NOON, first_day=date(2026, 10, 1)) == (date(2026, 10, 1), TODAY)


@pytest.mark.parametrize("days_ago", [0, 1, 12])
def test_by_day_all_since_the_last_sum_are_due_which_may_be_half_a_days(engine: Engine, days_ago: int) -> None:
    bill(engine, began_at=BORN)
    report(engine, TODAY - timedelta(days=days_ago))
    assert due(engine, NOON) == (TODAY - timedelta(days=days_ago), TODAY)


@pytest.mark.parametrize(("days_ago", "since"), [(0, 8), (1, 8), (12, 12)])
def test_after_midnight_the_days_that_late_agents_may_have_changed_are_due_too(
    engine: Engine, days_ago: int, since: int
) -> None:
    bill(engine, began_at=BORN)
    report(engine, TODAY - timedelta(days=days_ago))
    assert due(engine, MIDNIGHT) == (TODAY - timedelta(days=since), TODAY)


def test_days_whose_reputation_was_not_summed_up_are_due_though_their_costs_were(engine: Engine) -> None:
    bill(engine, began_at=BORN)
    node_id = add_node(engine)
    report(engine, TODAY)
    assert due(engine, NOON) == (BORN.date(), TODAY)
    with engine.begin() as connection:
        connection.execute(
            insert(reputation_history).values(
                day=TODAY - timedelta(days=3), tenure_id=uuid4(), node_id=node_id, label="one", region="dallas",
                ip_address="127.0.0.9", listings_open=0, listed_hours=0, complaints=0, attempted=0,
                **dict.fromkeys(
                    ("sent", "hard_bounces", "soft_bounces", "policy_rejections", "expired", "deferrals"), 0
                ),
            )
        )  # fmt: skip
    assert due(engine, NOON) == (TODAY - timedelta(days=3), TODAY)


def test_no_day_before_the_first_bill_is_due(engine: Engine) -> None:
    bill(engine, began_at=MIDNIGHT - timedelta(days=2))
    report(engine, TODAY)
    assert due(engine, MIDNIGHT) == (TODAY - timedelta(days=2), TODAY)
