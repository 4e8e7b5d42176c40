"""Drain a node that leaves: out of the rotation at once, its queue watched until it is empty or time is up.

Maintenance, decommission and resize begin so. Nothing is lost to a crash: the drain's beginning stands in the database,
and the next run waits on to the same deadline. What a person called off meanwhile ends here.

    StepImpossible      (of `node_steps.py`)
    ├── CalledOff       a person wants the node to stay in service
    └── NoLongerAllowed a guardrail, or the node's status, has come to speak against it
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind, ActionStatus
from penguin_infra.domain.drain import DrainLook, look_at_drain
from penguin_infra.domain.guardrails import GuardrailLimits, Rule, floor_breach
from penguin_infra.domain.lifecycle import IllegalTransition
from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.domain.policies.leave_on_request import CannotLeave, check_can_leave, drain_minutes_of
from penguin_infra.operations.node_steps import Done, StepImpossible, do_step, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import drains
from penguin_infra.store.ledger_facts import plan_lock, read_ledger_facts

DRAIN = "drain"


class CalledOff(StepImpossible):
    """A person called the action off."""


class NoLongerAllowed(StepImpossible):
    """What spoke for the action when it was planned does so no more."""


def drain(work: NodeWork, limits: GuardrailLimits) -> None:
    """Wait until the node has delivered what it has; raises `NoLongerAllowed`, `CalledOff`."""

    def act(node: Node, since: datetime) -> Done:
        minutes = drain_minutes_of(work.action.evidence, default=work.limits.drain_minutes)
        until = since + timedelta(minutes=minutes)
        _begin(work, node, until, limits)
        look = _await_end(work, since, until)
        work.say(look.text)
        return Done({"ended": look.end, "text": look.text})

    do_step(work, DRAIN, act)


def check_wanted(connection: Connection, work: NodeWork) -> None:
    """Raise `CalledOff` where the action was closed while this run carried it out."""
    action = ledger.get_action(connection, work.action.action_id)
    if action is None or action.status is not ActionStatus.RUNNING:
        by = action.decided_by if action else None
        raise CalledOff(f"called off by {by or 'somebody'}: {work.action.label} keeps its place in the fleet")


def _begin(work: NodeWork, node: Node, until: datetime, limits: GuardrailLimits) -> None:
    """Out of the rotation, in the transaction that looked whether the fleet can do without the node."""
    action = work.action
    try:
        if node.status is not NodeStatus.MAINTENANCE or action.kind is ActionKind.RESIZE:
            check_can_leave(node, action.kind)
    except (CannotLeave, IllegalTransition) as error:
        raise NoLongerAllowed(str(error)) from None
    now = work.clock.now()
    with work.engine.begin() as connection:
        plan_lock(connection)
        facts = read_ledger_facts(connection, now, limits)
        breach = floor_breach(node.node_id, action.kind, facts, limits)
        if breach and not action.is_forced:
            raise NoLongerAllowed(f"{Rule.CAPACITY_FLOOR}: {breach}")
        drains.lock_node(connection, node.node_id)
        check_wanted(connection, work)
        if until > now:
            drains.begin_drain(connection, node.node_id, until)


def _await_end(work: NodeWork, since: datetime, until: datetime) -> DrainLook:
    while True:
        now = work.clock.now()
        with work.engine.connect() as connection:
            check_wanted(connection, work)
            view = drains.view_drain(connection, work.node_id, now)
        look = look_at_drain(view, began_at=since, until=until, now=now)
        if look.end:
            return look
        wait(work, DRAIN, look.text)
