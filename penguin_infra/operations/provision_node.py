"""Provision one node: its instance, a clean address, its names, its installation, its verification, its admission.

The order of the steps, the first two and the last. The others stand beside this file: `screen_address.py`,
`publish_names.py`, `install_node.py`, `verify_delivery.py`. What is left when a request fails for good is
`release_node.py`'s.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import Node
from penguin_infra.hostwind.provider import InstanceStatus
from penguin_infra.operations.begin_warmups import WarmupRules, begin_warmup_of
from penguin_infra.operations.instances import ask_for_instance, await_running, read_instance
from penguin_infra.operations.node_steps import Done, StepError, do_step, in_seconds, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.provision_parts import ProvisionParts
from penguin_infra.store import actions as ledger
from penguin_infra.store import health, node_places, nodes

REQUEST_INSTANCE = "request_instance"
AWAIT_ADDRESS = "await_address"
SCREEN_ADDRESS = "screen_address"
PUBLISH_DNS = "publish_dns"
INSTALL_NODE = "install_node"
VERIFY_DELIVERY = "verify_delivery"
ADMIT_NODE = "admit_node"
STEPS = (
    REQUEST_INSTANCE, AWAIT_ADDRESS, SCREEN_ADDRESS, PUBLISH_DNS, INSTALL_NODE, VERIFY_DELIVERY, ADMIT_NODE
)  # fmt: skip


def request_instance(work: NodeWork, parts: ProvisionParts) -> None:
    """Ask the provider for the node's instance, or find the one that an earlier attempt made."""

    def act(node: Node, _since: datetime) -> Done:
        if node.provider_id is not None:
            return Done({"provider_id": node.provider_id, "was_there": True})
        instance = ask_for_instance(work, parts, node)

        def record(connection: Connection) -> None:
            node_places.record_instance(connection, node.node_id, instance.provider_id, work.clock.now())

        return Done({"provider_id": instance.provider_id}, record)

    do_step(work, REQUEST_INSTANCE, act)


def await_address(work: NodeWork) -> None:
    """Wait until the instance runs and has its address; raises `StepImpossible` when it takes too long."""

    def act(node: Node, since: datetime) -> Done:
        instance = await_running(work, AWAIT_ADDRESS, node, since)

        def record(connection: Connection) -> None:
            if instance.ip_address is not None:
                node_places.record_address(connection, node.node_id, instance.ip_address, work.clock.now())

        return Done({"ip_address": str(instance.ip_address)}, record)

    do_step(work, AWAIT_ADDRESS, act)


def admit_node(work: NodeWork, rules: WarmupRules) -> None:
    """See the agent's heartbeat and the instance as recorded, then admit the node to its first stage of warm-up."""

    def act(node: Node, _since: datetime) -> Done:
        _await_heartbeat(work, node)
        instance = read_instance(work, node)
        if instance.status is not InstanceStatus.RUNNING or instance.ip_address != node.ip_address:
            raise StepError(
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
            begin_warmup_of(connection, node.node_id, node.plan, rules=rules, now=work.clock.now())
            outcome = f"{node.label} is warming at {instance.ip_address}"
            ledger.finish(connection, work.action.action_id, outcome=outcome, now=work.clock.now())

        return Done({"status": "warming"}, record)

    do_step(work, ADMIT_NODE, act)
    work.say("the node is warming")


def _await_heartbeat(work: NodeWork, node: Node) -> None:
    """Wait for a heartbeat of this installation: one that came after it began."""
    begun_at = work.clock.now()
    deadline_at = begun_at + timedelta(minutes=work.limits.heartbeat_timeout_minutes)
    while True:
        with work.engine.connect() as connection:
            heard_at = health.heard_since_installation(connection, node.node_id, INSTALL_NODE)
        if heard_at is not None:
            work.say(f"the agent's heartbeat was heard at {heard_at:%H:%M:%S} UTC")
            return
        if work.clock.now() >= deadline_at:
            raise StepError(
                f"no heartbeat of {node.label}'s agent within {work.limits.heartbeat_timeout_minutes:g} min: see "
                "`journalctl -u penguin-agent` on the node, and whether it reaches PENGUIN_GATEWAY_URL"
            )
        wait(work, ADMIT_NODE, f"no heartbeat yet; waited {in_seconds(work.clock.now() - begun_at)}")
