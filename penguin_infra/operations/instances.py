"""A node's instance at the provider, as its jobs' steps deal with it: asked for, awaited, looked at, destroyed."""

from collections.abc import Collection
from datetime import datetime, timedelta

from penguin_infra.domain.inventory import SeenInstance
from penguin_infra.domain.node import InstanceLabel, Node
from penguin_infra.hostwind.provider import Instance, InstanceNotFound, InstanceStatus, ProviderUnavailable
from penguin_infra.operations.node_steps import StepImpossible, in_seconds, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.provision_parts import ProvisionParts
from penguin_infra.store import instance_spells

# A deletion is accepted first and done later; two minutes are many times what one takes.
_GONE_WITHIN = timedelta(minutes=2)


def ask_for_instance(work: NodeWork, parts: ProvisionParts, node: Node) -> Instance:
    """The instance of the node's present try: made, or found where it is there already."""
    label = str(
        InstanceLabel.of(
            fleet_name=work.fleet_name, label=node.label, node_id=node.node_id, instance_try=node.instance_try
        )
    )
    work.say(f"asking for {label} ({node.plan} in {node.region})")
    asked_at = work.clock.now()
    instance = work.provider.create_instance(
        label=label, region=node.region, plan=node.plan, ssh_keys=parts.authorized_keys
    )
    note_billed(work, [instance], asked_at)
    work.say(f"instance {instance.provider_id} is {instance.status}")
    return instance


def as_seen(instance: Instance) -> SeenInstance:
    """The provider's word for an instance in the registry's."""
    return SeenInstance(
        provider_id=instance.provider_id,
        label=instance.label,
        region=instance.region,
        plan=instance.plan,
        status=instance.status.value,
        ip_address=instance.ip_address,
        created_at=instance.created_at,
        extra_addresses=instance.extra_addresses,
    )


def note_billed(work: NodeWork, instances: Collection[Instance], now: datetime) -> None:
    """Write down what the provider bills for the node, as it said at `now`: the next inventory may come too late."""
    owners = {instance.provider_id: work.node_id for instance in instances}
    with work.engine.begin() as connection:
        instance_spells.observe(connection, map(as_seen, instances), owners, now, is_whole=False)


def await_running(work: NodeWork, step: str, node: Node, since: datetime) -> Instance:
    """Wait until the node's instance runs and has its address; raises `StepImpossible` when it takes too long."""
    deadline_at = since + timedelta(minutes=work.limits.address_timeout_minutes)
    while True:
        waited = work.clock.now() - since
        try:
            instance = read_instance(work, node)
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


def read_instance(work: NodeWork, node: Node) -> Instance:
    """The node's instance as the provider has it now; raises `StepImpossible` where it has none."""
    if node.provider_id is None:
        raise StepImpossible(f"{node.label} has no instance on record")
    try:
        return work.provider.get_instance(node.provider_id)
    except InstanceNotFound as error:
        raise StepImpossible(f"the instance is gone: {error}") from None


def destroy_instances(work: NodeWork, provider_ids: set[str]) -> list[str]:
    """Delete instances and see that they are gone; raises `ProviderUnavailable` where one stays."""
    for provider_id in sorted(provider_ids):
        work.lock.check()
        work.say(f"destroying instance {provider_id}")
        work.provider.delete_instance(provider_id)
    deleted_at = work.clock.now()
    deadline_at = work.clock.now() + _GONE_WITHIN
    while left := [provider_id for provider_id in sorted(provider_ids) if _exists(work, provider_id)]:
        if work.clock.now() >= deadline_at:
            raise ProviderUnavailable(f"still there two minutes after their deletion: {', '.join(left)}")
        work.clock.sleep(min(2.0, work.limits.poll_seconds))
        work.lock.check()
    with work.engine.begin() as connection:
        instance_spells.record_end(connection, provider_ids, deleted_at)
    return sorted(provider_ids)


def _exists(work: NodeWork, provider_id: str) -> bool:
    try:
        work.provider.get_instance(provider_id)
    except InstanceNotFound:
        return False
    return True
