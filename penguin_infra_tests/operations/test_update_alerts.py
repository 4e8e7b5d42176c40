"""A rule's open alerts are exactly those it finds now, however often and by however many processes it is asked."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.operations.update_alerts import update_alerts
from penguin_infra.store.alerts import AlertChanges, find_alerts, list_alerts
from penguin_infra_tests.fleets import NOW, add_node

LATER = NOW + timedelta(minutes=1)


def alert(
    subject: str, severity: AlertSeverity = AlertSeverity.HIGH, *, rule: str = "listed", **evidence: object
) -> Alert:
    return Alert(rule, subject, severity, f"{subject} is listed", evidence)


def open_alerts(engine: Engine) -> dict[str, datetime]:
    with engine.connect() as connection:
        return {row.subject: row.opened_at for row in list_alerts(connection)}


def test_what_is_found_opens_once_and_keeps_its_first_time(engine: Engine) -> None:
    assert update_alerts(engine, "listed", [alert("b"), alert("a")], now=NOW) == AlertChanges(("a", "b"), (), ())
    assert update_alerts(engine, "listed", [alert("a"), alert("b")], now=LATER) == AlertChanges((), (), ())
    assert open_alerts(engine) == {"a": NOW, "b": NOW}


def test_what_is_no_longer_found_is_resolved_and_opens_anew_when_it_returns(engine: Engine) -> None:
    update_alerts(engine, "listed", [alert("a"), alert("b")], now=NOW)
    assert update_alerts(engine, "listed", [alert("b")], now=LATER) == AlertChanges((), (), ("a",))
    assert open_alerts(engine) == {"b": NOW}
    assert update_alerts(engine, "listed", [alert("a"), alert("b")], now=LATER).opened == ("a",)
    with engine.connect() as connection:
        rows = list_alerts(connection, with_resolved=True)
    assert [(row.subject, row.resolved_at, row.resolution) for row in rows] == [
        ("a", None, None),
        ("b", None, None),
        ("a", LATER, "its cause is gone"),
    ]


def test_nothing_found_resolves_all_of_the_rule_and_nothing_of_others(engine: Engine) -> None:
    update_alerts(engine, "listed", [alert("a")], now=NOW)
    update_alerts(engine, "paused", [alert("a", rule="paused")], now=NOW)
    assert update_alerts(engine, "listed", [], now=LATER).resolved == ("a",)
    with engine.connect() as connection:
        assert [row.rule for row in list_alerts(connection)] == ["paused"]


@pytest.mark.parametrize(
    "changed",
    [alert("a", AlertSeverity.LOW), alert("a", codes=["127.0.0.2"]), Alert("listed", "a", AlertSeverity.HIGH, "x", {})],
)
def test_an_open_alert_takes_on_what_is_new_about_it(engine: Engine, changed: Alert) -> None:
    update_alerts(engine, "listed", [alert("a")], now=NOW, run_id="run-1")
    assert update_alerts(engine, "listed", [changed], now=LATER, run_id="run-2").updated == ("a",)
    with engine.connect() as connection:
        (row,) = list_alerts(connection)
    assert (row.severity, row.summary, row.evidence) == (changed.severity, changed.summary, changed.evidence)
    assert (row.opened_at, row.updated_at, row.run_id) == (NOW, LATER, "run-2")


def test_of_two_for_one_subject_the_graver_counts(engine: Engine) -> None:
    update_alerts(engine, "listed", [alert("a"), alert("a", AlertSeverity.LOW)], now=NOW)
    with engine.connect() as connection:
        assert [row.severity for row in list_alerts(connection)] == ["high"]


def test_an_alert_of_another_rule_is_not_taken(engine: Engine) -> None:
    with pytest.raises(ValueError, match="alerts of paused were given as those of listed"):
        update_alerts(engine, "listed", [alert("a", rule="paused")], now=NOW)


def test_updates_at_the_same_time_leave_one_alert_a_subject(engine: Engine) -> None:
    found = [alert(f"subject-{number:03}") for number in range(60)]
    orders = [found if turn % 2 else found[::-1] for turn in range(8)]
    with ThreadPoolExecutor(4) as threads:
        changes = list(threads.map(lambda order: update_alerts(engine, "listed", order, now=NOW), orders))
    assert sum(len(change.opened) for change in changes) == len(found)
    assert len(open_alerts(engine)) == len(found)


def test_alerts_are_listed_the_gravest_first_and_by_node_and_severity(engine: Engine) -> None:
    node_id = add_node(engine)
    own = Alert("listed", "own", AlertSeverity.LOW, "own", {}, node_id)
    update_alerts(engine, "listed", [own, alert("m", AlertSeverity.MEDIUM), alert("h")], now=NOW)
    with engine.connect() as connection:
        assert [row.subject for row in list_alerts(connection)] == ["h", "m", "own"]
        assert [row.subject for row in list_alerts(connection, severity=AlertSeverity.MEDIUM)] == ["m"]
        (row,) = list_alerts(connection, node_id=node_id)
        assert row.label == "node-001"
        assert [found.subject for found in find_alerts(connection, str(row.id)[:13])] == ["own"]
