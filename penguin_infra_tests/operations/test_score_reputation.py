"""Scores of a whole fleet: from what the database knows, kept beside the node, each change once, unknown left alone."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.analytics.frames import frame_of
from penguin_infra.analytics.schemas import check_frame
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.reputation_score import ReputationLimits
from penguin_infra.operations.score_reputation import ReputationReport, score_reputation, score_rows
from penguin_infra.store import listings, node_places, nodes
from penguin_infra.store.analytics_tables import reputation_scores
from penguin_infra_tests.deliveries import add_complaint, add_counts, measure_rates
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, address, list_address

DAY = timedelta(days=1)
ACTIVE = NodeStatus.ACTIVE


def score(engine: Engine, at: datetime = NOW, *, is_measured: bool = True) -> ReputationReport:
    if is_measured:
        measure_rates(engine, at)
    return score_reputation(engine, ReputationLimits(), now=at)


def execute(engine: Engine, statement: str, **given: object) -> list[Any]:
    with engine.begin() as connection:
        result = connection.execute(text(statement), given)
        return list(result) if result.returns_rows else []


def scores(engine: Engine) -> dict[UUID, Any]:
    return {row.node_id: row for row in execute(engine, "SELECT * FROM analytics.reputation_scores")}


def steps(engine: Engine, node_id: UUID) -> list[tuple[datetime, int]]:
    query = "SELECT changed_at, score FROM fleet.reputation_steps WHERE node_id = :id ORDER BY changed_at"
    return [(row.changed_at, row.score) for row in execute(engine, query, id=node_id)]


def warmed_up(engine: Engine, *node_ids: UUID) -> None:
    for node_id in node_ids:
        execute(
            engine,
            "INSERT INTO fleet.node_warmups (node_id, curve, daily, since_at, begun_at, finished_at)"
            " VALUES (:id, 'cautious', 1000, :at, :at, :at)"
            " ON CONFLICT (node_id) DO UPDATE SET finished_at = excluded.finished_at",
            id=node_id,
            at=NOW,
        )


def healthy(engine: Engine) -> None:
    execute(engine, "UPDATE fleet.sending_nodes SET health = 'healthy'")


@pytest.fixture
def good(engine: Engine) -> UUID:
    """An active node, warmed up, healthy, with a good day's mail."""
    node_id = add_node(engine, 1, ACTIVE)
    warmed_up(engine, node_id)
    healthy(engine)
    add_counts(engine, node_id, sent=5_000)
    return node_id


def test_a_good_node_has_all_points_and_its_score_beside_it(engine: Engine, good: UUID) -> None:
    execute(engine, "UPDATE fleet.sending_nodes SET reputation_score = 7")
    before = execute(engine, "SELECT version, updated_at FROM fleet.sending_nodes")
    report = score(engine)
    (row,) = scores(engine).values()
    assert (row.node_id, row.score, row.target, row.cap, row.version) == (good, 100, 100, 100, 1)
    assert row.explanation == "Nothing that is known counts against it."
    assert set(row.components) == {
        "listings", "age", "bounces", "complaints", "policy_rejections", "deferrals", "health",
    }  # fmt: skip
    assert execute(engine, "SELECT reputation_score FROM fleet.sending_nodes") == [(100,)]
    assert execute(engine, "SELECT version, updated_at FROM fleet.sending_nodes") == before
    assert steps(engine, good) == [(NOW, 100)]
    check_frame(reputation_scores, frame_of(reputation_scores, score_rows(report.nodes, NOW)))


def test_a_listing_brings_the_score_down_at_once_and_its_end_up_slowly(engine: Engine, good: UUID) -> None:
    score(engine)
    list_address(engine, good, at=NOW)
    score(engine, NOW + timedelta(minutes=5))
    row = scores(engine)[good]
    assert (row.score, row.cap) == (10, 10)
    assert "zen.spamhaus.org (critical)" in row.explanation
    with engine.begin() as connection:
        listings.close_event(connection, address(1), "zen.spamhaus.org", NOW + DAY)
    for hours in range(24, 24 + 49):
        score(engine, NOW + timedelta(hours=hours))
    assert scores(engine)[good].score == 20
    assert [each for _, each in steps(engine, good)] == [100, 10, *range(11, 21)]
    assert "rises by 5 points a day to 100" in scores(engine)[good].explanation


def test_a_score_that_stays_adds_no_step(engine: Engine, good: UUID) -> None:
    for minute in range(5):
        score(engine, NOW + timedelta(minutes=minute))
    assert len(steps(engine, good)) == 1


def test_a_frozen_lists_listings_count_nothing(engine: Engine, good: UUID) -> None:
    list_address(engine, good)
    with engine.begin() as connection:
        listings.freeze_list(connection, "zen.spamhaus.org", reason="lists everybody", now=NOW)
    score(engine)
    row = scores(engine)[good]
    assert (row.score, row.cap) == (100, 100)
    assert "zen.spamhaus.org" in row.explanation


