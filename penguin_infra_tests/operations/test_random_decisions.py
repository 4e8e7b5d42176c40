"""Random proposals, decisions, ticks and runs: nothing that waits for a person is ever taken by a run."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind, ActionStatus, PlannedAction, RetryLimits, after_failure
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.operations.approve_action import DecisionError, approve_action, reject_action
from penguin_infra.operations.plan_actions import plan_actions
from penguin_infra.operations.recover_actions import recover_actions
from penguin_infra.store import actions as ledger
from penguin_infra.store import decisions
from penguin_infra_tests.fleets import NOW, add_nodes
from penguin_infra_tests.operations.runs import ledger_rows

LIMITS = GuardrailLimits(disruption_share_per_hour=1, smallest_rotation_share=0.5)
RETRY = RetryLimits(max_attempts=3, rest_seconds=(0,))
KINDS = st.sampled_from([ActionKind.DECOMMISSION, ActionKind.MAINTENANCE, ActionKind.PAUSE])
PERSONS = st.sampled_from(["policy:test", "person:ada", "api:shop"])
NTH = st.integers(0, 7)
TOUCHED = frozenset({ActionStatus.RUNNING, ActionStatus.SUCCEEDED, ActionStatus.FAILED})


class Decisions(RuleBasedStateMachine):
    """Four nodes, everything that can happen to their actions, and what was approved, kept beside it."""

    engine: Engine
    node_ids: list[UUID]

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.proposed: set[UUID] = set()
        self.approved: set[UUID] = set()
        self.rejected: set[UUID] = set()

    @initialize()
    def forget(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("DELETE FROM fleet.node_actions"))

    @rule(node=st.integers(0, 3), kind=KINDS, by=PERSONS)
    def want(self, node: int, kind: ActionKind, by: str) -> None:
        wanted = [PlannedAction(self.node_ids[node], kind, "a test", by)]
        made = plan_actions(self.engine, lambda _connection: wanted, limits=LIMITS, now=self._tick())
        assert not {each.kind for each in made.planned} & LIMITS.approve
        self.proposed |= set(made.proposed_ids)

    @rule(nth=NTH, is_forced=st.booleans())
    def approve(self, nth: int, is_forced: bool) -> None:
        action_id = self._any(nth)
        with suppress(DecisionError), self.engine.begin() as connection:
            approve_action(
                connection,
                action_id,
                decided_by="person:bob",
                limits=LIMITS,
                now=self._tick(),
                is_forced=is_forced,
            )
            assert action_id in self.proposed - self.approved - self.rejected
            self.approved.add(action_id)

    @rule(nth=NTH)
    def reject(self, nth: int) -> None:
        action_id = self._any(nth)
        with suppress(DecisionError), self.engine.begin() as connection:
            reject_action(connection, action_id, decided_by="person:bob", reason="no", now=self._tick())
            assert action_id in self.proposed - self.approved - self.rejected
            self.rejected.add(action_id)

    @rule(kind=KINDS)
    def tick(self, kind: ActionKind) -> None:
        """As a sensor does: what is due is asked for."""
        with self.engine.begin() as connection:
            due = [action.action_id for action in ledger.due_actions(connection, kind, self._tick())]
            assert not set(due) & (self.proposed - self.approved)
            ledger.mark_dispatched(connection, due, self.now)

    @rule(kind=KINDS)
    def run_a_batch(self, kind: ActionKind) -> None:
        with self.engine.begin() as connection:
            taken = ledger.claim_due(connection, kind, str(uuid4()), self._tick())
        assert not {action.action_id for action in taken} & (self.proposed - self.approved)

    @rule(nth=NTH)
    def run_one(self, nth: int) -> None:
        """Any action at all, as a run launched by hand with its tag would."""
        action_id = self._any(nth)
        with self.engine.begin() as connection:
            taken = ledger.claim_one(connection, action_id, str(uuid4()), self._tick())
        assert taken is None or action_id not in self.proposed - self.approved

    @rule(nth=NTH, is_final=st.booleans())
    def fail(self, nth: int, is_final: bool) -> None:
        """Whatever its status: a late run closes what is not its own any more."""
        verdict = after_failure(1, is_final=is_final, limits=RETRY, now=self._tick())
        with self.engine.begin() as connection:
            ledger.close_attempt(connection, self._any(nth), verdict, outcome="a test", now=self.now)

    @rule(kind=KINDS)
    def find_dead_runs(self, kind: ActionKind) -> None:
        recover_actions(self.engine, kind, find_ended_runs=lambda keys: dict.fromkeys(keys, "failure"), limits=RETRY,
                        now=self._tick())  # fmt: skip

    @rule(nth=NTH)
    def call_off(self, nth: int) -> None:
        action_id = self._any(nth)
        with self.engine.begin() as connection:
            was_closed = decisions.call_off(
                connection, action_id, decided_by="person:eve", outcome="a test", now=self._tick()
            )
        assert not was_closed or action_id not in self.proposed - self.approved

    @invariant()
    def what_waits_was_touched_by_nobody_and_what_was_rejected_stays_so(self) -> None:
        rows = {row.id: row for row in ledger_rows(self.engine)}
        for action_id in self.proposed - self.approved - self.rejected:
            row = rows[action_id]
            assert (row.status, row.run_id, row.started_at, row.dispatched_at, row.attempts) == (
                ActionStatus.PROPOSED, None, None, None, [],
            )  # fmt: skip
        assert {rows[action_id].status for action_id in self.rejected} <= {ActionStatus.REJECTED}
        for row in rows.values():
            if row.status in TOUCHED and row.kind in LIMITS.approve:
                assert row.id in self.approved
                assert row.decided_by == "person:bob"

    def _any(self, nth: int) -> UUID:
        """An action, more often than not one that waits."""
        with self.engine.connect() as connection:
            ids = connection.scalars(
                text("SELECT id FROM fleet.node_actions ORDER BY status = 'proposed' DESC, planned_at DESC, id")
            ).all()
        return ids[nth % len(ids)] if ids else uuid4()

    def _tick(self) -> Any:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def machine(engine: Engine) -> type[Decisions]:
    Decisions.engine = engine
    Decisions.node_ids = add_nodes(engine, 4)
    return Decisions


def test_no_sequence_of_events_lets_a_run_take_what_nobody_approved(machine: type[Decisions]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=80,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
