"""Provisioning: the sensor that asks for nodes and finds requests, and the job that makes one node, a step an op.

Re-execution in the UI, and the next attempt by the sensor alike, go on at the step that did not succeed.
"""

from datetime import timedelta

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.node_runs import NodeRun
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.operations import install_node as installing
from penguin_infra.operations import provision_node, publish_names
from penguin_infra.operations import screen_address as screening
from penguin_infra.operations import verify_delivery as verifying
from penguin_infra.operations.wanted import grow_and_want
from penguin_infra.wiring import Wiring


@dg.op
def request_instance(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """Ask the provider for the node's instance, or find the one that an earlier attempt made."""
    with node_run.working(context, fleet) as work:
        provision_node.request_instance(work, fleet.provision_parts)


@dg.op(ins={"requested": dg.In(dg.Nothing)})
def await_address(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Wait until the instance runs and has its address."""
    with node_run.working(context, fleet) as work:
        provision_node.await_address(work)


@dg.op(ins={"addressed": dg.In(dg.Nothing)})
def screen_address(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Ask every blacklist about the address; a listed one is given back for another."""
    with node_run.working(context, fleet) as work:
        screening.screen_address(work, fleet.provision_parts)


@dg.op(ins={"addressed": dg.In(dg.Nothing)})
def publish_dns(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Publish the node's names, and wait until address and name lead to each other."""
    with node_run.working(context, fleet) as work:
        publish_names.publish_dns(work, fleet.provision_parts)


@dg.op(ins={"published": dg.In(dg.Nothing)})
def install_node(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Install everything that makes the host a sending node, and publish the key that it signs with."""
    with node_run.working(context, fleet) as work:
        installing.install_node(work, fleet.provision_parts)


@dg.op(ins={"installed": dg.In(dg.Nothing)})
def verify_delivery(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """Let the node send a mail to the sink, and look at that and at the node as receivers and strangers would."""
    with node_run.working(context, fleet) as work:
        verifying.verify_delivery(work, fleet.provision_parts)


@dg.op(ins={"verified": dg.In(dg.Nothing)})
def admit_node(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Hear the node's agent, and admit the node to warm-up."""
    with node_run.working(context, fleet) as work:
        provision_node.admit_node(work, fleet.policy.warmups)


@dg.job(
    # Each step has a time-out of its own; this only ends a run whose process is gone.
    tags=run_tags(Lane.SLOW, longest=timedelta(hours=6)),
)
def provision() -> None:
    """Make one node, from request to warm-up. Asked for by `provision_sensor`, one run a node."""
    admit_node(verify_delivery(install_node(publish_dns(screen_address(await_address(request_instance()))))))


@dg.sensor(
    job=provision,
    # Dagster shows no sensor's docstring.
    description="Asks for the nodes that the fleet will lack, plans a provision for each requested node, and asks for "
    "one run a node.",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def provision_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Asks for nodes that the fleet will lack, plans provisions of all requested ones, and asks for one run a node."""
    now = fleet.clock.now()
    return Tick(context, fleet, ActionKind.PROVISION).run(
        lambda connection: grow_and_want(connection, fleet.wanted_limits, now), is_batch=False
    )
