"""Provision one node: its instance, a clean address, its names, its installation, its verification, its admission.

The order of the steps, and those that deal with the provider. The others stand beside this file: `publish_names.py`,
`install_node.py`, `verify_delivery.py`. What is left when a request fails for good is `release_node.py`'s.
"""

from datetime import datetime, timedelta
from ipaddress import IPv4Address

from sqlalchemy import Connection

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import InstanceLabel, Node
from penguin_infra.hostwind.provider import Instance, InstanceNotFound, InstanceStatus, ProviderUnavailable
from penguin_infra.operations.node_steps import Done, StepError, StepImpossible, do_step, in_seconds, say_progress, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.provision_parts import ProvisionParts, Screening
from penguin_infra.store import actions as ledger
from penguin_infra.store import health, nodes, rejections

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

# A deletion is accepted first and done later; two minutes are many times what one takes.
GONE_WITHIN = timedelta(minutes=2)


def request_instance(work: NodeWork, parts: ProvisionParts) -> None:
    """Ask the provider for the node's instance, or find the one that an earlier attempt made."""

    def act(node: Node, _since: datetime) -> Done:
        if node.provider_id is not None:
            return Done({"provider_id": node.provider_id, "was_there": True})
        instance = _ask_for_instance(work, parts, node)

        def record(connection: Connection) -> None:
            nodes.record_instance(connection, node.node_id, instance.provider_id, work.clock.now())

        return Done({"provider_id": instance.provider_id}, record)

    do_step(work, REQUEST_INSTANCE, act)


def await_address(work: NodeWork) -> None:
    """Wait until the instance runs and has its address; raises `StepImpossible` when it takes too long."""

    def act(node: Node, since: datetime) -> Done:
        instance = _await_running(work, AWAIT_ADDRESS, node, since)

        def record(connection: Connection) -> None:
            if instance.ip_address is not None:
                nodes.record_address(connection, node.node_id, instance.ip_address, work.clock.now())

        return Done({"ip_address": str(instance.ip_address)}, record)

    do_step(work, AWAIT_ADDRESS, act)


def screen_address(work: NodeWork, parts: ProvisionParts) -> None:
    """Ask every list about the address before money goes into it; a listed one is given back for another.

    Raises `StepImpossible` with the evidence after `most_addresses` of them. A list that does not answer says nothing:
    it is asked again until the step's time is up, and then left to the sweeps.
    """

    def act(node: Node, since: datetime) -> Done:
        while True:
            node = _ensure_address(work, parts, node, since)
            with work.engine.connect() as connection:
                zones = rejections.zones_of(connection, node.node_id, node.instance_try)
            if not zones:
                screening = _screen(work, parts, node, since)
                if not screening.listings:
                    return Done(
                        {"ip_address": str(node.ip_address), "unanswered": list(screening.unanswered)},
                    )
                zones = [listing.zone for listing in screening.listings]
                with work.engine.begin() as connection:
                    rejections.reject(connection, node, screening.listings, work.clock.now())
            say_progress(work, SCREEN_ADDRESS, f"{node.ip_address} is listed by {', '.join(zones)}: it is given back")
            if node.instance_try >= work.limits.most_addresses:
                raise StepImpossible(_evidence(work, node))
            node = _give_back(work, node)

    do_step(work, SCREEN_ADDRESS, act)


def admit_node(work: NodeWork) -> None:
    """See the agent's first heartbeat and the instance as recorded, then admit the node and close the action."""

    def act(node: Node, _since: datetime) -> Done:
        _await_heartbeat(work, node)
        instance = _read_instance(work, node)
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
            outcome = f"{node.label} is warming at {instance.ip_address}"
            ledger.finish(connection, work.action.action_id, outcome=outcome, now=work.clock.now())

        return Done({"status": "warming"}, record)

    do_step(work, ADMIT_NODE, act)
    work.say("the node is warming")


def destroy_instances(work: NodeWork, provider_ids: set[str]) -> list[str]:
    """Delete instances and see that they are gone; raises `ProviderUnavailable` where one stays."""
    for provider_id in sorted(provider_ids):
        work.lock.check()
        work.say(f"destroying instance {provider_id}")
        work.provider.delete_instance(provider_id)
    deadline_at = work.clock.now() + GONE_WITHIN
    while left := [provider_id for provider_id in sorted(provider_ids) if _exists(work, provider_id)]:
        if work.clock.now() >= deadline_at:
            raise ProviderUnavailable(f"still there two minutes after their deletion: {', '.join(left)}")
        work.clock.sleep(min(2.0, work.limits.poll_seconds))
        work.lock.check()
    return sorted(provider_ids)


