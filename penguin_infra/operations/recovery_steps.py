"""How one step of a recovery is done: look again, ask once, wait for a heartbeat that shows whether it helped.

What is asked for in which order is `recover_node.py`'s.

    RecoverError     the node was not recovered; the message says how far it came and why
    ├── ObserverLost no gateway serves, so that nothing can be verified: tried again later
    ├── ManySilent   the fleet went silent together: the action is over, and people are told
    └── CannotAsk    what the step would ask for is not to be had: the next step's turn
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionStatus, Verdict, after_failure
from penguin_infra.domain.heartbeat import Fault, Health, is_observer_alive, judge_pulse
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.recover_unhealthy import FALLS_COUNTED_OVER, RECOVERABLE_STATUSES, HealthLimits
from penguin_infra.operations.judge_health import read_health
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import health, nodes, recoveries, resizes
from penguin_infra.store.tables import AnyRow


class RecoverError(Exception):
    """The node was not recovered."""


class ObserverLost(RecoverError):
    """Nobody hears the nodes."""


class ManySilent(RecoverError):
    """So many nodes are silent by now that none of them is to blame."""


class CannotAsk(RecoverError):
    """This step is not possible for this node."""


@dataclass(frozen=True, slots=True)
class Patient:
    """The node as it is now, with its fault and how often it fell ill in the last hour."""

    node: Node
    fault: Fault
    reason: str
    falls_last_hour: int
    are_many_silent: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step asked for, and what to write down together with that."""

    asked_for: str
    record: Callable[[Connection], None] = lambda _connection: None


def do_step(
    work: NodeWork, limits: HealthLimits, step: str, ask: Callable[[Patient], Asked], *, timeout_seconds: float
) -> None:
    """Do one step, unless the recovery is over or the step was tried before; closes the action when it helped."""
    with closing_attempts(work):
        patient = look_again(work, limits)
        if patient is None:
            return
        with work.engine.connect() as connection:
            row = recoveries.get_step(connection, work.action.action_id, step)
        if row is not None and row.status == recoveries.FAILED:
            work.say(f"{row.asked_for} did not help before: {row.outcome}")
            return
        try:
            row = row or _ask(work, step, ask, patient)
        except CannotAsk as error:
            work.say(str(error))
            return
        has_helped, seen = _await_heartbeat(work, limits, row, timeout_seconds)
        with work.engine.begin() as connection:
            recoveries.withdraw_directive(connection, work.node_id, work.action.action_id)
            status = recoveries.SUCCEEDED if has_helped else recoveries.FAILED
            recoveries.finish_step(
                connection, work.action.action_id, step, status=status, outcome=seen, now=work.clock.now()
            )
            if has_helped:
                outcome = f"{patient.node.label} is healthy again after the {row.asked_for}"
                ledger.finish(connection, work.action.action_id, outcome=outcome, now=work.clock.now())
        work.say(f"{row.asked_for}: {seen}")


def look_again(work: NodeWork, limits: HealthLimits) -> Patient | None:
    """The node, if it is still ill and this recovery still open; otherwise closes what is to be closed.

    Raises `ManySilent` where by now so many are silent that only the oldest recovery may go on, as the probe.
    """
    now = work.clock.now()
    with work.engine.begin() as connection:
        action = ledger.get_action(connection, work.action.action_id)
        if action is None or action.status is not ActionStatus.RUNNING:
            return None
        node = nodes.get_node(connection, work.node_id)
        if node.status not in RECOVERABLE_STATUSES:
            _over(connection, work, f"{node.label} is {node.status}: nothing to recover")
            return None
        if node.node_id in resizes.working_on(connection):
            _over(connection, work, f"{node.label} is being resized or installed anew: left to that")
            return None
        report = read_health(connection, now=now)
        if not report.is_observer_alive:
            raise _observer_lost(report.clock)
        verdict = next(verdict for one, verdict in report.nodes if one.node_id == node.node_id)
        if verdict.fault is None:
            _over(connection, work, f"{node.label} is healthy by itself: {verdict.reason}")
            return None
        is_probe = recoveries.oldest_open_recovery(connection) == work.action.action_id
        are_many_silent = verdict.fault is Fault.SILENT and report.are_many_silent(limits.silence)
        if are_many_silent and not is_probe:
            raise ManySilent(f"{report.silent_count} of {report.speaking_count} nodes are silent together: not touched")
        falls = health.falls_since(connection, now - FALLS_COUNTED_OVER).get(node.node_id, 0)
        return Patient(node, verdict.fault, verdict.reason, falls, are_many_silent)


