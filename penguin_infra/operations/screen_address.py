"""Screen a new node's address: one that a blacklist has is given back for another, before money goes into it."""

from datetime import datetime, timedelta
from ipaddress import IPv4Address

from penguin_infra.domain.node import Node
from penguin_infra.operations.instances import ask_for_instance, await_running, destroy_instances
from penguin_infra.operations.node_steps import Done, StepImpossible, do_step, say_progress, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.provision_node import SCREEN_ADDRESS
from penguin_infra.operations.provision_parts import ProvisionParts, Screening
from penguin_infra.store import node_places, nodes, rejections


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


def _ensure_address(work: NodeWork, parts: ProvisionParts, node: Node, since: datetime) -> Node:
    """The node with its instance and address: where one was given back, with the next."""
    if node.provider_id is None:
        instance = ask_for_instance(work, parts, node)
        with work.engine.begin() as connection:
            node_places.record_instance(connection, node.node_id, instance.provider_id, work.clock.now())
            node = nodes.get_node(connection, node.node_id)
    if node.ip_address is None:
        # From the step's first beginning, but each address has its own time.
        instance = await_running(work, SCREEN_ADDRESS, node, max(since, node.updated_at))
        with work.engine.begin() as connection:
            if instance.ip_address is not None:
                node_places.record_address(connection, node.node_id, instance.ip_address, work.clock.now())
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
        node_places.begin_next_instance(connection, node.node_id, work.clock.now())
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


def _address(node: Node) -> IPv4Address:
    if node.ip_address is None:
        raise StepImpossible(f"{node.label} has no address on record")
    return node.ip_address