def _ask_for_instance(work: NodeWork, parts: ProvisionParts, node: Node) -> Instance:
    label = str(
        InstanceLabel.of(
            fleet_name=work.fleet_name, label=node.label, node_id=node.node_id, instance_try=node.instance_try
        )
    )
    work.say(f"asking for {label} ({node.plan} in {node.region})")
    instance = work.provider.create_instance(
        label=label, region=node.region, plan=node.plan, ssh_keys=parts.authorized_keys
    )
    work.say(f"instance {instance.provider_id} is {instance.status}")
    return instance


def _ensure_address(work: NodeWork, parts: ProvisionParts, node: Node, since: datetime) -> Node:
    """The node with its instance and address: where one was given back, with the next."""
    if node.provider_id is None:
        instance = _ask_for_instance(work, parts, node)
        with work.engine.begin() as connection:
            nodes.record_instance(connection, node.node_id, instance.provider_id, work.clock.now())
            node = nodes.get_node(connection, node.node_id)
    if node.ip_address is None:
        # From the step's first beginning, but each address has its own time.
        instance = _await_running(work, SCREEN_ADDRESS, node, max(since, node.updated_at))
        with work.engine.begin() as connection:
            if instance.ip_address is not None:
                nodes.record_address(connection, node.node_id, instance.ip_address, work.clock.now())
            node = nodes.get_node(connection, node.node_id)
    return node


def _screen(work: NodeWork, parts: ProvisionParts, node: Node, since: datetime) -> Screening:
    deadline_at = max(since, node.updated_at) + timedelta(minutes=work.limits.screen_timeout_minutes)
    while True:
        screening = parts.screen(_address(node))
        if screening.listings or not screening.unanswered:
            return screening
        told = f"no answer about {node.ip_address} from {', '.join(screening.unanswered)}"
        if work.clock.now() >= deadline_at:
            work.say(f"{told}: they are left to the sweeps")
            return screening
        wait(work, SCREEN_ADDRESS, told)


def _give_back(work: NodeWork, node: Node) -> Node:
    if node.provider_id is not None:
        destroy_instances(work, {node.provider_id})
    work.lock.check()
    with work.engine.begin() as connection:
        nodes.begin_next_instance(connection, node.node_id, work.clock.now())
        return nodes.get_node(connection, node.node_id)


def _evidence(work: NodeWork, node: Node) -> str:
    with work.engine.connect() as connection:
        rows = rejections.list_rejections(connection, node.node_id)
    seen: dict[str, list[str]] = {}
    for row in rows:
        seen.setdefault(str(row.ip_address), []).append(row.zone)
    addresses = "; ".join(f"{address} by {', '.join(zones)}" for address, zones in seen.items())
    return (
        f"{len(seen)} addresses in {node.region} were listed ({addresses}): ask the provider for a clean range, or "
        "choose another region"
    )


def _await_running(work: NodeWork, step: str, node: Node, since: datetime) -> Instance:
    deadline_at = since + timedelta(minutes=work.limits.address_timeout_minutes)
    while True:
        waited = work.clock.now() - since
        try:
            instance = _read_instance(work, node)
            if instance.status is InstanceStatus.ERROR:
                raise StepImpossible(f"the provider reports instance {instance.provider_id} in error")
            if instance.status is InstanceStatus.RUNNING and instance.ip_address is not None:
                work.say(f"instance {instance.provider_id} runs at {instance.ip_address} after {in_seconds(waited)}")
                return instance
            seen = f"instance {instance.provider_id} is {instance.status}, no address yet"
        except ProviderUnavailable as error:
            # An outage of the provider's API says nothing about the instance: the time-out alone decides.
            seen = str(error)
        progress = f"{seen}; waited {in_seconds(waited)} of {work.limits.address_timeout_minutes:g} min"
        if work.clock.now() >= deadline_at:
            raise StepImpossible(progress)
        wait(work, step, progress)


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


def _read_instance(work: NodeWork, node: Node) -> Instance:
    if node.provider_id is None:
        raise StepImpossible(f"{node.label} has no instance on record")
    try:
        return work.provider.get_instance(node.provider_id)
    except InstanceNotFound as error:
        raise StepImpossible(f"the instance is gone: {error}") from None


def _exists(work: NodeWork, provider_id: str) -> bool:
    try:
        work.provider.get_instance(provider_id)
    except InstanceNotFound:
        return False
    return True


def _address(node: Node) -> IPv4Address:
    if node.ip_address is None:
        raise StepImpossible(f"{node.label} has no address on record")
    return node.ip_address
