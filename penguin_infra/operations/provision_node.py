"""Provision one node: ask the provider for its instance, wait for the address, admit it to warm-up.

Each step is persisted and can be repeated: a run that died is carried on by the next one, at the step where it stopped.
What is left at the provider when a request fails for good is `release_node.py`'s.

    ProvisionError           this attempt failed; the message says at which step and why
    └── ProvisionImpossible  a repeat would fail likewise: the request is given up and its instance released
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from penguin_infra.domain.actions import after_failure
from penguin_infra.domain.lifecycle import IllegalTransition, NodeEvent
from penguin_infra.domain.node import InstanceLabel, Node
from penguin_infra.hostwind.provider import (
    Instance,
    InstanceNotFound,
    InstanceStatus,
    ProviderRefused,
    ProviderUnavailable,
)
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes, steps

REQUEST_INSTANCE = "request_instance"
AWAIT_ADDRESS = "await_address"
ADMIT_NODE = "admit_node"
STEPS = (REQUEST_INSTANCE, AWAIT_ADDRESS, ADMIT_NODE)


class ProvisionError(Exception):
    """An attempt to provision a node failed."""


class ProvisionImpossible(ProvisionError):
    """No later attempt can do better."""


# A refusal names a plan, a region or credentials: a person must change something before a repeat can help.
_FINAL_ERRORS = (ProvisionImpossible, ProviderRefused, IllegalTransition, nodes.AddressHeld)


def request_instance(work: NodeWork) -> None:
    """Ask the provider for the node's instance, or find the one that an earlier attempt made."""

    def act(node: Node, _since: datetime) -> _Done:
        label = str(InstanceLabel.of(fleet_name=work.fleet_name, label=node.label, node_id=node.node_id))
        work.say(f"asking for {label} ({node.plan} in {node.region})")
        instance = work.provider.create_instance(label=label, region=node.region, plan=node.plan)
        work.say(f"instance {instance.provider_id} is {instance.status}")

        def record(connection: Connection) -> None:
            nodes.record_instance(connection, node.node_id, instance.provider_id, work.clock.now())

        return _Done({"provider_id": instance.provider_id}, record)

    _do_step(work, REQUEST_INSTANCE, act)


def await_address(work: NodeWork) -> None:
    """Wait until the instance runs and has its address; raises `ProvisionImpossible` when it takes too long."""

    def act(node: Node, since: datetime) -> _Done:
        instance = _await_running(work, node, since)

        def record(connection: Connection) -> None:
            if instance.ip_address is not None:
                nodes.record_address(connection, node.node_id, instance.ip_address, work.clock.now())

        return _Done({"ip_address": str(instance.ip_address)}, record)

    _do_step(work, AWAIT_ADDRESS, act)


def admit_node(work: NodeWork) -> None:
    """Look once more that the instance is as recorded, then admit the node to warm-up and close the action."""

    def act(node: Node, _since: datetime) -> _Done:
        instance = _read_instance(work, node)
        if instance.status is not InstanceStatus.RUNNING or instance.ip_address != node.ip_address:
            raise ProvisionError(
                f"instance {instance.provider_id} is {instance.status} at {instance.ip_address}, "
                f"expected running at {node.ip_address}"
            )

        def record(connection: Connection) -> None:
            nodes.apply_event(
                connection,
                node.node_id,
                NodeEvent.ADMITTED,
                reason=f"instance {instance.provider_id} runs at {instance.ip_address}",
                requested_by=work.action.requested_by,
                now=work.clock.now(),
                action_id=work.action.action_id,
                run_id=work.action.run_id,
            )
            outcome = f"{node.label} is warming at {instance.ip_address}"
            ledger.finish(connection, work.action.action_id, outcome=outcome, now=work.clock.now())

        return _Done({"status": "warming"}, record)

    _do_step(work, ADMIT_NODE, act)
    work.say("the node is warming")


@dataclass(frozen=True, slots=True)
class _Done:
    """A step's result, and what to write down in the transaction that marks it as succeeded."""

    result: dict[str, Any]
    record: Callable[[Connection], None]


def _do_step(work: NodeWork, step: str, act: Callable[[Node, datetime], _Done]) -> None:
    action = work.action
    with work.engine.begin() as connection:
        row = steps.begin_step(
            connection,
            work.node_id,
            step,
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


def _close_attempt(work: NodeWork, step: str, error: Exception) -> None:
    now = work.clock.now()
    is_final = isinstance(error, _FINAL_ERRORS)
    verdict = after_failure(work.action.attempt, is_final=is_final, limits=work.limits.retry, now=now)
    # Whoever lost the lock has no say any more: the run that holds it now writes the record.
    work.lock.check()
    with work.engine.begin() as connection:
        steps.fail_step(connection, work.node_id, step, error=str(error), now=now)
        ledger.close_attempt(connection, work.action.action_id, verdict, outcome=f"{step}: {error}", now=now)


def _await_running(work: NodeWork, node: Node, since: datetime) -> Instance:
    deadline_at = since + timedelta(minutes=work.limits.address_timeout_minutes)
    while True:
        waited = work.clock.now() - since
        try:
            instance = _read_instance(work, node)
            if instance.status is InstanceStatus.ERROR:
                raise ProvisionImpossible(f"the provider reports instance {instance.provider_id} in error")
            if instance.status is InstanceStatus.RUNNING and instance.ip_address is not None:
                work.say(f"instance {instance.provider_id} runs at {instance.ip_address} after {_seconds(waited)}")
                return instance
            seen = f"instance {instance.provider_id} is {instance.status}, no address yet"
        except ProviderUnavailable as error:
            # An outage of the provider's API says nothing about the instance: the time-out alone decides.
            seen = str(error)
        progress = f"{seen}; waited {_seconds(waited)} of {work.limits.address_timeout_minutes:g} min"
        if work.clock.now() >= deadline_at:
            raise ProvisionImpossible(progress)
        work.say(progress)
        with work.engine.begin() as connection:
            steps.note_progress(connection, work.node_id, AWAIT_ADDRESS, progress)
        work.clock.sleep(work.limits.poll_seconds)
        work.lock.check()


def _read_instance(work: NodeWork, node: Node) -> Instance:
    if node.provider_id is None:
        raise ProvisionImpossible(f"{node.label} has no instance on record")
    try:
        return work.provider.get_instance(node.provider_id)
    except InstanceNotFound as error:
        raise ProvisionImpossible(f"the instance is gone: {error}") from None


def _seconds(waited: timedelta) -> str:
    return f"{waited.total_seconds():.0f} s"
