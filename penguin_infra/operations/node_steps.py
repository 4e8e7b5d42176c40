"""How one step of a job on one node is done: persisted, skipped where it is done, its failure closed in the ledger.

What the steps do stands in files of their own (`provision_node.py`, `publish_names.py`, `leave_node.py`, ...).

    StepError           this attempt failed; the message says at which step and why
    └── StepImpossible  a repeat would fail likewise: the action is given up
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from penguin_infra.dns_records.publisher import DnsRefused, RecordTaken
from penguin_infra.domain.actions import ActionStatus, Verdict, after_failure
from penguin_infra.domain.lifecycle import IllegalTransition
from penguin_infra.domain.node import Node
from penguin_infra.hostwind.provider import ProviderRefused
from penguin_infra.installer.installer import HostKeyChanged
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes, steps


class StepError(Exception):
    """An attempt at a step failed."""


class StepImpossible(StepError):
    """No later attempt can do better."""


# A refusal names a plan, a region, credentials or somebody else's record: a person must change something first.
_FINAL_ERRORS = (
    StepImpossible,
    ProviderRefused,
    DnsRefused,
    RecordTaken,
    HostKeyChanged,
    IllegalTransition,
    nodes.AddressHeld,
)


def _nothing(_connection: Connection) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Done:
    """A step's result, and what to write down in the transaction that marks it as succeeded."""

    result: dict[str, Any]
    record: Callable[[Connection], None] = _nothing


def do_step(work: NodeWork, step: str, act: Callable[[Node, datetime], Done]) -> None:
    """Do a step unless this action did it before; `act` gets the node and when the step was first begun.

    What `act` raises closes the attempt in the ledger, which decides whether there is another.
    """
    action = work.action
    with work.engine.begin() as connection:
        row = steps.begin_step(
            connection,
            work.node_id,
            step,
            action_id=action.action_id,
            attempt=action.attempt,
            run_id=action.run_id or "",
            now=work.clock.now(),
        )
        node = nodes.get_node(connection, work.node_id)
    if row.status == steps.SUCCEEDED:
        work.say(f"{step} was done by run {row.run_id}")
        return
    try:
        work.lock.check()
        done = act(node, row.started_at)
        work.lock.check()
        with work.engine.begin() as connection:
            steps.finish_step(connection, work.node_id, step, result=done.result, now=work.clock.now())
            done.record(connection)
    except Exception as error:
        _close_attempt(work, step, error)
        raise


def say_progress(work: NodeWork, step: str, text: str) -> None:
    """Tell the run's log and the step's row what it is waiting for; proves the run's lock too."""
    work.lock.check()
    work.say(text)
    with work.engine.begin() as connection:
        steps.note_progress(connection, work.node_id, step, text)


def wait(work: NodeWork, step: str, text: str) -> None:
    """Say what the step waits for, and let a poll's time pass."""
    say_progress(work, step, text)
    work.clock.sleep(work.limits.poll_seconds)
    work.lock.check()


def in_seconds(waited: timedelta) -> str:
    """A wait as people read it."""
    return f"{waited.total_seconds():.0f} s"


def give_up(work: NodeWork, reason: str) -> None:
    """Close the action as failed, outside of any step: what is wrong concerns all of them, or a person ended it."""
    work.lock.check()
    with work.engine.begin() as connection:
        verdict = Verdict(ActionStatus.FAILED, None)
        ledger.close_attempt(connection, work.action.action_id, verdict, outcome=reason, now=work.clock.now())


def _close_attempt(work: NodeWork, step: str, error: Exception) -> None:
    now = work.clock.now()
    is_final = isinstance(error, _FINAL_ERRORS)
    verdict = after_failure(work.action.attempt, is_final=is_final, limits=work.limits.retry, now=now)
    # Whoever lost the lock has no say any more: the run that holds it now writes the record.
    work.lock.check()
    with work.engine.begin() as connection:
        steps.fail_step(connection, work.node_id, step, error=str(error), now=now)
        ledger.close_attempt(connection, work.action.action_id, verdict, outcome=f"{step}: {error}", now=now)
