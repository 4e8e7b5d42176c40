"""Carry out all due actions of one kind in one run: one run, many nodes, an outcome each.

For actions that are transactions in our own database. Those that act on the world one node at a time have operations
of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from penguin_infra.domain.actions import ActionKind, ActionStatus, RetryLimits, after_failure
from penguin_infra.domain.lifecycle import IllegalTransition
from penguin_infra.store import actions as ledger
from penguin_infra.store.actions import Action
from penguin_infra.store.database import RunLock

Act = Callable[[Connection, Action, datetime], str]


class CannotAct(Exception):
    """The node is not as the action needs it, and a repeat would find the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one action."""

    action: Action
    status: ActionStatus
    text: str


def carry_out_batch(
    engine: Engine,
    kind: ActionKind,
    act: Act,
    *,
    run_id: str,
    clock: Callable[[], datetime],
    limits: RetryLimits,
) -> list[Outcome]:
    """Take every due action of the kind and carry each out in a transaction of its own.

    Killed in the middle, it leaves each action either done or still running in a dead run, which the next tick finds.
    """
    lock = RunLock(engine, run_id)
    try:
        with engine.begin() as connection:
            claimed = ledger.claim_due(connection, kind, run_id, clock())
        outcomes = []
        for action in claimed:
            lock.check()
            outcomes.append(_carry_out(engine, action, act, clock, limits))
        return outcomes
    finally:
        lock.close()


def _carry_out(engine: Engine, action: Action, act: Act, clock: Callable[[], datetime], limits: RetryLimits) -> Outcome:
    try:
        with engine.begin() as connection:
            text = act(connection, action, clock())
            ledger.finish(connection, action.action_id, outcome=text, now=clock())
    except (CannotAct, IllegalTransition) as error:
        with engine.begin() as connection:
            now = clock()
            verdict = after_failure(action.attempt, is_final=True, limits=limits, now=now)
            ledger.close_attempt(connection, action.action_id, verdict, outcome=str(error), now=now)
        return Outcome(action, verdict.status, str(error))
    return Outcome(action, ActionStatus.SUCCEEDED, text)
