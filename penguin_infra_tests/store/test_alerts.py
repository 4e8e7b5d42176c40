"""The one statement that saves a rule's alerts does on both servers what it says."""

from datetime import timedelta

from sqlalchemy import Engine

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.store.alerts import AlertChanges, list_alerts, save_alerts
from penguin_infra_tests.fleets import NOW, add_node


def save(engine: Engine, *alerts: Alert, minute: int = 0) -> AlertChanges:
    with engine.begin() as connection:
        at = NOW + timedelta(minutes=minute)
        return save_alerts(connection, "paused", alerts, now=at, run_id="run", resolution="gone")


def test_alerts_are_opened_changed_and_resolved_in_one_go(engine: Engine) -> None:
    node_id = add_node(engine)
    kept, changed, gone = (
        Alert("paused", subject, AlertSeverity.MEDIUM, "why", {"at": 1}, node_id)
        for subject in ("kept", "moved", "gone")
    )
    assert save(engine, kept, changed, gone) == AlertChanges(("gone", "kept", "moved"), (), ())
    moved = Alert("paused", "moved", AlertSeverity.HIGH, "why", {"at": 1}, node_id)
    new = Alert("paused", "new", AlertSeverity.LOW, 'it\'s "quoted" and 100 %', {"list": [1, None]})
    assert save(engine, kept, moved, new, minute=1) == AlertChanges(("new",), ("moved",), ("gone",))
    with engine.connect() as connection:
        rows = list_alerts(connection)
    assert [(row.subject, row.node_id, row.summary, row.evidence) for row in rows] == [
        ("moved", node_id, "why", {"at": 1}),
        ("kept", node_id, "why", {"at": 1}),
        ("new", None, 'it\'s "quoted" and 100 %', {"list": [1, None]}),
    ]
