"""Recovering: the sensor that finds ill nodes, and the job that mends one, a step an op.

The rotation dropped such a node long before: this brings it back, or calls a person.
"""

from datetime import timedelta

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.node_runs import NodeRun
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.operations import recover_node
from penguin_infra.wiring import Wiring


@dg.op
def restart_by_directive(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """Let the node's agent restart the MTA, or itself, and see whether that helped."""
    with node_run.working(context, fleet) as work:
        recover_node.restart_by_directive(work, fleet.policy.health)


@dg.op(ins={"restarted": dg.In(dg.Nothing)})
def restart_services(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """Restart the node's services from outside and re-apply what it should be, if it is still needed."""
    with node_run.working(context, fleet) as work:
        recover_node.restart_services(work, fleet.policy.health, fleet.installer)


@dg.op(ins={"restarted": dg.In(dg.Nothing)})
def reboot_instance(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """Let the provider reboot the instance, if it is still needed, and see whether that helped."""
    with node_run.working(context, fleet) as work:
        recover_node.reboot(work, fleet.policy.health)


@dg.op(ins={"rebooted": dg.In(dg.Nothing)})
def begin_maintenance(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """Give a node that nothing helped to a person."""
    with node_run.working(context, fleet) as work:
        recover_node.begin_maintenance(work, fleet.policy.health)


@dg.job(
    # Three waits of minutes each, in the gateways' time, an installation, and the provider's own slowness.
    tags=run_tags(Lane.URGENT, longest=timedelta(hours=1)),
)
def recover() -> None:
    """Bring one ill node back, or give it to a person. Asked for by `recover_sensor`, one run a node."""
    begin_maintenance(reboot_instance(restart_services(restart_by_directive())))


@dg.sensor(
    job=recover,
    # Dagster shows no sensor's docstring.
    description="Plans a recovery for each ill node, few at once, and one only while many are silent together.",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def recover_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Plans a recovery for each ill node, few at once, and one only while many are silent together."""
    return Tick(context, fleet, ActionKind.RECOVER).run(fleet.wanted(ActionKind.RECOVER), is_batch=False)
