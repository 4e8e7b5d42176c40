"""Health is saved for a whole fleet in one statement, and only where it differs, on both servers."""

from datetime import timedelta

from sqlalchemy import Engine, text

from penguin_infra.domain.heartbeat import Health, HealthVerdict, Pulse
from penguin_infra.store import health
from penguin_infra_tests.fleets import NOW, add_nodes
from penguin_infra_tests.pulses import beat, tick

WELL = HealthVerdict(Health.HEALTHY, "speaks")
ILL = HealthVerdict(Health.UNHEALTHY, "silent")
LATER = NOW + timedelta(minutes=1)


def test_what_differs_is_saved_with_its_time_and_told_once(engine: Engine) -> None:
    first, second = add_nodes(engine, 2)
    with engine.begin() as connection:
        assert health.save_health(connection, [(first, WELL), (second, WELL)], NOW) == 2
    with engine.begin() as connection:
        assert health.save_health(connection, [(first, WELL), (second, ILL)], LATER) == 1
        assert health.save_health(connection, [], LATER) == 0
    with engine.connect() as connection:
        found = {node.node_id: (node.health, node.health_since) for node in health.node_health(connection)}
        events = [(event.health, event.happened_at) for event in health.health_events(connection, second)]
        assert health.falls_since(connection, NOW) == {second: 1}
        assert health.falls_since(connection, LATER) == {}
    assert found == {first: (Health.HEALTHY, NOW), second: (Health.UNHEALTHY, LATER)}
    assert events == [("unhealthy", LATER), ("healthy", NOW)]


def test_silence_is_the_served_time_since_the_last_heartbeat(engine: Engine) -> None:
    node_id, mute = add_nodes(engine, 2)
    tick(engine, served_seconds=500)
    beat(engine, [node_id], silent_seconds=40, mta_state="down")
    with engine.begin() as connection:
        pulses = {node.node_id: node.pulse for node in health.node_health(connection)}
        assert health.save_heartbeats(connection) == 1
        assert health.save_heartbeats(connection) == 0
    assert pulses == {node_id: Pulse(40, "down"), mute: None}


def test_the_view_of_silent_nodes_counts_as_the_rule_does(engine: Engine) -> None:
    just, over = add_nodes(engine, 2)
    tick(engine)
    beat(engine, [just], silent_seconds=90)
    beat(engine, [over], silent_seconds=90.5)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT node_id, silent_seconds FROM fleet.silent_nodes")).all()
    assert [tuple(row) for row in rows] == [(over, 90.5)]
