"""The open alerts follow the fleet's facts: each opens with its cause and is resolved with it."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.inventory import Drift, DriftKind
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.list_health import Fault, ListFault, ListHealth
from penguin_infra.domain.list_pace import Pace
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies import recover_unhealthy
from penguin_infra.operations.judge_health import judge_health
from penguin_infra.operations.refresh_alerts import RULES, find_alerts, refresh_alerts
from penguin_infra.store import inventory, list_health, list_paces, listings, nodes, steps
from penguin_infra.store.alerts import list_alerts
from penguin_infra.store.list_paces import ListPace
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


def save_health(
    engine: Engine, fault: ListFault | None, *, zone: str = ZEN, resolver: str = "127.0.0.1:53", minutes: float = 0
) -> None:
    found = Fault(fault, "as its test points showed") if fault else None
    with engine.begin() as connection:
        list_health.save_health(connection, [ListHealth(zone, resolver, 4, NOW + timedelta(minutes=minutes), found)])


def save_pace(engine: Engine, pace: Pace, *, refused: str | None = None) -> None:
    with engine.begin() as connection:
        list_paces.save_paces(connection, [ListPace(ZEN, pace, 300.0, refused)])


def test_a_list_that_fails_its_test_points_is_one_alert_until_it_passes(engine: Engine) -> None:
    for minutes, fault in enumerate([ListFault.SILENT, ListFault.SILENT, ListFault.EMPTIED]):
        save_health(engine, fault, minutes=minutes)
        save_health(engine, fault, minutes=minutes, resolver="127.0.0.2:53")
        assert refreshed(engine, minutes=minutes) == [("list_quarantined", ZEN, "low")]
        with engine.connect() as connection:
            (row,) = list_alerts(connection)
        assert row.opened_at == NOW
    assert f"{ZEN} fails its test points and is not believed (emptied)" in row.summary
    for resolver in ("127.0.0.1:53", "127.0.0.2:53"):
        save_health(engine, None, minutes=3, resolver=resolver)
    assert refreshed(engine, minutes=3) == []


def test_a_resolver_that_lists_refuse_to_serve_is_one_alert_however_many_lists_do(engine: Engine) -> None:
    for zone in (ZEN, "bl.spamcop.net", "psbl.surriel.com"):
        save_health(engine, ListFault.PUBLIC_RESOLVER, zone=zone)
    assert refreshed(engine) == [("resolver_blocked", "127.0.0.1:53", "medium")]
    with engine.connect() as connection:
        (row,) = list_alerts(connection)
    assert row.evidence["lists"] == ["bl.spamcop.net", "psbl.surriel.com", ZEN]
    assert "deploy/unbound" in row.summary


def test_a_list_whose_terms_are_broken_is_told_with_the_sum_until_they_are_kept(engine: Engine) -> None:
    save_pace(engine, Pace(0, NOW), refused=f"{ZEN}: 10,000 addresses are too many")
    assert refreshed(engine) == [("list_over_budget", ZEN, "medium")]
    with engine.connect() as connection:
        (row,) = list_alerts(connection)
    assert row.summary.endswith("10,000 addresses are too many")
    save_pace(engine, Pace(0, NOW))
    assert refreshed(engine) == []


def test_a_list_that_rests_after_a_quota_error_is_one_alert_until_it_answers_again(engine: Engine) -> None:
    save_health(engine, ListFault.QUOTA)
    for minutes, rests in [(0, 1), (5, 2), (16, 3)]:
        save_pace(engine, Pace(0, NOW, NOW + timedelta(minutes=minutes + 5), rests))
        assert refreshed(engine, minutes=minutes) == [("list_resting", ZEN, "low")]
        with engine.connect() as connection:
            (row,) = list_alerts(connection)
        assert row.opened_at == NOW
    # The rest is over, and nobody has asked it since: it is still the same story.
    assert refreshed(engine, minutes=40) == [("list_resting", ZEN, "low")]
    save_pace(engine, Pace(0, NOW))
    save_health(engine, None, minutes=41)
    assert refreshed(engine, minutes=41) == []


def test_a_list_that_is_not_asked_any_more_is_not_told(engine: Engine) -> None:
    save_health(engine, ListFault.SILENT, zone="old.test", minutes=-120)
    save_health(engine, None)
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
