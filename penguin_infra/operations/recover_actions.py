"""Find actions whose run died, and plan them again or give them up; the next tick of their sensor carries them on."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind, ActionStatus, RetryLimits, Verdict, after_death
from penguin_infra.store import actions as ledger
from penguin_infra.store.actions import Action

# How a run ended that was cancelled while it waited in the queue: somebody did not want it.
CANCELLED_WAITING = "cancelled before it began"

FindEndedRuns = Callable[[Collection[str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Recovery:
    """An action taken back from a dead run, and what was said about it."""

    action: Action
    explanation: str
    is_unwanted: bool = False


def recover_actions(
    engine: Engine, kind: ActionKind, *, find_ended_runs: FindEndedRuns, limits: RetryLimits, now: datetime
) -> list[Recovery]:
    """Take back every action of a kind whose run is gone.

    Two ways to die: while it was acting (its run lock is free), or before it took the action (`find_ended_runs` says
    which of the given run keys belong to runs that ended, and how). One that a person cancelled in the queue is over.
    """
    with engine.begin() as connection:
        recoveries = [
            Recovery(action, f"run {action.run_id} died while it was acting")
            for action in ledger.dead_actions(connection, kind)
        ]
        waiting = {action.run_key: action for action in ledger.dispatched_actions(connection, kind)}
        ended = find_ended_runs(waiting.keys()) if waiting else {}
        recoveries += [
            Recovery(waiting[key], f"its run ended before it took the action up: {how}", how == CANCELLED_WAITING)
            for key, how in ended.items()
        ]
        for recovery in recoveries:
            action = recovery.action
            verdict = after_death(action.attempt, limits=limits, now=now)
            if recovery.is_unwanted:
                verdict = Verdict(ActionStatus.FAILED, None)
            ledger.close_attempt(connection, action.action_id, verdict, outcome=recovery.explanation, now=now)
        return recoveries
