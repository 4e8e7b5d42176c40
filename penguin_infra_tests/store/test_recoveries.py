"""What recoveries leave behind, on both servers: one directive a recovery, steps that end once, who is under way."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.store import recoveries
from penguin_infra_tests.fleets import NOW, add_nodes, plan

RECOVER = ActionKind.RECOVER


def directives(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM fleet.node_directives")))


def test_a_recovery_gives_one_directive_however_often_it_is_repeated(engine: Engine) -> None:
    (node_id,) = add_nodes(engine, 1)
    first, second = plan(engine, [node_id], RECOVER)[0], plan(engine, [node_id])[0]
    seen = []
    for action_id, restart in ((first, "agent"), (first, "agent"), (second, "mta")):
        with engine.begin() as connection:
            recoveries.give_directive(connection, node_id, action_id, restart, NOW)
        (row,) = directives(engine)
        seen.append((row.restart, row.restart_id))
    assert seen[0] == seen[1]
    assert (seen[2][0], seen[2][1] != seen[1][1]) == ("mta", True)
    with engine.begin() as connection:
        recoveries.withdraw_directive(connection, node_id, first)
    assert len(directives(engine)) == 1
    with engine.begin() as connection:
        recoveries.withdraw_directive(connection, node_id, second)
    assert directives(engine) == []


def test_a_step_ends_once(engine: Engine) -> None:
    (action_id,) = plan(engine, add_nodes(engine, 1), RECOVER)
    with engine.begin() as connection:
        assert recoveries.get_step(connection, action_id, "reboot") is None
        begun = recoveries.begin_step(
            connection, action_id, "reboot", run_id="run", asked_for="reboot", served_seconds=7, now=NOW
        )
        assert (begun.status, begun.asked_served_seconds) == (recoveries.WAITING, 7)
        for status in (recoveries.FAILED, recoveries.SUCCEEDED):
            recoveries.finish_step(connection, action_id, "reboot", status=status, outcome=status, now=NOW)
        (row,) = recoveries.list_steps(connection, action_id)
    assert (row.status, row.outcome, row.finished_at) == ("failed", "failed", NOW)


def test_the_oldest_open_recovery_is_the_probe(engine: Engine) -> None:
    first, second, third = add_nodes(engine, 3)
    plan(engine, [third])
    (younger,) = plan(engine, [second], RECOVER, at=NOW + timedelta(seconds=1))
    (older,) = plan(engine, [first], RECOVER)
    with engine.begin() as connection:
        assert recoveries.oldest_open_recovery(connection) == older
        assert recoveries.recovering_nodes(connection) == {first, second}
        connection.execute(
            text("UPDATE fleet.node_actions SET status = 'succeeded', finished_at = :now WHERE id = :id"),
            {"now": NOW, "id": older},
        )
        assert recoveries.oldest_open_recovery(connection) == younger
        assert recoveries.recovering_nodes(connection) == {second}
        assert recoveries.recovered_at(connection, NOW - timedelta(minutes=1)) == {first: NOW}
        assert recoveries.recovered_at(connection, NOW) == {}
