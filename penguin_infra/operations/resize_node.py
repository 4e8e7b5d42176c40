"""Give one node another plan: drained, changed by the provider, read back, heard again, and sending as before.

The drain between the first and the second step is `drain_node.py`'s. The node keeps its status throughout; while its
action runs it is out of the rotation (the view sees to that), and nobody mends it for being silent while it boots. What
fails for good leaves it in service on the plan that the provider says it has.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind, ActionStatus
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.leave_on_request import CannotLeave, check_can_leave
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.domain.policies.resize_on_request import FROM_PLAN, TO_PLAN, CannotResize
from penguin_infra.hostwind.provider import (
    INSTANCE_BUSY,
    UNCHANGED_PLAN,
    Instance,
    InstanceStatus,
    ProviderRefused,
    ProviderUnavailable,
)
from penguin_infra.operations.drain_node import DRAIN, check_wanted
from penguin_infra.operations.instances import note_billed, read_instance
from penguin_infra.operations.node_steps import Done, StepError, StepImpossible, do_step, in_seconds, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import drains, node_places, recoveries, resizes, steps
from penguin_infra.store.decisions import IS_CHANGING_PLAN

BEGIN_RESIZE = "begin_resize"
CHANGE_PLAN = "change_plan"
VERIFY_SERVICES = "verify_services"
END_RESIZE = "end_resize"

STEPS = (BEGIN_RESIZE, DRAIN, CHANGE_PLAN, VERIFY_SERVICES, END_RESIZE)


def check_region_is_free(connection: Connection, node: Node) -> None:
    """Raise `CannotResize` while another node of the region is resized, or soon will be: one of a region at a time."""
    if other := resizes.resized_in_region(connection, node.region, but=node.node_id):
        raise CannotResize(f"{other} of {node.region} is being resized: one of a region at a time, ask again later")


def begin_resize(work: NodeWork) -> None:
    """See that the node can be resized now: in service, its instance running, and nobody else at work on it.

    An instance that has the plan already, by a resize that was given up too soon, is as good as one that has the old.
    """

    def act(node: Node, _since: datetime) -> Done:
        try:
            check_can_leave(node, ActionKind.RESIZE)
        except CannotLeave as error:
            raise StepImpossible(str(error)) from None
        to_plan = _wanted_plan(work)
        with work.engine.connect() as connection:
            if node.node_id in recoveries.recovering_nodes(connection):
                raise StepError(f"{node.label} is being recovered: tried again later")
            running = {ActionStatus.RUNNING}
            if other := resizes.resized_in_region(connection, node.region, but=node.node_id, statuses=running):
                raise StepError(f"{other} of {node.region} is being resized: one of a region at a time")
        instance = read_instance(work, node)
        if instance.status is not InstanceStatus.RUNNING:
            raise StepError(f"instance {instance.provider_id} is {instance.status}: only a running one is resized")
        if instance.plan not in {node.plan, to_plan}:
            raise StepImpossible(
                f"instance {instance.provider_id} is on {instance.plan}, and the registry says {node.plan}: "
                "mend that first"
            )
        return Done({FROM_PLAN: node.plan, TO_PLAN: to_plan})

    do_step(work, BEGIN_RESIZE, act)


def change_plan(work: NodeWork, limits: ResizeLimits) -> None:
    """Let the provider change the plan, and wait until the instance runs with it; raises `CalledOff`."""

    def act(node: Node, since: datetime) -> Done:
        _pass_point_of_no_return(work)
        to_plan = _wanted_plan(work)
        deadline_at = since + timedelta(minutes=limits.ready_timeout_minutes)
        instance = _await_plan(work, node, to_plan, since, deadline_at)
        work.say(f"instance {instance.provider_id} runs on {to_plan}")
        now = work.clock.now()

        def record(connection: Connection) -> None:
            node_places.record_plan(connection, node.node_id, instance.plan, now)

        return Done({"plan": instance.plan, "text": f"on {to_plan} after {in_seconds(now - since)}"}, record)

    do_step(work, CHANGE_PLAN, act)


def end_resize(work: NodeWork) -> None:
    """Let the node send again, and close the action."""

    def act(node: Node, _since: datetime) -> Done:
        with work.engine.connect() as connection:
            rows = {row.step: row for row in steps.list_steps(connection, node.node_id, STEPS)}
        begun = rows[BEGIN_RESIZE]
        took = work.clock.now() - begun.started_at
        outcome = (
            f"{node.label} went from {begun.result[FROM_PLAN]} to {node.plan} in {took.total_seconds() / 60:.0f} min; "
            f"{rows[DRAIN].result['text']}; {rows[VERIFY_SERVICES].result['text']}"
        )

        def record(connection: Connection) -> None:
            drains.end_drain(connection, node.node_id)
            ledger.finish(connection, work.action.action_id, outcome=outcome, now=work.clock.now())

        return Done({"plan": node.plan, "text": outcome}, record)

    do_step(work, END_RESIZE, act)
    work.say("the node sends again")


def _wanted_plan(work: NodeWork) -> str:
    plan = work.action.evidence.get(TO_PLAN)
    if not isinstance(plan, str):
        raise StepImpossible(f"action {work.action.action_id} names no plan ({TO_PLAN}): ask for the resize again")
    return plan


def _pass_point_of_no_return(work: NodeWork) -> None:
    """From here on nobody can call the resize off: the node's row is locked as by whoever would."""
    with work.engine.begin() as connection:
        drains.lock_node(connection, work.node_id)
        check_wanted(connection, work)
        ledger.add_evidence(connection, work.action.action_id, {IS_CHANGING_PLAN: True})


def _await_plan(work: NodeWork, node: Node, to_plan: str, since: datetime, deadline_at: datetime) -> Instance:
    """Look, ask where that is still to be done, and look again, until the instance runs on the plan."""
    is_asked = False
    while True:
        waited = work.clock.now() - since
        try:
            instance = read_instance(work, node)
            _note_plan(work, node, instance)
            is_running = instance.status is InstanceStatus.RUNNING
            if is_running and instance.plan == to_plan:
                return instance
            seen = f"instance {instance.provider_id} is {instance.status} on {instance.plan}"
            if is_running and not is_asked and work.clock.now() < deadline_at:
                is_asked = _ask(work, instance, to_plan)
                seen += f"; asked for {to_plan}" if is_asked else "; the provider is at work on it"
        except ProviderUnavailable as error:
            # An outage of the provider's API says nothing about the instance: the next look tells, or the time-out.
            seen = str(error)
        if work.clock.now() >= deadline_at:
            raise StepError(f"{seen}, not running on {to_plan} after {in_seconds(waited)}")
        wait(work, CHANGE_PLAN, f"{seen}; waited {in_seconds(waited)}")


def _ask(work: NodeWork, instance: Instance, to_plan: str) -> bool:
    """Whether the provider took the resize up; False: it is at work on the instance, or has just done what is asked."""
    work.lock.check()
    try:
        work.provider.resize_instance(instance.provider_id, to_plan)
    except ProviderRefused as error:
        if error.code in {INSTANCE_BUSY, UNCHANGED_PLAN}:
            return False
        raise
    return True


def _note_plan(work: NodeWork, node: Node, instance: Instance) -> None:
    """Keep the registry true however this attempt ends: an instance that hangs in its boot has its new plan already."""
    if instance.plan == node.plan:
        return
    work.lock.check()
    now = work.clock.now()
    note_billed(work, [instance], now)
    with work.engine.begin() as connection:
        node_places.record_plan(connection, node.node_id, instance.plan, now)
