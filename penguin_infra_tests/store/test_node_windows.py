"""Windows of five minutes: made once of what the node told, never of silence, mended by late counts, and forgotten."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.store.node_windows import add_windows, forget_windows
from penguin_infra_tests.deliveries import add_counts
from penguin_infra_tests.fleets import NOW, add_node, add_nodes
from penguin_infra_tests.loads import heartbeat

MINUTE = timedelta(minutes=1)
LAST = NOW - 5 * MINUTE


def add(engine: Engine, now: datetime = NOW) -> int:
    with engine.begin() as connection:
        return add_windows(connection, now)


def windows(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM fleet.node_windows ORDER BY window_at, node_id"))
        return [dict(row._mapping) for row in rows]


def test_a_window_holds_the_middle_of_its_heartbeats_and_what_ended_in_it(engine: Engine) -> None:
    node_id = add_node(engine)
    for minute, active in enumerate([10, 5_000, 12]):
        heartbeat(engine, node_id, LAST + minute * MINUTE, active=active, deferred=5, cpu=30 + minute)
    add_counts(engine, node_id, at=LAST, sent=40, hard_bounce=2, deferred=9)
    add_counts(engine, node_id, at=LAST, provider="yahoo", sent=8)
    assert add(engine) == 1
    (window,) = windows(engine)
    assert (window["window_at"], window["depth"], window["deferred"], window["oldest_age_seconds"]) == (LAST, 17, 5, 60)
    assert (window["ended"], window["deferrals"], window["is_held"]) == (50, 9, False)
    assert (window["cpu_percent"], window["memory_percent"]) == (31, 50)


def test_only_closed_windows_count_and_each_once(engine: Engine) -> None:
    node_id = add_node(engine)
    for minutes in (-7, -2, 1):
        heartbeat(engine, node_id, NOW + minutes * MINUTE)
    assert add(engine, NOW + 2 * MINUTE) == 2
    assert add(engine, NOW + 3 * MINUTE) == 0
    assert add(engine, NOW + 5 * MINUTE) == 1
    assert [window["window_at"] for window in windows(engine)] == [NOW - 10 * MINUTE, LAST, NOW]


def test_of_a_node_that_is_silent_or_cannot_tell_there_is_no_window(engine: Engine) -> None:
    told, _mute, blind = add_nodes(engine, 3)
    heartbeat(engine, told, LAST)
    heartbeat(engine, blind, LAST, active=None, deferred=None)
    add_counts(engine, blind, at=LAST, sent=40)
    add(engine)
    assert [window["node_id"] for window in windows(engine)] == [told]


def test_after_a_pause_two_hours_are_caught_up_and_no_more(engine: Engine) -> None:
    node_id = add_node(engine)
    for minutes in range(-240, 0, 5):
        heartbeat(engine, node_id, NOW + minutes * MINUTE)
    assert add(engine) == 24


@pytest.mark.parametrize(("held", "released", "is_held"), [(2, 2, True), (1, 2, False), (3, 0, True), (0, 3, False)])
def test_a_window_is_held_where_half_of_its_heartbeats_were(
    engine: Engine, held: int, released: int, is_held: bool
) -> None:
    node_id = add_node(engine)
    for number, transport in enumerate(["held"] * held + ["released"] * released):
        heartbeat(engine, node_id, LAST + number * MINUTE, transport=transport)
    add(engine)
    assert [window["is_held"] for window in windows(engine)] == [is_held]


def test_heartbeats_of_agents_that_tell_no_transport_are_not_held(engine: Engine) -> None:
    heartbeat(engine, add_node(engine), LAST, transport=None)
    add(engine)
    assert [window["is_held"] for window in windows(engine)] == [False]


def test_counts_that_come_late_are_added_to_the_last_windows(engine: Engine) -> None:
    node_id = add_node(engine)
    heartbeat(engine, node_id, LAST)
    add(engine)
    add_counts(engine, node_id, at=LAST, sent=40, deferred=3)
    assert add(engine, NOW + MINUTE) == 0
    assert [(window["ended"], window["deferrals"]) for window in windows(engine)] == [(40, 3)]


def test_windows_are_kept_for_a_day_and_two_hours(engine: Engine) -> None:
    node_id = add_node(engine)
    kept = _insert(engine, node_id, NOW - timedelta(hours=26))
    _insert(engine, node_id, NOW - timedelta(hours=26, minutes=5))
    with engine.begin() as connection:
        assert forget_windows(connection, NOW) == 1
    assert [window["window_at"] for window in windows(engine)] == [kept]


def _insert(engine: Engine, node_id: UUID, at: datetime) -> datetime:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO fleet.node_windows (node_id, window_at, depth, deferred, ended, deferrals, is_held) "
                "VALUES (:node_id, :at, 1, 0, 0, 0, false)"
            ),
            {"node_id": node_id, "at": at},
        )
    return at