def test_a_policy_list_takes_nothing(engine: Engine, good: UUID) -> None:
    list_address(engine, good, severity=Severity.POLICY)
    score(engine)
    assert scores(engine)[good].score == 100


def test_mail_that_bounces_and_is_complained_about_takes_points_with_its_figures(engine: Engine, good: UUID) -> None:
    add_counts(engine, good, provider="yahoo", hard_bounce=1_000, deferred=3_000)
    add_complaint(engine, good, incidents=10)
    score(engine)
    row = scores(engine)[good]
    assert row.score < 50
    assert all(row.components[name] > 0 for name in ("bounces", "complaints", "deferrals"))
    assert "(1000 of 6000" in row.explanation


def test_rates_that_were_not_measured_lately_leave_the_points_as_they_were(engine: Engine, good: UUID) -> None:
    add_counts(engine, good, provider="yahoo", hard_bounce=1_000)
    score(engine)
    before = scores(engine)[good]
    assert before.score < 60
    report = score(engine, NOW + timedelta(minutes=11), is_measured=False)
    after = scores(engine)[good]
    assert not report.is_delivery_known
    assert (after.score, after.components) == (before.score, before.components)
    assert "was not measured in the last 10 minutes" in after.explanation


def test_rates_that_were_never_measured_count_nothing(engine: Engine, good: UUID) -> None:
    score(engine, is_measured=False)
    assert scores(engine)[good].score == 100
    assert "was not measured" in scores(engine)[good].explanation


def test_an_unheard_node_is_neither_good_nor_bad_and_an_ill_one_loses_points(engine: Engine) -> None:
    ill, unheard = add_nodes(engine, 2, ACTIVE)
    warmed_up(engine, ill, unheard)
    execute(engine, "UPDATE fleet.sending_nodes SET health = 'unhealthy' WHERE id = :id", id=ill)
    score(engine)
    assert (scores(engine)[ill].score, scores(engine)[unheard].score) == (85, 100)
    assert "not known" in scores(engine)[unheard].explanation


def test_a_fresh_address_has_sixty_and_more_with_each_stage_of_its_warm_up(engine: Engine) -> None:
    fresh, half = add_nodes(engine, 2)
    healthy(engine)
    execute(
        engine,
        "INSERT INTO fleet.warmup_progress SELECT :id, :at, 6, 10, 1, 1, 1, 1, 0, 'hold', false, '{}', :at, :at",
        id=half,
        at=NOW,
    )
    score(engine)
    assert (scores(engine)[fresh].score, scores(engine)[half].score) == (60, 80)


def test_an_address_whose_warm_up_nobody_knows_is_judged_by_its_age(engine: Engine) -> None:
    node_id = add_node(engine, 1, ACTIVE)
    healthy(engine)
    execute(engine, "UPDATE fleet.ip_tenures SET began_at = :at", at=NOW - 15 * DAY)
    score(engine)
    assert scores(engine)[node_id].score == 80


def test_only_nodes_that_hold_an_address_in_service_have_a_score(engine: Engine) -> None:
    statuses = list(NodeStatus)
    ids = [add_node(engine, number, status) for number, status in enumerate(statuses, 1)]
    score(engine)
    scored = scores(engine)
    held = {NodeStatus.WARMING, NodeStatus.ACTIVE, NodeStatus.PAUSED, NodeStatus.MAINTENANCE}
    assert {node_id for node_id, status in zip(ids, statuses, strict=True) if status in held} == set(scored)


def test_another_address_begins_anew(engine: Engine, good: UUID) -> None:
    list_address(engine, good)
    score(engine)
    assert scores(engine)[good].score == 10
    with engine.begin() as connection:
        node_places.record_address(connection, good, address(99), NOW + timedelta(minutes=1))
    score(engine, NOW + timedelta(minutes=5))
    assert scores(engine)[good].score == 100


def test_a_node_that_is_gone_keeps_the_score_that_it_had(engine: Engine, good: UUID) -> None:
    list_address(engine, good)
    score(engine)
    with engine.begin() as connection:
        nodes.apply_event(
            connection, good, NodeEvent.DECOMMISSIONED, reason="test", requested_by="person:test", now=NOW
        )
    score(engine, NOW + timedelta(minutes=5))
    assert scores(engine) == {}
    assert execute(engine, "SELECT reputation_score FROM fleet.sending_nodes") == [(10,)]


def test_a_clock_that_was_set_back_writes_no_step_before_an_older_one(engine: Engine, good: UUID) -> None:
    score(engine)
    list_address(engine, good, at=NOW)
    score(engine, NOW - timedelta(hours=1))
    assert [each for _, each in steps(engine, good)] == [100, 10]
    assert [each for _, each in steps(engine, good)][-1] == scores(engine)[good].score
