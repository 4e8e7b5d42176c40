"""The open alerts follow the fleet's facts: each opens with its cause and is resolved with it."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.inventory import Drift, DriftKind
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.list_health import Fault, ListFault, ListHealth
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies import recover_unhealthy
from penguin_infra.operations.judge_health import judge_health
from penguin_infra.operations.refresh_alerts import RULES, find_alerts, refresh_alerts
from penguin_infra.store import inventory, list_health, listings, nodes, steps
from penguin_infra.store.alerts import list_alerts
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, address, list_address, plan
from penguin_infra_tests.pulses import SERVED, beat, tick

ZEN = "zen.spamhaus.org"


def refreshed(engine: Engine, *, minutes: float = 1) -> list[tuple[str, str, str]]:
    """The open alerts a while later, with their severity."""
    refresh_alerts(engine, limits=SilenceLimits(), now=NOW + timedelta(minutes=minutes))
    with engine.connect() as connection:
        return [(row.rule, row.subject, row.severity) for row in list_alerts(connection)]


def test_every_rule_is_locked_that_is_refreshed(engine: Engine) -> None:
    with engine.connect() as connection:
        assert sorted(find_alerts(connection, limits=SilenceLimits(), now=NOW)) == list(RULES)


def test_a_quiet_fleet_has_no_alert(engine: Engine) -> None:
    add_nodes(engine, 3)
    assert refreshed(engine) == []


@pytest.mark.parametrize(
    ("severity", "weight"),
    [(Severity.CRITICAL, "high"), (Severity.HIGH, "high"), (Severity.MEDIUM, "low"), (Severity.LOW, "low")],
)
def test_a_listing_is_told_until_it_ends(engine: Engine, severity: Severity, weight: str) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id, severity=severity)
    assert refreshed(engine) == [("listed", f"127.77.0.1@{ZEN}", weight)]
    with engine.begin() as connection:
        (row,) = list_alerts(connection)
        assert row.node_id == node_id
        assert f"127.77.0.1 (node-001) is listed by {ZEN}: {severity}" in row.summary
        listings.close_event(connection, address(1), ZEN, NOW)
    assert refreshed(engine) == []


def test_a_listing_of_an_address_that_was_given_back_is_nobodys_business(engine: Engine) -> None:
    list_address(engine, add_node(engine, 1, NodeStatus.DECOMMISSIONED))
    assert refreshed(engine) == []


def test_a_frozen_list_is_told_until_a_person_trusts_it(engine: Engine) -> None:
    with engine.begin() as connection:
        listings.freeze_list(connection, ZEN, reason="lists everybody", now=NOW)
    assert refreshed(engine) == [("list_frozen", ZEN, "high")]
    with engine.begin() as connection:
        listings.lift_freeze(connection, ZEN, requested_by="person:ada", now=NOW)
    assert refreshed(engine) == []


def looked_at(zone: str, reason: str | None, *, at: datetime = NOW) -> ListHealth:
    fault = Fault(ListFault.WILDCARDED, reason) if reason else None
    return ListHealth(zone, "127.0.0.1:53", 4, at, fault)


def test_a_list_that_fails_its_test_points_is_told_until_it_passes(engine: Engine) -> None:
    def check(reason: str | None) -> None:
        with engine.begin() as connection:
            list_health.save_health(connection, [looked_at(ZEN, reason)])

    check("lists its clean test point")
    assert refreshed(engine) == [("list_quarantined", ZEN, "low")]
    check(None)
    assert refreshed(engine) == []


def test_a_list_that_is_not_asked_any_more_is_not_told(engine: Engine) -> None:
    with engine.begin() as connection:
        list_health.save_health(
            connection, [looked_at("old.test", "broken", at=NOW - timedelta(hours=2)), looked_at(ZEN, None)]
        )
    assert refreshed(engine) == []


def test_a_paused_node_is_told_with_its_reason_until_it_is_back(engine: Engine) -> None:
    node_id = add_node(engine, 1, NodeStatus.PAUSED)
    assert refreshed(engine) == [("paused", "node-001", "medium")]
    with engine.begin() as connection:
        nodes.apply_event(
            connection, node_id, NodeEvent.RETURNED_TO_WARMING, reason="well", requested_by="person:ada", now=NOW
        )
    assert refreshed(engine) == []


@pytest.mark.parametrize(("by", "weight"), [("person:ada", "medium"), (recover_unhealthy.NAME, "high")])
def test_a_node_that_the_fleet_gave_up_weighs_more_than_one_that_a_person_took(
    engine: Engine, by: str, weight: str
) -> None:
    node_id = add_node(engine)
    with engine.begin() as connection:
        event = NodeEvent.MAINTENANCE_BEGUN
        nodes.apply_event(connection, node_id, event, reason="dead", requested_by=by, now=NOW)
    assert refreshed(engine) == [("maintenance", "node-001", weight)]
    with engine.connect() as connection:
        (row,) = list_alerts(connection)
    assert row.summary == ("node-001 is in maintenance: dead. `penguin-infra nodes resume node-001` ends that")


def test_a_provision_that_failed_for_good_is_told_for_a_day(engine: Engine) -> None:
    node_id = add_node(engine, 1, NodeStatus.PROVISIONING)
    plan(engine, [node_id], ActionKind.PROVISION)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE fleet.node_actions SET status = 'failed', outcome = 'no such plan', finished_at = :now"),
            {"now": NOW},
        )
    assert ("provision_failed", "node-001", "medium") in refreshed(engine)
    assert ("provision_failed", "node-001", "medium") not in refreshed(engine, minutes=24 * 60)


def test_a_request_that_takes_longer_than_all_of_its_steps_may_is_told_with_how_far_it_came(engine: Engine) -> None:
    node_id = add_node(engine, 1, NodeStatus.PROVISIONING)
    (action_id,) = plan(engine, [node_id], ActionKind.PROVISION)
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET created_at = :now"), {"now": NOW})
        steps.begin_step(connection, node_id, "publish_dns", action_id=action_id, attempt=1, run_id="run", now=NOW)
        steps.note_progress(connection, node_id, "publish_dns", "no reverse name yet")
    assert refreshed(engine, minutes=179) == []
    assert refreshed(engine, minutes=181) == [("provision_hangs", "node-001", "medium")]
    with engine.connect() as connection:
        (row,) = list_alerts(connection)
    assert "is at publish_dns yet (no reverse name yet)" in row.summary


@pytest.mark.parametrize("kind", list(DriftKind))
def test_drift_is_told_by_its_kind_until_it_is_gone(engine: Engine, kind: DriftKind) -> None:
    with engine.begin() as connection:
        inventory.save_drift(connection, [Drift(kind, None, "hw-1", "differs")], NOW)
    assert refreshed(engine) == [(kind.value, "hw-1", "medium")]
    with engine.begin() as connection:
        inventory.save_drift(connection, [], NOW)
    assert refreshed(engine) == []


def test_many_silent_nodes_are_one_alert_about_the_fleet(engine: Engine) -> None:
    node_ids = add_nodes(engine, 10)
    tick(engine, at=NOW + timedelta(minutes=1))
    beat(engine, node_ids)
    beat(engine, node_ids[:4], silent_seconds=120)
    assert refreshed(engine) == [("many_silent", "fleet", "high")]
    with engine.connect() as connection:
        (row,) = list_alerts(connection)
    assert row.summary.startswith("4 of 10 nodes that spoke are silent together (more than 30%)")
    beat(engine, node_ids[:1])
    assert refreshed(engine) == []


def test_a_gateway_that_stands_still_is_told_once_one_ever_served(engine: Engine) -> None:
    tick(engine, served_seconds=0)
    assert refreshed(engine, minutes=10) == []
    tick(engine, served_seconds=SERVED)
    assert refreshed(engine, minutes=0.9) == []
    assert refreshed(engine, minutes=1.1) == [("observer_lost", "gateway", "high")]


def test_an_outage_of_the_gateway_resolves_no_alert_about_silence(engine: Engine) -> None:
    node_ids = add_nodes(engine, 3)
    tick(engine)
    beat(engine, node_ids, silent_seconds=120)
    judge_health(engine, now=NOW)
    silent = ("many_silent", "fleet", "high")
    assert refreshed(engine, minutes=0.5) == [silent]
    assert refreshed(engine, minutes=60) == [("observer_lost", "gateway", "high"), silent]
