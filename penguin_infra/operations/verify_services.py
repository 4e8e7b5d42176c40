"""See that a node serves again after its restart with another plan: where it was, heard since, its MTA up.

One that is not is helped once, by a restart of its services from outside; what that does not cure is the recovery's,
once the resize has ended.
"""

from datetime import datetime, timedelta

from penguin_infra.domain.drain import Queue
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits
from penguin_infra.hostwind.provider import InstanceStatus
from penguin_infra.installer.installer import Installer, InstallError
from penguin_infra.operations.install_node import host_of
from penguin_infra.operations.instances import read_instance
from penguin_infra.operations.node_steps import Done, StepError, StepImpossible, do_step, in_seconds, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.resize_node import CHANGE_PLAN, STEPS, VERIFY_SERVICES
from penguin_infra.store import actions as ledger
from penguin_infra.store import drains, steps

# In a resize's evidence: the services are restarted once, however often the run died in between.
ARE_SERVICES_RESTARTED = "are_services_restarted"


def verify_services(work: NodeWork, limits: HealthLimits, installer: Installer | None) -> None:
    """Wait for a heartbeat since the change that says that the MTA is up.

    A boot has as long as a recovery's reboot has, a restart of the services as long as a recovery's directive.
    """

    def act(node: Node, since: datetime) -> Done:
        _check_place(work, node)
        changed_at = _changed_at(work)
        boots_until = since + timedelta(seconds=limits.reboot_timeout_seconds)
        seen = _await_pulse(work, changed_at, since, boots_until)
        if seen is not None:
            _restart_once(work, node, installer, seen)
            seen = _await_pulse(
                work, changed_at, since, boots_until + timedelta(seconds=limits.directive_timeout_seconds)
            )
        if seen is not None:
            raise StepError(f"{node.label} does not serve on its new plan: {seen}")
        text = f"heard again {in_seconds(work.clock.now() - since)} after the change"
        work.say(text)
        return Done({"text": text})

    do_step(work, VERIFY_SERVICES, act)


def _check_place(work: NodeWork, node: Node) -> None:
    instance = read_instance(work, node)
    if instance.status is not InstanceStatus.RUNNING or instance.ip_address != node.ip_address:
        raise StepError(
            f"instance {instance.provider_id} is {instance.status} at {instance.ip_address}, "
            f"expected running at {node.ip_address}"
        )


def _changed_at(work: NodeWork) -> datetime:
    with work.engine.connect() as connection:
        rows = {row.step: row for row in steps.list_steps(connection, work.node_id, STEPS)}
    finished_at: datetime = rows[CHANGE_PLAN].finished_at
    return finished_at


def _await_pulse(work: NodeWork, changed_at: datetime, since: datetime, until: datetime) -> str | None:
    """None once the node has been heard well; what is wrong where it was not by then."""
    while True:
        with work.engine.connect() as connection:
            queue = drains.read_queue(connection, work.node_id)
        seen = _wrong_with(queue, changed_at)
        if seen is None or work.clock.now() >= until:
            return seen
        wait(work, VERIFY_SERVICES, f"{seen}; waited {in_seconds(work.clock.now() - since)}")


def _wrong_with(queue: Queue | None, changed_at: datetime) -> str | None:
    if queue is None or queue.heard_at <= changed_at:
        return f"no heartbeat since {changed_at:%H:%M:%S} UTC"
    return None if queue.mta_state == "up" else f"its heartbeat says that the MTA is {queue.mta_state}"


def _restart_once(work: NodeWork, node: Node, installer: Installer | None, seen: str) -> None:
    with work.engine.connect() as connection:
        action = ledger.get_action(connection, work.action.action_id)
    if installer is None or (action is not None and action.evidence.get(ARE_SERVICES_RESTARTED)):
        return
    work.say(f"{seen}: restarting its services")
    work.lock.check()
    with work.engine.begin() as connection:
        ledger.add_evidence(connection, work.action.action_id, {ARE_SERVICES_RESTARTED: True})
    try:
        installer.restart_services(host_of(node), work.say)
    except (InstallError, StepImpossible) as error:
        raise StepError(f"{seen}, and its services could not be restarted: {error}") from None
