"""Give up a request that failed for good: destroy whatever it left at the provider, or makes there later.

The only operation here that destroys an instance, and only one that never was in service.
"""

from datetime import timedelta

from penguin_infra.domain.actions import after_failure
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import InstanceLabel, Node, NodeStatus
from penguin_infra.hostwind.provider import InstanceNotFound, ProviderUnavailable
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import inventory, nodes

# A deletion is accepted first and done later; two minutes are many times what one takes.
_GONE_WITHIN = timedelta(minutes=2)
_POLL_SECONDS = 2.0


def release_node(work: NodeWork) -> str:
    """Carry one release out; returns the outcome in words. Safe to repeat at any point."""
    with work.engine.begin() as connection:
        node = nodes.get_node(connection, work.node_id)
        # What is, or ever was, in service is never destroyed here.
        may_destroy = not nodes.was_admitted(connection, work.node_id)
    try:
        destroyed = _destroy(work, node) if may_destroy else []
    except Exception as error:
        work.lock.check()
        now = work.clock.now()
        verdict = after_failure(work.action.attempt, is_final=False, limits=work.limits.retry, now=now)
        with work.engine.begin() as connection:
            ledger.close_attempt(connection, work.action.action_id, verdict, outcome=str(error), now=now)
        raise
    return _close(work, node, destroyed)


def _destroy(work: NodeWork, node: Node) -> list[str]:
    label = str(InstanceLabel.of(fleet_name=work.fleet_name, label=node.label, node_id=node.node_id))
    found = {instance.provider_id for instance in work.provider.find_instances(label)}
    # One on record whose label was changed at the provider by hand is ours all the same.
    found |= {node.provider_id} if node.provider_id else set()
    for provider_id in sorted(found):
        work.lock.check()
        work.say(f"destroying instance {provider_id}")
        work.provider.delete_instance(provider_id)
    deadline_at = work.clock.now() + _GONE_WITHIN
    while left := [provider_id for provider_id in sorted(found) if _exists(work, provider_id)]:
        if work.clock.now() >= deadline_at:
            raise ProviderUnavailable(f"still there two minutes after their deletion: {', '.join(left)}")
        work.clock.sleep(_POLL_SECONDS)
        work.lock.check()
    return sorted(found)


def _close(work: NodeWork, node: Node, destroyed: list[str]) -> str:
    outcome = f"destroyed {', '.join(destroyed)}" if destroyed else "nothing was left at the provider"
    action = work.action
    with work.engine.begin() as connection:
        if node.status is NodeStatus.PROVISIONING:
            nodes.apply_event(
                connection,
                node.node_id,
                NodeEvent.PROVISIONING_FAILED,
                reason=f"{action.reason}; {outcome}",
                requested_by=action.requested_by,
                now=work.clock.now(),
                action_id=action.action_id,
                run_id=action.run_id,
            )
        # Known to be gone: the next inventory is minutes away, and would be asked to release it again until then.
        inventory.resolve_orphans(connection, destroyed, work.clock.now())
        ledger.finish(connection, action.action_id, outcome=outcome, now=work.clock.now())
    return outcome


def _exists(work: NodeWork, provider_id: str) -> bool:
    try:
        work.provider.get_instance(provider_id)
    except InstanceNotFound:
        return False
    return True
