"""Who is alive: run locks that die with their connection, actions of dead runs, and one sweep at a time."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.store import actions as ledger
from penguin_infra.store.database import Busy, RunLock, RunLockLost, make_engine, sweep_lock
from penguin_infra_tests.fleets import NOW, add_node, plan

PAUSE = ActionKind.PAUSE


@pytest.fixture
def run_engine(engine: Engine) -> Iterator[Engine]:
    """The connections of a run in another process, as far as PostgreSQL can tell."""
    found = make_engine(engine.url)
    yield found
    found.dispose()


def terminate_holder(engine: Engine, run_id: str) -> None:
    """End the session that holds the run's lock, as its process's death would; returns when it is gone."""
    with engine.connect() as connection:
        was_ended = connection.scalar(
            text("SELECT pg_terminate_backend(fleet.run_lock_holder(:run_id), 10000)"), {"run_id": run_id}
        )
    assert was_ended


def dead(engine: Engine, kind: ActionKind = PAUSE) -> list[UUID]:
    with engine.connect() as connection:
        return [action.action_id for action in ledger.dead_actions(connection, kind)]


def start_action(engine: Engine, run_id: str) -> UUID:
    (action_id,) = plan(engine, [add_node(engine)])
    with engine.begin() as connection:
        ledger.claim_due(connection, PAUSE, run_id, NOW)
    return action_id


def test_an_action_is_dead_when_its_runs_connection_dies_and_not_before(engine: Engine, run_engine: Engine) -> None:
    run_id = str(uuid4())
    lock = RunLock(run_engine, run_id)
    action_id = start_action(engine, run_id)
    assert dead(engine) == []
    terminate_holder(engine, run_id)
    assert dead(engine) == [action_id]
    assert dead(engine, ActionKind.RESUME) == []
    lock.close()


def test_an_action_whose_run_gave_its_lock_back_is_dead(engine: Engine, run_engine: Engine) -> None:
    run_id = str(uuid4())
    lock = RunLock(run_engine, run_id)
    action_id = start_action(engine, run_id)
    lock.close()
    assert dead(engine) == [action_id]


def test_another_runs_lock_keeps_no_action_alive(engine: Engine, run_engine: Engine) -> None:
    action_id = start_action(engine, str(uuid4()))
    lock = RunLock(run_engine, str(uuid4()))
    assert dead(engine) == [action_id]
    lock.close()


def test_a_planned_action_is_never_dead(engine: Engine) -> None:
    plan(engine, [add_node(engine)])
    assert dead(engine) == []


@pytest.mark.parametrize("run_id", ["00000000-0000-4000-8000-000000000000", "ffffffff-0000-4000-8000-000000000000"])
def test_every_run_id_makes_a_lock_of_its_own(engine: Engine, run_engine: Engine, run_id: str) -> None:
    lock = RunLock(run_engine, run_id)
    lock.check()
    start_action(engine, run_id)
    assert dead(engine) == []
    lock.close()


def test_a_lock_that_is_held_passes_its_check(run_engine: Engine) -> None:
    lock = RunLock(run_engine, str(uuid4()))
    lock.check()
    lock.check()
    lock.close()


def test_a_lost_lock_says_so_at_every_check_and_lets_itself_be_closed(engine: Engine, run_engine: Engine) -> None:
    run_id = str(uuid4())
    lock = RunLock(run_engine, run_id)
    terminate_holder(engine, run_id)
    for _ in range(2):
        with pytest.raises(RunLockLost, match=run_id):
            lock.check()
    lock.close()
    with run_engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_a_lost_lock_is_closed_without_a_word_where_nobody_checked_it(engine: Engine, run_engine: Engine) -> None:
    run_id = str(uuid4())
    lock = RunLock(run_engine, run_id)
    terminate_holder(engine, run_id)
    lock.close()


def test_a_lock_that_another_session_took_over_is_lost(engine: Engine, run_engine: Engine) -> None:
    run_id = str(uuid4())
    lock = RunLock(run_engine, run_id)
    terminate_holder(engine, run_id)
    heir = RunLock(engine, run_id)
    with pytest.raises(RunLockLost):
        lock.check()
    heir.check()
    lock.close()
    heir.check()
    heir.close()


def test_a_second_sweep_is_told_that_one_is_under_way(engine: Engine, run_engine: Engine) -> None:
    with sweep_lock(engine), pytest.raises(Busy, match="another blacklist sweep"), sweep_lock(run_engine):
        pass
    with sweep_lock(run_engine):
        pass


def test_a_sweep_that_failed_leaves_the_way_free(engine: Engine, run_engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), sweep_lock(engine):
        _ = 1 / 0
    with sweep_lock(run_engine):
        pass