@contextmanager
def closing_attempts(work: NodeWork) -> Iterator[None]:
    """Let an error close this attempt: whether there is another is the ledger's to say."""
    try:
        work.lock.check()
        yield
    except Exception as error:
        # Whoever lost the lock has no say any more: the run that holds it now writes the record.
        work.lock.check()
        now = work.clock.now()
        is_final = isinstance(error, ManySilent)
        verdict = after_failure(work.action.attempt, is_final=is_final, limits=work.limits.retry, now=now)
        with work.engine.begin() as connection:
            give_up(connection, work, verdict, str(error))
        raise


def give_up(connection: Connection, work: NodeWork, verdict: Verdict, outcome: str) -> None:
    """Close the attempt; a directive that nobody waits for any more is withdrawn with the last."""
    if verdict.status is ActionStatus.FAILED:
        recoveries.withdraw_directive(connection, work.node_id, work.action.action_id)
    ledger.close_attempt(connection, work.action.action_id, verdict, outcome=outcome, now=work.clock.now())


def _ask(work: NodeWork, step: str, ask: Callable[[Patient], Asked], patient: Patient) -> AnyRow:
    with work.engine.connect() as connection:
        served_seconds = health.observer_clock(connection).served_seconds
    asked = ask(patient)
    work.say(f"asked for: {asked.asked_for}")
    work.lock.check()
    with work.engine.begin() as connection:
        asked.record(connection)
        return recoveries.begin_step(
            connection,
            work.action.action_id,
            step,
            run_id=work.action.run_id or "",
            asked_for=asked.asked_for,
            served_seconds=served_seconds,
            now=work.clock.now(),
        )


def _await_heartbeat(work: NodeWork, limits: HealthLimits, row: AnyRow, timeout_seconds: float) -> tuple[bool, str]:
    """Whether a heartbeat since then says that the node is well. The gateways' clock tells when it is too late."""
    while True:
        with work.engine.connect() as connection:
            clock = health.observer_clock(connection)
            (found,) = health.node_health(connection, work.node_id)
        if not is_observer_alive(clock.ticked_at, work.clock.now()):
            raise _observer_lost(clock)
        waited = clock.served_seconds - row.asked_served_seconds
        verdict = judge_pulse(found.pulse)
        if found.pulse and found.pulse.silent_seconds < waited and verdict.health is Health.HEALTHY:
            return True, f"healthy after {waited:.0f} s"
        if waited >= timeout_seconds:
            return False, f"no better after {waited:.0f} s: {verdict.reason}"
        work.say(f"{row.asked_for}: {verdict.reason}; waited {waited:.0f} of {timeout_seconds:g} s")
        work.clock.sleep(limits.poll_seconds)
        work.lock.check()


def _over(connection: Connection, work: NodeWork, outcome: str) -> None:
    recoveries.withdraw_directive(connection, work.node_id, work.action.action_id)
    ledger.finish(connection, work.action.action_id, outcome=outcome, now=work.clock.now())
    work.say(outcome)


def _observer_lost(clock: health.ObserverClock) -> ObserverLost:
    return ObserverLost(f"no gateway has served since {clock.ticked_at:%H:%M:%S} UTC: nothing can be verified")
